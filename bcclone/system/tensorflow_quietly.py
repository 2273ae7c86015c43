"""Load TensorFlow, describe its devices, and find out whether XLA compiles for them.

In a process of our own, it is loaded without its messages.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from bcclone.system.atomic import make_folder, write_text
from bcclone.system.codec import from_text
from bcclone.system.hardware import Card, driver_version, find_cards, visible_cards
from bcclone.system.interrupts import keeping_interrupts
from bcclone.system.json_values import json_text
from bcclone.system.own_process import is_own_process

# a convolution and its gradient; XLA may end the process that lets it compile for a card that it
# does not know
_COMPILE = """
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
_COMPILE_SECONDS = 180.0
_LEAST_LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # of the messages that TensorFlow prints
_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"  # TensorFlow reads it once, when it is imported


def load_tensorflow(
    threads: int = 0,
    gpu_memory: int = 0,
    initialize: Callable[[], object] | None = None,
    use_gpus: bool = True,
    onednn: str = "",
) -> str:
    """Import TensorFlow and return its devices, as describe_devices() does.

    gpu_memory: limit of the memory on each GPU, in MB, 0 for none; initialize: called after the
    import and before TensorFlow computes anything, for example to connect it with other processes;
    onednn: whether the CPU computes with oneDNN, "on", "off", or "" for TensorFlow's own choice,
    which depends on the processor and suits single images. It has no effect where the process has
    loaded TensorFlow before.

    For a process of our own: threads: number of cores that one operation uses, 0 for all; use_gpus:
    False to compute on the CPU alone. A program's process keeps its threads and devices.
    """
    is_own = is_own_process()
    if is_own:
        os.environ.setdefault(_LEAST_LEVEL, "2")
    # Its C++ side writes notices about CPU instructions and absent GPU drivers straight to file
    # descriptor 2 before any log level applies. A program's other threads may write there, too.
    with standard_error_captured() if is_own else nullcontext():
        with _onednn_chosen(onednn), keeping_interrupts():
            import tensorflow
        if is_own:
            _choose_threads_and_devices(threads, use_gpus)
        for gpu in tensorflow.config.get_visible_devices("GPU"):
            _choose_memory(gpu, gpu_memory)
        if initialize:
            initialize()
        if is_own:
            tensorflow.config.list_logical_devices()  # writes its notices now
    return describe_devices()


def _choose_threads_and_devices(threads: int, use_gpus: bool) -> None:
    from tensorflow import config

    if config.threading.get_intra_op_parallelism_threads() != threads:
        with suppress(
            RuntimeError
        ):  # TensorFlow cannot change its threads after it has computed something
            config.threading.set_intra_op_parallelism_threads(threads)
    if not use_gpus:
        with suppress(RuntimeError):  # nor its devices
            config.set_visible_devices([], "GPU")


def _choose_memory(gpu: Any, limit_mb: int) -> None:
    """Limit the memory on a GPU; without a limit, reserve what is needed, and not all, unless a
    program has chosen.
    """
    from tensorflow import config

    if limit_mb:
        config.set_logical_device_configuration(
            gpu, [config.LogicalDeviceConfiguration(memory_limit=limit_mb)]
        )
        return
    is_chosen = (
        config.get_logical_device_configuration(gpu)
        or config.experimental.get_memory_growth(gpu) is not None
    )
    if not is_chosen:
        with suppress(RuntimeError):  # after a program has computed something
            config.experimental.set_memory_growth(gpu, True)


def describe_devices() -> str:
    """Describe the devices of the loaded TensorFlow: "CPU", or each GPU with its used memory.

    For example "GPU NVIDIA H200 (compute capability 9.0, 0.6 of 150.8 GB used)".
    """
    gpus = used_gpus()
    cards = dict(enumerate(visible_cards(find_cards()) if gpus else ()))
    # nvidia-smi may number cards of different kinds in another order
    described = [
        card if (card := cards.get(n)) and card.name == gpu.name else gpu
        for n, gpu in enumerate(gpus)
    ]
    return ", ".join(f"GPU {gpu.describe()}" for gpu in described) or "CPU"


def used_gpus() -> list[Card]:
    """Return the GPUs of the loaded TensorFlow, without their memory."""
    import tensorflow

    cards = []
    for device in tensorflow.config.get_visible_devices("GPU"):
        details = tensorflow.config.experimental.get_device_details(device)
        cards.append(
            Card(details.get("device_name", device.name), details.get("compute_capability"))
        )
    return cards


@cache
def gpu_compiler_fault() -> str:
    """Return why XLA cannot compile for the GPU that the loaded TensorFlow uses; "" if it can, or
    there is none.

    It is tried once for each card, driver and TensorFlow, and remembered in the user's cache
    folder.
    """
    gpus = used_gpus()
    return compiler_fault(compiler_kind(gpus[0].name)) if gpus else ""


def compiles_for_gpu() -> bool:
    """Return whether the loaded TensorFlow uses a GPU that XLA can compile for."""
    return bool(used_gpus()) and not gpu_compiler_fault()


def compiler_kind(card: str) -> str:
    """Return under what the result of a card is remembered, by its name."""
    return f"{card}, driver {driver_version()}, TensorFlow {metadata.version('tensorflow')}"


def compiler_fault(
    kind: str, folder: Path | None = None, code: str = _COMPILE, anew: bool = False
) -> str:
    """Return why a process that compiles a small function by XLA fails, "" if it does not.

    kind: what the result is remembered under, with those of a crash, in `folder`, by default the
    user's cache; code: of the process; anew: try also what is remembered.
    """
    folder = folder or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bcclone"
    results, path = dict[str, str](), folder / "xla.json"
    with suppress(OSError, ValueError):
        results = from_text(dict[str, str], path.read_bytes())
    if kind in results and not anew:
        return results[kind]
    environment = os.environ | {_LEAST_LEVEL: "2"}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=_COMPILE_SECONDS, check=False, env=environment,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it could not be tried: {error}"
    fault = ""
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        how = (
            f"exit code {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
        )
        fault = f"a process that tries it ends with {how}: {lines[-1] if lines else 'no message'}"
    if done.returncode in (
        0,
        -signal.SIGABRT,
        -signal.SIGSEGV,
    ):  # others may end otherwise next time
        with suppress(OSError):
            make_folder(folder)
            write_text(path, json_text(results | {kind: fault}))
    return fault


def describe_peak_memory() -> str:
    """Describe the peak memory that TensorFlow has used on each GPU; "" without a GPU."""
    import tensorflow

    peaks = []
    for device in tensorflow.config.list_logical_devices("GPU"):
        name = device.name.removeprefix("/device:")
        with suppress(ValueError):  # not every allocator counts
            peaks.append(
                f"{tensorflow.config.experimental.get_memory_info(name)['peak'] / 1e9:.2f} GB of {name}"
            )
    return ", ".join(peaks)


def onednn_for_batches(setting: str = "auto") -> str:
    """Return whether to compute batches with oneDNN, "on" or "off": as set; auto: as the
    environment says, or else on.

    Batches are up to four times as fast with it.
    """
    if setting != "auto":
        return setting
    return "on" if os.environ.get(_ONEDNN, "1").lower() in ("1", "true") else "off"


@contextmanager
def _onednn_chosen(onednn: str) -> Iterator[None]:
    """Set the variable within the block; processes that are started later choose for themselves."""
    before = os.environ.get(_ONEDNN)
    if onednn:
        os.environ[_ONEDNN] = str(int(onednn == "on"))
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_ONEDNN, None)
        else:
            os.environ[_ONEDNN] = before


@contextmanager
def standard_error_captured() -> Iterator[None]:
    """Hold back what is written to file descriptor 2 in the block; it is shown only when the block
    fails.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield
        except Exception:
            captured.seek(0)
            os.write(saved, captured.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
