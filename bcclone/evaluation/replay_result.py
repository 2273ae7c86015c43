"""The results of a replay: the rollouts of each driver, and their figures as JSON values and as a
table in text.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bcclone.evaluation.evaluate_settings import ReplaySettings
from bcclone.evaluation.rollout import RecordedDrive, Rollout, RolloutScore, rollouts_of
from bcclone.simulator.unity_client import DriveReport
from bcclone.system.arrays import FloatArray
from bcclone.system.json_values import names_of, to_json
from bcclone.system.statistics import correlation
from bcclone.system.table import Table, TableColumn

_DRIVEN = "autonomy: share of the time, 6 s less for each intervention; rms: of the deviation, {unit}; interventions by limit"
_STEERED = (
    "r: correlation of the steering on the recorded frames with the recorded steering; mean r: with its mean over 9 "
    "rows; off by: mean absolute difference"
)
CONTROLS = {
    "human": "the human",
    "zero": "no steering",
    "mean": "mean steering",
}  # by their keys in JSON


@dataclass(frozen=True)
class ReplayFigures:
    """The figures of a driver, rounded: the score of the rollout with limit_m (see RolloutScore),
    and more.

    The score is None, and by_limit empty, for a recording whose speed is unknown. unit: of all
    lengths, "m", or "camera heights" where the speed is estimated; by_limit: scores of all
    rollouts, by their limits; rows: of the recording; frames: rows with a centre image; steering_*:
    how well the steering agrees with the recorded one, on the recording's own frames: Pearson's
    correlation, the same with the recorded steering smoothed, mean absolute error; None where they
    are not defined; controls: name -> figures of a driver to compare with.
    """

    unit: str
    autonomy_percent: float | None
    interventions: int | None
    interventions_per_km: float | None
    rms_cross_track_m: float | None
    limit_m: float
    by_limit: Mapping[str, RolloutScore]
    rows: int
    frames: int
    seconds: float
    distance_m: float
    steering_correlation: float | None
    steering_correlation_smoothed: float | None
    steering_mae: float | None
    controls: Mapping[str, "ReplayFigures"] = field(default_factory=dict)

    @property
    def driven(self) -> str:
        return (
            f"{self.distance_m / 1000:.2f} km"
            if self.unit == "m"
            else f"{self.distance_m:,.0f} {self.unit}"
        )

    @property
    def rank(self) -> tuple[float, ...] | None:
        """Return the sort key, the best first: more autonomy, nearer to the reference drive; None
        without a score.
        """
        if self.autonomy_percent is None or self.rms_cross_track_m is None:
            return None
        return -self.autonomy_percent, self.rms_cross_track_m

    @property
    def cell(self) -> str:
        """The figures in a row of a suite."""
        if self.autonomy_percent is None:
            return f"{'-':>8}{'-':>5}{'-':>6}"
        return f"{self.autonomy_percent:6.1f} %{self.interventions:5d}{self.rms_cross_track_m:6.2f}"

    def figures(self) -> dict[str, Any]:
        """Return the figures as JSON values, whose keys name the unit."""
        figures: dict[str, Any] = _with_unit(
            to_json(self), "m" if self.unit == "m" else self.unit.replace(" ", "_")
        )
        return figures


def _with_unit(figures: Any, unit: str) -> Any:
    """Return JSON values whose keys name this unit instead of metres; empty controls are left out."""
    if not isinstance(figures, dict):
        return figures
    named = {} if unit == "m" else {"interventions_per_km": f"interventions_per_1000_{unit}"}
    return {
        named.get(key, f"{key[:-1]}{unit}" if key.endswith("_m") else key): _with_unit(value, unit)
        for key, value in figures.items()
        if value or key != "controls"
    }


@dataclass(frozen=True)
class ReplayResult:
    """The rollouts of one driver.

    rollouts: limit in metres -> the rollout with it, none for a recording without speeds; limit_m:
    the limit of the rollout that is scored; steering: the driver's steering on the recording's own
    frames, (rows,), NaN where there is none; frames: number of rows with a centre image; controls:
    name -> result of a driver to compare with.
    """

    reference: RecordedDrive
    rollouts: Mapping[float, Rollout]
    limit_m: float
    steering: FloatArray
    frames: int
    controls: Mapping[str, "ReplayResult"] = field(default_factory=dict)

    @property
    def rollout(self) -> Rollout | None:
        """Return the rollout that is scored; None for a recording without speeds."""
        return self.rollouts.get(self.limit_m)

    def figures(self) -> ReplayFigures:
        steers = np.isfinite(self.steering)
        recorded, steering = np.array(self.reference.steering)[steers], self.steering[steers]
        r, mean_r = (
            None if (r := correlation(curve, steering)) is None else round(r, 4)
            for curve in (recorded, self.reference.smoothed_steering[steers])
        )
        score = (
            asdict(self.rollout.score) if self.rollout else dict.fromkeys(names_of(RolloutScore))
        )
        return ReplayFigures(
            **score,
            unit=self.reference.unit,
            limit_m=self.limit_m,
            by_limit={f"{limit:g}": rollout.score for limit, rollout in self.rollouts.items()},
            rows=len(self.reference),
            frames=self.frames,
            seconds=round(self.reference.total_seconds, 2),
            distance_m=round(self.rollout.distance_m if self.rollout else 0.0, 1),
            steering_correlation=r,
            steering_correlation_smoothed=mean_r,
            steering_mae=round(float(np.abs(recorded - steering).mean()), 4)
            if steers.any()
            else None,
            controls={name: control.figures() for name, control in self.controls.items()},
        )


def replay_controls(reference: RecordedDrive, settings: ReplaySettings) -> dict[str, ReplayResult]:
    """Return the results of drivers to compare with: the recorded steering, none, and its mean."""
    recorded = np.array(reference.steering)
    steerings, results = (
        (recorded, np.zeros_like(recorded), np.full_like(recorded, recorded.mean())),
        {},
    )
    for name, steering in zip(CONTROLS, steerings, strict=True):
        rollouts = rollouts_of(reference, settings.all_limits_m)
        for rollout in rollouts.values():
            rollout.advance_by(steering.tolist())
        results[name] = ReplayResult(
            reference, rollouts, settings.limit_m, steering, len(reference)
        )
    return results


@dataclass(frozen=True)
class Replayed:
    """All results of a replay, of one recording.

    results: name of a model or a server -> its result; client: what the simulator's side of a
    served replay reports.
    """

    results: Mapping[str, ReplayResult]
    client: DriveReport | None = None

    @property
    def first(self) -> ReplayResult:
        return next(iter(self.results.values()))

    def figures(self) -> dict[str, Any]:
        """Return the figures of a single driver, or of several by their names under "models", as
        JSON values.
        """
        values = {name: result.figures().figures() for name, result in self.results.items()}
        figures = next(iter(values.values())) if len(values) == 1 else {"models": values}
        figures |= (
            {"estimates": dict(estimates)} if (estimates := self.first.reference.estimates) else {}
        )
        return figures | (self.client.as_json() if self.client else {})

    @property
    def notices(self) -> list[str]:
        result, notices = self.first, []
        if result.rollout and all(paths.keys() <= {"center"} for paths in result.reference.images):
            notices.append(
                "there are no images of the side cameras; views are made from the centre camera alone"
            )
        if lacking := len(result.reference) - result.frames:
            outcome = (
                "the steering before them is held" if result.rollout else "they are not compared"
            )
            notices.append(f"{lacking} rows have no readable centre image; {outcome}")
        return notices

    def table(self) -> Table:
        """Return a row for each driver and each control, without the score for a recording without
        speeds.
        """
        drivers = {name: its.figures() for name, its in self.results.items()}
        first = next(iter(drivers.values()))
        drivers |= {CONTROLS[name]: control for name, control in first.controls.items()}
        distance, unit = ("a km", "m") if first.unit == "m" else ("a 1000", "h")
        columns = [TableColumn("driver", heading="")]
        if self.first.rollout:
            columns += [
                TableColumn("autonomy_percent", "{:.1f} %".format, "autonomy"),
                TableColumn("interventions_per_km", "{:.1f}".format, distance),
                TableColumn("rms_cross_track_m", "{:.2f}".format, "rms"),
                *(TableColumn(limit, heading=f"{limit} {unit}") for limit in first.by_limit),
            ]
        compared = {
            "steering_correlation": "r",
            "steering_correlation_smoothed": "mean r",
            "steering_mae": "off by",
        }
        columns += [TableColumn(key, "{:.2f}".format, heading) for key, heading in compared.items()]
        rows = []
        for name, its in drivers.items():
            values = {
                **vars(its),
                **{limit: of.interventions for limit, of in its.by_limit.items()},
                "driver": name,
            }
            rows.append([values[column.key] for column in columns])
        return Table(columns, rows)

    def explanations(self) -> list[str]:
        first, notes = self.first.figures(), self.first.reference.notes
        if not self.first.rollout:
            return [f"{first.rows} rows, {first.seconds:.0f} s of driving", *notes, _STEERED]
        return [
            f"{first.rows} rows, {first.driven} in {first.seconds:.0f} s; the car is set back at "
            f"a deviation of {first.limit_m:g} {first.unit}",
            *notes,
            _DRIVEN.format(unit=first.unit),
            _STEERED,
        ]

    def as_text(self) -> str:
        lines = [*self.explanations(), "", str(self.table())]
        lines += [self.client.summary()] if self.client else []
        return "\n".join(lines)
