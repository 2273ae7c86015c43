"""The steering and the turns of the camera -> how they agree, at which delay, and in which rows."""

import math
from dataclasses import dataclass

import numpy as np

from bcclone.diagnosis.bends import FINE_SECONDS, SMOOTH_SECONDS, turn_rate
from bcclone.diagnosis.motion import Turns
from bcclone.diagnosis.recorded_rows import RecordedRows
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray
from bcclone.system.statistics import (
    block_jackknife,
    correlation,
    highest_run,
    mean_around,
    robust_line,
    top_of,
)

CLEAR = 0.6  # correlation at the usual delays, of recordings without a fault
_FEWEST_STEPS = 50  # of a correlation
MISSED_SECONDS = 1.5  # of driving that misses the turns by the steering's variance, summed
_FOLLOWS = 0.5  # correlation in a part in which the steering follows the turns
_LEAST_BOUND = 0.3  # correlation of what is sure, two standard errors nearer to 0


@dataclass(frozen=True)
class Agreement:
    """How the steering follows the turns of the camera."""

    correlation: float  # the greatest by size, of the steering shifted by `lag`
    lag: float  # seconds; above 0 where the steering is recorded after the turn
    error: float  # standard error of lag
    spread: float  # standard error of the correlation's Fisher transform
    rival: float = 0.0  # the greatest correlation at other delays

    def bound(self, errors: float) -> float:
        """Return the correlation so many standard errors higher."""
        return math.tanh(_transformed(self.correlation) + errors * self.spread)

    @property
    def is_clear(self) -> bool:
        """Return whether steering and turns surely belong together."""
        return self.correlation > CLEAR and self.bound(-2) > _LEAST_BOUND

    @property
    def is_mirrored(self) -> bool:
        """Return whether they surely belong together with the opposite sign.

        They must not belong together with the same sign at another delay.
        """
        sure = 0.75  # a smaller one may be chance
        return self.correlation < -max(sure, self.rival) and self.bound(2) < -_LEAST_BOUND

    @property
    def is_unrelated(self) -> bool:
        """Return whether they surely do not belong together as they are."""
        return not self.is_clear and self.bound(2) < CLEAR


@dataclass(frozen=True)
class LagSearch:
    """Which delays between the turn of the camera and the steering are tried."""

    near_seconds: float = 1.5  # a person, a slow sensor
    far_seconds: float = 30.0  # a log that does not begin with its frames
    min_overlap: float = 0.3  # share of the steps that a shift must leave
    step_seconds: float = 0.1
    # a far delay counts if its correlation is sure, and clearer than that of the near ones
    far_sure: float = 0.9  # correlation
    far_gain: float = 0.3  # of Fisher transforms
    far_reach: float = 0.55  # share of the recording; a longer shift leaves too little to be sure
    # around the best of these delays
    fine_seconds: float = 0.6  # to either side
    fine_step_seconds: float = 0.025

    def lags(self, seconds: float) -> FloatArray:
        """Return the delays to try in a recording of so many seconds."""
        longest = (1 - self.min_overlap) * seconds
        reach = max(self.near_seconds, min(self.far_seconds, longest))
        return np.arange(-reach, reach + self.step_seconds, self.step_seconds)

    def fine_lags(self, about: float) -> FloatArray:
        steps = round(self.fine_seconds / self.fine_step_seconds)
        return about + self.fine_step_seconds * np.arange(-steps, steps + 1, dtype=np.float64)


_SEARCH = LagSearch()


@dataclass(frozen=True)
class Compared:
    """What is compared at one delay. Arrays are (compared,): of the steps that can be used."""

    steps: IndexArray  # by their indices
    curvature: FloatArray
    steering: FloatArray  # so much later

    def correlation(self, part: IndexArray | BoolArray | slice) -> float | None:
        """Return the correlation in a part; None if curvature or steering does not change."""
        return correlation(self.curvature[part], self.steering[part])


NOTHING_COMPARED = Compared(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


def compare(
    rows: RecordedRows, turns: Turns, lag: float, smooth_seconds: float = SMOOTH_SECONDS
) -> Compared:
    """Return the steps that can be used, and the steering `lag` seconds after them."""
    steering = _at_steps(rows, _smooth_steering(rows, smooth_seconds), lag)
    steps = np.flatnonzero(turns.usable & np.isfinite(steering))
    return Compared(steps, turn_rate(rows, turns, smooth_seconds)[steps], steering[steps])


def _smooth_steering(rows: RecordedRows, smooth_seconds: float) -> FloatArray:
    """Return the mean steering around each row, (rows,)."""
    weights = np.ones(len(rows.steering))
    return mean_around(rows.seconds, rows.steering, smooth_seconds, weights, rows.stretch)


def _at_steps(rows: RecordedRows, steering: FloatArray, lag: float) -> FloatArray:
    """Return the steering so many seconds after each step, (steps,); NaN beyond its stretch.

    steering: (rows,).
    """
    times = rows.middles + lag
    after = np.clip(np.searchsorted(rows.seconds, times), 1, len(steering) - 1)
    of_step = rows.stretch[1:]
    known = (times >= rows.seconds[0]) & (times <= rows.seconds[-1])
    known &= (rows.stretch[after - 1] == of_step) & (rows.stretch[after] == of_step)
    return np.where(known, np.interp(times, rows.seconds, steering), np.nan)


def measure_agreement(rows: RecordedRows, turns: Turns) -> Agreement | None:
    """Return how steering and turns agree.

    None if either hardly changes, or if the pictures do not match.
    """
    bend = turn_rate(rows, turns)
    if not _can_be_compared(rows, turns, bend):
        return None

    # a coarse search over all delays that are tried
    smooth = _smooth_steering(rows, SMOOTH_SECONDS)
    lags = _SEARCH.lags(float(rows.seconds[-1]))
    heights = np.zeros(len(lags))
    fewest = max(_FEWEST_STEPS, _SEARCH.min_overlap * turns.usable.sum())
    for place, lag in enumerate(lags):
        steering = _at_steps(rows, smooth, lag)
        steps = turns.usable & np.isfinite(steering)
        if steps.sum() >= fewest:
            heights[place] = correlation(bend[steps], steering[steps]) or 0.0
    about, height, rival = _best_lag(lags, heights, float(rows.seconds[-1]))
    if not height:
        return None

    # its error, by leaving out parts of the recording
    compared = compare(rows, turns, about)
    spread = block_jackknife(
        len(compared.steps), lambda part: _transformed(compared.correlation(part))
    )
    lag, error = _fine_lag(rows, turns, about, float(np.sign(height)))
    return Agreement(height, lag, error, spread, rival)


def _can_be_compared(rows: RecordedRows, turns: Turns, bend: FloatArray) -> bool:
    least_match = 0.3  # median of successive pictures
    least_bend = 1e-6  # standard deviations of what changes
    least_steering = 1e-3
    usable = turns.usable
    if usable.sum() < _FEWEST_STEPS or np.median(turns.match[usable]) < least_match:
        return False
    return bool(bend.std() >= least_bend and rows.steering.std() >= least_steering)


def _best_lag(lags: FloatArray, heights: FloatArray, seconds: float) -> tuple[float, float, float]:
    """Return the best delay, its correlation, and the greatest one at other delays.

    heights: the correlation at each delay, 0 where it is not known; seconds: of the recording.
    """
    # the sign is taken near lag 0, since a bend in the other direction may follow a second later
    usual = heights[np.abs(lags) <= _SEARCH.fine_seconds]
    sign = float(np.sign(usual[np.argmax(np.abs(usual))])) or 1.0
    is_near = np.abs(lags) <= _SEARCH.near_seconds
    near = int(np.argmax(np.where(is_near, sign * heights, -1.0)))
    far_heights = np.where(is_near, 0.0, heights)
    far = int(np.argmax(far_heights))
    near_height = float(heights[near])
    far_height = float(far_heights[far])

    # a log that does not begin with its frames agrees at a far delay, and there alone
    clearer = _transformed(abs(near_height)) + _SEARCH.far_gain
    is_clearer = far_height > _SEARCH.far_sure and _transformed(far_height) > clearer
    if is_clearer and abs(lags[far]) < _SEARCH.far_reach * seconds:
        return float(lags[far]), far_height, abs(near_height)
    return float(lags[near]), near_height, far_height


def _fine_lag(rows: RecordedRows, turns: Turns, about: float, sign: float) -> tuple[float, float]:
    """Return the delay near another one with the greatest correlation, and its standard error.

    sign: of the correlation.
    """
    lags = _SEARCH.fine_lags(about)
    smooth = _smooth_steering(rows, FINE_SECONDS)
    after = np.array([_at_steps(rows, smooth, lag) for lag in lags])
    # different delays compare different steps; here all compare the same
    steps = np.flatnonzero(turns.usable & np.isfinite(after).all(axis=0))
    if len(steps) < _FEWEST_STEPS:
        return about, _SEARCH.fine_seconds
    bend = turn_rate(rows, turns, FINE_SECONDS)[steps]
    after = after[:, steps]

    def lag_of(part: IndexArray) -> float:
        heights = [correlation(bend[part], steering[part]) or 0.0 for steering in after]
        return float(lags[0] + _SEARCH.fine_step_seconds * top_of(sign * np.array(heights)))

    error = block_jackknife(len(steps), lag_of)
    return lag_of(np.arange(len(steps))), error


def follows_turns(compared: Compared, rows: IndexArray) -> bool:
    """Return whether the steering clearly follows the turns in rows, by their indices."""
    part = np.isin(compared.steps, rows[:-1])
    if part.sum() < _FEWEST_STEPS:
        return False
    return (compared.correlation(part) or 0.0) > _FOLLOWS


def disagreeing_rows(rows: RecordedRows, compared: Compared) -> BoolArray:
    """Return the rows, (rows,), of parts in which the steering does not follow the turns.

    It misses what they mean, by more than good recordings do, summed over the part.
    """
    # variances of the steering: what good recordings miss, and what counts of a step at most
    usually_missed = 0.3
    most_missed = 2.0
    most_parts = 20
    disagreeing = np.zeros(len(rows), np.bool_)
    steps = compared.steps
    if len(steps) < _FEWEST_STEPS:
        return disagreeing
    slope, offset, _ = robust_line(compared.curvature, compared.steering)
    errors = (compared.steering - slope * compared.curvature - offset) / rows.steering.std()
    missed = np.minimum(errors**2, most_missed) - usually_missed
    missed = missed * np.diff(rows.seconds)[steps]
    # part by part, beginning with the one that misses most
    for _ in range(most_parts):
        first, last, total = highest_run(missed)
        if total < MISSED_SECONDS:
            break
        part = slice(first, last + 1)
        if (compared.correlation(part) or 0.0) < _FOLLOWS:
            disagreeing[steps[first] : steps[last] + 2] = True
        missed[part] = np.minimum(missed[part], 0.0)
    return disagreeing


def _transformed(r: float | None) -> float:
    """Return Fisher's transform of a correlation, 0 for None."""
    most = 0.999  # of 1, the transform is infinite
    return math.atanh(max(-most, min(most, r or 0.0)))
