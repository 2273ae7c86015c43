"""The steering and the turns of the camera -> how they agree over all, and at which delay.

They agree if the car's curvature, measured by the turns, is proportional to the steering. The lag
is the delay between both, in seconds: above 0 if the steering is recorded after the car turns.
"""

import math
from dataclasses import dataclass

import numpy as np

from bcclone.diagnosis.motion import Turns
from bcclone.diagnosis.rows import FINE_SECONDS, SMOOTH_SECONDS, Rows, turn_rate
from bcclone.system.numbers import (
    FloatArray,
    IndexArray,
    block_jackknife,
    correlation,
    mean_around,
    top_of,
)

CLEAR = 0.6  # recordings without a fault have a greater correlation, at the usual delays
FEWEST_STEPS = 50  # fewer steps do not give a correlation
# smallest absolute value of a sure correlation after two standard errors are taken off
_LEAST_BOUND = 0.3

# which delays between the turn of the camera and the steering are tried, in seconds
_NEAR = 1.5  # longest near delay: of a person, or of a slow sensor
_FAR = 30.0  # longest far delay: of a log that does not begin with its frames
_STEP = 0.1  # between two delays of the coarse search
# the fine search, around the best delay of the coarse one
_FINE = 0.6  # to either side
_FINE_STEP = 0.025  # between two delays


@dataclass(frozen=True)
class Agreement:
    """How the steering follows the turns of the camera."""

    # of the turns and the steering `lag` seconds later; its absolute value is the greatest
    correlation: float
    lag: float  # seconds; above 0 if the steering is recorded after the car turns
    error: float  # standard error of `lag`
    spread: float  # standard error of the correlation's Fisher transform
    rival: float = 0.0  # the greatest correlation in the other range of delays, near or far

    def bound(self, errors: float) -> float:
        """Return the correlation plus a number of standard errors, which may be negative."""
        return math.tanh(_transformed(self.correlation) + errors * self.spread)

    @property
    def is_clear(self) -> bool:
        """Return whether steering and turns surely belong together."""
        return self.correlation > CLEAR and self.bound(-2) > _LEAST_BOUND

    @property
    def is_mirrored(self) -> bool:
        """Return whether the car surely turns to the other side than it is steered.

        A greater positive correlation at another delay speaks against it.
        """
        sure = 0.75  # a correlation with a smaller absolute value may be chance
        return self.correlation < -max(sure, self.rival) and self.bound(2) < -_LEAST_BOUND

    @property
    def is_unrelated(self) -> bool:
        """Return whether steering and turns surely do not belong together as they are."""
        return not self.is_clear and self.bound(2) < CLEAR


def likely_lags(agreement: Agreement | None) -> FloatArray:
    """Return the delays at which parts of a drive may agree: near ones, or the clear far one.

    agreement: of the whole drive
    """
    if agreement is not None and agreement.is_clear and abs(agreement.lag) > _NEAR:
        return np.array([agreement.lag])
    return np.arange(-_NEAR, _NEAR + _STEP / 2, _STEP)


def compare(
    rows: Rows, turns: Turns, lag: float, smooth_seconds: float = SMOOTH_SECONDS
) -> tuple[FloatArray, FloatArray]:
    """Return the curvature of the usable steps, and the steering `lag` seconds after them."""
    steering = at_steps(rows, smooth_steering(rows, smooth_seconds), lag)
    usable = turns.usable & np.isfinite(steering)
    return turn_rate(rows, turns, smooth_seconds)[usable], steering[usable]


def smooth_steering(rows: Rows, smooth_seconds: float) -> FloatArray:
    """Return the mean steering around each row, (rows,)."""
    weights = np.ones(len(rows.steering))
    return mean_around(rows.seconds, rows.steering, smooth_seconds, weights, rows.stretch)


def at_steps(rows: Rows, steering: FloatArray, lag: float) -> FloatArray:
    """Return the steering, (rows,), `lag` seconds after each step, (steps,).

    It is NaN if a pause lies between the step and that time, and outside of the recording.
    """
    times = rows.middles + lag
    after = np.clip(np.searchsorted(rows.seconds, times), 1, len(steering) - 1)
    of_step = rows.stretch[1:]
    known = (times >= rows.seconds[0]) & (times <= rows.seconds[-1])
    known &= (rows.stretch[after - 1] == of_step) & (rows.stretch[after] == of_step)
    return np.where(known, np.interp(times, rows.seconds, steering), np.nan)


def measure_agreement(rows: Rows, turns: Turns) -> Agreement | None:
    """Return how steering and turns agree.

    None if either hardly changes, or if the pictures do not match.
    """
    min_overlap = 0.3  # share of the steps that must have steering after the shift
    rate = turn_rate(rows, turns)
    if not can_be_compared(rows, turns, rate):
        return None

    # a coarse search over all delays that are tried
    smooth = smooth_steering(rows, SMOOTH_SECONDS)
    length = float(rows.seconds[-1])
    reach = max(_NEAR, min(_FAR, (1 - min_overlap) * length))
    lags = np.arange(-reach, reach + _STEP, _STEP)
    correlations = np.zeros(len(lags))
    fewest = max(FEWEST_STEPS, min_overlap * turns.usable.sum())
    for place, lag in enumerate(lags):
        steering = at_steps(rows, smooth, lag)
        steps = turns.usable & np.isfinite(steering)
        if steps.sum() >= fewest:
            correlations[place] = correlation(rate[steps], steering[steps]) or 0.0
    about, best, rival = _best_lag(lags, correlations, length)
    if not best:
        return None

    # the errors of correlation and delay, by leaving out parts of the recording
    curvature, steering = compare(rows, turns, about)
    spread = block_jackknife(
        len(curvature), lambda part: _transformed(correlation(curvature[part], steering[part]))
    )
    lag, error = _fine_lag(rows, turns, about, float(np.sign(best)))
    return Agreement(best, lag, error, spread, rival)


def can_be_compared(rows: Rows, turns: Turns, rate: FloatArray) -> bool:
    """Return whether the pictures match, and turns and steering change.

    rate: as turn_rate() returns it
    """
    least_match = 0.3  # least median match of successive pictures
    least_rate = 1e-6  # least standard deviation of `rate`
    least_steering = 1e-3  # least standard deviation of the steering
    usable = turns.usable
    if usable.sum() < FEWEST_STEPS or np.median(turns.match[usable]) < least_match:
        return False
    return bool(rate.std() >= least_rate and rows.steering.std() >= least_steering)


def _best_lag(
    lags: FloatArray, correlations: FloatArray, seconds: float
) -> tuple[float, float, float]:
    """Return the best delay, its correlation, and the rival's: the best of the other range.

    The ranges are near and far delays. The best far delay counts only if its correlation is sure,
    and clearly greater than that of the best near delay.

    correlations: at each delay, (lags,), 0 where it is not known
    seconds: length of the recording
    """
    far_sure = 0.9  # least correlation at a far delay
    far_gain = 0.3  # by which its Fisher transform must be greater
    far_reach = 0.55  # share of the recording; a longer shift leaves too little to be sure
    # the sign is taken near lag 0, since a bend in the other direction may follow a second later
    usual = correlations[np.abs(lags) <= _FINE]
    sign = float(np.sign(usual[np.argmax(np.abs(usual))])) or 1.0
    is_near = np.abs(lags) <= _NEAR
    near = int(np.argmax(np.where(is_near, sign * correlations, -1.0)))
    far_correlations = np.where(is_near, 0.0, correlations)
    far = int(np.argmax(far_correlations))
    near_best = float(correlations[near])
    far_best = float(far_correlations[far])

    # a log that does not begin with its frames agrees at a far delay, and not at a near one
    clearer = _transformed(abs(near_best)) + far_gain
    is_clearer = far_best > far_sure and _transformed(far_best) > clearer
    if is_clearer and abs(lags[far]) < far_reach * seconds:
        return float(lags[far]), far_best, abs(near_best)
    return float(lags[near]), near_best, far_best


def _fine_lag(rows: Rows, turns: Turns, about: float, sign: float) -> tuple[float, float]:
    """Return the best delay around that of the coarse search, and its standard error.

    sign: sign of the correlation, 1 or -1
    """
    count = round(_FINE / _FINE_STEP)
    lags = about + _FINE_STEP * np.arange(-count, count + 1, dtype=np.float64)
    smooth = smooth_steering(rows, FINE_SECONDS)
    after = np.array([at_steps(rows, smooth, lag) for lag in lags])
    # only steps that have steering at every delay, so that all delays compare the same steps
    steps = np.flatnonzero(turns.usable & np.isfinite(after).all(axis=0))
    if len(steps) < FEWEST_STEPS:
        return about, _FINE
    rate = turn_rate(rows, turns, FINE_SECONDS)[steps]
    after = after[:, steps]

    def lag_of(part: IndexArray) -> float:
        correlations = [correlation(rate[part], steering[part]) or 0.0 for steering in after]
        return float(lags[0] + _FINE_STEP * top_of(sign * np.array(correlations)))

    error = block_jackknife(len(steps), lag_of)
    return lag_of(np.arange(len(steps))), error


def _transformed(r: float | None) -> float:
    """Return Fisher's transform of a correlation, 0 for None."""
    most = 0.999  # the transform of 1 would be infinite
    return math.atanh(max(-most, min(most, r or 0.0)))
