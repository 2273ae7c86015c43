"""The steering and the turns of the camera -> how probable each way of following them is.

First come models of how the steering of most rows follows the turns. A part of the drive may be
faulty, and it is not known which. So lines of steering against turn rate are proposed by all parts,
and fitted to the steps that they explain.

Then comes how probable the recorded steering is at each moment if it follows as it mostly does, or
if it is mirrored, late, stuck, or unrelated.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from bcclone.diagnosis.agreement import FEWEST_STEPS, Signals
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray

_Line = tuple[float, float]  # steering for a turn rate of 1, and steering of a car straight on


@dataclass(frozen=True)
class SteeringModel:
    """How the steering of most of a drive follows the turns. Steering is -1 to 1."""

    lag: float  # seconds, see Agreement.lag
    line: _Line  # its slope is below 0 if most of the drive is mirrored
    error: float  # standard deviation from what the turns predict, straight on
    relative_error: float  # standard deviation in bends, as a share of the predicted steering


def models_of(signals: Signals, lags: FloatArray) -> list[SteeringModel]:
    """Return models that may explain the steering, all at the best of some delays.

    There is none for too few steps.
    """
    usual_lags = (-0.35, 0.05)  # seconds, from to
    other_lag_factor = 1.15  # the misses of an unusual delay count this much more
    best: _Steps | None = None
    least_missed = math.inf
    for lag in lags.tolist():
        steps = _Steps(signals, lag)
        missed = steps.share_missed()
        if not usual_lags[0] <= lag <= usual_lags[1]:
            missed *= other_lag_factor
        if missed < least_missed:
            least_missed = missed
            best = steps
    if best is None:
        return []
    lines: list[_Line] = []
    for proposed in best.lines():
        line = best.fitted(proposed)
        if not any(math.isclose(line[0], slope, rel_tol=0.1) for slope, _ in lines):
            lines.append(line)
    return [best.model(line) for line in lines]


def refitted(signals: Signals, model: SteeringModel, trusted: BoolArray) -> SteeringModel | None:
    """Return a model that is fitted again to steps without a fault; None for too few of them.

    trusted: which steps have none, (steps,)
    """
    steps = _Steps(signals, model.lag, trusted)
    if len(steps.rate) < FEWEST_STEPS:
        return None
    return steps.model(steps.fitted(model.line), are_trusted=True)


class _Steps:
    """Turn rate and steering of the steps that can be compared at a delay, and lines through them.

    trusted: which steps to take, (steps,); None for all
    """

    def __init__(self, signals: Signals, lag: float, trusted: BoolArray | None = None) -> None:
        self.rate, self._steering = signals.compared(lag, trusted)
        self._lag = lag
        self._variance = float(signals.rows.steering.var())  # of all rows

    def _errors(self, line: _Line) -> FloatArray:
        """Return by how much a line misses the steering of each step."""
        slope, intercept = line
        return self._steering - slope * self.rate - intercept

    def _missed(self, line: _Line) -> float:
        """Return the mean squared error of a line, as a share of the steering's variance.

        A step that is missed by more than the steering's standard deviation counts as this, so that
        faults in a part of the drive do not decide.
        """
        return float(np.minimum(self._errors(line) ** 2 / self._variance, 1.0).mean())

    def _slope(self, steps: IndexArray | BoolArray | slice) -> float:
        """Return the slope of a line by least squares, 0 if the rate is constant."""
        steering = self._steering[steps]
        away = self.rate[steps] - self.rate[steps].mean()
        return float(away @ (steering - steering.mean()) / max(float(away @ away), 1e-12))

    def lines(self) -> list[_Line]:
        """Return lines that may explain most steps, whatever the others are, the best one first.

        Each part of the drive proposes a slope, and so does the whole.
        """
        steps_of_part = 60
        proposals = 9
        count = len(self.rate)
        parts = np.array_split(np.arange(count), max(1, count // steps_of_part))
        slopes = [*map(self._slope, parts), self._slope(slice(None))]
        lines = []
        for slope in np.quantile(slopes, np.linspace(0, 1, proposals)).tolist():
            lines.append((slope, float(np.median(self._steering - slope * self.rate))))
        return sorted(lines, key=self._missed)

    def fitted(self, line: _Line) -> _Line:
        """Return the line through the steps that a line explains.

        Steps that it clearly misses are left out.
        """
        explained = 0.25  # of the variance: the greatest squared error of a step that is explained
        inliers = self._errors(line) ** 2 < explained * self._variance
        if inliers.sum() < FEWEST_STEPS:
            return line
        slope = self._slope(inliers)
        return slope, float(np.mean(self._steering[inliers] - slope * self.rate[inliers]))

    def share_missed(self) -> float:
        """Return the share of the steering that the turns do not explain."""
        if len(self.rate) < FEWEST_STEPS:
            return math.inf
        without_turns = (0.0, float(np.median(self._steering)))
        line = self.fitted(self.lines()[0])
        return self._missed(line) / (self._missed(without_turns) + 1e-9)

    def model(self, line: _Line, are_trusted: bool = False) -> SteeringModel:
        """Return the model of a line. are_trusted: whether no step is known to have a fault"""
        # what lasts a second or two in a drive without a fault, though the car is hardly steered
        never_less = 0.015  # of full steering
        least_error = max(0.15 * math.sqrt(self._variance), never_less)
        # Quantiles of a normal distribution's absolute values give its standard deviation. While
        # faults may remain, the largest errors may come from them, so a smaller quantile is used.
        quantile, of_normal = (0.5, 0.6745) if are_trusted else (0.3, 0.385)
        errors = np.abs(self._errors(line))
        size = np.abs(line[0] * self.rate)
        straight = size <= np.median(size)
        bends = size >= np.quantile(size, 0.7)
        error = float(np.quantile(errors[straight], quantile)) / of_normal
        relative = np.quantile(errors[bends] / np.maximum(size[bends], 1e-3), quantile) / of_normal
        return SteeringModel(
            self._lag, line, max(error, least_error), float(np.clip(relative, 0.2, 0.6))
        )


# ---- how probable the steering is in each way of following


class Kind(StrEnum):
    """How the steering of a stretch follows the turns of the camera."""

    USUAL = "usual"  # as in most of the drive
    MIRRORED = "mirrored"  # to the other side than in most of the drive
    LATE = "late"
    EARLY = "early"
    UNRELATED = "unrelated"


@dataclass(frozen=True)
class Hypothesis:
    """One way in which the steering may follow the turns at a moment."""

    kind: Kind
    penalty: float = 4.0  # natural logarithm of how many times less probable a change to it is
    late_seconds: float = 0.0  # later than usual; below 0: earlier
    gain: float = 1.0  # how much more than usual the camera turns for the same steering
    handicap: float = 0.0  # logarithm of how many times less probable it is at a moment
    is_stuck: bool = False  # the steering does not change at all


UNRELATED = Hypothesis(Kind.UNRELATED)
_DELAYS = {Kind.EARLY: (-1.5, -1.1, -0.8, -0.5), Kind.LATE: (0.5, 0.8, 1.1, 1.5)}  # seconds


def hypotheses_of(is_speed_known: bool) -> tuple[Hypothesis, ...]:
    """Return the hypotheses that are possible in a drive."""
    hypotheses = [
        Hypothesis(Kind.USUAL),
        UNRELATED,
        Hypothesis(Kind.UNRELATED, is_stuck=True),
        Hypothesis(Kind.MIRRORED),
    ]
    # there are many delays to choose from, one of which may fit by chance
    for kind, delays in _DELAYS.items():
        hypotheses += [Hypothesis(kind, penalty=7.0, late_seconds=delay) for delay in delays]
    # without speeds, the car may drive faster or slower than usual, and turns accordingly
    if not is_speed_known:
        hypotheses += [
            Hypothesis(Kind.USUAL, gain=gain, handicap=0.35) for gain in (0.35, 0.6, 1.6)
        ]
    return tuple(hypotheses)


def log_likelihoods(
    hypotheses: Sequence[Hypothesis], signals: Signals, model: SteeringModel, steps: IndexArray
) -> FloatArray:
    """Return the logarithm of the likelihood of each step, (compared, hypotheses).

    steps: indices of the compared steps, (compared,)
    """
    steering = signals.later(signals.steering, model.lag)[steps]
    density = _density_of_any(signals, model)
    log_unrelated = np.log(density(steering))
    rough_usual, rough_unrelated = _log_roughness(signals, steps, model.lag)
    columns = []
    for hypothesis in hypotheses:
        if hypothesis.is_stuck:
            log_ratio = _log_ratio_of_stuck(signals, steps, model.lag)
        elif hypothesis == UNRELATED:
            log_ratio = rough_unrelated
        else:
            # what the steering would be without the fault
            right = steering
            if hypothesis.kind is Kind.MIRRORED:
                right = -steering
            elif hypothesis.late_seconds:
                lag = model.lag + hypothesis.late_seconds
                later = signals.later(signals.steering, lag)[steps]
                right = np.where(np.isfinite(later), later, steering)
            # A delayed steering is another value than the recorded one, and may be a more usual
            # one. So what counts is how much better it fits than if it did not depend on the turns.
            log_ratio = _log_ratio(right, hypothesis.gain, signals, model, steps, density)
            log_ratio = log_ratio + rough_usual - hypothesis.handicap
        columns.append(log_unrelated + log_ratio)
    return np.stack(columns, axis=1)


Density = Callable[[FloatArray], FloatArray]  # steering -> how dense the steering is around it


def _density_of_any(signals: Signals, model: SteeringModel) -> Density:
    """Return the density of steering that does not depend on the turns: as usual, or wilder."""
    smoothness = 0.1  # of the steering's standard deviation
    wilder = 2.5
    wild = 0.3  # share of such steering that is wilder than usual
    # how dense the smoothed steering of all rows is
    smooth = signals.steering
    width = smoothness * max(float(smooth.std()), model.error)
    edges = np.arange(smooth.min() - 4 * width, smooth.max() + 5 * width, width)
    counts, _ = np.histogram(smooth, edges)
    densities = gaussian_filter1d(counts / (len(smooth) * width), 1.5)
    middles = edges[:-1] + width / 2
    deviation = wilder * max(float(signals.rows.steering.std()), model.error)

    def density(steering: FloatArray) -> FloatArray:
        usual = np.interp(steering, middles, densities)
        wilder_density = _normal_density(steering - model.line[1], deviation)
        # steering that is mirrored may be far from any other
        return np.asarray(np.maximum((1 - wild) * usual + wild * wilder_density, 1e-9))

    return density


def _log_ratio(
    steering: FloatArray,
    gain: float,
    signals: Signals,
    model: SteeringModel,
    steps: IndexArray,
    density: Density,
) -> FloatArray:
    """Return how much more probable steering is if it follows the turns, (compared,).

    It is the logarithm of that ratio, against steering that does not depend on the turns.

    gain: see Hypothesis
    """
    wild = 0.03  # share of the steps of good driving that no model explains
    greatest_ratio = 20.0  # rare steering that fits by chance is no better evidence than this
    full_lock = float(np.abs(signals.rows.steering).max())
    slope, straight_on = model.line
    predicted = (slope / gain * signals.rate[steps] + straight_on).clip(-full_lock, full_lock)
    deviations = np.hypot(model.error, model.relative_error * np.abs(predicted - straight_on))
    fitting = _normal_density(steering - predicted, deviations)
    ratio = np.minimum(fitting / density(steering), greatest_ratio)
    return np.log((1 - wild) * ratio + wild)


def _normal_density(errors: FloatArray, deviations: FloatArray | float) -> FloatArray:
    return np.asarray(
        np.exp(-0.5 * (errors / deviations) ** 2) / (math.sqrt(2 * math.pi) * deviations)
    )


def _log_roughness(
    signals: Signals, steps: IndexArray, lag: float
) -> tuple[FloatArray, FloatArray]:
    """Return the logarithms of how probable the roughness of the steering is at some steps.

    Both are (steps,): if the steering is as usual, and if it is unrelated. Noise is rougher than
    any driving: the steering changes to and fro from row to row.
    """
    window_seconds = 1.0
    rougher = 1.8  # than in a third of the drive: this is still usual
    least = 0.02  # of full steering
    spread = 0.25  # of the logarithm of the roughness, above what is usual
    by_chance = 0.02  # share of usual driving that is as rough as noise
    noisy = 0.3  # share of unrelated steering that is noise
    density = 0.15  # of the logarithm of the roughness of noise
    rows = signals.rows
    to_and_fro = np.abs(np.convolve(rows.steering, [1, -2, 1], "same"))
    roughness = median_filter(to_and_fro, rows.window(window_seconds))
    usual = rougher * np.quantile(roughness, 0.65) + least
    beyond = np.log(np.maximum(signals.later(roughness, lag)[steps], 1e-6) / usual)
    smooth_enough = np.exp(-0.5 * (np.maximum(beyond, 0.0) / spread) ** 2)
    return (
        np.log((1 - by_chance) * smooth_enough + by_chance * density),
        np.log((1 - noisy) * smooth_enough + noisy * density),
    )


def _log_ratio_of_stuck(signals: Signals, steps: IndexArray, lag: float) -> FloatArray:
    """Return how much more probable some steering is if it is stuck, not just unrelated, (steps,).

    It is the logarithm of that ratio. Keys and sticks keep their value for a while, too. Only if no
    other steering lasts nearly as long, the same value is by itself a sign of a fault; otherwise,
    only bends show it.
    """
    least_seconds = 3.0
    longest_usual = 1.0  # seconds
    never = -10.0
    rows = signals.rows
    changes = (np.diff(rows.steering) != 0) | ~rows.follows
    begins = np.append(0, np.flatnonzero(changes) + 1)
    lengths = np.diff(np.append(begins, len(rows)))
    run_seconds = rows.seconds[begins + lengths - 1] - rows.seconds[begins]
    is_long = run_seconds > least_seconds
    others = run_seconds[~is_long]
    is_a_sign = len(others) > 0 and others.max() < longest_usual
    log_ratio = 2.5 if is_a_sign else 1.0
    of_steps = np.searchsorted(rows.seconds, rows.middles[steps] + lag)
    stuck = np.repeat(is_long, lengths)[np.minimum(of_steps, len(rows) - 1)]
    return np.where(stuck, log_ratio, never)
