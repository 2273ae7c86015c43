"""The steering and the turns of the camera -> models of how the steering of most rows follows.

A part of the drive may be faulty, and it is not known which. So lines of steering against turn rate
are proposed by all parts, and fitted to the steps that they explain.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bcclone.diagnosis.agreement import FEWEST_STEPS, at_steps, smooth_steering
from bcclone.diagnosis.bends import SMOOTH_SECONDS, turn_rate
from bcclone.diagnosis.motion import Turns
from bcclone.diagnosis.recorded_rows import RecordedRows
from bcclone.system.numbers import BoolArray, FloatArray


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

    def is_like(self, other: "_Line") -> bool:
        return math.isclose(self.slope, other.slope, rel_tol=0.1)


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
class Signals:
    """The recorded steering and the turns of the camera, of which models are made."""

    rows: RecordedRows
    turns: Turns
    rate: FloatArray  # how sharply the camera turns, (steps,)
    smooth: FloatArray  # smoothed steering, (rows,)

    @classmethod
    def of(cls, rows: RecordedRows, turns: Turns) -> "Signals":
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
        lines: list[_Line] = []
        for proposed in points.lines():
            line = points.fitted(proposed)
            if not any(line.is_like(other) for other in lines):
                lines.append(line)
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
