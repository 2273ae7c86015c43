"""Check every requirement of bcclone on this machine, and explain how to fix each fault.

Nothing is changed, downloaded or printed. The checks run even if no package is installed.
TensorFlow is loaded only for `--full`, and only in other processes: it may crash them.
"""

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from bcclone.system.errors import first_line, number_of, shown, shown_command
from bcclone.system.foreign_files import foreign_file, foreign_modules
from bcclone.system.hardware import Card, available_memory, find_cards, output_of
from bcclone.system.keras_settings import unsuitable_settings
from bcclone.system.settings import SIMULATOR_PORT, Checked, Port, setting
from bcclone.system.tensorflow_quietly import TF_XLA_FLAGS


def version_of(package: str) -> str | None:
    """Return the installed version of a package, None if it is missing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


__version__ = version_of("bcclone") or "not installed"  # in a checkout; a check reports it


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
    advice: str = ""  # how to fix a fault; always given unless the state is "ok"


def examine(settings: DoctorSettings) -> list[Check]:
    """Run every check; a check that raises an error is itself reported as failed."""
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    steps: dict[str, Callable[[], Iterable[Check]]] = {
        "system": lambda: [Check("system", "ok", system)],
        "python": check_python,
        "standard library": check_standard_library,
        "packages": check_packages,
        "keras settings": check_keras,
        "xla flags": check_xla_flags,
        "port": lambda: check_port(settings.port),
        "folder": lambda: check_folder(Path.cwd()),
        "memory": check_memory,
        "accelerator": check_devices if settings.full else lambda: check_cuda(find_cards()),
        "ffmpeg": check_ffmpeg,
    }
    checks: list[Check] = []
    for name, step in steps.items():
        try:
            checks.extend(step())
        except Exception as error:  # one broken check must not hide the results of the others
            found = f"cannot be checked: {type(error).__name__}: {first_line(error)}"
            checks.append(Check(name, "failed", found, _REINSTALL))
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
    lines += ["", f"{failed or 'nothing'} failed, {number_of(warnings, 'warning')}"]
    return "\n".join(lines)


# ---- Python and packages

PYTHONS = ((3, 11), (3, 13))  # lowest and highest version; a test compares with pyproject.toml
_REINSTALL = (
    "activate the virtual environment in which bcclone is installed, or reinstall it, in its "
    "folder: python -m pip install -c constraints.txt -e ."
)


def check_python() -> Iterator[Check]:
    found = f"{platform.python_version()} ({sys.executable})"
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        yield Check("python", "ok", found)
        return
    lowest, highest = (".".join(map(str, each)) for each in PYTHONS)
    advice = f"install bcclone into an environment with one of them: python{highest} -m venv .venv"
    yield Check("python", "failed", f"{found}, needs {lowest} to {highest}", advice)


def check_standard_library() -> Iterator[Check]:
    """Name the files that stand before modules of Python itself, as a student's `random` does."""
    for foreign in foreign_modules():
        yield Check("standard library", "warning", *foreign)


def check_packages(requirements: Sequence[str] | None = None) -> Iterator[Check]:
    """Compare the installed packages with requirements; none is imported.

    requirements: in pip's syntax; None for those of the installed bcclone
    """
    if requirements is None:
        yield Check("bcclone", "ok", f"{__version__} ({Path(__file__).parents[2]})")
        requirements = metadata.requires("bcclone") or []
    if foreign := foreign_file("packaging"):  # which compares the others
        yield Check("packaging", "failed", *foreign)
        return
    from packaging.requirements import Requirement

    for requirement in map(Requirement, requirements):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        name = requirement.name
        found = version_of(name)
        if found and requirement.specifier.contains(found, prereleases=True):
            foreign = foreign_file(name)
            yield Check(name, "failed", *foreign) if foreign else Check(name, "ok", found)
            continue
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        advice = f'python -m pip install "{name}{extras}{requirement.specifier}"'
        fault = f"{found or 'missing'}, needs {requirement.specifier or 'any'}"
        yield Check(name, "failed", fault, advice)


def check_keras() -> Iterator[Check]:
    """Name the user's settings of Keras that bcclone's commands leave out."""
    if found := unsuitable_settings():
        advice = (
            "bcclone's commands leave that out; a program that imports bcclone needs Keras's own "
            "settings: remove keras.json and the variable"
        )
        yield Check("keras settings", "warning", ", ".join(found), advice)


def check_xla_flags() -> Iterator[Check]:
    """Name the flags for TensorFlow's compiler, of which an unknown one ends a command."""
    if flags := os.environ.get(TF_XLA_FLAGS):
        advice = f"TensorFlow ends a command where it does not know one; then unset {TF_XLA_FLAGS}"
        advice += f". To try them: {shown_command('doctor', '--full')}"
        yield Check("xla flags", "warning", f"{TF_XLA_FLAGS} is {shown(flags)}", advice)


def check_ffmpeg() -> Iterator[Check]:
    """Check that the ffmpeg that moviepy uses runs; the package imageio-ffmpeg chooses it."""
    from imageio_ffmpeg import get_ffmpeg_exe

    program = get_ffmpeg_exe()
    if version := output_of([program, "-version"], seconds=1.0):
        number = version.split()[2]  # its output begins with: ffmpeg version NUMBER
        yield Check("ffmpeg", "ok", f"{number} ({program})")
    else:
        advice = "unset the variable IMAGEIO_FFMPEG_EXE, or set it to an ffmpeg that runs"
        yield Check("ffmpeg", "failed", f"{program} does not run", advice)


# ---- the machine


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
        else:
            yield Check("port", "ok", f"{address} is free")


def check_folder(folder: Path) -> Iterator[Check]:
    """Check that a folder can be written, and then that its disk has enough free space."""
    try:
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


def check_memory() -> Iterator[Check]:
    """Check the available memory; training uses 0.9 GB besides that of the frames."""
    advice = "close other programs, or give the container more memory: training needs 2 GB"
    yield _check_size("memory", available_memory(), 1.0, 2.0, "available", advice)


def _check_size(
    name: str, size: float, least_gb: float, enough_gb: float, word: str, advice: str
) -> Check:
    """Compare a size, in bytes, with its limits; word: what the size is, such as "free"."""
    size_gb = size / 1e9
    found = f"{size_gb:.1f} GB {word}"
    if size_gb >= enough_gb:
        return Check(name, "ok", found)
    return Check(name, "warning" if size_gb >= least_gb else "failed", found, advice)


# ---- TensorFlow and NVIDIA's cards

_CUDNN = "nvidia-cudnn-cu12"  # the package of cuDNN, NVIDIA's library for convolutions
_HOW_TO_USE_GPU = (
    'install the CUDA libraries for TensorFlow: python -m pip install -e ".[gpu]" '
    "(on Windows, in WSL2)"
)


def check_cuda(cards: Sequence[Card]) -> Iterator[Check]:
    """Check, without loading TensorFlow, whether it can use NVIDIA cards."""
    described = ", ".join(f"{card.describe()}, driver {card.driver}" for card in cards)
    if not cards:
        found = "no NVIDIA card was found: TensorFlow computes on the CPU"
        yield Check("accelerator", "ok", found)
    elif version_of(_CUDNN):
        found = f"{described}; --full also tests TensorFlow on it"
        yield Check("accelerator", "ok", found)
    else:
        found = f"{described}, but the CUDA libraries are not installed"
        yield Check("accelerator", "warning", found, _HOW_TO_USE_GPU)


# Program that computes a product of matrices and a convolution, which needs cuDNN on a GPU, on each
# device. It prints device -> error, "" for none. Each of the 6 x 6 results of the convolution sums
# 3 x 3 values of the product, all 8.
_COMPUTE = """
import json
from bcclone.system.process import claim_process
claim_process()
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
_COMPUTE_SECONDS = 180.0  # time limit of that program


def check_devices() -> Iterator[Check]:
    """Load TensorFlow in another process, and check on which devices it computes."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", _COMPUTE],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_COMPUTE_SECONDS,
        check=False,
    )
    if done.returncode:
        errors = done.stderr.decode(errors="replace").strip().splitlines()
        why = errors[-1] if errors else f"exit code {done.returncode}"
        advice = f"its builds need a processor with AVX; if this one has it, {_REINSTALL}"
        if "XLA_FLAGS" in why:
            advice = "take that flag out of the variable, or unset it"
        yield Check("accelerator", "failed", f"TensorFlow cannot be loaded: {why}", advice)
    else:
        yield check_computed(json.loads(done.stdout.splitlines()[-1]), find_cards())


def check_computed(faults: dict[str, str], cards: Sequence[Card]) -> Check:
    """Check what TensorFlow has computed; faults: device -> error, "" for none."""
    bad = [f"{device}: {fault}" for device, fault in faults.items() if fault]
    if bad:
        found = f"TensorFlow cannot compute on {'; '.join(bad)}"
        advice = (
            "docs/how-to/install.md says which cards need other packages; update the driver, or "
            "hide the GPU from TensorFlow: set CUDA_VISIBLE_DEVICES to -1"
        )
        return Check("accelerator", "failed", found, advice)
    found = f"TensorFlow computes on {', '.join(faults)}"
    if cards and not any(device.startswith("GPU") for device in faults):
        found += f" and does not find {cards[0].name}, driver {cards[0].driver}"
        return Check("accelerator", "warning", found, _HOW_TO_USE_GPU)
    return Check("accelerator", "ok", found)
