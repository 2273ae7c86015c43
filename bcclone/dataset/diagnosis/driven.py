"""The rows of a recording beside the turns of its camera, which a diagnosis judges."""

from dataclasses import dataclass

import numpy as np

from bcclone.dataset.diagnosis.motion import Turns
from bcclone.dataset.geometry import FOCAL_PX
from bcclone.dataset.statistics import mean_around
from bcclone.dataset.vehicle import MPH
from bcclone.system.arrays import FloatArray, IndexArray

LEAST_MPH = 2.0  # slower rows are standing
SMOOTH_SECONDS = 0.6  # keys are pressed and released several times a second, and a car turns more slowly


@dataclass(frozen=True)
class Driven:
    """The rows of a recording in order of time, whose pauses are shortened.

    numbers: of the rows, as `bcclone edit` counts them, (rows,); seconds: (rows,); stretch: (rows,), how many pauses
    come before; steering: (rows,), -1 left to 1 right; speed_mph: (rows,), all 0 if unknown; turns: of the camera,
    (rows - 1,); three_cameras: which have the simulator's lens.
    """

    numbers: IndexArray
    seconds: FloatArray
    stretch: IndexArray
    steering: FloatArray
    speed_mph: FloatArray
    turns: Turns
    three_cameras: bool = False

    @property
    def middles(self) -> FloatArray:
        """Return the times between successive rows, (rows - 1,)."""
        return (self.seconds[1:] + self.seconds[:-1]) / 2

    def curvature(self, smooth_seconds: float = SMOOTH_SECONDS) -> FloatArray:
        """Return how sharply the camera turned, (rows - 1,): pixels a second, for a mile per hour if speeds are known.

        Clipped at the largest and smallest hundredth.
        """
        rate = self.turns.right / np.maximum(np.diff(self.seconds), 1e-3)
        if self.has_speed:
            speed = (self.speed_mph[1:] + self.speed_mph[:-1]) / 2
            rate = np.where(speed > LEAST_MPH, rate / np.maximum(speed, LEAST_MPH), 0.0)
        rate = np.clip(rate, *np.percentile(rate, [1, 99]))
        usable = self.turns.usable.astype(np.float64)
        return mean_around(self.middles, rate, smooth_seconds, usable, self.stretch[1:])

    def bends_per_m(self) -> FloatArray | None:
        """Return the curvature of the driven line, (rows - 1,), a metre, right positive; None where it is not known.

        It takes speeds and the simulator's lens. It is 10 to 20 % too large in bends of our simulator, whose frames
        turn with what stands nearby, too.
        """
        return self.curvature() / (FOCAL_PX * MPH) if self.three_cameras and self.has_speed else None

    def steering_after(self, lags: FloatArray, smooth_seconds: float = SMOOTH_SECONDS) -> FloatArray:
        """Return the steering so many seconds after each step, (lags, rows - 1); NaN beyond the step's stretch."""
        smooth = mean_around(self.seconds, self.steering, smooth_seconds, np.ones(len(self.steering)), self.stretch)
        times = self.middles + lags[:, None]
        after = np.clip(np.searchsorted(self.seconds, times), 1, len(smooth) - 1)
        known = (times >= self.seconds[0]) & (times <= self.seconds[-1])
        known &= (self.stretch[after - 1] == self.stretch[1:]) & (self.stretch[after] == self.stretch[1:])
        return np.where(known, np.interp(times, self.seconds, smooth), np.nan)

    def paired(self, lag: float, smooth_seconds: float = SMOOTH_SECONDS) -> tuple[IndexArray, FloatArray, FloatArray]:
        """Return the steps whose turn can be used, and their curvature and the steering `lag` seconds later."""
        (steering,) = self.steering_after(np.array([lag]), smooth_seconds)
        steps = np.flatnonzero(self.turns.usable & np.isfinite(steering))
        return steps, self.curvature(smooth_seconds)[steps], steering[steps]

    @property
    def has_speed(self) -> bool:
        return bool(np.mean(self.speed_mph > LEAST_MPH) > 0.5)
