"""The operating system, the port, the folder, memory and cores -> checks."""

import errno
import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bcclone.doctor import Check, State, output_of

_FFMPEG_SECONDS = 1.0
# name, what it may be called, the package of Debian and Ubuntu
_TEST_TOOLS = (
    ("chromium", ("chromium", "chromium-browser", "google-chrome"), "chromium"),
    ("chromedriver", ("chromedriver",), "chromium-driver"),
    ("node", ("node",), "nodejs"),
    ("npm", ("npm",), "npm"),
)


def check_ffmpeg() -> Check:
    """Start the ffmpeg that moviepy will use: the one imageio-ffmpeg finds."""
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        program = get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        advice = 'python -m pip install --force-reinstall "imageio-ffmpeg"'
        return Check("ffmpeg", "failed", "imageio-ffmpeg finds none", advice)
    if said := output_of([program, "-version"], _FFMPEG_SECONDS):
        return Check("ffmpeg", "ok", f"{said.split()[2]} ({program})")
    advice = "unset the environment variable IMAGEIO_FFMPEG_EXE, or let it name an ffmpeg that runs"
    return Check("ffmpeg", "failed", f"{program} does not run", advice)


def check_test_tools() -> Iterator[Check]:
    """Yield a check for each program that only the tests start."""
    for name, programs, package in _TEST_TOOLS:
        place = next(filter(None, map(shutil.which, programs)), None)
        if place:
            yield Check(name, "ok", f"{place} (only needed for tests)")
        else:
            advice = f"for the tests, on Debian and Ubuntu: apt-get install {package}"
            yield Check(name, "warning", "not on the PATH (only needed for tests)", advice)


_SIMULATOR_PORT = 4567  # of the Unity program, which knows no other
_GB = 1e9
# 10,000 rows of three cameras make a store of 1.5 GB; training takes 0.9 GB besides the frames that it reads
_DISK_GB, _MEMORY_GB = (0.5, 5.0), (1.0, 2.0)


def check_system(proc_version: str) -> Check:
    """Name the operating system. proc_version: what /proc/version says, "" where there is none."""
    found = f"{platform.system()} {platform.release()}, {platform.machine()}"
    if "microsoft-standard" not in proc_version and "WSL2" not in proc_version:
        return Check("system", "ok", found)
    advice = (
        f"the simulator on the Windows side reaches a server in WSL2 at 127.0.0.1:{_SIMULATOR_PORT}; "
        "where it does not, start drive.py with --host 0.0.0.0 --token TEXT --allow-from ADDRESS"
    )
    return Check("system", "ok", f"{found}, in WSL2", advice)


def check_port(port: int) -> Check:
    """Try to listen on the port of this machine, as a drive server does, and close it again."""
    address = f"127.0.0.1:{port}"
    only = f"the simulator knows only {_SIMULATOR_PORT}"
    with socket.socket() as listener:
        if os.name == "posix":  # otherwise connections that ended a minute ago count; on Windows it shares the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                advice = f"end the program that listens there, perhaps an older drive.py; {only}"
                return Check("port", "failed", f"{address} is in use", advice)
            return Check("port", "failed", f"{address}: {error.strerror}", f"allow listening on it; {only}")
    if port != _SIMULATOR_PORT:
        return Check("port", "warning", f"{address} is free", f"check {_SIMULATOR_PORT}, too: {only}")
    return Check("port", "ok", f"{address} is free")


def check_folder(folder: Path) -> Iterator[Check]:
    """Yield whether a file can be written in the folder, by writing one and removing it; then the free space."""
    advice = "change into a folder where you may write"
    try:
        folder = folder.absolute()
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".bcclone-doctor-") as file:
            file.write(b"written by bcclone doctor")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield Check("folder", "failed", f"{folder}: cannot write there: {error.strerror or error}", advice)
        return
    yield Check("folder", "ok", f"{folder}: can be written")
    state = _compare(free, _DISK_GB)
    advice = "make room, or work on another disk: 10,000 rows of three cameras make a store of 1.5 GB"
    yield Check("disk space", state, f"{free / _GB:.1f} GB free", "" if state == "ok" else advice)


def check_memory(available: float | None) -> Check:
    """Judge the memory that is available, in bytes; None where the system does not tell."""
    if available is None:
        return Check("memory", "warning", "this system does not tell", f"{_MEMORY_GB[1]:.0f} GB should be free")
    state = _compare(available, _MEMORY_GB)
    advice = f"end other programs, or give the container more: training wants {_MEMORY_GB[1]:.0f} GB"
    return Check("memory", state, f"{available / _GB:.1f} GB available", "" if state == "ok" else advice)


def _compare(size: float, bounds_gb: tuple[float, float]) -> State:
    least, enough = (bound * _GB for bound in bounds_gb)
    if size < least:
        return "failed"
    return "warning" if size < enough else "ok"


def check_cores(cores: int) -> Check:
    """Judge the number of cores that this process may use."""
    if cores > 1:
        return Check("cores", "ok", str(cores))
    return Check("cores", "warning", str(cores), "everything works, and takes long; give it two or more")


def usable_cores() -> int:
    """Return the number of cores that this process may use, which can be fewer than there are."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
