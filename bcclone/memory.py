"""How much memory programs can still have here."""

import re
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available_memory(cgroup: Path = _CGROUP) -> float | None:
    """Return the bytes that programs can still have, within the limit of a container; None where nothing tells.

    cgroup: where Linux tells of a container (version 2).
    """
    sizes = []
    try:
        import psutil  # not at the top: `bcclone doctor` works where packages are missing

        sizes.append(psutil.virtual_memory().available)
    except ImportError:
        pass
    limit, used = _read(cgroup / "memory.max").strip(), _read(cgroup / "memory.current").strip()
    if limit.isdecimal() and used.isdecimal():
        files = re.search(r"^inactive_file (\d+)$", _read(cgroup / "memory.stat"), re.MULTILINE)
        sizes.append(int(limit) - int(used) + (int(files[1]) if files else 0))  # what is kept of files can go
    return min(sizes, default=None)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
