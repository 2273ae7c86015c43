"""When each frame was taken, and what of it a clip shows -> the frame of each of its pictures. Pure functions.

Times are seconds, float64 (frames,) or (pictures,); places: int64, the numbers of frames, of the same form.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bcclone.recording import time_of
from bcclone.video.settings import Span

Seconds = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

_LONGEST_PAUSE_SECONDS = 10.0


def seconds_by_name(names: Sequence[str]) -> Seconds:
    """Return when each frame was taken by the time in its name, since the first; of a pause over 10 s, 10 s."""
    times = np.array([time_of(Path(name).name) for name in names])
    return since_first(times / 1000)


def since_first(seconds: Seconds) -> Seconds:
    """Return rising times as seconds since the first; of a pause over 10 s, 10 s."""
    return np.concatenate([[0.0], np.cumsum(np.minimum(np.diff(seconds), _LONGEST_PAUSE_SECONDS))])


def each_once(seconds: Seconds, span: Span) -> Places:
    """Return the frames that were taken within a span, each once."""
    return np.flatnonzero((seconds >= span.begin) & (seconds < span.end))


def ticks(longest: float, span: Span, rate: float) -> Seconds:
    """Return the moments of a clip's pictures, `rate` a second, of runs the longest of which takes so many seconds."""
    if span.begin > longest:
        return np.empty(0)
    if span.end > longest:
        # the last frame is shown, too; the small part is for what a float leaves of a whole number
        return span.begin + np.arange(math.floor((longest - span.begin) * rate + 1e-6) + 1) / rate
    return span.begin + np.arange(math.ceil((span.end - span.begin) * rate - 1e-6)) / rate


def at_ticks(seconds: Seconds, moments: Seconds) -> Places:
    """Return the frame to be shown at each moment: the one before stays until the next was taken."""
    return np.searchsorted(seconds, moments + 1e-6, side="right") - 1
