"""Measure how much memory is available to new programs."""

import re
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available_memory(cgroup: Path = _CGROUP) -> float | None:
    """Return the available bytes, within the limit of a container; None if they cannot be measured.

    cgroup: folder in which Linux describes the container (cgroup version 2).
    """
    sizes = []
    try:
        import psutil  # not at the top, because `bcclone doctor` must work without packages

        sizes.append(psutil.virtual_memory().available)
    except ImportError:
        pass
    limit, used = _read(cgroup / "memory.max").strip(), _read(cgroup / "memory.current").strip()
    if limit.isdecimal() and used.isdecimal():
        files = re.search(r"^inactive_file (\d+)$", _read(cgroup / "memory.stat"), re.MULTILINE)
        sizes.append(int(limit) - int(used) + (int(files[1]) if files else 0))  # cached files can be evicted
    return min(sizes, default=None)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
