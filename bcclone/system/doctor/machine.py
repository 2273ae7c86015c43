"""What a check is; those of the system, port, folder, memory, cores, programs, Python and its packages."""

import errno
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
from typing import TYPE_CHECKING, Literal

from bcclone.system.hardware import output_of, read_text
from bcclone.system.settings import SIMULATOR_PORT

if TYPE_CHECKING:
    from packaging.requirements import Requirement

State = Literal["ok", "warning", "failed"]

PYTHONS = ((3, 11), (3, 13))  # as in pyproject.toml; a test compares
REINSTALL = "reinstall bcclone, in its folder: python -m pip install -c constraints.txt -e ."
_INSTALL = f"activate the virtual environment in which it is installed, or {REINSTALL}"
_FOLDER = Path(__file__).parents[3]
_FFMPEG_SECONDS = 1.0
# name, names of the program, package of Debian and Ubuntu
_TEST_TOOLS = (
    ("chromium", ("chromium", "chromium-browser", "google-chrome"), "chromium"),
    ("chromedriver", ("chromedriver",), "chromium-driver"),
    ("node", ("node",), "nodejs"),
    ("npm", ("npm",), "npm"),
)
_GB = 1e9
# (failed below, warning below): a store of 10,000 rows of three cameras takes 1.5 GB; training uses 0.9 GB of memory,
# without the frames
_DISK_GB, _MEMORY_GB = (0.5, 5.0), (1.0, 2.0)


@dataclass(frozen=True)
class Check:
    """The result of a check: name, state, what was found, and how to fix it, which may be "" only if all is well."""

    name: str
    state: State
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


def check_port(port: int) -> Check:
    """Check that a drive server can listen on a port of this machine."""
    address = f"127.0.0.1:{port}"
    reason = f"the simulator always connects to {SIMULATOR_PORT}"
    with socket.socket() as listener:
        if os.name == "posix":  # a port that was in use a minute ago is free; on Windows it would be shared
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                advice = f"stop the program that listens there, perhaps an older drive.py; {reason}"
                return Check("port", "failed", f"{address} is in use", advice)
            return Check("port", "failed", f"{address}: {error.strerror}", f"allow listening on it; {reason}")
    if port != SIMULATOR_PORT:
        return Check("port", "warning", f"{address} is free", f"also check {SIMULATOR_PORT}: {reason}")
    return Check("port", "ok", f"{address} is free")


def check_folder(folder: Path) -> Iterator[Check]:
    """Check that a folder can be written, and then that its disk has enough free space."""
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
    advice = "free some space, or work on another disk: a store of 10,000 rows of three cameras takes 1.5 GB"
    yield Check("disk space", state, f"{free / _GB:.1f} GB free", "" if state == "ok" else advice)


def check_memory(available: float | None) -> Check:
    """Check the available memory, in bytes; None if the system does not report it."""
    if available is None:
        return Check("memory", "warning", "this system does not report it", f"{_MEMORY_GB[1]:.0f} GB should be free")
    state = _compare(available, _MEMORY_GB)
    advice = f"close other programs, or give the container more memory: training needs {_MEMORY_GB[1]:.0f} GB"
    return Check("memory", state, f"{available / _GB:.1f} GB available", "" if state == "ok" else advice)


def _compare(size: float, bounds_gb: tuple[float, float]) -> State:
    least, enough = (bound * _GB for bound in bounds_gb)
    if size < least:
        return "failed"
    return "warning" if size < enough else "ok"


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
        path = next(filter(None, map(shutil.which, programs)), None)
        if path:
            yield Check(name, "ok", f"{path} (only needed for tests)")
        else:
            advice = f"for the tests, on Debian and Ubuntu: apt-get install {package}"
            yield Check(name, "warning", "not on the PATH (only needed for tests)", advice)


def check_python(version: tuple[int, int]) -> Check:
    """Compare the version of Python with the supported ones."""
    lowest, highest = (".".join(map(str, python)) for python in PYTHONS)
    found = f"{platform.python_version()} ({sys.executable})"
    if PYTHONS[0] <= version <= PYTHONS[1]:
        return Check("python", "ok", found)
    advice = f"install bcclone into a virtual environment with one of them: python{highest} -m venv .venv"
    return Check("python", "failed", f"{found}, needs {lowest} to {highest}", advice)


def check_declared_packages() -> Iterator[Check]:
    """Yield a check of bcclone's own installation, then one of each package that it requires.

    The pyproject.toml of a checkout has precedence over the installed metadata, which may be older.
    """
    try:
        import packaging.requirements  # noqa: F401
    except ImportError:
        yield Check("packaging", "failed", "missing, so versions cannot be compared", _INSTALL)
        return
    installed: list[str] = []
    try:
        installed = metadata.requires("bcclone") or []
        yield Check("bcclone", "ok", f"{metadata.version('bcclone')} ({_FOLDER})")
    except metadata.PackageNotFoundError:
        yield Check("bcclone", "warning", f"runs from {_FOLDER}, but is not installed", _INSTALL)
    yield from check_packages(_requirements_of_checkout(_FOLDER / "pyproject.toml") or installed)


def _requirements_of_checkout(pyproject: Path) -> list[str]:
    """Return the requirements in a pyproject.toml of bcclone, none if there is no such file."""
    if sys.version_info < PYTHONS[0]:  # it has no tomllib, and check_python() reports it
        return []
    import tomllib

    project = tomllib.loads(read_text(pyproject)).get("project", {})
    return [*project["dependencies"]] if project.get("name") == "bcclone" else []


def check_packages(requirements: Sequence[str], extra: str = "") -> list[Check]:
    """Compare the installed packages with requirements in pip's syntax, with markers and extras.

    extra: of the package that requires them; only the requirements that it adds are checked.
    """
    checks = []
    for requirement in _needed(requirements, extra):
        checks.append(_check_package(requirement))
        for added in sorted(requirement.extras):
            if checks[-1].state == "ok":
                checks.extend(check_packages(metadata.requires(requirement.name) or [], added))
    return checks


def _needed(requirements: Sequence[str], extra: str = "") -> "list[Requirement]":
    """Return the requirements whose marker is true here; with an extra, only those that it adds."""
    from packaging.requirements import Requirement

    every = [Requirement(text) for text in requirements]
    always = [one for one in every if one.marker is None or one.marker.evaluate({"extra": ""})]
    if not extra:
        return always
    return [one for one in every if one not in always and one.marker and one.marker.evaluate({"extra": extra})]


def _check_package(requirement: "Requirement") -> Check:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    needs = f"{requirement.name}{extras}{requirement.specifier}"
    advice = f'python -m pip install "{needs}"'
    try:
        found = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Check(requirement.name, "failed", f"missing, needs {requirement.specifier or 'any'}", advice)
    except (KeyError, FileNotFoundError):  # an interrupted installation; up to Python 3.13 the version is None instead
        found = ""
    if not found:
        advice = f'python -m pip install --force-reinstall "{needs}"'
        return Check(requirement.name, "failed", "its version cannot be read", advice)
    if requirement.specifier.contains(found, prereleases=True):
        return Check(requirement.name, "ok", found)
    return Check(requirement.name, "failed", f"{found}, needs {requirement.specifier}", advice)
