"""Whether this process is bcclone's own: a command, or a worker. A program that imports bcclone is
not.

In a process of its own, bcclone chooses what a whole process shares: how much TensorFlow and OpenCV
print, on how many threads they compute, the style of matplotlib. A program's process keeps what the
program has chosen.
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
