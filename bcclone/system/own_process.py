"""Whether this process is bcclone's own: one that runs a command or is a worker.

The process of a program that imports bcclone is not. Some settings hold for a whole process: how
much TensorFlow and OpenCV print, on how many threads they compute, where standard error goes, the
style of matplotlib. bcclone sets them in its own processes only; in the process of a program that
imports bcclone, they stay as the program has set them. The few things that change there, and why,
are on the page docs/how-to/as-a-library.md.

Three places make a process bcclone's own, before it loads large packages: __main__.py for commands,
system/interrupts.py for workers that bcclone starts, cluster/dask_workers.py for workers of Dask.
The programs in benchmarks/ do it, too.
"""

import threading

_claimed = threading.Event()


def claim_process() -> None:
    """Make this process bcclone's own, from now on; called at the start, before large packages are
    loaded.
    """
    _claimed.set()


def is_own_process() -> bool:
    return _claimed.is_set()
