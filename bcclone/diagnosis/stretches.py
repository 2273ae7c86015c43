"""The steering and the turns of the camera -> the stretches of a drive in which both agree alike.

A fault of the steering has a beginning and an end. Each moment of a drive is explained by one of a
few hypotheses: the steering follows the turns as it mostly does, or it is mirrored, late, stuck, or
unrelated to them. The sequence of hypotheses that explains the whole drive best, where each change
costs a penalty, is found by dynamic programming (A. Viterbi, IEEE Transactions on Information
Theory 13, 1967). How probable each hypothesis is at a moment is found by the forward-backward
algorithm (L. Rabiner, Proceedings of the IEEE 77, 1989).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from bcclone.diagnosis.agreement import (
    FEWEST_STEPS,
    Agreement,
    at_steps,
    can_be_compared,
    likely_lags,
    smooth_steering,
)
from bcclone.diagnosis.bends import SMOOTH_SECONDS, turn_rate
from bcclone.diagnosis.motion import Turns
from bcclone.diagnosis.recorded_rows import RecordedRows
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray


class Kind(StrEnum):
    """How the steering of a stretch follows the turns of the camera."""

    USUAL = "usual"  # as in most of the drive
    MIRRORED = "mirrored"  # to the other side than in most of the drive
    LATE = "late"
    EARLY = "early"
    UNRELATED = "unrelated"


@dataclass(frozen=True)
class Stretch:
    """Successive rows whose steering follows the turns of the camera alike."""

    kind: Kind
    first: int  # index of the first row
    last: int  # index of the last row
    good_rows: float  # how many of its rows are probably as usual


@dataclass(frozen=True)
class _Hypothesis:
    """One way in which the steering may follow the turns at a moment."""

    kind: Kind
    penalty: float = 4.0  # natural logarithm of how many times less probable a change to it is
    late_seconds: float = 0.0  # later than usual; below 0: earlier
    gain: float = 1.0  # how much more than usual the camera turns for the same steering
    handicap: float = 0.0  # logarithm of how many times less probable it is at a moment
    is_stuck: bool = False  # the steering does not change at all


def _delayed(seconds: float) -> _Hypothesis:
    kind = Kind.LATE if seconds > 0 else Kind.EARLY
    # there are many delays to choose from, one of which may fit by chance
    return _Hypothesis(kind, penalty=7.0, late_seconds=seconds)


_USUAL = _Hypothesis(Kind.USUAL)
_UNRELATED = _Hypothesis(Kind.UNRELATED)
_HYPOTHESES = (
    _USUAL,
    _UNRELATED,
    _Hypothesis(Kind.UNRELATED, is_stuck=True),
    _Hypothesis(Kind.MIRRORED),
    *(_delayed(seconds) for seconds in (-1.5, -1.1, -0.8, -0.5, 0.5, 0.8, 1.1, 1.5)),
)
# without speeds, the car may drive faster or slower than usual, and turns accordingly
_OTHER_SPEEDS = tuple(
    _Hypothesis(Kind.USUAL, gain=gain, handicap=0.35) for gain in (0.35, 0.6, 1.6)
)


@dataclass(frozen=True)
class SteeringModel:
    """How the steering of most of a drive follows the turns. Steering is -1 to 1."""

    lag: float  # seconds, see Agreement.lag
    slope: float  # steering for a turn rate of 1; below 0 if most of the drive is mirrored
    offset: float  # steering of a car that drives straight on
    error: float  # standard deviation from what the turns predict, straight on
    relative_error: float  # standard deviation in bends, as a share of the predicted steering

    def predicted(self, rate: FloatArray, gain: float = 1.0) -> FloatArray:
        """Return the steering that turns mean. rate: as bends.turn_rate() measures them."""
        return self.slope / gain * rate + self.offset

    def errors(self, predicted: FloatArray) -> FloatArray:
        """Return the standard deviation of the steering from what is predicted."""
        return np.hypot(self.error, self.relative_error * np.abs(predicted - self.offset))


class _Line(NamedTuple):
    """Steering that is proportional to the turn rate."""

    slope: float  # steering for a turn rate of 1
    intercept: float  # steering of a car that drives straight on


@dataclass(frozen=True)
class _Points:
    """The turn rate and the steering of the steps that are compared, (compared,) each."""

    rate: FloatArray
    steering: FloatArray
    variance: float  # of the steering of the whole drive

    def errors(self, line: _Line) -> FloatArray:
        """Return by how much a line misses the steering of each step, (compared,)."""
        return self.steering - line.slope * self.rate - line.intercept

    def missed(self, line: _Line) -> float:
        """Return the mean squared error of a line, as a share of the steering's variance.

        A step that is missed by more than the steering's standard deviation counts as this, so that
        faults in a part of the drive do not decide.
        """
        return float(np.minimum(self.errors(line) ** 2 / self.variance, 1.0).mean())

    def lines(self) -> list[_Line]:
        """Return lines that may explain most steps, whatever the others are, the best one first.

        Each part of the drive proposes a slope, and so does the whole.
        """
        steps_of_part = 60
        proposals = 9
        parts = np.array_split(np.arange(len(self.rate)), max(1, len(self.rate) // steps_of_part))
        slopes = [_slope(self.rate[part], self.steering[part]) for part in parts]
        slopes.append(_slope(self.rate, self.steering))
        lines = []
        for slope in np.quantile(slopes, np.linspace(0, 1, proposals)).tolist():
            intercept = float(np.median(self.steering - slope * self.rate))
            lines.append(_Line(slope, intercept))
        return sorted(lines, key=self.missed)

    def fitted(self, line: _Line) -> _Line:
        """Return the line through the steps that a line explains.

        A step that is missed clearly counts the same, however far off it is.
        """
        explained = 0.25  # of the variance: the greatest squared error of a step that is explained
        inliers = self.errors(line) ** 2 < explained * self.variance
        if inliers.sum() < FEWEST_STEPS:
            return line
        slope = _slope(self.rate[inliers], self.steering[inliers])
        return _Line(slope, float(np.mean(self.steering[inliers] - slope * self.rate[inliers])))


def _slope(rate: FloatArray, steering: FloatArray) -> float:
    """Return the slope of a line by least squares, 0 if the rate is constant."""
    away = rate - rate.mean()
    return float(away @ (steering - steering.mean()) / max(float(away @ away), 1e-12))


@dataclass(frozen=True)
class _Signals:
    """The recorded steering and the turns of the camera, of which models are made."""

    rows: RecordedRows
    turns: Turns
    rate: FloatArray  # how sharply the camera turns, (steps,)
    smooth: FloatArray  # smoothed steering, (rows,)

    @classmethod
    def of(cls, rows: RecordedRows, turns: Turns) -> "_Signals":
        smooth = smooth_steering(rows, SMOOTH_SECONDS)
        return cls(rows, turns, turn_rate(rows, turns), smooth)

    def models(self, lags: FloatArray) -> list[SteeringModel]:
        """Return models that may explain the steering, all at the best of some delays.

        There is none for too few steps.
        """
        usual_lags = (-0.35, 0.05)  # seconds, from to
        other_lag = 1.15  # how much less another delay must miss
        best_lag = None
        least_missed = math.inf
        for lag in lags.tolist():
            missed = self._missed(lag)
            if not usual_lags[0] <= lag <= usual_lags[1]:
                missed *= other_lag
            if missed < least_missed:
                least_missed = missed
                best_lag = lag
        if best_lag is None:
            return []
        points = self._points(best_lag)
        assert points is not None  # these were compared
        lines = dict.fromkeys(points.fitted(line) for line in points.lines())
        return [self._model(best_lag, points, line) for line in lines]

    def refitted(self, model: SteeringModel, trusted: BoolArray) -> SteeringModel | None:
        """Return a model that is fitted again to the steps without a fault.

        None for too few of them.

        trusted: which steps have none, (steps,)
        """
        points = self._points(model.lag, trusted)
        if points is None:
            return None
        line = points.fitted(_Line(model.slope, model.offset))
        return self._model(model.lag, points, line, are_trusted=True)

    def _points(self, lag: float, trusted: BoolArray | None = None) -> _Points | None:
        """Return what is compared at a delay, None for too few steps."""
        steering = at_steps(self.rows, self.smooth, lag)
        usable = self.turns.usable & np.isfinite(steering)
        if trusted is not None:
            usable &= trusted
        if usable.sum() < FEWEST_STEPS:
            return None
        return _Points(self.rate[usable], steering[usable], float(self.rows.steering.var()))

    def _missed(self, lag: float) -> float:
        """Return the share of the steering that the turns do not explain at a delay."""
        points = self._points(lag)
        if points is None:
            return math.inf
        line = points.fitted(points.lines()[0])
        without_turns = _Line(0.0, float(np.median(points.steering)))
        return points.missed(line) / (points.missed(without_turns) + 1e-9)

    def _model(
        self, lag: float, points: _Points, line: _Line, are_trusted: bool = False
    ) -> SteeringModel:
        """Return the model of a line.

        are_trusted: whether no fault is known among the points
        """
        least_error = 0.15 * math.sqrt(points.variance)
        relative_errors = (0.2, 0.6)  # least and greatest one
        # Quantiles of a normal distribution's absolute values give its standard deviation. As long
        # as faults are not known, the errors of a part of the rows are theirs, so that a smaller
        # quantile is taken.
        quantile, of_normal = (0.5, 0.6745) if are_trusted else (0.3, 0.385)
        errors = np.abs(points.errors(line))
        size = np.abs(line.slope * points.rate)
        straight = size <= np.median(size)
        bends = size >= np.quantile(size, 0.7)
        error = float(np.quantile(errors[straight], quantile)) / of_normal
        relative = np.quantile(errors[bends] / np.maximum(size[bends], 1e-3), quantile) / of_normal
        return SteeringModel(
            lag=lag,
            slope=line.slope,
            offset=line.intercept,
            error=max(error, least_error),
            relative_error=float(np.clip(relative, *relative_errors)),
        )


@dataclass(frozen=True)
class Segmentation:
    """The stretches of a drive, and how well each hypothesis explains its steps.

    Arrays are (compared,): of the steps whose turns and steering are known.
    """

    rows: RecordedRows
    turns: Turns
    model: SteeringModel
    hypotheses: tuple[_Hypothesis, ...]
    steps: IndexArray  # indices of the compared steps
    logs: FloatArray  # logarithm of the likelihood of each step, (compared, hypotheses)
    penalties: FloatArray  # of a change to each hypothesis before each step, likewise

    @cached_property
    def path(self) -> IndexArray:
        """Return for each compared step the index of its hypothesis."""
        return _most_probable(self.logs, self.penalties, self._is_usual)

    @property
    def log_probability(self) -> float:
        """Return the logarithm of how probable the steering is, if the path is right."""
        steps = np.arange(len(self.path))
        changes = np.flatnonzero(self.path[1:] != self.path[:-1]) + 1
        penalties = self.penalties[changes, self.path[changes]]
        return float(self.logs[steps, self.path].sum() - penalties.sum())

    @property
    def _is_usual(self) -> BoolArray:
        return np.array([hypothesis.kind is Kind.USUAL for hypothesis in self.hypotheses])

    @property
    def usual_steps(self) -> BoolArray:
        """Return which of all steps lie in stretches as usual, (steps,)."""
        usual = np.zeros(len(self.rows) - 1, np.bool_)
        usual[self.steps[self._is_usual[self.path]]] = True
        return usual

    @cached_property
    def stretches(self) -> tuple[Stretch, ...]:
        """Return the stretches that are surely not as usual; none unless `is_trusted`."""
        return self._unusual if self.is_trusted else ()

    @cached_property
    def is_trusted(self) -> bool:
        """Return whether the usual part of the drive tells what is usual.

        It must be long, and its steering must clearly follow its turns: a few seconds agree by
        chance.
        """
        least_share = 0.4  # of the rows: the usual part is long if it has more
        least_seconds = 30.0  # or if it lasts longer
        # Of usual_gain for each second. In 14 recordings without a fault it was 1.1 to 2.4, with
        # the steering of another recording up to 0.8.
        least_gain = 0.9
        rows = rows_of(self._unusual)
        share = 1 - len(rows) / len(self.rows)
        seconds = self.rows.step_seconds.sum() - self.rows.step_seconds[rows].sum()
        is_long = share >= least_share or seconds >= least_seconds
        return bool(is_long and self.usual_gain >= least_gain * seconds)

    @property
    def usual_gain(self) -> float:
        """Return how much more probable the usual steps are than if they did not follow the turns.

        It is the natural logarithm of that ratio.
        """
        return float(self._gains[self._is_usual[self.path]].sum())

    @cached_property
    def _gains(self) -> FloatArray:
        """Return for each compared step by how much its hypothesis beats unrelated steering."""
        unrelated = self.logs[:, self.hypotheses.index(_UNRELATED)]
        return np.asarray(self.logs[np.arange(len(self.path)), self.path] - unrelated)

    @property
    def is_mostly_usual(self) -> bool:
        return bool(self._is_usual[self.path].mean() > 0.5)

    @cached_property
    def _unusual(self) -> tuple[Stretch, ...]:
        kinds = np.array([hypothesis.kind for hypothesis in self.hypotheses])[self.path]
        changes = np.flatnonzero(kinds[1:] != kinds[:-1]) + 1
        stretches = []
        for part in np.split(np.arange(len(kinds)), changes):
            kind = Kind(kinds[part[0]])
            if kind is not Kind.USUAL:
                first, last = self._rows_of(int(part[0]), int(part[-1]))
                share = float(self._usual_share[part].mean())
                stretches.append(Stretch(kind, first, last, share * (last - first + 1)))
        return tuple(stretches)

    def _rows_of(self, first: int, last: int) -> tuple[int, int]:
        """Return the first and the last row of some compared steps.

        A row belongs to the step with which its steering was compared.
        """
        times = self.rows.middles[self.steps[[first, last]]] + self.model.lag
        begin, end = np.searchsorted(self.rows.seconds, times)
        # nothing is known of the rows before the first step and after the last one
        if first == 0:
            begin = 0
        if last == len(self.steps) - 1:
            end = len(self.rows) - 1
        return int(begin), int(min(end, len(self.rows) - 1))

    @cached_property
    def _usual_share(self) -> FloatArray:
        """Return how probable it is that a step is as usual, 0 to 1."""
        probable = _probabilities(self.logs, self.penalties)
        return np.asarray(probable[:, self._is_usual].sum(axis=1))

    def support(self, rows: IndexArray) -> float:
        """Return how much speaks for some rows being of this drive, as usual_gain does.

        It is below 0 if nearly all of them are surely not as usual.

        rows: indices of the rows, rising
        """
        nearly_all = 0.8  # share of their steps
        not_at_all = -5.0
        part = np.isin(self.steps, rows[:-1])  # the step after the last row leads out of them
        usual = self._is_usual[self.path[part]]
        if len(usual) and 1 - usual.mean() > nearly_all:
            return not_at_all
        return float(self._gains[part][usual].sum())


def segmented(
    rows: RecordedRows, turns: Turns, agreement: Agreement | None = None
) -> Segmentation | None:
    """Return the stretches of a drive; None if its steering cannot be compared with its turns.

    agreement: of the whole drive; if it agrees at a far delay, the stretches are found at that one
    """
    rounds = 2  # in each, the model is fitted again to the stretches that are as usual
    if len(rows) < 2:
        return None
    signals = _Signals.of(rows, turns)
    if not can_be_compared(rows, turns, signals.rate):
        return None
    tried = [_explained(signals, model) for model in signals.models(likely_lags(agreement))]
    if not tried:
        return None
    # what most of a drive is like is usual, also if all of its steering is mirrored
    found = max(tried, key=lambda tried: (tried.is_mostly_usual, tried.log_probability))
    for _ in range(rounds):
        model = signals.refitted(found.model, found.usual_steps)
        if model is None:
            break
        found = _explained(signals, model)
    return found


def _explained(signals: _Signals, model: SteeringModel) -> Segmentation:
    """Return how well each hypothesis explains each step, if the rest is as the model says."""
    independent_seconds = 0.8  # the errors of steps that are closer together are alike
    longest_step = 0.5  # seconds that a step counts at most
    rows = signals.rows
    steering = at_steps(rows, signals.smooth, model.lag)
    steps = np.flatnonzero(signals.turns.usable & np.isfinite(steering))
    hypotheses = _HYPOTHESES
    if not rows.has_speed:
        hypotheses += _OTHER_SPEEDS
    fit = _Fit.of(signals, model, steps, steering[steps])
    logs = np.stack([fit.log_likelihood(hypothesis) for hypothesis in hypotheses], axis=1)
    seconds = np.minimum(np.diff(rows.seconds)[steps], longest_step)
    logs *= (seconds / independent_seconds)[:, np.newaxis]
    penalties = _penalties(hypotheses, rows, signals.turns, steps)
    return Segmentation(rows, signals.turns, model, hypotheses, steps, logs, penalties)


def _penalties(
    hypotheses: Sequence[_Hypothesis], rows: RecordedRows, turns: Turns, steps: IndexArray
) -> FloatArray:
    """Return the penalty of a change to each hypothesis before each step, (steps, hypotheses).

    It is small where the picture does not go on from the one before, although no time passes: there
    pictures of another drive, or mirrored ones, may begin or end.

    steps: indices of the compared steps
    """
    least_match = 0.12  # of a picture that goes on from the one before, also in a sharp bend
    at_cut = 1.0
    of_hypotheses = np.array([hypothesis.penalty for hypothesis in hypotheses])
    penalties = np.tile(of_hypotheses, (len(steps), 1))
    cuts = np.flatnonzero(rows.follows & (turns.match < least_match))
    after_cuts = np.searchsorted(steps, cuts)
    after_cuts = after_cuts[after_cuts < len(steps)]
    penalties[after_cuts] = np.minimum(penalties[after_cuts], at_cut)
    return penalties


@dataclass(frozen=True)
class _Fit:
    """What a hypothesis is compared with at some steps. Arrays are (compared,)."""

    signals: _Signals
    model: SteeringModel
    steps: IndexArray  # indices of the steps
    steering: FloatArray  # that belongs to them
    rough_usual: FloatArray  # logarithm of how probable its roughness is if it is as usual
    rough_unrelated: FloatArray  # the same if it is unrelated to the turns

    @classmethod
    def of(
        cls, signals: _Signals, model: SteeringModel, steps: IndexArray, steering: FloatArray
    ) -> "_Fit":
        roughness = _log_roughness(signals.rows, steps, model.lag)
        return cls(signals, model, steps, steering, *roughness)

    def log_likelihood(self, hypothesis: _Hypothesis) -> FloatArray:
        """Return the logarithm of the likelihood of each step, (compared,)."""
        rows = self.signals.rows
        unrelated = np.log(self._density_of_any(self.steering))
        if hypothesis.is_stuck:
            return np.asarray(unrelated + _log_gain_of_stuck(rows, self.steps, self.model.lag))
        if hypothesis == _UNRELATED:
            return np.asarray(unrelated + self.rough_unrelated)
        # A delayed steering is another value than the recorded one, and may be a more usual one. So
        # what counts is how much better it fits than if it did not depend on the turns.
        gain = self._log_gain(self._steering(hypothesis), hypothesis.gain)
        return np.asarray(unrelated + gain + self.rough_usual - hypothesis.handicap)

    def _log_gain(self, steering: FloatArray, gain: float) -> FloatArray:
        """Return how much more probable steering is if it follows the turns, (compared,).

        It is the logarithm of that ratio, against steering that does not depend on the turns.

        gain: see _Hypothesis
        """
        wild = 0.03  # share of the steps of good driving that no model explains
        greatest_ratio = 20.0  # rare steering that fits by chance is no better evidence than this
        full_lock = float(np.abs(self.signals.rows.steering).max())
        predicted = self.model.predicted(self.signals.rate[self.steps], gain)
        predicted = predicted.clip(-full_lock, full_lock)
        fitting = _normal_density(steering - predicted, self.model.errors(predicted))
        ratio = np.minimum(fitting / self._density_of_any(steering), greatest_ratio)
        return np.log((1 - wild) * ratio + wild)

    def _density_of_any(self, steering: FloatArray) -> FloatArray:
        """Return the density of steering that does not depend on the turns: as usual, or wilder."""
        wilder = 2.5
        wild = 0.3  # share of such steering that is wilder than usual
        deviation = max(float(self.signals.rows.steering.std()), self.model.error)
        wilder_density = _normal_density(steering - self.model.offset, wilder * deviation)
        usual_density = self._density_of_usual(steering)
        return (1 - wild) * usual_density + wild * wilder_density

    def _density_of_usual(self, steering: FloatArray) -> FloatArray:
        """Return how dense the steering of all rows is around some steering."""
        smoothness = 0.1  # of the steering's standard deviation
        rows = self.signals.smooth
        width = smoothness * max(float(rows.std()), self.model.error)
        edges = np.arange(rows.min() - 4 * width, rows.max() + 5 * width, width)
        counts, _ = np.histogram(rows, edges)
        density = gaussian_filter1d(counts / (len(rows) * width), 1.5)
        middles = edges[:-1] + width / 2
        return np.asarray(np.interp(steering, middles, density))

    def _steering(self, hypothesis: _Hypothesis) -> FloatArray:
        """Return what the steering would be without the fault of a hypothesis."""
        if hypothesis.kind is Kind.MIRRORED:
            return -self.steering
        if not hypothesis.late_seconds:
            return self.steering
        lag = self.model.lag + hypothesis.late_seconds
        later = at_steps(self.signals.rows, self.signals.smooth, lag)[self.steps]
        return np.where(np.isfinite(later), later, self.steering)


def _normal_density(errors: FloatArray, deviations: FloatArray | float) -> FloatArray:
    return np.asarray(
        np.exp(-0.5 * (errors / deviations) ** 2) / (math.sqrt(2 * math.pi) * deviations)
    )


def _log_roughness(
    rows: RecordedRows, steps: IndexArray, lag: float
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
    seconds_a_row = max(float(np.median(np.diff(rows.seconds))), 1e-3)
    window = max(3, round(window_seconds / seconds_a_row))
    to_and_fro = np.abs(np.convolve(rows.steering, [1, -2, 1], "same"))
    roughness = median_filter(to_and_fro, window)
    usual = rougher * np.quantile(roughness, 0.65) + least
    beyond = np.log(np.maximum(at_steps(rows, roughness, lag)[steps], 1e-6) / usual)
    smooth_enough = np.exp(-0.5 * (np.maximum(beyond, 0.0) / spread) ** 2)
    return (
        np.log((1 - by_chance) * smooth_enough + by_chance * density),
        np.log((1 - noisy) * smooth_enough + noisy * density),
    )


def _log_gain_of_stuck(rows: RecordedRows, steps: IndexArray, lag: float) -> FloatArray:
    """Return how much more probable some steering is if it is stuck, not just unrelated, (steps,).

    It is the logarithm of that ratio. Keys and sticks keep their value for a while, too. Only if no
    other steering lasts nearly as long, the same value is by itself a sign of a fault; otherwise,
    only bends show it.
    """
    least_seconds = 3.0
    longest_usual = 1.0  # seconds
    never = -10.0
    changes = (np.diff(rows.steering) != 0) | ~rows.follows
    begins = np.append(0, np.flatnonzero(changes) + 1)
    lengths = np.diff(np.append(begins, len(rows)))
    run_seconds = rows.seconds[begins + lengths - 1] - rows.seconds[begins]
    is_long = run_seconds > least_seconds
    others = run_seconds[~is_long]
    is_a_sign = len(others) > 0 and others.max() < longest_usual
    gain = 2.5 if is_a_sign else 1.0
    of_steps = np.searchsorted(rows.seconds, rows.middles[steps] + lag)
    stuck = np.repeat(is_long, lengths)[np.minimum(of_steps, len(rows) - 1)]
    return np.where(stuck, gain, never)


def _most_probable(logs: FloatArray, penalties: FloatArray, may_end: BoolArray) -> IndexArray:
    """Return the most probable sequence of hypotheses, (steps,), by dynamic programming.

    logs: logarithm of the likelihood of each step, (steps, hypotheses)
    penalties: of a change to each hypothesis before each step, (steps, hypotheses)
    may_end: in which hypotheses a drive begins and ends without a penalty, (hypotheses,)
    """
    steps, count = logs.shape
    path = np.zeros(steps, np.int64)
    if not steps:
        return path
    own = np.arange(count)
    came_from = np.zeros((steps, count), np.int64)
    total = logs[0] - np.where(may_end, 0.0, penalties[0])
    for step in range(1, steps):
        best = int(np.argmax(total))
        changed = total[best] - penalties[step]
        stays = total >= changed
        came_from[step] = np.where(stays, own, best)
        total = np.where(stays, total, changed) + logs[step]
    path[-1] = int(np.argmax(total - np.where(may_end, 0.0, penalties[-1])))
    for step in range(steps - 1, 0, -1):
        path[step - 1] = came_from[step, path[step]]
    return path


def _probabilities(logs: FloatArray, penalties: FloatArray) -> FloatArray:
    """Return how probable each hypothesis is at each step, (steps, hypotheses).

    By the forward-backward algorithm; arguments as for _most_probable().
    """
    forward = np.zeros_like(logs)
    backward = np.zeros_like(logs)
    forward[0] = logs[0]
    for step in range(1, len(logs)):
        before = forward[step - 1]
        changed = np.logaddexp.reduce(before) - penalties[step]
        forward[step] = np.logaddexp(before, changed) + logs[step]
    for step in range(len(logs) - 2, -1, -1):
        after = backward[step + 1] + logs[step + 1]
        changed = np.logaddexp.reduce(after - penalties[step + 1])
        backward[step] = np.logaddexp(after, changed)
    both = forward + backward
    return np.asarray(np.exp(both - np.logaddexp.reduce(both, axis=1, keepdims=True)))


def rows_of(stretches: Sequence[Stretch]) -> IndexArray:
    """Return the indices of the rows of some stretches, rising."""
    rows = [np.arange(stretch.first, stretch.last + 1) for stretch in stretches]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *rows]))
