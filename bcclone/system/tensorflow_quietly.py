"""Load TensorFlow without its messages, and describe its devices.

In bcclone's own processes (process.py), TensorFlow is loaded without its messages, on the threads
and devices that the caller chooses. In the process of a program that imports bcclone, nothing that
the program has chosen changes.
"""

import gc
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from bcclone.system.hardware import Card, usable_cores
from bcclone.system.interrupts import interrupts_delayed
from bcclone.system.keras_settings import settle_keras
from bcclone.system.process import hidden, is_own_process

# environment variables that TensorFlow reads once, when it is imported
LEAST_LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # least level of the messages that it prints; 2: errors
TF_XLA_FLAGS = "TF_XLA_FLAGS"  # flags of its compiler
_FLAGS_OF_USER = os.environ.get(TF_XLA_FLAGS, "")  # before xla.py adds any
_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"  # whether it computes on the CPU with oneDNN, Intel's library


def load_tensorflow(
    threads: int = 0,
    initialize: Callable[[], object] | None = None,
    use_gpus: bool = True,
    onednn: str = "",
    left_out: Sequence[str] = (),
) -> str:
    """Import TensorFlow and return its devices, as describe_devices() does.

    In the process of a program that imports bcclone, `threads`, `use_gpus` and `left_out` have no
    effect; raises UserError where its Keras is set otherwise than bcclone needs.

        threads: number of cores that one operation uses, 0 for all
        initialize: called after the import and before TensorFlow computes anything, for example to
            connect it with other processes
        use_gpus: False to compute on the CPU alone
        onednn: whether the CPU computes with oneDNN, "on", "off", or "" for TensorFlow's own
            choice, which depends on the processor and suits single images; without effect where the
            process has loaded TensorFlow before
        left_out: packages that the import shall take for missing; Keras imports matplotlib and
            pandas where they are installed, though few programs let it use them. No other thread
            may import them meanwhile
    """
    is_own = is_own_process()
    if is_own:
        os.environ.setdefault(LEAST_LEVEL, "2")
    settle_keras()
    absent = [name for name in left_out if is_own and name not in sys.modules]
    # TensorFlow's C++ code writes notices about CPU instructions and absent GPU drivers straight to
    # file descriptor 2, before any log level applies
    with interrupts_delayed(is_own), standard_error_captured():
        with hidden(*absent), variable_kept(_ONEDNN), _uncollected():
            if onednn:
                os.environ[_ONEDNN] = str(int(onednn == "on"))
            import tensorflow as tf
        if is_own:
            # TensorFlow changes neither after it has computed something
            threads = threads or usable_cores()  # TensorFlow does not know a container's share
            with suppress(RuntimeError):
                if tf.config.threading.get_intra_op_parallelism_threads() != threads:
                    tf.config.threading.set_intra_op_parallelism_threads(threads)
                if not use_gpus:
                    tf.config.set_visible_devices([], "GPU")
        for gpu in tf.config.get_visible_devices("GPU"):
            # without a choice, it would take all of the memory; that of the program stays
            is_chosen = (
                tf.config.get_logical_device_configuration(gpu)
                or tf.config.experimental.get_memory_growth(gpu) is not None
            )
            if not is_chosen:
                with suppress(RuntimeError):  # the program has computed something already
                    tf.config.experimental.set_memory_growth(gpu, True)
        if initialize:
            initialize()
        if is_own:
            # these initialize the devices, and let oneDNN write a notice about processors without
            # AVX-512 when bytes are transposed: the notices are written now and held back
            tf.config.list_logical_devices()
            with tf.device("CPU"):
                tf.transpose(tf.zeros((2, 2), tf.uint8))
    return describe_devices()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Import in the block without the collector of cyclic garbage.

    TensorFlow makes a great many objects that stay. The collector would look through them again and
    again, which takes an eighth of the import. In bcclone's own processes, it never does.
    """
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_own_process():
            gc.freeze()  # what is there now stays until the process ends
        if was_collecting:
            gc.enable()


def describe_devices() -> str:
    """Return "CPU", or such as "GPU NVIDIA H200 (compute capability 9.0)"."""
    return ", ".join(f"GPU {gpu.describe()}" for gpu in used_gpus()) or "CPU"


def used_gpus() -> list[Card]:
    """Return the GPUs of the loaded TensorFlow; the cards' fields for memory are None."""
    import tensorflow as tf

    cards = []
    for device in tf.config.get_visible_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        name = details.get("device_name", device.name)
        cards.append(Card(name, details.get("compute_capability")))
    return cards


def onednn_for_batches() -> str:
    """Return whether to compute batches with oneDNN, "on" or "off", as TF_ENABLE_ONEDNN_OPTS says.

    "on" if it is not set: batches are up to four times as fast with it.
    """
    return "on" if os.environ.get(_ONEDNN, "1").lower() in ("1", "true") else "off"


# ---- what a block changes in the process


@contextmanager
def variable_kept(name: str) -> Iterator[None]:
    """Give an environment variable its value again after the block."""
    before = os.environ.get(name)
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


@contextmanager
def standard_error_captured() -> Iterator[None]:
    """Hold back what is written to file descriptor 2; it is shown only if the block fails.

    In the process of a program that imports bcclone, nothing is held back: its other threads may
    write there, too. Neither is it where the user has set flags of the compiler: TensorFlow writes
    which one it does not know, and ends the process there and then.
    """
    if not is_own_process() or _FLAGS_OF_USER:
        yield
        return
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


_is_kept = ContextVar("_is_kept", default=False)


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Give Python's random generator its state back after the block.

    Keras draws a seed from it for each layer that it makes. Within another such block, only that
    one gives it back, so that layers which are made one after the other have seeds of their own.
    """
    if _is_kept.get():
        yield
        return
    before = random.getstate()
    within = _is_kept.set(True)
    try:
        yield
    finally:
        _is_kept.reset(within)
        random.setstate(before)
