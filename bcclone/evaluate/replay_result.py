"""Summarize a replay: its rollouts, and how well the model's steering agrees with the recorded one."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bcclone.evaluate.reference import RecordedDrive
from bcclone.evaluate.rollout import RolloutResult, RolloutScore
from bcclone.lab.monitor.points import DoubtPoint, doubt_figures
from bcclone.system.arrays import FloatArray


@dataclass(frozen=True)
class SteeringAgreement:
    """How well steering agrees with the recorded one, on the recording's own frames.

    correlation: Pearson's; correlation_smoothed: with the recorded steering smoothed; mae: mean absolute error. None
    where it is not defined.
    """

    correlation: float | None
    correlation_smoothed: float | None
    mae: float | None


@dataclass(frozen=True)
class ReplayFigures:
    """The figures of a replay, rounded.

    score: of the rollout with limit_m; by_limit: of all rollouts, by their limits; rows: of the recording; frames: rows
    with a centre image; controls: the same figures of the controls.
    """

    score: RolloutScore
    limit_m: float
    by_limit: Mapping[str, RolloutScore]
    rows: int
    frames: int
    seconds: float
    distance_m: float
    steering: SteeringAgreement
    controls: Mapping[str, "ReplayFigures"] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values; None where a figure is not defined."""
        values: dict[str, Any] = {
            **asdict(self.score),
            "limit_m": self.limit_m,
            "by_limit": {limit: asdict(score) for limit, score in self.by_limit.items()},
            "rows": self.rows,
            "frames": self.frames,
            "seconds": self.seconds,
            "distance_m": self.distance_m,
            **{f"steering_{name}": value for name, value in asdict(self.steering).items()},
        }
        if self.controls:
            values["controls"] = {name: control.as_json() for name, control in self.controls.items()}
        return values


@dataclass(frozen=True)
class ReplayResult:
    """The rollouts of one driver.

    rollouts: limit in metres -> the rollout with it; limit_m: the limit of the rollout that is scored; steering: the
    driver's steering on the recording's own frames, (rows,), NaN where it is not known; frames: number of rows with a
    centre image; controls: name -> result of a driver to compare with; doubts: what a monitor said of the recording's
    own frames, () without one.
    """

    reference: RecordedDrive
    rollouts: Mapping[float, RolloutResult]
    limit_m: float
    steering: FloatArray
    frames: int
    controls: Mapping[str, "ReplayResult"] = field(default_factory=dict)
    doubts: tuple[DoubtPoint, ...] = ()

    @property
    def rollout(self) -> RolloutResult:
        """Return the rollout that is scored."""
        return self.rollouts[self.limit_m]

    def figures(self) -> ReplayFigures:
        """Return the figures of the replay."""
        known = np.isfinite(self.steering)
        recorded, steering = np.array(self.reference.steering)[known], self.steering[known]
        return ReplayFigures(
            score=self.rollout.score,
            limit_m=self.limit_m,
            by_limit={f"{limit:g}": rollout.score for limit, rollout in self.rollouts.items()},
            rows=len(self.reference),
            frames=self.frames,
            seconds=round(self.reference.total_seconds, 2),
            distance_m=round(self.rollout.distance_m, 1),
            steering=SteeringAgreement(
                correlation=_correlation(recorded, steering),
                correlation_smoothed=_correlation(self.reference.smoothed_steering[known], steering),
                mae=round(float(np.abs(recorded - steering).mean()), 4) if known.any() else None,
            ),
            controls={name: control.figures() for name, control in self.controls.items()},
        )

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return self.figures().as_json() | ({"doubt": doubt_figures(self.doubts)} if self.doubts else {})


def _correlation(recorded: FloatArray, steering: FloatArray) -> float | None:
    """Return Pearson's correlation, None if one of them is constant."""
    if len(recorded) < 2 or np.ptp(recorded) == 0 or np.ptp(steering) == 0:
        return None
    return round(float(np.corrcoef(recorded, steering)[0, 1]), 4)
