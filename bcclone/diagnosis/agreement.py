"""The steering and the turns of the camera -> how they agree over all, and at which delay.

They agree if the car's curvature, measured by the turns, is proportional to the steering. The lag
is the delay between both, in seconds: above 0 if the steering is recorded after the car turns.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bcclone.camera.geometry import FOCAL_PX
from bcclone.camera.vehicle import MPH
from bcclone.diagnosis.drive_rows import LEAST_MPH, DriveRows
from bcclone.diagnosis.motion import Turns
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray
from bcclone.system.statistics import block_jackknife, correlation, mean_around, top_of

CLEAR = 0.6  # recordings without a fault have a greater correlation, at the usual delays
FEWEST_STEPS = 50  # fewer steps do not give a correlation
# keys are pressed and released several times a second, and a car turns more slowly; averaging over
# this time evens the presses out
_SMOOTH_SECONDS = 0.6
FINE_SECONDS = 0.2  # to measure a delay, which smoothing blurs
# smallest absolute value of a sure correlation after two standard errors are taken off
_LEAST_BOUND = 0.3

# which delays between the turn of the camera and the steering are tried, in seconds
_NEAR = 1.5  # longest near delay: of a person, or of a slow sensor
_FAR = 30.0  # longest far delay: of a log that does not begin with its frames
_STEP = 0.1  # between two delays of the coarse search
# the fine search, around the best delay of the coarse one
_FINE_REACH = 0.6  # to either side
_FINE_STEP = 0.025  # between two delays


class Signals:
    """The recorded steering and the turns of the camera, to be compared.

    seconds: both are means over so many seconds
    """

    def __init__(self, rows: DriveRows, turns: Turns, seconds: float = _SMOOTH_SECONDS) -> None:
        self.rows = rows
        self.turns = turns
        self._seconds = seconds

    @cached_property
    def rate(self) -> FloatArray:
        """Return how sharply the camera turned from each row to the next, (steps,), right positive.

        In pixels a second, divided by the speed in mph if it is known.
        """
        rows = self.rows
        shortest_seconds = 1e-3  # so that rows of one time divide by no zero
        rate = self.turns.right / np.maximum(np.diff(rows.seconds), shortest_seconds)
        if rows.speed_mph is not None:
            speed = (rows.speed_mph[1:] + rows.speed_mph[:-1]) / 2
            rate = np.where(speed > LEAST_MPH, rate / np.maximum(speed, LEAST_MPH), 0.0)
        # the largest and the smallest hundredth are mistaken matches
        rate = np.clip(rate, *np.percentile(rate, [1, 99]))
        usable = self.turns.usable.astype(np.float64)
        return mean_around(rows.middles, rate, self._seconds, usable, rows.stretch[1:])

    @cached_property
    def steering(self) -> FloatArray:
        """Return the mean steering around each row, (rows,)."""
        rows = self.rows
        weights = np.ones(len(rows))
        return mean_around(rows.seconds, rows.steering, self._seconds, weights, rows.stretch)

    def later(self, values: FloatArray, lag: float) -> FloatArray:
        """Return the value, of (rows,), `lag` seconds after each step, (steps,).

        It is NaN if a pause lies between the step and that time, and outside of the recording.
        """
        rows = self.rows
        times = rows.middles + lag
        after = np.clip(np.searchsorted(rows.seconds, times), 1, len(values) - 1)
        of_step = rows.stretch[1:]
        known = (times >= rows.seconds[0]) & (times <= rows.seconds[-1])
        known &= (rows.stretch[after - 1] == of_step) & (rows.stretch[after] == of_step)
        return np.where(known, np.interp(times, rows.seconds, values), np.nan)

    def compared(self, lag: float, among: BoolArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Return the turn rate of the usable steps, and the steering `lag` seconds after them.

        among: which steps are compared, (steps,); None for all
        """
        steering = self.later(self.steering, lag)
        usable = self.turns.usable & np.isfinite(steering)
        if among is not None:
            usable &= among
        return self.rate[usable], steering[usable]

    @property
    def can_be_compared(self) -> bool:
        """Return whether the pictures match, and turns and steering change."""
        least_match = 0.3  # least median match of successive pictures
        least_rate = 1e-6  # least standard deviation of the turn rate
        least_steering = 1e-3  # least standard deviation of the steering
        usable = self.turns.usable
        if usable.sum() < FEWEST_STEPS or np.median(self.turns.match[usable]) < least_match:
            return False
        return bool(self.rate.std() >= least_rate and self.rows.steering.std() >= least_steering)


# ---- how sharply the car turned

# radii that separate the kinds of bends; a larger radius than the last counts as straight
RADII_M = (15, 25, 40, 70, 150)


def seconds_of_bends(signals: Signals, has_simulator_lens: bool) -> FloatArray:
    """Return the seconds of bends, (2, kinds): to the left and to the right, by kind.

    RADII_M separate the kinds; the sharpest comes first. The radii are 10 to 20 % too small in our
    simulator: there, nearby objects also shift the picture, which is taken for turning. Without
    speeds or a known lens there is one kind, which sharp steering shows.
    """
    rows = signals.rows
    if has_simulator_lens and rows.speed_mph is not None:
        curvature_per_m = signals.rate / (FOCAL_PX * MPH)
        seconds = np.diff(rows.seconds)
        # a histogram's edges rise, so the gentlest kind comes first here; reversed at the end
        edges = [*(1 / np.array(RADII_M[::-1])), np.inf]
        sums = [np.histogram(side * curvature_per_m, edges, weights=seconds)[0] for side in (-1, 1)]
        return np.array(sums)[:, ::-1]
    sharp = 0.25  # share of the driver's usual sharpest steering from which steering is sharp
    usual_quantile = 0.98  # of the absolute steering: the usual sharpest steering
    # the steering has a value for each row, not for each step: the last row lasts no time
    seconds = np.diff(rows.seconds, append=rows.seconds[-1])
    least_steering = sharp * float(np.quantile(np.abs(rows.steering), usual_quantile))
    return np.array([[seconds[side * rows.steering > least_steering].sum()] for side in (-1, 1)])


# ---- the agreement


@dataclass(frozen=True)
class Agreement:
    """How the steering follows the turns of the camera."""

    # of the turns and the steering `lag` seconds later; its absolute value is the greatest
    correlation: float
    lag: float  # seconds; above 0 if the steering is recorded after the car turns
    error: float  # standard error of `lag`
    spread: float  # standard error of the correlation's Fisher transform
    rival: float = 0.0  # the greatest correlation in the other range of delays, near or far

    def _bound(self, errors: float) -> float:
        """Return the correlation plus a number of standard errors, which may be negative."""
        return math.tanh(_transformed(self.correlation) + errors * self.spread)

    @property
    def is_clear(self) -> bool:
        """Return whether steering and turns surely belong together."""
        return self.correlation > CLEAR and self._bound(-2) > _LEAST_BOUND

    @property
    def is_mirrored(self) -> bool:
        """Return whether the car surely turns to the other side than it is steered.

        A greater positive correlation at another delay speaks against it.
        """
        sure = 0.75  # a correlation with a smaller absolute value may be chance
        return self.correlation < -max(sure, self.rival) and self._bound(2) < -_LEAST_BOUND

    @property
    def is_unrelated(self) -> bool:
        """Return whether steering and turns surely do not belong together as they are."""
        return not self.is_clear and self._bound(2) < CLEAR


def likely_lags(agreement: Agreement | None) -> FloatArray:
    """Return the delays at which parts of a drive may agree: near ones, or the clear far one.

    agreement: of the whole drive
    """
    if agreement is not None and agreement.is_clear and abs(agreement.lag) > _NEAR:
        return np.array([agreement.lag])
    return np.arange(-_NEAR, _NEAR + _STEP / 2, _STEP)


def measure_agreement(signals: Signals) -> Agreement | None:
    """Return how steering and turns agree.

    None if either hardly changes, or if the pictures do not match.
    """
    min_overlap = 0.3  # share of the steps that must have steering after the shift
    if not signals.can_be_compared:
        return None

    # a coarse search over all delays that are tried
    length = float(signals.rows.seconds[-1])
    reach = max(_NEAR, min(_FAR, (1 - min_overlap) * length))
    lags = np.arange(-reach, reach + _STEP, _STEP)
    correlations = np.zeros(len(lags))
    fewest = max(FEWEST_STEPS, min_overlap * signals.turns.usable.sum())
    for place, lag in enumerate(lags):
        rate, steering = signals.compared(lag)
        if len(rate) >= fewest:
            correlations[place] = correlation(rate, steering) or 0.0
    coarse_lag, best_correlation, rival = _best_lag(lags, correlations, length)
    if not best_correlation:
        return None

    # the errors of correlation and delay, by leaving out parts of the recording
    rate, steering = signals.compared(coarse_lag)
    spread = block_jackknife(
        len(rate), lambda part: _transformed(correlation(rate[part], steering[part]))
    )
    lag, error = _fine_lag(signals, coarse_lag, float(np.sign(best_correlation)))
    return Agreement(best_correlation, lag, error, spread, rival)


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
    usual = correlations[np.abs(lags) <= _FINE_REACH]
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


def _fine_lag(signals: Signals, coarse_lag: float, sign: float) -> tuple[float, float]:
    """Return the best delay around that of the coarse search, and its standard error.

    sign: sign of the correlation, 1 or -1
    """
    count = round(_FINE_REACH / _FINE_STEP)
    lags = coarse_lag + _FINE_STEP * np.arange(-count, count + 1, dtype=np.float64)
    fine = Signals(signals.rows, signals.turns, FINE_SECONDS)
    after = np.array([fine.later(fine.steering, lag) for lag in lags])
    # only steps that have steering at every delay, so that all delays compare the same steps
    steps = np.flatnonzero(fine.turns.usable & np.isfinite(after).all(axis=0))
    if len(steps) < FEWEST_STEPS:
        return coarse_lag, _FINE_REACH
    rate = fine.rate[steps]
    after = after[:, steps]

    def lag_of(part: IndexArray) -> float:
        correlations = [correlation(rate[part], of_lag[part]) or 0.0 for of_lag in after]
        return float(lags[0] + _FINE_STEP * top_of(sign * np.array(correlations)))

    error = block_jackknife(len(steps), lag_of)
    return lag_of(np.arange(len(steps))), error


def _transformed(r: float | None) -> float:
    """Return Fisher's transform of a correlation, 0 for None."""
    most = 0.999  # the transform of 1 would be infinite
    return math.atanh(max(-most, min(most, r or 0.0)))
