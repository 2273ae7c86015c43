"""The checks of the doctor that are not about TensorFlow: system, port, folder, memory, programs, Python, packages."""

import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from bcclone.system.hardware import output_of, read_text
from bcclone.system.settings import SIMULATOR_PORT

PYTHONS = ((3, 11), (3, 13))  # as in pyproject.toml; a test compares
_FFMPEG_SECONDS = 1.0
REINSTALL = "reinstall bcclone, in its folder: python -m pip install -c constraints.txt -e ."
_INSTALL = f"activate the virtual environment in which it is installed, or {REINSTALL}"
_FOLDER = Path(__file__).parents[2]
# name, names of the program, package of Debian and Ubuntu
_TEST_TOOLS = (
    ("chromium", ("chromium", "chromium-browser", "google-chrome"), "chromium"),
    ("chromedriver", ("chromedriver",), "chromium-driver"),
    ("node", ("node",), "nodejs"),
    ("npm", ("npm",), "npm"),
)
# (failed below, warning below): a store of 10,000 rows of three cameras takes 1.5 GB; training uses 0.9 GB of memory,
# without the frames
_DISK_GB, _MEMORY_GB = (0.5, 5.0), (1.0, 2.0)


@dataclass(frozen=True)
class Check:
    """The result of a check: name, state, what was found, and how to fix it, which may be "" only if all is well."""

    name: str
    state: Literal["ok", "warning", "failed"]
    found: str
    advice: str = ""


def check_system(proc_version: str) -> Check:
    """Name the operating system. proc_version: content of /proc/version, "" if there is none."""
    name = f"{platform.system()} {platform.release()}, {platform.machine()}"
    if "microsoft-standard" not in proc_version and "WSL2" not in proc_version:
        return Check("system", "ok", name)
    advice = (
        f"the simulator on the Windows side reaches a server in WSL2 at 127.0.0.1:{SIMULATOR_PORT}; "
        "if it does not, start drive.py with --host 0.0.0.0 --token TEXT --allow-from ADDRESS"
    )
    return Check("system", "ok", f"{name}, in WSL2", advice)


def check_python(version: tuple[int, int]) -> Check:
    """Compare the version of Python with the supported ones."""
    lowest, highest = (".".join(map(str, python)) for python in PYTHONS)
    found = f"{platform.python_version()} ({sys.executable})"
    if PYTHONS[0] <= version <= PYTHONS[1]:
        return Check("python", "ok", found)
    advice = f"install bcclone into a virtual environment with one of them: python{highest} -m venv .venv"
    return Check("python", "failed", f"{found}, needs {lowest} to {highest}", advice)


def check_port(port: int) -> Check:
    """Check that a drive server can listen on a port of this machine."""
    address, reason = f"127.0.0.1:{port}", f"the simulator always connects to {SIMULATOR_PORT}"
    with socket.socket() as listener:
        if os.name == "posix":  # a port that was in use a minute ago is free; on Windows it would be shared
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError:
            advice = f"stop the program that listens there, perhaps an older drive.py; {reason}"
            return Check("port", "failed", f"{address} is in use", advice)
    if port != SIMULATOR_PORT:
        return Check("port", "warning", f"{address} is free", f"also check {SIMULATOR_PORT}: {reason}")
    return Check("port", "ok", f"{address} is free")


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
    advice = "free some space, or work on another disk: a store of 10,000 rows of three cameras takes 1.5 GB"
    yield _check_size("disk space", free, _DISK_GB, "free", advice)


def check_memory(available: float | None) -> Check:
    """Check the available memory, in bytes; None if the system does not report it."""
    if available is None:
        return Check("memory", "warning", "this system does not report it", f"{_MEMORY_GB[1]:.0f} GB should be free")
    advice = f"close other programs, or give the container more memory: training needs {_MEMORY_GB[1]:.0f} GB"
    return _check_size("memory", available, _MEMORY_GB, "available", advice)


def _check_size(name: str, size: float, bounds_gb: tuple[float, float], word: str, advice: str) -> Check:
    size_gb, (least, enough) = size / 1e9, bounds_gb
    found = f"{size_gb:.1f} GB {word}"
    if size_gb >= enough:
        return Check(name, "ok", found)
    return Check(name, "failed" if size_gb < least else "warning", found, advice)


def check_cores(cores: int) -> Check:
    """Check the number of cores that this process may use."""
    if cores > 1:
        return Check("cores", "ok", str(cores))
    return Check("cores", "warning", str(cores), "everything works, but slowly; give it two cores or more")


def check_ffmpeg() -> Check:
    """Check that the ffmpeg of moviepy runs; imageio-ffmpeg chooses it."""
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        program = get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        advice = 'python -m pip install --force-reinstall "imageio-ffmpeg"'
        return Check("ffmpeg", "failed", "imageio-ffmpeg finds no ffmpeg", advice)
    if version := output_of([program, "-version"], _FFMPEG_SECONDS):
        return Check("ffmpeg", "ok", f"{version.split()[2]} ({program})")
    advice = "unset the environment variable IMAGEIO_FFMPEG_EXE, or set it to an ffmpeg that runs"
    return Check("ffmpeg", "failed", f"{program} does not run", advice)


def check_test_tools() -> Iterator[Check]:
    """Yield a check of each program that only the tests need."""
    for name, programs, package in _TEST_TOOLS:
        if path := next(filter(None, map(shutil.which, programs)), None):
            yield Check(name, "ok", f"{path} (only needed for tests)")
        else:
            advice = f"for the tests, on Debian and Ubuntu: apt-get install {package}"
            yield Check(name, "warning", "not on the PATH (only needed for tests)", advice)


# ---- packages


def check_declared_packages() -> Iterator[Check]:
    """Yield a check of bcclone's own installation, then one of each package that it requires.

    The pyproject.toml of a checkout has precedence over the installed metadata, which may be older.
    """
    try:
        import packaging.requirements  # noqa: F401
    except ImportError:
        yield Check("packaging", "failed", "missing, so versions cannot be compared", _INSTALL)
        return
    import tomllib

    if installed := version_of("bcclone"):
        yield Check("bcclone", "ok", f"{installed} ({_FOLDER})")
    else:
        yield Check("bcclone", "warning", f"runs from {_FOLDER}, but is not installed", _INSTALL)
    project = tomllib.loads(read_text(_FOLDER / "pyproject.toml")).get("project", {})
    is_checkout = project.get("name") == "bcclone"
    yield from check_packages(project["dependencies"] if is_checkout else metadata.requires("bcclone") or [])


def check_packages(requirements: Sequence[str], extra: str = "") -> list[Check]:
    """Compare the installed packages with requirements in pip's syntax, with markers and extras.

    extra: of the package that requires them; only the requirements that it adds are checked.
    """
    from packaging.requirements import Requirement

    checks = []
    for requirement in map(Requirement, requirements):
        with_extra, without = (
            requirement.marker is None or requirement.marker.evaluate({"extra": name}) for name in (extra, "")
        )
        if not with_extra or (extra and without):
            continue
        name, found = requirement.name, version_of(requirement.name)
        if found and requirement.specifier.contains(found, prereleases=True):
            checks.append(Check(name, "ok", found))
            for added in sorted(requirement.extras):
                checks.extend(check_packages(metadata.requires(name) or [], added))
            continue
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        advice = f'python -m pip install "{name}{extras}{requirement.specifier}"'
        needs = f"{found or 'missing'}, needs {requirement.specifier or 'any'}"
        checks.append(Check(name, "failed", needs, advice))
    return checks


def version_of(package: str) -> str | None:
    """Return the installed version of a package, None if it is missing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
