"""How much memory programs can still have here."""

from pathlib import Path


def available_memory() -> float | None:
    """Return the bytes that programs can still have, within the limit of a container; None where nothing tells."""
    sizes = []
    try:
        import psutil  # not at the top: `bcclone doctor` works where packages are missing

        sizes.append(psutil.virtual_memory().available)
    except ImportError:
        pass
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        limit = ""
    if limit.isdecimal():
        sizes.append(int(limit))
    return min(sizes, default=None)
