"""The rows of a recording beside the turns of its camera, which a diagnosis judges."""

from dataclasses import dataclass

import numpy as np

from bcclone.dataset.diagnosis.motion import Turns
from bcclone.system.arrays import FloatArray, IndexArray

LEAST_MPH = 2.0  # slower rows are standing
_SMOOTH_SECONDS = 0.6  # keys are pressed and released several times a second


@dataclass(frozen=True)
class Driven:
    """The rows of a recording in order of time, whose pauses are shortened.

    lines: of the log, (rows,); seconds: (rows,); steering: (rows,), -1 left to 1 right; speed_mph: (rows,), all 0 if
    unknown; turns: of the camera, (rows - 1,).
    """

    lines: IndexArray
    seconds: FloatArray
    steering: FloatArray
    speed_mph: FloatArray
    turns: Turns

    @property
    def middles(self) -> FloatArray:
        """Return the times between successive rows, (rows - 1,)."""
        return (self.seconds[1:] + self.seconds[:-1]) / 2

    @property
    def curvature(self) -> FloatArray:
        """Return how sharply the camera turned, (rows - 1,): pixels a second, for a mile per hour if speeds are known.

        Clipped at the largest and smallest hundredth, and smoothed as `smooth_steering`.
        """
        rate = self.turns.right / np.maximum(np.diff(self.seconds), 1e-3)
        if self.has_speed:
            speed = (self.speed_mph[1:] + self.speed_mph[:-1]) / 2
            rate = np.where(speed > LEAST_MPH, rate / np.maximum(speed, LEAST_MPH), 0.0)
        return _smoothed(self.middles, np.clip(rate, *np.percentile(rate, [1, 99])))

    @property
    def smooth_steering(self) -> FloatArray:
        """Return the steering, smoothed, (rows,): a car turns more slowly than keys are pressed."""
        return _smoothed(self.seconds, self.steering)

    @property
    def has_speed(self) -> bool:
        """Return whether most rows have a speed."""
        return bool(np.mean(self.speed_mph > LEAST_MPH) > 0.5)


def _smoothed(seconds: FloatArray, values: FloatArray) -> FloatArray:
    """Return the mean of the values in a short time around each."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    first = np.searchsorted(seconds, seconds - _SMOOTH_SECONDS / 2)
    last = np.searchsorted(seconds, seconds + _SMOOTH_SECONDS / 2, side="right")
    return np.asarray((sums[last] - sums[first]) / np.maximum(last - first, 1))
