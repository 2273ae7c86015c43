"""Measure what a recording shows, while its images are read once: the evidence that `check` judges.

In: a log and its frames. Out: `Evidence`. A network is not asked: that the frames turn as the car
is steered shows more, and needs no TensorFlow.
"""

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
import pandas as pd

from bcclone.camera.geometry import FOCAL_PX
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.camera.vehicle import MPH
from bcclone.diagnosis.motion import (
    Followed,
    Heading,
    Shift,
    TurnMeter,
    Turns,
    follow_points,
    measure_heading,
    share_that_grows,
    side_shift,
)
from bcclone.recording.log import Log
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray
from bcclone.system.opencv import cv2, recolored, resized
from bcclone.system.statistics import (
    block_jackknife,
    correlation,
    highest_run,
    mean_around,
    numbers_in,
    robust_line,
    runs,
    top_of,
)

RADII_M = (15, 25, 40, 70, 150)  # between the kinds of bends; beyond, the road is straight
FEWEST_STEPS = 50
CLEAR, _SURE, _LEAST = (
    0.6,
    0.75,
    0.3,
)  # correlations: at the usual times, mirrored; two standard errors below
MAX_LAG_ERROR = 0.2
FINE_SECONDS = 0.2
_FEWEST_ROWS = 200
_SATURATED, _REDUCED = 250, (FRAME_WIDTH // 2, FRAME_HEIGHT // 2)
_LEAST_MPH, _LEAST_THROTTLE = 2.0, 0.02  # below them the car stands
_SMOOTH_SECONDS = (
    0.6  # keys are pressed and released several times a second, and a car turns more slowly
)
_MAX_PAIRS, _MAX_SIDES = 60, 150
_PAUSE_STEPS = 3.0  # of the usual time from row to row
_BEND = 0.25  # of the driver's usual sharpest steering; more is a bend, if radii are not known
_LOWEST_ROW, _LEAST_SEEN = (
    0.55 * FRAME_HEIGHT,
    0.05,
)  # of a level camera it is 0.5; share of the movements
_NEAR_SECONDS, _FAR_SECONDS, _LEAST_SHARE = (
    1.5,
    30.0,
    0.3,
)  # lags to try; the share of the steps that they leave
_COARSE_STEP = 0.1
_LAG_STEP, _SHIFT_STEPS, _SHIFT_SECONDS = 0.025, 24, 0.6  # around the best of these lags
_FAR_SURE, _FAR_GAIN = (
    0.9,
    0.3,
)  # correlation; by how much its Fisher transform is above that at the usual lags
_FAR_REACH = 0.55  # of the recording; a longer shift leaves too little to be sure
_THUMBNAIL, _CUT_SHARE, _CUT_TIMES = (
    (16, 8),
    0.25,
    4.0,
)  # pixels; of pictures that go on: points, difference
_LEAST_MATCH = 0.3  # of successive pictures
_MISSED, MISSED_SECONDS = (
    0.3,
    1.5,
)  # variances of the steering that good recordings may miss; those beyond, summed
_FOLLOWS, _PARTS_AT_MOST = 0.5, 20  # correlation in a part that follows; parts
BACKWARDS = 0.25  # share of the frames that grow
_MOST = 0.999  # correlation
_MISSED_AT_MOST = 2.0  # variances of the steering

ReadFrame = Callable[[int], Image | None]


class Look(NamedTuple):
    """Figures of a frame: mean, 0 to 255; share of white pixels, 0 to 1; variance of its second
    derivative; checksum.

    All are NaN for a frame that cannot be read.
    """

    mean: float = math.nan
    white: float = math.nan
    sharpness: float = math.nan
    checksum: float = math.nan

    @classmethod
    def at(cls, frame: Image) -> Self:
        gray = recolored(frame, cv2.COLOR_RGB2GRAY)
        small = resized(gray, _REDUCED, cv2.INTER_NEAREST)
        contrast = float(cv2.meanStdDev(cv2.Laplacian(gray, cv2.CV_16S))[1][0, 0])
        return cls(
            float(small.mean()),
            float((small >= _SATURATED).mean()),
            contrast**2,
            zlib.crc32(frame.data),
        )


class RecordingFigures:
    """Gathers figures of the frames while they are read; add() the rows in order of time.

    Side cameras are measured on every Nth row only, and only these rows need their frames: every is
    N.
    """

    def __init__(self, rows: int) -> None:
        self.looks: list[Look] = []
        self.turns = TurnMeter()
        self.sides: list[tuple[int, Mapping[str, Shift]]] = []
        self.every = max(1, rows // _MAX_SIDES)

    def add(self, frames: Mapping[str, Image | None]) -> None:
        """Take a row's frames, camera -> RGB uint8 (160, 320, 3), None for one that cannot be read."""
        center = frames.get("center")
        self.turns.add(center)
        self.looks.append(Look() if center is None else Look.at(center))
        if center is not None and len(self.looks) % self.every == 0:
            shifts = {name: side_shift(center, frame) for name, frame in frames.items()
                      if name != "center" and frame is not None}  # fmt: skip
            if len(shifts) == 2:
                self.sides.append((len(self.looks) - 1, shifts))

    def of_rows(self, rows: IndexArray) -> "RecordingFigures":
        """Return the figures of some rows, by their rising indices; what a row's neighbour showed
        is left out.
        """
        figures, places = (
            RecordingFigures(len(rows)),
            {row: place for place, row in enumerate(rows.tolist())},
        )
        figures.looks = [self.looks[row] for row in places]
        figures.turns.shifts = [
            self.turns.shifts[row] if row - 1 in places else Shift() for row in places
        ]
        figures.sides = [(places[row], shifts) for row, shifts in self.sides if row in places]
        return figures

    @property
    def frozen(self) -> BoolArray:
        """Return which rows have the same centre frame as the row before, (rows,)."""
        return np.asarray(np.diff([look.checksum for look in self.looks], prepend=math.nan) == 0)


@dataclass(frozen=True)
class Agreement:
    """How the steering follows the turns of the camera.

    correlation: the greatest by size, when the steering is shifted by `lag` seconds, above 0 where
    it is recorded after the turn; error: standard error of lag; spread: standard error of the
    correlation's Fisher transform; rival: the greatest correlation at other times.
    """

    correlation: float
    lag: float
    error: float
    spread: float
    rival: float = 0.0

    def bound(self, errors: float) -> float:
        """Return the correlation so many standard errors higher."""
        return math.tanh(_transformed(self.correlation) + errors * self.spread)

    @property
    def is_clear(self) -> bool:
        """Return whether steering and turns surely belong together."""
        return self.correlation > CLEAR and self.bound(-2) > _LEAST

    @property
    def is_mirrored(self) -> bool:
        """Return whether they surely belong together with the opposite sign, and at no other time
        with this one.
        """
        return self.correlation < -max(_SURE, self.rival) and self.bound(2) < -_LEAST

    @property
    def is_unrelated(self) -> bool:
        """Return whether they surely do not belong together as they are."""
        return not self.is_clear and self.bound(2) < CLEAR


class Evidence:
    """What the rows and frames of a recording show, in order of time. Arrays are (rows,); (steps,)
    from row to row.

    numbers: row numbers as `bcclone edit` shows them, from 1, deleted and repeated rows counted;
    cut: rows are deleted in between, (steps,); times_ms; seconds: since the first row, with
    shortened pauses; stretch: how many pauses come before; steering: -1 left to 1 right; throttle:
    -1 to 1; speed_mph: all 0 if unknown; three_cameras: the recording has them, so its lens is the
    simulator's; is_estimated: the steering is from these frames. read_frame: the index of a row ->
    its centre frame, RGB uint8 (160, 320, 3), None if it cannot be read.
    """

    def __init__(
        self, log: Log, figures: RecordingFigures, read_frame: ReadFrame, is_estimated: bool = False
    ) -> None:
        self.log, self.figures, self._read_frame, self.is_estimated = (
            log,
            figures,
            read_frame,
            is_estimated,
        )
        self.times_ms: IndexArray = log.rows["time_ms"].to_numpy()
        self._of_all: IndexArray = np.sort(
            np.concatenate([self.times_ms, log.deleted["time_ms"].to_numpy()])
        )
        self.numbers: IndexArray = np.searchsorted(self._of_all, self.times_ms) + 1
        self.cut: BoolArray = np.diff(np.searchsorted(np.unique(self._of_all), self.times_ms)) > 1
        steps = np.diff(self.times_ms) / 1000
        usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.1
        self.follows = steps < _PAUSE_STEPS * usual
        self.seconds: FloatArray = np.concatenate(
            [[0.0], np.cumsum(np.minimum(steps, _PAUSE_STEPS * usual))]
        )
        self.stretch: IndexArray = np.concatenate([[0], np.cumsum(~self.follows)])
        self.steering: FloatArray = log.rows["steering"].to_numpy(np.float64)
        self.speed_mph: FloatArray = log.rows["speed_mph"].to_numpy(np.float64)
        self.throttle: FloatArray = log.rows["throttle"].to_numpy(np.float64)
        self.three_cameras = bool(figures.sides)

    @property
    def too_few(self) -> str:
        """Return why the driving cannot be judged, "" if it can."""
        count = len(self.numbers)
        few = f"{count} rows are too few to judge the driving, expected {_FEWEST_ROWS}"
        return few if count < _FEWEST_ROWS else ""

    @property
    def repeated(self) -> int:
        """Count the deleted rows that name the picture of another row."""
        return int(self.log.deleted["center"].isin(self.log.rows["center"]).sum())

    def spans(self, rows: BoolArray | IndexArray) -> tuple[tuple[int, int], ...]:
        """Return the numbers of rows as spans from the first to the last."""
        times, begins = np.unique(self._of_all, return_index=True)
        ends, found = (
            np.append(begins[1:], len(self._of_all)),
            runs(np.searchsorted(times, self.times_ms[rows])),
        )
        return tuple((int(begins[first]) + 1, int(ends[last])) for first, last in found)

    def without(self, spans: Sequence[tuple[int, int]]) -> "Evidence":
        """Return the evidence after spans of row numbers are deleted."""
        rows, table = np.isin(self.numbers, numbers_in(spans)), self.log.rows
        left = np.flatnonzero(~rows)
        deleted = pd.concat([self.log.deleted, table[rows]])
        log = replace(self.log, rows=table.iloc[left].reset_index(drop=True), deleted=deleted)
        return Evidence(
            log,
            self.figures.of_rows(left),
            lambda row: self._read_frame(int(left[row])),
            self.is_estimated,
        )

    def with_steering(self, steering: FloatArray) -> "Evidence":
        """Return the evidence after the steering, (rows,), is corrected."""
        log = replace(self.log, rows=self.log.rows.assign(steering=steering))
        return Evidence(log, self.figures, self._read_frame, self.is_estimated)

    @cached_property
    def turns(self) -> Turns:
        return Turns.of(self.figures.turns.shifts[1:], self.follows)

    @property
    def middles(self) -> FloatArray:
        """Return the times between successive rows, (steps,)."""
        return (self.seconds[1:] + self.seconds[:-1]) / 2

    @property
    def has_speed(self) -> bool:
        return bool(np.mean(self.speed_mph > _LEAST_MPH) > 0.5)

    @property
    def stands(self) -> BoolArray:
        """Return the rows in which the car stands, (rows,), by its speed, or by its throttle if
        speeds are unknown.
        """
        if self.has_speed:
            return np.asarray(self.speed_mph <= _LEAST_MPH)
        still = (
            np.abs(self.throttle) <= _LEAST_THROTTLE
        )  # some cars drive forwards with a negative one
        return np.asarray(still & (not still.all()))

    def curvature(self, smooth_seconds: float = _SMOOTH_SECONDS) -> FloatArray:
        """Return how sharply the camera turned, (steps,): pixels a second, divided by the speed in
        mph if it is known.

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
        """Return the curvature of the driven line, (steps,), 1/m, right positive; None without
        speeds or a known lens.

        It is 10 to 20 % too large in bends of our simulator, whose frames also turn with nearby
        objects.
        """
        return (
            self.curvature() / (FOCAL_PX * MPH) if self.three_cameras and self.has_speed else None
        )

    def seconds_of_bends(self) -> FloatArray:
        """Return the seconds of bends, (2, kinds), to the left and to the right, of each kind
        between RADII_M.

        There is one kind if radii are not known.
        """
        bends = self.bends_per_m()
        if bends is None:
            seconds = np.diff(self.seconds, append=self.seconds[-1])
            bend = _BEND * float(np.quantile(np.abs(self.steering), 0.98))
            return np.array([[seconds[side * self.steering > bend].sum()] for side in (-1, 1)])
        seconds, limits = np.diff(self.seconds), 1 / np.array([np.inf, *RADII_M[::-1]])
        counts = [
            np.histogram(side * bends, [*limits[1:], np.inf], weights=seconds)[0]
            for side in (-1, 1)
        ]
        return np.array(counts)[:, ::-1]

    def steering_after(self, lag: float, smooth_seconds: float = _SMOOTH_SECONDS) -> FloatArray:
        """Return the steering so many seconds after each step, (steps,); NaN beyond the step's
        stretch.
        """
        smooth = mean_around(
            self.seconds, self.steering, smooth_seconds, np.ones(len(self.steering)), self.stretch
        )
        times = self.middles + lag
        after = np.clip(np.searchsorted(self.seconds, times), 1, len(smooth) - 1)
        known = (times >= self.seconds[0]) & (times <= self.seconds[-1])
        known &= (self.stretch[after - 1] == self.stretch[1:]) & (
            self.stretch[after] == self.stretch[1:]
        )
        return np.where(known, np.interp(times, self.seconds, smooth), np.nan)

    def paired(
        self, lag: float, smooth_seconds: float = _SMOOTH_SECONDS
    ) -> tuple[IndexArray, FloatArray, FloatArray]:
        """Return the steps that can be used, their curvature, and the steering `lag` seconds after
        them.
        """
        steering = self.steering_after(lag, smooth_seconds)
        steps = np.flatnonzero(self.turns.usable & np.isfinite(steering))
        return steps, self.curvature(smooth_seconds)[steps], steering[steps]

    def followed(self, row: int, to: int) -> tuple[FloatArray, FloatArray]:
        """Return points of a row's frame and how they move to another row's, (points, 2) each; none
        if unreadable.
        """
        before, after = self._read_frame(row), self._read_frame(to)
        if before is None or after is None:
            return np.zeros((0, 2)), np.zeros((0, 2))
        return follow_points(before, after)

    def goes_on(self, row: int, to: int) -> bool:
        """Return whether a picture goes on in another: points can be followed, or the colours
        hardly change.
        """
        points = len(self.followed(row, to)[0])
        return (
            points > _CUT_SHARE * self.usual.points
            or self.change(row, to) < _CUT_TIMES * self.usual_change
        )

    def change(self, row: int, to: int) -> float:
        """Return the mean difference of two reduced frames, 0 to 255; NaN if one cannot be read."""
        before, after = self._read_frame(row), self._read_frame(to)
        if before is None or after is None:
            return math.nan
        return float(
            np.abs(
                resized(before, _THUMBNAIL).astype(np.float64) - resized(after, _THUMBNAIL)
            ).mean()
        )

    @cached_property
    def usual_change(self) -> float:
        """Return the median of change() from row to row."""
        rows = np.flatnonzero(self.follows)[:: max(1, len(self.follows) // _MAX_PAIRS)].tolist()
        return float(np.nanmedian([self.change(row, row + 1) for row in rows]))

    @cached_property
    def moved(self) -> list[tuple[FloatArray, FloatArray]]:
        """Return points followed from rows after which the camera hardly turns, spread over the
        recording.
        """
        straight = np.flatnonzero(self.turns.straight)
        if not len(straight):
            return []
        places = np.linspace(0, len(straight) - 1, _MAX_PAIRS).astype(int)
        return [self.followed(row, row + 1) for row in np.unique(straight[places]).tolist()]

    @cached_property
    def usual(self) -> Followed:
        """Return how many points can usually be followed to the next row."""
        return Followed(
            *np.median([Followed.of(moved) for _, moved in self.moved] or [Followed()], axis=0)
        )

    @cached_property
    def heading(self) -> Heading | None:
        return measure_heading(self.moved)

    @cached_property
    def agreement(self) -> Agreement | None:
        """Return how steering and turns agree, None if either hardly changes, or the pictures do
        not match.

        None, too, for a steering that is estimated from the turns.
        """
        curvature, usable = self.curvature(), self.turns.usable
        if (
            self.is_estimated
            or usable.sum() < FEWEST_STEPS
            or np.median(self.turns.match[usable]) < _LEAST_MATCH
        ):
            return None
        if curvature.std() < 1e-6 or self.steering.std() < 1e-3:
            return None
        reach = max(_NEAR_SECONDS, min(_FAR_SECONDS, (1 - _LEAST_SHARE) * float(self.seconds[-1])))
        lags = np.arange(-reach, reach + _COARSE_STEP, _COARSE_STEP)
        found = np.zeros(len(lags))
        for place, lag in enumerate(lags):
            steering = self.steering_after(lag)
            at = usable & np.isfinite(steering)
            if at.sum() >= max(FEWEST_STEPS, _LEAST_SHARE * usable.sum()):
                found[place] = correlation(curvature[at], steering[at]) or 0.0
        # the sign is taken near lag 0, since a bend in the other direction may follow a second
        # later
        usual, near = found[np.abs(lags) <= _SHIFT_SECONDS], np.abs(lags) <= _NEAR_SECONDS
        sign, far = (
            float(np.sign(usual[np.argmax(np.abs(usual))])) or 1.0,
            np.where(near, 0.0, found),
        )
        best, rival = int(np.argmax(np.where(near, sign * found, -1.0))), int(np.argmax(far))
        r, other = float(found[best]), float(far[rival])
        clearer = other > _FAR_SURE and _transformed(other) > _transformed(abs(r)) + _FAR_GAIN
        if clearer and abs(lags[rival]) < _FAR_REACH * self.seconds[-1]:
            best, r, other = rival, other, abs(r)
        if not r:
            return None
        about = float(lags[best])
        steps, curvature, steering = self.paired(about)
        spread = block_jackknife(
            len(steps), lambda part: _transformed(correlation(curvature[part], steering[part]))
        )
        # different lags compare different steps; nearby lags compare nearly the same
        shifts = about + _LAG_STEP * np.arange(-_SHIFT_STEPS, _SHIFT_STEPS + 1, dtype=np.float64)
        after = np.array([self.steering_after(shift, FINE_SECONDS) for shift in shifts])
        steps = np.flatnonzero(usable & np.isfinite(after).all(axis=0))
        if len(steps) < FEWEST_STEPS:
            return Agreement(r, about, _SHIFT_SECONDS, spread, other)
        sharp, after = self.curvature(FINE_SECONDS)[steps], after[:, steps]

        def lag_of(part: IndexArray) -> float:
            heights = [correlation(sharp[part], each[part]) or 0.0 for each in after]
            return float(shifts[0] + _LAG_STEP * top_of(np.sign(r) * np.array(heights)))

        error = block_jackknife(len(steps), lag_of)
        return Agreement(r, lag_of(np.arange(len(steps))), error, spread, other)

    @cached_property
    def compared(self) -> tuple[IndexArray, FloatArray, FloatArray]:
        """Return steps, curvature and steering as paired() at the lag of the agreement; none
        without one.
        """
        return (
            self.paired(self.agreement.lag)
            if self.agreement
            else (np.zeros(0, np.int64), *np.zeros((2, 0)))
        )

    def agrees(self, rows: IndexArray) -> bool:
        """Return whether the steering clearly follows the turns of the camera in rows, by their
        indices.
        """
        steps, curvature, steering = self.compared
        part = np.isin(steps, rows[:-1])
        return (
            part.sum() >= FEWEST_STEPS
            and (correlation(curvature[part], steering[part]) or 0.0) > _FOLLOWS
        )

    @cached_property
    def disagrees(self) -> BoolArray:
        """Return the rows, (rows,), of parts in which the steering does not follow the turns as it
        does elsewhere.

        In these it misses what the turns mean, by more than good recordings do, summed over the
        part.
        """
        disagrees = np.zeros(len(self.numbers), np.bool_)
        steps, curvature, steering = self.compared
        if len(steps) < FEWEST_STEPS:
            return disagrees
        slope, offset, _ = robust_line(curvature, steering)
        errors = (steering - slope * curvature - offset) / self.steering.std()
        missed = (np.minimum(errors**2, _MISSED_AT_MOST) - _MISSED) * np.diff(self.seconds)[steps]
        for _ in range(_PARTS_AT_MOST):
            first, last, total = highest_run(missed)
            if total < MISSED_SECONDS:
                break
            part = slice(first, last + 1)
            if (correlation(curvature[part], steering[part]) or 0.0) < _FOLLOWS:
                disagrees[steps[first] : steps[last] + 2] = True
            missed[part] = np.minimum(missed[part], 0.0)
        return disagrees

    @cached_property
    def grows(self) -> float | None:
        return share_that_grows(self.moved)

    @property
    def drives_backwards(self) -> bool:
        """Return whether the pictures surely shrink from row to row."""
        return self.grows is not None and self.grows < BACKWARDS

    @property
    def is_upside_down(self) -> bool:
        """Return whether the car drives towards the lower half of the frames."""
        heading, agreement = self.heading, self.agreement
        if heading is None or heading.row <= _LOWEST_ROW or heading.agreeing <= _LEAST_SEEN:
            return False
        return agreement is None or not agreement.is_clear


def _transformed(r: float | None) -> float:
    """Return Fisher's transform of a correlation, 0 for None."""
    return math.atanh(max(-_MOST, min(_MOST, r or 0.0)))
