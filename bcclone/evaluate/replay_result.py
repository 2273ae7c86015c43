"""The rollouts of a replay -> its figures, as JSON values and as a table in text."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bcclone.evaluate.rollout import RecordedDrive, RolloutResult, RolloutScore
from bcclone.evaluate.watched import WatchedFrame, WatchFigures, uncertainty_figures
from bcclone.system.arrays import FloatArray
from bcclone.system.json_values import to_json

CONTROLS = {"human": "the human", "zero": "no steering", "mean": "mean steering"}  # by their keys in JSON


@dataclass(frozen=True)
class DriverFigures(RolloutScore):
    """The figures of a driver, rounded: the score of the rollout with limit_m, and more.

    by_limit: scores of all rollouts, by their limits; rows: of the recording; frames: rows with a centre image;
    steering_*: how well the steering agrees with the recorded one, on the recording's own frames: Pearson's
    correlation, the same with the recorded steering smoothed, mean absolute error; None where they are not defined.
    """

    limit_m: float
    by_limit: Mapping[str, RolloutScore]
    rows: int
    frames: int
    seconds: float
    distance_m: float
    steering_correlation: float | None
    steering_correlation_smoothed: float | None
    steering_mae: float | None


@dataclass(frozen=True)
class ReplayFigures(DriverFigures):
    """The figures of a model. controls: name -> figures of a driver to compare with."""

    controls: Mapping[str, DriverFigures]

    @property
    def rank(self) -> tuple[float, ...]:
        """Return the sort key, the best first: more autonomy, nearer to the reference drive."""
        return -self.autonomy_percent, self.rms_cross_track_m


@dataclass(frozen=True)
class ReplayResult:
    """The rollouts of one driver.

    rollouts: limit in metres -> the rollout with it; limit_m: the limit of the rollout that is scored; steering: the
    driver's steering on the recording's own frames, (rows,), NaN where there is none; frames: number of rows with a
    centre image; controls: name -> result of a driver to compare with; watched: what a watch said of the recording's
    own frames, () without one.
    """

    reference: RecordedDrive
    rollouts: Mapping[float, RolloutResult]
    limit_m: float
    steering: FloatArray
    frames: int
    controls: Mapping[str, "ReplayResult"] = field(default_factory=dict)
    watched: tuple[WatchedFrame, ...] = ()

    @property
    def rollout(self) -> RolloutResult:
        """Return the rollout that is scored."""
        return self.rollouts[self.limit_m]

    def figures(self) -> ReplayFigures:
        """Return the figures of the replay, and of its controls."""
        controls = {name: DriverFigures(**control._figures()) for name, control in self.controls.items()}
        return ReplayFigures(**self._figures(), controls=controls)

    def _figures(self) -> dict[str, Any]:
        steers = np.isfinite(self.steering)
        recorded, steering = np.array(self.reference.steering)[steers], self.steering[steers]
        return asdict(self.rollout.score) | {
            "limit_m": self.limit_m,
            "by_limit": {f"{limit:g}": rollout.score for limit, rollout in self.rollouts.items()},
            "rows": len(self.reference),
            "frames": self.frames,
            "seconds": round(self.reference.total_seconds, 2),
            "distance_m": round(self.rollout.distance_m, 1),
            "steering_correlation": _correlation(recorded, steering),
            "steering_correlation_smoothed": _correlation(self.reference.smoothed_steering[steers], steering),
            "steering_mae": round(float(np.abs(recorded - steering).mean()), 4) if steers.any() else None,
        }


Results = Mapping[str, ReplayResult]  # name of a model or a server -> its result, on the same recording


def results_as_json(results: Results) -> dict[str, Any]:
    """Return the figures of a single driver, or of several by their names under "models", as JSON values."""
    values = {
        name: {**to_json(result.figures()), **uncertainty_figures(result.watched)} for name, result in results.items()
    }
    return next(iter(values.values())) if len(values) == 1 else {"models": values}


def missing_images(results: Results) -> list[str]:
    """Return a notice for each kind of images that the recording lacks."""
    result, notices = next(iter(results.values())), []
    if result.reference.cameras == ("center",):
        notices.append("there are no images of the side cameras; views are made from the centre camera alone")
    if lacking := len(result.reference) - result.frames:
        notices.append(f"{lacking} rows have no readable centre image; the steering before them is held")
    return notices


def replay_table(results: Results) -> list[str]:
    """Return the lines of the table: all drivers, and the controls below; then what a watch said of the recording."""
    figures: dict[str, DriverFigures] = {name: result.figures() for name, result in results.items()}
    watched, first = next((result.watched, result.figures()) for result in results.values())
    figures |= {CONTROLS[name]: control for name, control in first.controls.items()}
    width = max(len(name) for name in figures)
    limits = "".join(f"{limit + ' m':>7}" for limit in first.by_limit)
    lines = [
        f"{first.rows} rows, {first.distance_m / 1000:.2f} km in {first.seconds:.0f} s; the car is set back at a "
        f"deviation of {first.limit_m:g} m",
        "rms: of the deviation, m; interventions by limit; r: correlation of the steering on the recorded frames with",
        "the recorded steering; mean r: with its mean over 9 rows; off by: mean absolute difference",
        "",
        f"{'':{width}}  autonomy   a km   rms{limits}      r  mean r  off by",
    ]
    for name, its in figures.items():
        counts = "".join(f"{score.interventions:>7}" for score in its.by_limit.values())
        lines.append(
            f"{name:{width}}{its.autonomy_percent:8.1f} %{its.interventions_per_km:7.1f}"
            f"{its.rms_cross_track_m:6.2f}{counts}{_number(its.steering_correlation, 7)}"
            f"{_number(its.steering_correlation_smoothed, 8)}{_number(its.steering_mae, 8)}"
        )
    return lines + ([f"the monitor {WatchFigures.of(watched).describe()}"] if watched else [])


def _number(value: float | None, width: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width}.2f}"


def _correlation(recorded: FloatArray, steering: FloatArray) -> float | None:
    """Return Pearson's correlation, None if one of them is constant."""
    if len(recorded) < 2 or np.ptp(recorded) == 0 or np.ptp(steering) == 0:
        return None
    return round(float(np.corrcoef(recorded, steering)[0, 1]), 4)
