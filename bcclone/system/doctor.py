"""Check every requirement of bcclone on this machine, and explain how to fix each fault.

In: `DoctorSettings`. Out: the `Check` of each requirement. Nothing is changed,
downloaded or printed. The checks run even if no package is installed, and load TensorFlow only in
other processes, and only for `bcclone doctor --full`.
"""

import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from bcclone.system.errors import number_of
from bcclone.system.hardware import (
    Card,
    available_memory,
    driver_version,
    find_cards,
    output_of,
    read_text,
)
from bcclone.system.settings import SIMULATOR_PORT, Checked, Port, setting

try:
    __version__ = metadata.version("bcclone")
except metadata.PackageNotFoundError:  # a checkout that was not installed, which a check reports
    __version__ = "not installed"


@dataclass(frozen=True)
class DoctorSettings(Checked):
    """What to check."""

    full: bool = setting(False, "also load TensorFlow and compute on each of its devices")
    port: Port = setting(SIMULATOR_PORT, "port that has to be free for drive.py")


@dataclass(frozen=True)
class Check:
    """The result of a check."""

    name: str  # what was checked, such as "python" or the name of a package
    state: Literal["ok", "warning", "failed"]
    found: str  # what is there, such as a version
    advice: str = ""  # how to fix a fault, or a hint; always given unless the state is "ok"


def examine(settings: DoctorSettings) -> list[Check]:
    """Run every check; a check that raises an error is itself reported as failed."""
    steps: Mapping[str, Callable[[], Iterable[Check]]] = {
        "system": check_system,
        "python": check_python,
        "packages": check_declared_packages,
        "port": lambda: check_port(settings.port),
        "folder": lambda: check_folder(Path()),
        "memory": lambda: check_memory(available_memory()),
        "accelerator": lambda: (check_devices if settings.full else check_driver)(driver_version()),
        "XLA": lambda: check_compiler(find_cards()[:1]) if settings.full else [],
        "GPU": lambda: check_cards(find_cards(), version_of(_CUDNN)),
        "ffmpeg": check_ffmpeg,
    }
    checks: list[Check] = []
    for name, step in steps.items():
        try:
            checks.extend(step())
        except Exception as error:  # one broken check must not hide the results of the others
            found = f"cannot be checked: {type(error).__name__}: {error}"
            checks.append(Check(name, "failed", found, "please report this, with the whole output"))
    return checks


def as_text(checks: Sequence[Check]) -> str:
    """Return a line for each check, its advice on the next line, and the counts at the end."""
    width = max(len(check.name) for check in checks) + 2
    lines = []
    for check in checks:
        state = check.state.upper() if check.state == "failed" else check.state
        lines.append(f"{check.name:<{width}}{state:<9}{check.found}")
        if check.advice:
            lines.append(f"{'':<{width + 9}}-> {check.advice}")
    failed = sum(check.state == "failed" for check in checks)
    warnings = sum(check.state == "warning" for check in checks)
    return "\n".join(
        [*lines, "", f"{failed or 'nothing'} failed, {number_of(warnings, 'warning')}"]
    )


# ---- the machine

PYTHONS = ((3, 11), (3, 13))  # lowest and highest version; a test compares with pyproject.toml


def check_system() -> Iterator[Check]:
    """Name the operating system; the check never fails."""
    name = f"{platform.system()} {platform.release()}, {platform.machine()}"
    advice = ""
    if "microsoft-standard" in platform.release():  # WSL2
        advice = (
            "the simulator on the Windows side reaches a server in WSL2 at "
            f"127.0.0.1:{SIMULATOR_PORT}; if it does not, "
            "start drive.py with --host 0.0.0.0 --token TEXT --allow-from ADDRESS"
        )
    yield Check("system", "ok", name, advice)


def check_python() -> Iterator[Check]:
    lowest, highest = (".".join(map(str, each)) for each in PYTHONS)
    found = f"{platform.python_version()} ({sys.executable})"
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        yield Check("python", "ok", found)
    else:
        advice = (
            "install bcclone into a virtual environment with one of them: "
            f"python{highest} -m venv .venv"
        )
        yield Check("python", "failed", f"{found}, needs {lowest} to {highest}", advice)


def check_port(port: int) -> Iterator[Check]:
    """Check that a drive server can listen on a port of this machine."""
    address = f"127.0.0.1:{port}"
    with socket.socket() as listener:
        # a port that was in use a minute ago counts as free; but on Windows, this option would
        # let two programs share a port
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError:
            advice = (
                "stop the program that listens there, perhaps an older drive.py; "
                f"the simulator always connects to {SIMULATOR_PORT}"
            )
            yield Check("port", "failed", f"{address} is in use", advice)
            return
    yield Check("port", "ok", f"{address} is free")


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
    yield _check_size("disk space", free, 0.5, 5.0, "free", advice)


def check_memory(available: float) -> Iterator[Check]:
    """Check the available memory, in bytes; training uses 0.9 GB besides that of the frames."""
    advice = "close other programs, or give the container more memory: training needs 2 GB"
    yield _check_size("memory", available, 1.0, 2.0, "available", advice)


def _check_size(
    name: str, size: float, least_gb: float, enough_gb: float, word: str, advice: str
) -> Check:
    """Compare a size, in bytes, with its limits; word: what the size is, such as "free"."""
    size_gb = size / 1e9
    found = f"{size_gb:.1f} GB {word}"
    if size_gb >= enough_gb:
        return Check(name, "ok", found)
    return Check(name, "warning" if size_gb >= least_gb else "failed", found, advice)


def check_ffmpeg() -> Iterator[Check]:
    """Check that the ffmpeg that moviepy uses runs; the package imageio-ffmpeg chooses it."""
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        program = get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        advice = 'python -m pip install --force-reinstall "imageio-ffmpeg"'
        yield Check("ffmpeg", "failed", "imageio-ffmpeg finds no ffmpeg", advice)
        return
    if version := output_of([program, "-version"], seconds=1.0):
        number = version.split()[2]  # its output begins with: ffmpeg version NUMBER
        yield Check("ffmpeg", "ok", f"{number} ({program})")
    else:
        advice = (
            "unset the environment variable IMAGEIO_FFMPEG_EXE, or set it to an ffmpeg that runs"
        )
        yield Check("ffmpeg", "failed", f"{program} does not run", advice)


# ---- packages

REINSTALL = "reinstall bcclone, in its folder: python -m pip install -c constraints.txt -e ."
_INSTALL = f"activate the virtual environment in which it is installed, or {REINSTALL}"
_FOLDER = Path(__file__).parents[2]  # the folder that contains the package bcclone


def check_declared_packages() -> Iterator[Check]:
    """Yield a check of bcclone's own installation, then a check of each package that it requires.

    In a checkout, pyproject.toml says what is required, because the metadata that pip has installed
    may be older.
    """
    try:
        import packaging.requirements  # noqa: F401
    except ImportError:
        yield Check("packaging", "failed", "missing, so versions cannot be compared", _INSTALL)
        return
    import tomllib  # not at the top, because doctor also names a Python that is too old to have it

    if installed := version_of("bcclone"):
        yield Check("bcclone", "ok", f"{installed} ({_FOLDER})")
    else:
        yield Check("bcclone", "warning", f"runs from {_FOLDER}, but is not installed", _INSTALL)
    project = tomllib.loads(read_text(_FOLDER / "pyproject.toml")).get("project", {})
    if project.get("name") == "bcclone":
        requirements = project["dependencies"]
    else:
        requirements = metadata.requires("bcclone") or []
    yield from check_packages(requirements)


def check_packages(requirements: Sequence[str]) -> list[Check]:
    """Compare the installed packages with requirements in pip's syntax; none is imported."""
    from packaging.requirements import Requirement

    checks = []
    for requirement in map(Requirement, requirements):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        name = requirement.name
        found = version_of(name)
        if found and requirement.specifier.contains(found, prereleases=True):
            checks.append(Check(name, "ok", found))
            continue
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        advice = f'python -m pip install "{name}{extras}{requirement.specifier}"'
        fault = f"{found or 'missing'}, needs {requirement.specifier or 'any'}"
        checks.append(Check(name, "failed", fault, advice))
    return checks


def version_of(package: str) -> str | None:
    """Return the installed version of a package, None if it is missing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


# ---- TensorFlow and NVIDIA's cards


def check_driver(driver: str | None, system: str = sys.platform) -> Iterator[Check]:
    """Check, without loading TensorFlow, whether it can use a GPU.

    driver: version of the NVIDIA driver, None without one
    """
    if driver is None:
        yield Check(
            "accelerator", "ok", "no NVIDIA driver was found: TensorFlow computes on the CPU"
        )
        return
    found = f"NVIDIA driver {driver}"
    if system == "win32":
        yield Check("accelerator", "warning", f"{found}, on Windows", _how_to_get_gpu(system))
    elif version_of(_CUDNN):
        yield Check("accelerator", "ok", f"{found}; --full also tests TensorFlow on it")
    else:
        found += ", but some of the CUDA libraries that TensorFlow needs are not installed"
        yield Check("accelerator", "warning", found, _how_to_get_gpu(system))


# Program that computes a product of matrices and a convolution, which needs cuDNN on a GPU, on each
# device. It prints device -> error, "" for none. Each of the 6 x 6 results of the convolution sums
# 3 x 3 values of the product, all 8.
_COMPUTE = """
import json
from bcclone.system.tensorflow_quietly import load_tensorflow
load_tensorflow()
import tensorflow as tf
faults = {}
for device in tf.config.list_logical_devices():
    name = device.name.removeprefix("/device:")
    try:
        with tf.device(device.name):
            ones = tf.ones((8, 8))
            image = tf.matmul(ones, ones)[None, ..., None]
            total = float(tf.reduce_sum(tf.nn.conv2d(image, tf.ones((3, 3, 1, 1)), 1, "VALID")))
        right = total == 6 * 6 * 9 * 8
        faults[name] = "" if right else f"a product of ones, convolved with ones, sums to {total:g}"
    except Exception as error:
        faults[name] = f"{type(error).__name__}: {error}"
print(json.dumps(faults))
"""


def check_devices(driver: str | None) -> Iterator[Check]:
    """Load TensorFlow, and check on which devices it computes.

    It runs in another process, because it crashes on a processor without AVX.

    driver: version of the NVIDIA driver, None without one
    """
    most_seconds = 180
    line = [sys.executable, "-P", "-c", _COMPUTE]
    try:
        done = subprocess.run(
            line, stdin=subprocess.DEVNULL, capture_output=True, timeout=most_seconds, check=False
        )
    except subprocess.TimeoutExpired:
        found = f"TensorFlow did not answer within {most_seconds} s"
        advice = f"try again when the machine is idle, or {REINSTALL}"
        yield Check("accelerator", "failed", found, advice)
        return
    if done.returncode:
        errors = done.stderr.decode(errors="replace").strip().splitlines()
        why = errors[-1] if errors else f"exit code {done.returncode}"
        if hasattr(signal, "SIGILL") and done.returncode == -signal.SIGILL:
            why = "the processor lacks instructions that its builds use (AVX)"
        yield Check("accelerator", "failed", f"TensorFlow cannot be loaded: {why}", REINSTALL)
        return
    yield check_computed(json.loads(done.stdout.splitlines()[-1]), driver, sys.platform)


def check_computed(faults: Mapping[str, str], driver: str | None, system: str) -> Check:
    """Check what TensorFlow has computed.

    faults: device -> error, "" for none
    driver: version of the NVIDIA driver, None without one
    system: as sys.platform
    """
    bad = [f"{device}: {fault}" for device, fault in faults.items() if fault]
    if bad:
        found = f"TensorFlow cannot compute on {'; '.join(bad)}"
        advice = (
            "update the driver, or hide the GPU from TensorFlow: set CUDA_VISIBLE_DEVICES to -1"
        )
        return Check("accelerator", "failed", found, advice)
    found = f"TensorFlow computes on {', '.join(faults)}"
    if driver is not None and not any(device.startswith("GPU") for device in faults):
        found += f" and does not find the GPU of NVIDIA driver {driver}"
        return Check("accelerator", "warning", found, _how_to_get_gpu(system))
    return Check("accelerator", "ok", found)


def _how_to_get_gpu(system: str) -> str:
    """Return the advice for a machine whose GPU TensorFlow does not use."""
    if system == "win32":
        return (
            "TensorFlow computes on the GPU of a Windows machine only in WSL2; "
            "install bcclone there"
        )
    return (
        'install the CUDA libraries for TensorFlow: python -m pip install -e ".[gpu]" '
        "(on Windows, in WSL2)"
    )


def check_compiler(cards: Sequence[Card]) -> Iterator[Check]:
    """Check whether XLA, TensorFlow's compiler, works for cards, in a process that it may crash."""
    from bcclone.system.tensorflow_quietly import compiler_fault, compiler_result_key

    for card in cards if sys.platform == "linux" else ():  # only there TensorFlow uses a GPU
        # anew: what a training has remembered may be mended by now
        fault = compiler_fault(compiler_result_key(card.name), anew=True)
        if fault:
            advice = (
                "training goes on without compiled steps, which is slower; "
                "a newer TensorFlow or driver may help"
            )
            yield Check("XLA", "warning", f"cannot compile for {card.name}: {fault}", advice)
        else:
            yield Check("XLA", "ok", f"compiles for {card.name}")


# Which cards are supported. NVIDIA numbers the architecture of a card by its compute capability,
# such as 6.0. TensorFlow's wheels list theirs in `tensorflow.sysconfig.get_build_info()`: those of
# 2.17.1 to 2.21.0 begin with sm_60. cuDNN supports 5.0 until 9.10.2 and 7.5 from 9.11.0 on, as
# NVIDIA's support matrices say, and the kernels in libcudnn_ops.so of 9.10.2.21 and 9.28.0.42.
OLDEST_FOR_TENSORFLOW = (6, 0)
_OLDEST_FOR_CUDNN = (7, 5)
_CUDNN = "nvidia-cudnn-cu12"  # the package of cuDNN, NVIDIA's library for convolutions
_CUDNN_WITHOUT_OLDER = (9, 11)  # first version of cuDNN that supports no older cards
_CUDNN_FOR_OLDER = "9.10.2.21"  # last version of cuDNN that supports older cards


def check_cards(cards: Sequence[Card], cudnn: str | None) -> Iterator[Check]:
    """Check whether TensorFlow and cuDNN support cards; the advice names versions that do.

    cudnn: version of the installed cuDNN, None if it is not installed
    """
    page = "docs/how-to/install.md names the last TensorFlow for older cards"
    for card in cards:
        found = card.describe()
        if card.compute_capability is None:  # nvidia-smi of an old driver does not tell it
            found += f": its driver {card.driver} is too old for TensorFlow 2.21"
            yield Check("GPU", "warning", found, f"update the driver; {page}")
        elif card.compute_capability < OLDEST_FOR_TENSORFLOW:
            found += ": too old for TensorFlow 2.21"
            yield Check("GPU", "warning", found, f"bcclone trains on the CPU; {page}")
        elif card.compute_capability >= _OLDEST_FOR_CUDNN:
            yield Check("GPU", "ok", found)
        elif cudnn and tuple(map(int, cudnn.split(".")[:2])) < _CUDNN_WITHOUT_OLDER:
            yield Check("GPU", "ok", f"{found}, with cuDNN {cudnn}")
        else:
            advice = (
                'with ".[gpu]", install an older cuDNN: '
                f'python -m pip install "{_CUDNN}=={_CUDNN_FOR_OLDER}"'
            )
            found += f": too old for cuDNN {'.'.join(map(str, _CUDNN_WITHOUT_OLDER))} and later"
            # an installed cuDNN is too new, and fails now; without one, an installation would
            yield Check("GPU", "failed" if cudnn else "warning", found, advice)
