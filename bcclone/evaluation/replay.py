"""Models and a recording -> how well each model drives along the recording.

A simulated car drives along the recorded path. A model sees what the camera would have seen from
the car's place, and steers. Where the car deviates by more than a limit, it is set back onto the
path (an intervention). All models drive in one pass over the recording, for all limits at once.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.camera.framing import check_framed
from bcclone.camera.images import Image, try_frame
from bcclone.dataset.answer import Answer
from bcclone.evaluation.estimated_drive import read_drive
from bcclone.evaluation.evaluate_settings import ReplaySettings
from bcclone.evaluation.rollout import (
    RecordedDrive,
    RelativePose,
    Rollout,
    RolloutScore,
    rollouts_of,
)
from bcclone.evaluation.views import RowFrames, Views, read_row
from bcclone.evaluation.worker_model import not_finite
from bcclone.model.policy import Policy, load_policy
from bcclone.recording.files import find_log
from bcclone.system.errors import Table, TableColumn, UserError
from bcclone.system.numbers import FloatArray, Memory, correlation
from bcclone.system.pool import read_ahead
from bcclone.system.values import names_of, to_json

# drivers that need no model, to compare models with: key in JSON -> name in a table
CONTROLS = {
    "human": "the human",
    "zero": "no steering",
    "mean": "mean steering",
}


def replay(
    models: Sequence[Path | str], recording: Path | str, settings: ReplaySettings | None = None
) -> "Replayed":
    """Score model files on a recording; raises UserError.

    recording: folder or log of the recording
    """
    if not models:
        raise UserError(
            f"only {recording} is given, expected models and, last, a recording: "
            "bcclone replay MODEL RECORDING"
        )
    settings = settings or ReplaySettings()
    log = find_log(str(recording))
    alone = len(models) == 1
    policies = {str(path): load_policy(path, settings.preprocess, alone) for path in models}
    of_frames = {}
    for name, policy in policies.items():
        check_framed(log, name, policy.framing)
        of_frames[name] = policy.without_framing()  # the recording has frames
    return Replayed(replay_policies(of_frames, log, settings))


def replay_policies(
    policies: Mapping[str, Policy],
    recording: Path,
    settings: ReplaySettings | None = None,
    shows_progress: bool = True,
) -> dict[str, "ReplayResult"]:
    """Score policies on a recording; return the result of each policy by its name.

    Raises UserError for an unusable recording, and for a policy whose steering is not finite.

    policies: name -> policy
    recording: folder or log of the recording
    shows_progress: True to draw a progress bar on standard error
    """
    settings = settings or ReplaySettings()
    reference = read_drive(find_log(str(recording)), settings.fraction)
    drivers = {
        name: _Driver(name, policy, reference, settings) for name, policy in policies.items()
    }
    readable = 0
    with read_ahead("replaying", "rows", read_row, reference.images, shows_progress) as rows:
        for frames in rows:
            readable += frames.centre is not None
            for driver in drivers.values():
                driver.drive_row(frames)
    if not readable:
        # the reason continues the sentence: " is missing" or ": reason"
        _, reason = try_frame(reference.images[0].get("center"))
        raise UserError(
            f"{recording}: no row has a centre image that can be read; the first{reason}; if its "
            "images were lost, copy them again"
        )
    controls = replay_controls(reference, settings)
    results = {}
    for name, driver in drivers.items():
        steering = np.array(driver.steering)
        rows_with_frame = int(np.isfinite(steering).sum())
        results[name] = ReplayResult(
            reference, driver.rollouts, settings.limit_m, steering, rows_with_frame, controls
        )
    return results


class _Driver:
    """A policy that drives one rollout per limit, and also steers on the recording's own frames.

    A rollout is a simulated car's drive along the recorded path. The lists of the present steering
    and of the memories have an entry for each rollout; their last entry is for the recording's own
    frames.
    """

    def __init__(
        self, name: str, policy: Policy, reference: RecordedDrive, settings: ReplaySettings
    ) -> None:
        self._name = name
        self._policy = policy
        self._reference = reference
        self._views = Views(policy.preprocessing, reference.in_heights, reference.pitch_rad)
        self.rollouts = rollouts_of(reference, settings.all_limits_m)
        # the steering on the recording's own frames, row by row; NaN for a row without a frame, at
        # which the cars of the rollouts keep their last steering
        self.steering: list[float] = []
        drives = len(self.rollouts) + 1
        self._memories: list[Memory] = [()] * drives
        self._steering_now = [reference.steering[0]] * drives

    def drive_row(self, frames: RowFrames) -> None:
        """Steer all cars by the frames of a row, and drive them to the next row.

        Raises UserError if a steering is not finite.
        """
        if frames.centre is None:
            self.steering.append(math.nan)
        else:
            self._steer(frames, self._views.prepare(frames.centre))
            self.steering.append(self._steering_now[-1])
        if not all(map(math.isfinite, self._steering_now)):
            raise not_finite(self._name, f"at row {len(self.steering)}")

        # a car that was set back jumped: the frames before do not belong to its drive. The last
        # memory belongs to the recorded car, which jumps only at the end of an episode
        for index, rollout in enumerate(self.rollouts.values()):
            rollout.advance(self._steering_now[index])
            if rollout.fresh:
                self._memories[index] = ()
        if self._reference.ends[len(self.steering) - 1]:
            self._memories[-1] = ()

    def _steer(self, frames: RowFrames, centre: Image) -> None:
        """Ask the policy for the steering of all rollouts and of the recording's own frame.

        Cars that see the same image with the same memory share an answer, which saves time: cars
        of different limits drive the same way until the first one is set back.

        centre: the network's input from the recording's own centre frame
        """
        poses = [rollout.pose for rollout in self.rollouts.values()]
        poses.append(RelativePose())
        images = {RelativePose(): centre}
        for pose in poses:
            if pose not in images:
                images[pose] = self._views.view(frames, pose, centre)

        answers: dict[tuple[int, ...], tuple[Answer, Memory]] = {}
        memories_after = list(self._memories)
        for index, (pose, memory) in enumerate(zip(poses, self._memories, strict=True)):
            image = images[pose]
            # compared by identity: shared answers give the cars the same memory objects
            key = (id(image), *map(id, memory))
            if key not in answers:
                answers[key] = self._policy.next_answer(image, memory)
            answer, memories_after[index] = answers[key]
            self._steering_now[index] = answer.steering
        self._memories = memories_after


# ---- results


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
    steering: FloatArray  # on the recording's own frames, (rows,); NaN where a row has none
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

    results: Mapping[str, ReplayResult]  # path of the model -> result

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
        return "\n".join([*self.explanations(), "", str(self.table())])
