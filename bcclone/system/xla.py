"""XLA, the compiler in TensorFlow: whether it can compile for the GPU, and the programs it keeps.

Compiling a training takes half a minute on a GPU. keep_programs() lets TensorFlow keep what XLA
compiles in a folder of the user's cache, from which later trainings load it. These files are
programs that are run, so the folder belongs to the user alone.
"""

import atexit
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from importlib import metadata
from itertools import takewhile
from pathlib import Path

from bcclone.system.codec import from_text
from bcclone.system.errors import UserError, first_line
from bcclone.system.files import sha256_of, write_text
from bcclone.system.hardware import Card, find_cards
from bcclone.system.process import is_own_process
from bcclone.system.progress import Notify
from bcclone.system.tensorflow_quietly import LEAST_LEVEL, TF_XLA_FLAGS, used_gpus
from bcclone.system.values import json_text

# Program that compiles a convolution and its gradient by XLA. It runs in a process of its own: XLA
# may crash the process if it does not know the card.
COMPILE = """
import tensorflow as tf
for gpu in tf.config.list_physical_devices("GPU"):
    tf.config.experimental.set_memory_growth(gpu, True)
def gradient(image, kernel):
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        total = tf.reduce_sum(tf.nn.elu(tf.nn.conv2d(image, kernel, 1, "VALID")))
    return tape.gradient(total, kernel)
compiled = tf.function(gradient, jit_compile=True, autograph=False)
assert float(compiled(tf.ones((1, 8, 8, 1)), tf.ones((3, 3, 1, 1)))[0, 0, 0, 0]) == 36
"""
_CACHE_FLAG = "--tf_xla_persistent_cache_directory"  # the folder of kept programs
_COMPILE_SECONDS = 180.0  # time limit of that program
# begin of such a program that is about a GPU: without one, XLA would compile for the CPU
NEEDS_GPU = """
import tensorflow
if not tensorflow.config.list_physical_devices("GPU"):
    raise SystemExit("TensorFlow sees no GPU; the doctor says why with --full")
"""

_SUMS = "sha256.json"  # file in the folder: name of a program -> SHA-256
_MOST_BYTES = 10**9  # of all programs in the folder, and least free room on its disk


# ---- whether it can compile


@cache
def gpu_compiler_fault() -> str:
    """Return why XLA cannot compile for the first GPU of the loaded TensorFlow.

    Returns "" if XLA can, or if there is no GPU.
    """
    gpus = used_gpus()
    if not gpus:
        return ""
    return compiler_fault((find_cards() or gpus)[0])


def compiles_for_gpu() -> bool:
    """Return whether the loaded TensorFlow uses a GPU that XLA can compile for."""
    return bool(used_gpus()) and not gpu_compiler_fault()


def card_compiles() -> bool:
    """Return whether XLA can compile for the first card; TensorFlow need not be loaded."""
    cards = find_cards()
    return bool(cards) and not compiler_fault(cards[0])


def compiler_fault(card: Card, folder: Path | None = None, code: str = NEEDS_GPU + COMPILE) -> str:
    """Return why XLA cannot compile a small function, "" if it can; tried in another process.

    The result is remembered for each combination of card, driver and TensorFlow.

    folder: folder of the remembered results; None for bcclone's folder in the user's cache
    code: Python program that the process runs
    """
    folder = folder or _user_cache()
    key = _machine(card)
    results = _remembered(folder)
    if key in results:
        return results[key]
    fault, may_pass = _tried(code)
    if not may_pass:
        _remember(folder, {key: fault})
    return fault


def keeping_fault(card: Card, folder: Path, code: str = NEEDS_GPU + COMPILE) -> str:
    """Return why XLA cannot keep a program and load it again, "" if it can.

    Two other processes try it, one after the other; remembered as by compiler_fault().
    """
    key = _machine(card)
    results = _remembered(folder)
    if f"{key}, kept" in results:
        return results[f"{key}, kept"]
    _make_private(folder)
    with tempfile.TemporaryDirectory(dir=folder) as kept:
        for _ in range(2):
            fault, may_pass = _tried(code, flags_to_keep_in(Path(kept)))
            if fault:
                break
        if not fault and not any(Path(kept).iterdir()):
            fault = "TensorFlow kept no program"
    if not may_pass:
        # what compiles with a kept program compiles without one
        _remember(folder, {f"{key}, kept": fault} | ({} if fault else {key: ""}))
    return fault


def _tried(code: str, flags: str = "") -> tuple[str, bool]:
    """Run a program; return why it failed, "" if it did not, and whether the fault may pass.

    flags: value of TF_XLA_FLAGS; "" to leave it as it is
    """
    environment = os.environ | {LEAST_LEVEL: "2"}
    if flags:
        environment[TF_XLA_FLAGS] = flags
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_COMPILE_SECONDS,
            check=False,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it could not be tried: {error}", True
    if not done.returncode:
        return "", False
    lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
    fault = f"a process that tries it ends with exit code {done.returncode}: {lines[-1]}"
    # a crash in XLA comes again; any other fault may be gone next time
    return fault, done.returncode not in (-signal.SIGABRT, -signal.SIGSEGV)


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bcclone"


def _make_private(folder: Path) -> None:
    """Make a folder that nobody else can look into, with those above it; raises OSError.

    The folder, and those of bcclone's cache, that are there already get these permissions, too,
    unless they are links or somebody else's. Windows keeps a user's own folders from others.
    """
    missing = list(takewhile(lambda each: not each.exists(), (folder, *folder.parents)))
    for each in reversed(missing):
        with suppress(FileExistsError):  # another process was faster, or it is a link to nothing
            each.mkdir(0o700)
            if sys.platform != "win32":
                each.chmod(0o700)  # the umask may have taken more away
    if sys.platform == "win32":
        return
    cache = _user_cache()
    for each in (folder, *folder.parents):
        is_ours = each == folder or cache in (each, *each.parents)
        if is_ours and not each.is_symlink() and each.is_dir() and _is_own(each):
            each.chmod(0o700)


def _is_own(folder: Path) -> bool:
    # Windows has no such numbers
    return sys.platform == "win32" or folder.lstat().st_uid == os.getuid()


def _machine(card: Card) -> str:
    """Return the card, its driver and TensorFlow: a program for one combination suits no other."""
    tensorflow = metadata.version("tensorflow")
    return f"{card.name}, driver {card.driver}, TensorFlow {tensorflow}"


def _remembered(folder: Path) -> dict[str, str]:
    with suppress(OSError, ValueError):
        return from_text(dict[str, str], (folder / "xla.json").read_bytes())
    return {}


def _remember(folder: Path, faults: dict[str, str]) -> None:
    with suppress(OSError, UserError):
        _make_private(folder)
        write_text(folder / "xla.json", json_text(_remembered(folder) | faults))


# ---- the programs it keeps


def keep_programs(notify: Notify) -> None:
    """Let TensorFlow keep the programs that XLA compiles for the GPU, and load those it has kept.

    Call it before TensorFlow is loaded. Nothing is kept without a card, in the process of a program
    that imports bcclone, and where the user has chosen a folder in TF_XLA_FLAGS.
    """
    cards = find_cards()
    is_too_late = not is_own_process() or "tensorflow" in sys.modules
    if not cards or is_too_late or _CACHE_FLAG in os.environ.get(TF_XLA_FLAGS, ""):
        return
    folder = _user_cache() / "xla" / re.sub(r"[^\w.-]", "_", _machine(cards[0]))
    try:
        fault = keeping_fault(cards[0], _user_cache()) or open_programs(folder)
    except (OSError, UserError) as error:  # the user's cache cannot be written
        fault = first_line(error)
    if fault:
        notify(f"note: compiled programs are not kept for later trainings: {fault}")
        return
    os.environ[TF_XLA_FLAGS] = flags_to_keep_in(folder)
    atexit.register(note_programs, folder)


def open_programs(folder: Path) -> str:
    """Make the folder, and remove what may not be loaded; return why it cannot be used, or "".

    Not loaded are files without their noted checksum, and the oldest of more than _MOST_BYTES.
    """
    if "'" in str(folder):
        return f"{folder} has a quotation mark in its path"
    try:
        _make_private(folder)
        if not stat.S_ISDIR(folder.lstat().st_mode) or not _is_own(folder):
            return f"{folder} is not a folder of yours"
        sums = {}
        with suppress(ValueError, FileNotFoundError):
            sums = from_text(dict[str, str], (folder / _SUMS).read_bytes())
        total = 0
        for file in sorted(_files(folder), key=lambda file: file.stat().st_mtime, reverse=True):
            total += file.stat().st_size
            if total > _MOST_BYTES or sums.get(file.name) != sha256_of(file):
                file.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return f"{folder}: {error.strerror}"
    if free < _MOST_BYTES:
        # TensorFlow ends a training when it cannot keep a program
        return f"{folder} is on a disk with {free / 1e9:.1f} GB free"
    return ""


def note_programs(folder: Path) -> None:
    """Note the checksums of the kept programs; the next training removes those without one.

    TensorFlow checks none, and ends a training at a file that a power failure has cut off.
    """
    with suppress(OSError):
        sums = {file.name: sha256_of(file) for file in _files(folder)}
        write_text(folder / _SUMS, json_text(sums))


def flags_to_keep_in(folder: Path) -> str:
    return f"{os.environ.get(TF_XLA_FLAGS, '')} {_CACHE_FLAG}='{folder}'".strip()


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if file.is_file() and file.name != _SUMS]
