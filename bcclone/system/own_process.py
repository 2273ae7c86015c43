"""Whether this process is bcclone's own: one that runs a command or is a worker.

The process of a program that imports bcclone is not. Some settings hold for a whole process: how
much TensorFlow and OpenCV print, on how many threads they compute, the style of matplotlib. bcclone
sets them in its own processes only; in the process of a program that imports bcclone, they stay as
the program has set them.
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
