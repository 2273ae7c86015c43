"""Measure what a recording shows, while its images are read once: the evidence that `check` judges.

In: a log and its frames. Out: `Evidence`. A network is not asked: that the frames turn as the car is steered shows
more, and needs no TensorFlow.
"""

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np

from bcclone.dataset.geometry import FOCAL_PX
from bcclone.dataset.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.dataset.motion import Heading, Shift, TurnMeter, Turns, follow_points, measure_heading, side_shift
from bcclone.dataset.statistics import block_jackknife, correlation, mean_around, top_of
from bcclone.dataset.vehicle import MPH
from bcclone.recording.log import Log
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray
from bcclone.system.opencv import cv2, recolored, resized

RADII_M = (15, 25, 40, 70, 150)  # between the kinds of bends; beyond, the road is straight
FEWEST_STEPS = 50
UNRELATED, CLEAR, _SURE = 0.5, 0.55, 0.7  # correlations; with another drive's log, 3 in 100 are above 0.55 by chance
MAX_LAG_ERROR = 0.2
FINE_SECONDS = 0.2
_FEWEST_ROWS = 200
_SATURATED, _REDUCED = 250, (FRAME_WIDTH // 2, FRAME_HEIGHT // 2)
_LEAST_MPH, _LEAST_THROTTLE = 2.0, 0.02  # below them the car stands
_SMOOTH_SECONDS = 0.6  # keys are pressed and released several times a second, and a car turns more slowly
_MAX_PAIRS, _MAX_SIDES = 60, 150
_PAUSE_STEPS = 3.0  # of the usual time from row to row
_BEND = 0.25  # of the driver's usual sharpest steering; more is a bend, if radii are not known
_LOWEST_ROW, _LEAST_SEEN = 0.55 * FRAME_HEIGHT, 0.05  # of a level camera it is 0.5; share of the movements
_FARTHEST_SECONDS, _LAG_STEP = 1.5, 0.025
_LAGS = np.arange(-_FARTHEST_SECONDS, _FARTHEST_SECONDS + _LAG_STEP / 2, _LAG_STEP)
_NEAR_SECONDS = 0.6
_USUAL_SECONDS = 1.2  # a longer lag is chance, unless the correlation is above _SURE
_LEAST_MATCH = 0.3  # of successive pictures
BLOCKS = 8

ReadFrame = Callable[[int], Image | None]


class Look(NamedTuple):
    """Figures of a frame: mean, 0 to 255; share of white pixels, 0 to 1; variance of its second derivative."""

    mean: float = math.nan
    white: float = math.nan
    sharpness: float = math.nan

    @classmethod
    def at(cls, frame: Image) -> Self:
        gray = recolored(frame, cv2.COLOR_RGB2GRAY)
        small = resized(gray, _REDUCED, cv2.INTER_NEAREST)
        contrast = float(cv2.meanStdDev(cv2.Laplacian(gray, cv2.CV_16S))[1][0, 0])
        return cls(float(small.mean()), float((small >= _SATURATED).mean()), contrast**2)


class RecordingFigures:
    """Gathers figures of the frames while they are read; add() the rows in order of time.

    Side cameras are measured on every Nth row only, and only these rows need their frames: every is N.
    """

    def __init__(self, rows: int) -> None:
        self.looks: list[Look] = []
        self.turns = TurnMeter()
        self.sides: list[tuple[int, Mapping[str, Shift]]] = []
        self.checksums: list[int | None] = []  # of the centre frames
        self.every = max(1, rows // _MAX_SIDES)

    def add(self, frames: Mapping[str, Image | None]) -> None:
        """Take a row's frames, camera -> RGB uint8 (160, 320, 3), None for one that cannot be read."""
        center = frames.get("center")
        self.turns.add(center)
        self.looks.append(Look() if center is None else Look.at(center))
        self.checksums.append(None if center is None else zlib.crc32(center.data))
        if center is not None and len(self.looks) % self.every == 0:
            shifts = {name: side_shift(center, frame) for name, frame in frames.items()
                      if name != "center" and frame is not None}  # fmt: skip
            if len(shifts) == 2:
                self.sides.append((len(self.looks) - 1, shifts))

    @property
    def frozen(self) -> BoolArray:
        """Return which rows have the same centre frame as the row before, (rows,)."""
        frozen = (before is not None and before == after for before, after in pairwise(self.checksums))
        return np.array([False, *frozen], np.bool_)


@dataclass(frozen=True)
class Agreement:
    """How the steering follows the turns of the camera.

    correlation: the greatest by size, when the steering is shifted by `lag` seconds, above 0 where it is recorded after
    the turn; error: standard error of lag.
    """

    correlation: float
    lag: float
    error: float

    @property
    def is_clear(self) -> bool:
        """Return whether steering and turns belong together, perhaps mirrored."""
        size = abs(self.correlation)
        return size > _SURE or (size > CLEAR and abs(self.lag) < _USUAL_SECONDS)


class Evidence:
    """What the rows and frames of a recording show, in order of time. Arrays are (rows,); (steps,) from row to row.

    numbers: row numbers as `bcclone edit` shows them, from 1, deleted rows counted; times_ms; seconds: since the first
    row, with shortened pauses; stretch: how many pauses come before; steering: -1 left to 1 right; speed_mph: all 0 if
    unknown; three_cameras: the recording has them, so its lens is the simulator's. read_frame: the index of a row ->
    its centre frame, RGB uint8 (160, 320, 3), None if it cannot be read.
    """

    def __init__(self, log: Log, figures: RecordingFigures, read_frame: ReadFrame) -> None:
        self.log, self.figures, self._read_frame = log, figures, read_frame
        self.times_ms: IndexArray = log.rows["time_ms"].to_numpy()
        of_all = np.sort(np.concatenate([self.times_ms, log.deleted["time_ms"].to_numpy()]))
        self.numbers: IndexArray = np.searchsorted(of_all, self.times_ms) + 1
        steps = np.diff(self.times_ms) / 1000
        usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.1
        self._follows = steps < _PAUSE_STEPS * usual
        self.seconds: FloatArray = np.concatenate([[0.0], np.cumsum(np.minimum(steps, _PAUSE_STEPS * usual))])
        self.stretch: IndexArray = np.concatenate([[0], np.cumsum(~self._follows)])
        self.steering: FloatArray = log.rows["steering"].to_numpy(np.float64)
        self.speed_mph: FloatArray = log.rows["speed_mph"].to_numpy(np.float64)
        self.three_cameras = bool(figures.sides)

    @property
    def too_few(self) -> str:
        """Return why the driving cannot be judged, "" if it can."""
        count = len(self.numbers)
        few = f"{count} rows are too few to judge the driving, expected {_FEWEST_ROWS}"
        return few if count < _FEWEST_ROWS else ""

    @cached_property
    def turns(self) -> Turns:
        return Turns.of(self.figures.turns.shifts[1:], self._follows)

    @property
    def middles(self) -> FloatArray:
        """Return the times between successive rows, (steps,)."""
        return (self.seconds[1:] + self.seconds[:-1]) / 2

    @property
    def has_speed(self) -> bool:
        return bool(np.mean(self.speed_mph > _LEAST_MPH) > 0.5)

    @property
    def stands(self) -> BoolArray:
        """Return the rows in which the car stands, (rows,), by its speed, or by its throttle if speeds are unknown."""
        if self.has_speed:
            return np.asarray(self.speed_mph <= _LEAST_MPH)
        throttle = self.log.rows["throttle"].to_numpy(np.float64)
        return np.asarray((throttle <= _LEAST_THROTTLE) & bool((throttle > _LEAST_THROTTLE).any()))

    def curvature(self, smooth_seconds: float = _SMOOTH_SECONDS) -> FloatArray:
        """Return how sharply the camera turned, (steps,): pixels a second, divided by the speed in mph if it is known.

        The largest and the smallest hundredth are clipped.
        """
        rate = self.turns.right / np.maximum(np.diff(self.seconds), 1e-3)
        if self.has_speed:
            speed = (self.speed_mph[1:] + self.speed_mph[:-1]) / 2
            rate = np.where(speed > _LEAST_MPH, rate / np.maximum(speed, _LEAST_MPH), 0.0)
        rate = np.clip(rate, *np.percentile(rate, [1, 99]))
        usable = self.turns.usable.astype(np.float64)
        return mean_around(self.middles, rate, smooth_seconds, usable, self.stretch[1:])

    def bends_per_m(self) -> FloatArray | None:
        """Return the curvature of the driven line, (steps,), 1/m, right positive; None without speeds or a known lens.

        It is 10 to 20 % too large in bends of our simulator, whose frames also turn with nearby objects.
        """
        return self.curvature() / (FOCAL_PX * MPH) if self.three_cameras and self.has_speed else None

    def seconds_of_bends(self) -> FloatArray:
        """Return the seconds of bends, (2, kinds), to the left and to the right, of each kind between RADII_M.

        There is one kind if radii are not known.
        """
        bends = self.bends_per_m()
        if bends is None:
            seconds = np.diff(self.seconds, append=self.seconds[-1])
            bend = _BEND * float(np.quantile(np.abs(self.steering), 0.98))
            return np.array([[seconds[side * self.steering > bend].sum()] for side in (-1, 1)])
        seconds, limits = np.diff(self.seconds), 1 / np.array([np.inf, *RADII_M[::-1]])
        counts = [np.histogram(side * bends, [*limits[1:], np.inf], weights=seconds)[0] for side in (-1, 1)]
        return np.array(counts)[:, ::-1]

    def steering_after(self, lags: FloatArray, smooth_seconds: float = _SMOOTH_SECONDS) -> FloatArray:
        """Return the steering so many seconds after each step, (lags, steps); NaN beyond the step's stretch."""
        smooth = mean_around(self.seconds, self.steering, smooth_seconds, np.ones(len(self.steering)), self.stretch)
        times = self.middles + lags[:, None]
        after = np.clip(np.searchsorted(self.seconds, times), 1, len(smooth) - 1)
        known = (times >= self.seconds[0]) & (times <= self.seconds[-1])
        known &= (self.stretch[after - 1] == self.stretch[1:]) & (self.stretch[after] == self.stretch[1:])
        return np.where(known, np.interp(times, self.seconds, smooth), np.nan)

    def paired(self, lag: float, smooth_seconds: float = _SMOOTH_SECONDS) -> tuple[IndexArray, FloatArray, FloatArray]:
        """Return the steps that can be used, their curvature, and the steering `lag` seconds after them."""
        (steering,) = self.steering_after(np.array([lag]), smooth_seconds)
        steps = np.flatnonzero(self.turns.usable & np.isfinite(steering))
        return steps, self.curvature(smooth_seconds)[steps], steering[steps]

    def moved_after(self, row: int) -> tuple[FloatArray, FloatArray]:
        """Return points of a row's centre frame and how they move to the next, (points, 2) each; none if unreadable."""
        before, after, shift = self._read_frame(row), self._read_frame(row + 1), self.figures.turns.shifts[row + 1]
        if before is None or after is None or not np.isfinite(shift.right):
            return np.zeros((0, 2)), np.zeros((0, 2))
        return follow_points(before, after, shift)

    @cached_property
    def moved(self) -> list[tuple[FloatArray, FloatArray]]:
        """Return moved_after() rows after which the camera hardly turns, spread over the recording."""
        straight = np.flatnonzero(self.turns.straight)
        if not len(straight):
            return []
        places = np.linspace(0, len(straight) - 1, _MAX_PAIRS).astype(int)
        return [self.moved_after(row) for row in np.unique(straight[places]).tolist()]

    @cached_property
    def heading(self) -> Heading | None:
        return measure_heading(self.moved)

    @cached_property
    def agreement(self) -> Agreement | None:
        """Return how steering and turns agree, None if either hardly changes, or the pictures do not match."""
        curvature, usable = self.curvature(), self.turns.usable
        if usable.sum() < FEWEST_STEPS or np.median(self.turns.match[usable]) < _LEAST_MATCH:
            return None
        if curvature.std() < 1e-6 or self.steering.std() < 1e-3:
            return None
        found = _correlations(curvature[usable], self.steering_after(_LAGS)[:, usable])
        # the sign is taken near lag 0, since a bend in the other direction may follow a second later
        usual = found[np.abs(_LAGS) <= _NEAR_SECONDS]
        sign = np.sign(usual[np.argmax(np.abs(usual))]) or 1.0
        about, r = _top_lag(_LAGS, sign * found), float(sign * (sign * found).max())
        # different lags compare different steps; nearby lags compare nearly the same
        near = _LAGS[np.abs(_LAGS - about) <= _NEAR_SECONDS]
        curvature, steering = self.curvature(FINE_SECONDS), self.steering_after(near, FINE_SECONDS)
        steps = np.flatnonzero(usable & np.isfinite(steering).all(axis=0))
        if len(steps) < FEWEST_STEPS:
            return Agreement(r, about, _NEAR_SECONDS)

        def best(steps: IndexArray) -> float:
            return _top_lag(near, np.sign(r) * _correlations(curvature[steps], steering[:, steps]))

        return Agreement(r, best(steps), block_jackknife(steps, BLOCKS, best))

    @property
    def is_upside_down(self) -> bool:
        """Return whether the car drives towards the lower half of the frames."""
        heading, agreement = self.heading, self.agreement
        if heading is None or heading.row <= _LOWEST_ROW or heading.agreeing <= _LEAST_SEEN:
            return False
        return agreement is None or not agreement.is_clear or agreement.correlation <= 0


def _top_lag(lags: FloatArray, heights: FloatArray) -> float:
    return float(lags[0] + _LAG_STEP * top_of(heights))


def _correlations(curvature: FloatArray, steering: FloatArray) -> FloatArray:
    """Return the correlation with each shift of the steering, (lags, steps), NaN if unknown; 0 for too few steps."""
    known = np.isfinite(steering)
    return np.array([
        (correlation(curvature[at], shifted[at]) or 0.0) if at.sum() >= FEWEST_STEPS else 0.0
        for at, shifted in zip(known, steering, strict=True)
    ])  # fmt: skip
