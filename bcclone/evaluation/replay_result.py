"""The results of a replay: each driver's rollouts -> figures, as JSON values and as a table."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bcclone.evaluation.evaluate_settings import ReplaySettings
from bcclone.evaluation.rollout import RecordedDrive, Rollout, RolloutScore, rollouts_of
from bcclone.simulator.unity_client import DriveReport
from bcclone.system.errors import Table, TableColumn
from bcclone.system.numbers import FloatArray, correlation
from bcclone.system.values import names_of, to_json

# drivers that need no model, to compare models with: key in JSON -> name in a table
CONTROLS = {
    "human": "the human",
    "zero": "no steering",
    "mean": "mean steering",
}


@dataclass(frozen=True)
class ReplayFigures:
    """The figures of a driver, rounded.

    The score has the figures of the rollout with limit_m (see RolloutScore). For a recording whose
    speed is unknown they are None, and by_limit is empty.
    """

    unit: str  # of all lengths here: "m", or "camera heights" where the speed is estimated
    # the score
    autonomy_percent: float | None
    interventions: int | None
    interventions_per_km: float | None
    rms_cross_track_m: float | None
    limit_m: float
    by_limit: Mapping[str, RolloutScore]  # limit, such as "1.5" -> score of its rollout
    # the recording
    rows: int
    frames: int  # rows with a centre image
    seconds: float
    distance_m: float
    # the driver's steering on the recording's own frames against the recorded steering; None where
    # the figure is not defined, such as a correlation with a constant
    steering_correlation: float | None  # Pearson's
    steering_correlation_smoothed: float | None  # Pearson's, with the smoothed recorded steering
    steering_mae: float | None  # mean absolute difference
    controls: Mapping[str, "ReplayFigures"] = field(default_factory=dict)  # by the keys of CONTROLS

    @property
    def driven(self) -> str:
        if self.unit == "m":
            return f"{self.distance_m / 1000:.2f} km"
        return f"{self.distance_m:,.0f} {self.unit}"

    @property
    def rank(self) -> tuple[float, ...] | None:
        """Return a sort key: the best driver has the smallest one; None without a score.

        More autonomy is better; of equal ones the driver nearer to the reference drive.
        """
        if self.autonomy_percent is None or self.rms_cross_track_m is None:
            return None
        return -self.autonomy_percent, self.rms_cross_track_m

    @property
    def cell(self) -> str:
        """The figures as a cell of a suite's table, in columns of fixed widths."""
        if self.autonomy_percent is None:
            return f"{'-':>8}{'-':>5}{'-':>6}"
        return f"{self.autonomy_percent:6.1f} %{self.interventions:5d}{self.rms_cross_track_m:6.2f}"

    def figures(self) -> dict[str, Any]:
        """Return the figures as JSON values; where the unit is not the metre, the keys name it."""
        unit = self.unit.replace(" ", "_")
        figures: dict[str, Any] = _with_unit(to_json(self), unit)
        return figures


def _with_unit(figures: Any, unit: str) -> Any:
    """Return JSON values whose keys name this unit instead of metres; drop empty controls."""
    if not isinstance(figures, dict):
        return figures
    return {
        _key_with_unit(key, unit): _with_unit(value, unit)
        for key, value in figures.items()
        if value or key != "controls"
    }


def _key_with_unit(key: str, unit: str) -> str:
    if unit == "m":
        return key
    if key == "interventions_per_km":
        return f"interventions_per_1000_{unit}"
    return f"{key.removesuffix('m')}{unit}" if key.endswith("_m") else key


@dataclass(frozen=True)
class ReplayResult:
    """The rollouts of one driver."""

    reference: RecordedDrive
    rollouts: Mapping[float, Rollout]  # limit -> rollout; empty where the speed is unknown
    limit_m: float  # limit of the rollout that is scored
    # on the recording's own frames, (rows,); NaN where a row has no frame, or the driver's steering
    # on it is unknown
    steering: FloatArray
    frames: int  # rows with a centre image
    controls: Mapping[str, "ReplayResult"] = field(default_factory=dict)  # by the keys of CONTROLS

    @property
    def rollout(self) -> Rollout | None:
        """Return the rollout that is scored; None for a recording without speeds."""
        return self.rollouts.get(self.limit_m)

    def figures(self) -> ReplayFigures:
        # compare the steering, in the rows for which the driver's is known
        known = np.isfinite(self.steering)
        steering = self.steering[known]
        recorded = np.array(self.reference.steering)[known]
        smoothed = self.reference.smoothed_steering[known]
        mae = None
        if known.any():
            mae = round(float(np.abs(recorded - steering).mean()), 4)

        # the score, if the car could be driven
        score = dict.fromkeys(names_of(RolloutScore))
        distance_m = 0.0
        if self.rollout:
            score = asdict(self.rollout.score)
            distance_m = self.rollout.distance_m
        return ReplayFigures(
            **score,
            unit=self.reference.unit,
            limit_m=self.limit_m,
            by_limit={f"{limit:g}": rollout.score for limit, rollout in self.rollouts.items()},
            rows=len(self.reference),
            frames=self.frames,
            seconds=round(self.reference.total_seconds, 2),
            distance_m=round(distance_m, 1),
            steering_correlation=_rounded_correlation(recorded, steering),
            steering_correlation_smoothed=_rounded_correlation(smoothed, steering),
            steering_mae=mae,
            controls={name: control.figures() for name, control in self.controls.items()},
        )


def _rounded_correlation(recorded: FloatArray, steering: FloatArray) -> float | None:
    r = correlation(recorded, steering)
    return None if r is None else round(r, 4)


def replay_controls(reference: RecordedDrive, settings: ReplaySettings) -> dict[str, ReplayResult]:
    """Return key of CONTROLS -> its result: the recorded steering, no steering, and the mean."""
    recorded = np.array(reference.steering)
    steering_by_control = {
        "human": recorded,
        "zero": np.zeros_like(recorded),
        "mean": np.full_like(recorded, recorded.mean()),
    }
    results = {}
    for name, steering in steering_by_control.items():
        rollouts = rollouts_of(reference, settings.all_limits_m)
        for rollout in rollouts.values():
            rollout.advance_by(steering.tolist())
        results[name] = ReplayResult(
            reference, rollouts, settings.limit_m, steering, len(reference)
        )
    return results


@dataclass(frozen=True)
class Replayed:
    """All results of a replay, of one recording."""

    results: Mapping[str, ReplayResult]  # path of the model, or address of the server -> result
    client: DriveReport | None = None  # what the simulator's side of a served replay reports

    @property
    def first(self) -> ReplayResult:
        return next(iter(self.results.values()))

    def figures(self) -> dict[str, Any]:
        """Return the figures as JSON values; several drivers stand in "models"."""
        by_name = {name: result.figures().figures() for name, result in self.results.items()}
        if len(by_name) == 1:
            (figures,) = by_name.values()
        else:
            figures = {"models": by_name}
        estimates = self.first.reference.estimates
        if estimates:
            figures["estimates"] = dict(estimates)
        if self.client:
            figures |= self.client.as_json()
        return figures

    @property
    def notices(self) -> list[str]:
        first = self.first
        notices = []
        if first.rollout and all(paths.keys() <= {"center"} for paths in first.reference.images):
            notices.append(
                "there are no images of the side cameras; "
                "views are made from the centre camera alone"
            )
        lacking = len(first.reference) - first.frames
        if lacking:
            outcome = "they are not compared"
            if first.rollout:
                outcome = "the steering before them is held"
            notices.append(f"{lacking} rows have no readable centre image; {outcome}")
        return notices

    def table(self) -> Table:
        """Return a table with a row for each driver and control; without speeds it has no score."""
        drivers = {name: result.figures() for name, result in self.results.items()}
        first = self.first.figures()
        for name, control in first.controls.items():
            drivers[CONTROLS[name]] = control

        # the columns of the score, in metres or in camera heights (h)
        columns = [TableColumn("driver", heading="")]
        if self.first.rollout:
            per_distance = "a km" if first.unit == "m" else "a 1000"
            unit = "m" if first.unit == "m" else "h"
            columns += [
                TableColumn("autonomy_percent", "{:.1f} %".format, "autonomy"),
                TableColumn("interventions_per_km", "{:.1f}".format, per_distance),
                TableColumn("rms_cross_track_m", "{:.2f}".format, "rms"),
            ]
            for limit in first.by_limit:
                columns.append(TableColumn(limit, heading=f"{limit} {unit}"))

        # the columns of the steering
        columns += [
            TableColumn("steering_correlation", "{:.2f}".format, "r"),
            TableColumn("steering_correlation_smoothed", "{:.2f}".format, "mean r"),
            TableColumn("steering_mae", "{:.2f}".format, "off by"),
        ]

        rows = []
        for name, figures in drivers.items():
            values = dict(vars(figures))
            for limit, score in figures.by_limit.items():
                values[limit] = score.interventions
            values["driver"] = name
            rows.append([values[column.key] for column in columns])
        return Table(columns, rows)

    def explanations(self) -> list[str]:
        first = self.first.figures()
        notes = self.first.reference.notes
        steered = (
            "r: correlation of the steering on the recorded frames with the recorded steering; "
            "mean r: with its mean over 9 rows; off by: mean absolute difference"
        )
        if not self.first.rollout:
            return [f"{first.rows} rows, {first.seconds:.0f} s of driving", *notes, steered]
        return [
            f"{first.rows} rows, {first.driven} in {first.seconds:.0f} s; the car is set back at "
            f"a deviation of {first.limit_m:g} {first.unit}",
            *notes,
            "autonomy: share of the time, 6 s less for each intervention; "
            f"rms: of the deviation, {first.unit}; interventions by limit",
            steered,
        ]

    def as_text(self) -> str:
        lines = [*self.explanations(), "", str(self.table())]
        if self.client:
            lines.append(self.client.summary())
        return "\n".join(lines)
