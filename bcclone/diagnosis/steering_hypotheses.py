"""The ways in which steering may follow the turns of the camera -> how well each explains a drive.

At each moment the steering follows as it mostly does, or it is mirrored, late, stuck, or unrelated.
The likelihood of a hypothesis says how probable the recorded steering is if it is true.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from bcclone.diagnosis.agreement import at_steps
from bcclone.diagnosis.recorded_rows import RecordedRows
from bcclone.diagnosis.steering_model import Signals, SteeringModel
from bcclone.system.numbers import FloatArray, IndexArray


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


def _delayed(seconds: float) -> Hypothesis:
    kind = Kind.LATE if seconds > 0 else Kind.EARLY
    # there are many delays to choose from, one of which may fit by chance
    return Hypothesis(kind, penalty=7.0, late_seconds=seconds)


USUAL = Hypothesis(Kind.USUAL)
UNRELATED = Hypothesis(Kind.UNRELATED)
_HYPOTHESES = (
    USUAL,
    UNRELATED,
    Hypothesis(Kind.UNRELATED, is_stuck=True),
    Hypothesis(Kind.MIRRORED),
    *(_delayed(seconds) for seconds in (-1.5, -1.1, -0.8, -0.5, 0.5, 0.8, 1.1, 1.5)),
)
# without speeds, the car may drive faster or slower than usual, and turns accordingly
_OTHER_SPEEDS = tuple(Hypothesis(Kind.USUAL, gain=gain, handicap=0.35) for gain in (0.35, 0.6, 1.6))


def hypotheses_of(rows: RecordedRows) -> tuple[Hypothesis, ...]:
    """Return the hypotheses that are possible in a drive."""
    return _HYPOTHESES if rows.has_speed else _HYPOTHESES + _OTHER_SPEEDS


def log_likelihoods(
    hypotheses: Sequence[Hypothesis],
    signals: Signals,
    model: SteeringModel,
    steps: IndexArray,
    steering: FloatArray,
) -> FloatArray:
    """Return the logarithm of the likelihood of each step, (compared, hypotheses).

    steps: indices of the compared steps, (compared,)
    steering: that belongs to them, (compared,)
    """
    fit = _Fit.of(signals, model, steps, steering)
    return np.stack([fit.log_likelihood(hypothesis) for hypothesis in hypotheses], axis=1)


@dataclass(frozen=True)
class _Fit:
    """What a hypothesis is compared with at some steps. Arrays are (compared,)."""

    signals: Signals
    model: SteeringModel
    steps: IndexArray  # indices of the steps
    steering: FloatArray  # that belongs to them
    rough_usual: FloatArray  # logarithm of how probable its roughness is if it is as usual
    rough_unrelated: FloatArray  # the same if it is unrelated to the turns

    @classmethod
    def of(
        cls, signals: Signals, model: SteeringModel, steps: IndexArray, steering: FloatArray
    ) -> "_Fit":
        roughness = _log_roughness(signals.rows, steps, model.lag)
        return cls(signals, model, steps, steering, *roughness)

    def log_likelihood(self, hypothesis: Hypothesis) -> FloatArray:
        """Return the logarithm of the likelihood of each step, (compared,)."""
        if hypothesis.is_stuck:
            rows = self.signals.rows
            return self._log_unrelated + _log_gain_of_stuck(rows, self.steps, self.model.lag)
        if hypothesis == UNRELATED:
            return self._log_unrelated + self.rough_unrelated
        # A delayed steering is another value than the recorded one, and may be a more usual one. So
        # what counts is how much better it fits than if it did not depend on the turns.
        gain = self._log_gain(self._steering(hypothesis), hypothesis.gain)
        return self._log_unrelated + gain + self.rough_usual - hypothesis.handicap

    @cached_property
    def _log_unrelated(self) -> FloatArray:
        """Return the logarithm of the density of steering that does not depend on the turns."""
        return np.asarray(np.log(self._density_of_any(self.steering)))

    def _log_gain(self, steering: FloatArray, gain: float) -> FloatArray:
        """Return how much more probable steering is if it follows the turns, (compared,).

        It is the logarithm of that ratio, against steering that does not depend on the turns.

        gain: see Hypothesis
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
        # steering that is mirrored may be far from any other
        return np.maximum((1 - wild) * usual_density + wild * wilder_density, 1e-9)

    def _density_of_usual(self, steering: FloatArray) -> FloatArray:
        """Return how dense the steering of all rows is around some steering."""
        middles, densities = self._histogram
        return np.asarray(np.interp(steering, middles, densities))

    @cached_property
    def _histogram(self) -> tuple[FloatArray, FloatArray]:
        """Return values of the steering, and how dense the steering of all rows is around them."""
        smoothness = 0.1  # of the steering's standard deviation
        rows = self.signals.smooth
        width = smoothness * max(float(rows.std()), self.model.error)
        edges = np.arange(rows.min() - 4 * width, rows.max() + 5 * width, width)
        counts, _ = np.histogram(rows, edges)
        densities = gaussian_filter1d(counts / (len(rows) * width), 1.5)
        return edges[:-1] + width / 2, densities

    def _steering(self, hypothesis: Hypothesis) -> FloatArray:
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
