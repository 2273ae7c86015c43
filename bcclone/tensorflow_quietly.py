"""TensorFlow loaded without its start-up chatter, and what it found to compute on."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def load_tensorflow(threads: int = 0, gpu_memory: int = 0) -> str:
    """Import TensorFlow and return the device it computes on, for example "CPU" or "GPU (1)".

    threads: how many of the processor's cores one operation uses; 0: as many as there are. gpu_memory: MB to
    take of each GPU at most; 0: as much as it comes to need.

    Its C++ side writes notices about CPU instructions and absent GPU drivers straight to file descriptor 2
    before any log level applies; they are held back, and shown only when the import fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _standard_error_held_back():
        import tensorflow

        threading = tensorflow.config.threading
        # once it computes it takes no setting, not the same
        if threading.get_intra_op_parallelism_threads() != threads:
            threading.set_intra_op_parallelism_threads(threads)
        gpus = tensorflow.config.list_physical_devices("GPU")
        for gpu in gpus:  # otherwise TensorFlow takes the whole card
            if gpu_memory:
                limit = tensorflow.config.LogicalDeviceConfiguration(memory_limit=gpu_memory)
                tensorflow.config.set_logical_device_configuration(gpu, [limit])
            else:
                tensorflow.config.experimental.set_memory_growth(gpu, True)
        tensorflow.config.list_logical_devices()
    return f"GPU ({len(gpus)})" if gpus else "CPU"


@contextmanager
def _standard_error_held_back() -> Iterator[None]:
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
