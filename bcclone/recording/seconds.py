"""Turn the times of a recording's rows into seconds of driving."""

import numpy as np

from bcclone.system.arrays import FloatArray

_LONGEST_PAUSE_SECONDS = 10.0


def seconds_since_first(seconds: FloatArray) -> FloatArray:
    """Return rising times as seconds since the first; pauses count 10 s at most."""
    return np.concatenate([[0.0], np.cumsum(np.minimum(np.diff(seconds), _LONGEST_PAUSE_SECONDS))])
