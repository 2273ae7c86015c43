"""Check the machine: system, Python, port, folder, memory, cores and ffmpeg.

Most functions take what was found, such as a version or a number of bytes, and return a `Check`,
with advice if it is not enough.
"""

import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bcclone.system.examination import Check
from bcclone.system.hardware import output_of
from bcclone.system.settings import SIMULATOR_PORT

PYTHONS = ((3, 11), (3, 13))  # lowest and highest version; a test compares with pyproject.toml


def check_system(proc_version: str) -> Check:
    """Name the operating system; the check never fails.

    proc_version: content of /proc/version, by which WSL2 is recognized; "" if there is none
    """
    name = f"{platform.system()} {platform.release()}, {platform.machine()}"
    if "microsoft-standard" not in proc_version and "WSL2" not in proc_version:
        return Check("system", "ok", name)
    advice = (
        "the simulator on the Windows side reaches a server in WSL2 at "
        f"127.0.0.1:{SIMULATOR_PORT}; if it does not, "
        "start drive.py with --host 0.0.0.0 --token TEXT --allow-from ADDRESS"
    )
    return Check("system", "ok", f"{name}, in WSL2", advice)


def check_python(version: tuple[int, int]) -> Check:
    """Compare the version of Python with the supported ones."""
    lowest = ".".join(map(str, PYTHONS[0]))
    highest = ".".join(map(str, PYTHONS[1]))
    found = f"{platform.python_version()} ({sys.executable})"
    if PYTHONS[0] <= version <= PYTHONS[1]:
        return Check("python", "ok", found)
    advice = (
        "install bcclone into a virtual environment with one of them: "
        f"python{highest} -m venv .venv"
    )
    return Check("python", "failed", f"{found}, needs {lowest} to {highest}", advice)


def check_port(port: int) -> Check:
    """Check that a drive server can listen on a port of this machine."""
    address = f"127.0.0.1:{port}"
    reason = f"the simulator always connects to {SIMULATOR_PORT}"
    with socket.socket() as listener:
        # a port that was in use a minute ago counts as free; but on Windows, this option would
        # let two programs share a port
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError:
            advice = f"stop the program that listens there, perhaps an older drive.py; {reason}"
            return Check("port", "failed", f"{address} is in use", advice)
    if port != SIMULATOR_PORT:
        return Check(
            "port", "warning", f"{address} is free", f"also check {SIMULATOR_PORT}: {reason}"
        )
    return Check("port", "ok", f"{address} is free")


@dataclass(frozen=True)
class _Sizes:
    """Limits of a check of a size, in GB."""

    least: float  # with less, the check fails
    enough: float  # with less, the check warns


_DISK = _Sizes(least=0.5, enough=5.0)  # a store of 10,000 rows of three cameras takes 1.5 GB
_MEMORY = _Sizes(least=1.0, enough=2.0)  # training uses 0.9 GB, besides the memory of the frames


def check_folder(folder: Path) -> Iterator[Check]:
    """Check that a folder can be written, and then that its disk has enough free space."""
    try:
        folder = folder.absolute()
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".bcclone-doctor-") as file:
            file.write(b"written by bcclone doctor")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        found = f"{folder}: cannot write there: {error.strerror or error}"
        yield Check("folder", "failed", found, "change into a folder where you may write")
        return
    yield Check("folder", "ok", f"{folder}: can be written")
    advice = (
        "free some space, or work on another disk: "
        "a store of 10,000 rows of three cameras takes 1.5 GB"
    )
    yield _check_size("disk space", free, _DISK, "free", advice)


def check_memory(available: float) -> Check:
    """Check the available memory, in bytes."""
    advice = (
        "close other programs, or give the container more memory: "
        f"training needs {_MEMORY.enough:.0f} GB"
    )
    return _check_size("memory", available, _MEMORY, "available", advice)


def _check_size(name: str, size: float, sizes: _Sizes, word: str, advice: str) -> Check:
    """Compare a size, in bytes, with its limits; word: what the size is, such as "free"."""
    size_gb = size / 1e9
    found = f"{size_gb:.1f} GB {word}"
    if size_gb >= sizes.enough:
        return Check(name, "ok", found)
    if size_gb >= sizes.least:
        return Check(name, "warning", found, advice)
    return Check(name, "failed", found, advice)


def check_cores(cores: int) -> Check:
    """Check the number of cores that this process may use."""
    if cores > 1:
        return Check("cores", "ok", str(cores))
    return Check(
        "cores", "warning", str(cores), "everything works, but slowly; give it two cores or more"
    )


_FFMPEG_SECONDS = 1.0  # longest time that ffmpeg may take to print its version


def check_ffmpeg() -> Check:
    """Check that the ffmpeg that moviepy uses runs; the package imageio-ffmpeg chooses it."""
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        program = get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        advice = 'python -m pip install --force-reinstall "imageio-ffmpeg"'
        return Check("ffmpeg", "failed", "imageio-ffmpeg finds no ffmpeg", advice)
    if version := output_of([program, "-version"], _FFMPEG_SECONDS):
        number = version.split()[2]  # its output begins with: ffmpeg version NUMBER
        return Check("ffmpeg", "ok", f"{number} ({program})")
    advice = "unset the environment variable IMAGEIO_FFMPEG_EXE, or set it to an ffmpeg that runs"
    return Check("ffmpeg", "failed", f"{program} does not run", advice)
