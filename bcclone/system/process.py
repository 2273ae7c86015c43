"""What holds for a whole process: whether it is bcclone's own, and what other packages do in it.

A process is bcclone's own if it runs a command or is a worker. Only there bcclone sets what holds
for all of it, such as TensorFlow's threads; docs/how-to/as-a-library.md has the exceptions.
"""

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bcclone.system.interrupts import OF_TERMINALS

MOST_PIXELS = 1 << 24  # of an image that is decoded: its width times its height

_claimed = threading.Event()


def claim_process() -> None:
    """Make this process bcclone's own, from now on, before large packages are loaded.

    __main__.py calls it for commands, become_worker() for workers, and so do the programs in
    benchmarks/.
    """
    _claimed.set()
    # OpenCV reads these when it is loaded: it prints nothing about images that cannot be decoded
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    # HDF5 reads this when it is loaded: "TRUE" would lock files also where open_hdf5() does not
    os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"
    # Numba reads these when it is loaded: it refuses 0 of its own threads, which bcclone does not
    # use, and bcclone's loops over pixels take minutes where it does not compile them
    os.environ.pop("NUMBA_NUM_THREADS", None)
    os.environ.pop("NUMBA_DISABLE_JIT", None)


def is_own_process() -> bool:
    return _claimed.is_set()


def become_worker() -> None:
    """Make this process a worker of bcclone, which ends when its parent ends.

    It ignores Ctrl-C and the end of the terminal, which get to all processes of a terminal. SIGTERM
    raises SystemExit in what it computes, which so removes its temporary files.
    """
    claim_process()
    for number in OF_TERMINALS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
    try:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    except RuntimeError:  # no further thread may start; the parent says that a worker has ended
        os._exit(1)


def _end_with_parent() -> None:
    """Wait until the parent ends, and end this process; a killed parent cannot end it."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


# ---- other packages


@contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """Let an import in the block find that these packages are missing.

    No other thread may import them meanwhile. What was imported before is there again afterwards.
    """
    before = {package: sys.modules[package] for package in packages if package in sys.modules}
    for package in packages:
        sys.modules[package] = None  # type: ignore[assignment] # Python's mark: not to be found
    try:
        yield
    finally:
        for package in packages:
            del sys.modules[package]
        sys.modules.update(before)


@contextmanager
def loggers_kept(*names: str, silent: bool = False) -> Iterator[None]:
    """Give loggers of packages their levels again after the block.

    silent: they log nothing within the block; for packages that log an error before they raise it
    """
    levels = {logger: logger.level for logger in map(logging.getLogger, names)}
    try:
        for logger in levels if silent else ():
            logger.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
