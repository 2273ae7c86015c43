"""Models and a recording -> how well each model drives along the recording.

A simulated car drives along the recorded path. A model sees what the camera would have seen from
the car's place, and steers. Where the car deviates by more than a limit, it is set back onto the
path (an intervention). All models drive in one pass over the recording, for all limits at once.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.camera.framing import check_framed
from bcclone.camera.images import Image, size_remedy, try_frame
from bcclone.dataset.answer import Answer
from bcclone.evaluation.estimated_drive import read_drive
from bcclone.evaluation.evaluate_settings import ReplaySettings
from bcclone.evaluation.rollout import RecordedDrive, RelativePose, Rollout, rollouts_of
from bcclone.evaluation.views import RowFrames, Views, read_row
from bcclone.model.policy import Policy, load_policy, not_finite
from bcclone.recording.files import find_log
from bcclone.system.errors import Table, TableColumn, UserError
from bcclone.system.numbers import FloatArray, Memory, correlation
from bcclone.system.pool import read_ahead

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
    of_frames = {}
    for path in map(str, models):
        policy = load_policy(path, settings.preprocess, alone)
        check_framed(log, path, policy.framing)
        of_frames[path] = policy.without_framing()  # the recording has frames
    return replay_policies(of_frames, log, settings)


def replay_policies(
    policies: Mapping[str, Policy], recording: Path, settings: ReplaySettings | None = None
) -> "Replayed":
    """Score policies on a recording.

    Raises UserError for an unusable recording, and for a policy whose steering is not finite.

    policies: name -> policy
    recording: folder or log of the recording
    """
    settings = settings or ReplaySettings()
    reference = read_drive(find_log(str(recording)), settings.fraction)
    drivers = [_Driver(name, policy, reference, settings) for name, policy in policies.items()]
    readable = 0
    with read_ahead("replaying", "rows", read_row, reference.images) as rows:
        for frames in rows:
            readable += frames.centre is not None
            for driver in drivers:
                driver.drive_row(frames)
    if not readable:
        # the reason continues the sentence: " is missing" or ": reason"
        _, reason = try_frame(reference.images[0].get("center"))
        raise UserError(
            f"{recording}: no row has a centre image that can be read; the first{reason}; copy its "
            f"images again, or {size_remedy(recording)}"
        )
    results = {driver.name: driver.result for driver in drivers}
    return Replayed(reference, settings.limit_m, results, controls_of(reference, settings))


def controls_of(reference: RecordedDrive, settings: ReplaySettings) -> "dict[str, ReplayResult]":
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
        results[name] = ReplayResult(rollouts, settings.limit_m, steering, len(reference))
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
        self.name = name
        self._policy = policy
        self._reference = reference
        self._limit_m = settings.limit_m
        self._views = Views(policy.preprocessing, reference.in_heights, reference.pitch_rad)
        self._rollouts = rollouts_of(reference, settings.all_limits_m)
        # the steering on the recording's own frames, row by row; NaN for a row without a frame, at
        # which the cars of the rollouts keep their last steering
        self._steering: list[float] = []
        drives = len(self._rollouts) + 1
        self._memories: list[Memory] = [()] * drives
        self._steering_now = [reference.steering[0]] * drives

    @property
    def result(self) -> "ReplayResult":
        steering = np.array(self._steering)
        return ReplayResult(
            self._rollouts, self._limit_m, steering, int(np.isfinite(steering).sum())
        )

    def drive_row(self, frames: RowFrames) -> None:
        """Steer all cars by the frames of a row, and drive them to the next row.

        Raises UserError if a steering is not finite.
        """
        if frames.centre is None:
            self._steering.append(math.nan)
        else:
            self._steer(frames, self._views.prepare(frames.centre))
            self._steering.append(self._steering_now[-1])
        if not all(map(math.isfinite, self._steering_now)):
            raise not_finite(self.name, f"at row {len(self._steering)}")

        # a car that was set back jumped: the frames before do not belong to its drive. The last
        # memory belongs to the recorded car, which jumps only at the end of an episode
        for index, rollout in enumerate(self._rollouts.values()):
            rollout.advance(self._steering_now[index])
            if rollout.fresh:
                self._memories[index] = ()
        if self._reference.ends[len(self._steering) - 1]:
            self._memories[-1] = ()

    def _steer(self, frames: RowFrames, centre: Image) -> None:
        """Ask the policy for the steering of all rollouts and of the recording's own frame.

        Cars that see the same image with the same memory share an answer, which saves time: cars
        of different limits drive the same way until the first one is set back.

        centre: the network's input from the recording's own centre frame
        """
        poses = [rollout.pose for rollout in self._rollouts.values()]
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
class ReplayResult:
    """The rollouts of one driver, and its steering on the recording's own frames."""

    rollouts: Mapping[float, Rollout]  # limit -> rollout; empty where the speed is unknown
    limit_m: float  # limit of the rollout that is scored
    steering: FloatArray  # on the recording's own frames, (rows,); NaN where a row has none
    frames: int  # rows with a centre image

    @property
    def rollout(self) -> Rollout | None:
        """Return the rollout that is scored; None for a recording without speeds."""
        return self.rollouts.get(self.limit_m)


_SCORES = ("autonomy_percent", "interventions", "interventions_per_km", "rms_cross_track_m")


@dataclass(frozen=True)
class Replayed:
    """All results of a replay, of one recording."""

    reference: RecordedDrive
    limit_m: float
    results: Mapping[str, ReplayResult]  # path of the model -> result
    controls: Mapping[str, ReplayResult] = field(default_factory=dict)  # by the keys of CONTROLS

    @cached_property
    def by_driver(self) -> dict[str, dict[str, Any]]:
        """Return the figures of each model, and then of each control, by its name in a table."""
        drivers = {**self.results}
        drivers |= {CONTROLS[name]: control for name, control in self.controls.items()}
        return {name: self._figures_of(result) for name, result in drivers.items()}

    @property
    def has_scores(self) -> bool:
        """Return whether cars could be driven: not for a recording without speeds."""
        return self.reference.distance_m > 0

    def _figures_of(self, result: ReplayResult) -> dict[str, Any]:
        """Return the figures of a driver, rounded; lengths are in the recording's unit.

        The score is that of the rollout with limit_m (see Rollout.score). For a recording whose
        speed is unknown its figures are None, and by_limit is empty. Figures of the steering
        compare it, on the recording's own frames, with the recorded steering; they are None where
        they are not defined, such as a correlation with a constant.
        """
        reference = self.reference
        score: dict[str, Any] = dict.fromkeys(_SCORES)
        distance_m = 0.0
        if result.rollout:
            score = result.rollout.score
            distance_m = result.rollout.distance_m

        # the rows for which the driver's steering is known
        known = np.isfinite(result.steering)
        steering = result.steering[known]
        recorded = np.array(reference.steering)[known]
        mae = round(float(np.abs(recorded - steering).mean()), 4) if known.any() else None
        return {
            "unit": reference.unit,
            **score,
            "limit_m": result.limit_m,
            "by_limit": {f"{limit:g}": each.score for limit, each in result.rollouts.items()},
            "rows": len(reference),
            "frames": result.frames,
            "seconds": round(reference.total_seconds, 2),
            "distance_m": round(distance_m, 1),
            "steering_correlation": _rounded_correlation(recorded, steering),
            "steering_correlation_smoothed": _rounded_correlation(
                reference.smoothed_steering[known], steering
            ),
            "steering_mae": mae,
        }

    def figures(self) -> dict[str, Any]:
        """Return the figures as JSON values; several models stand in "models".

        Where the unit is not the metre, the keys name it.
        """
        controls = {name: self.by_driver[CONTROLS[name]] for name in self.controls}
        models = {name: self.by_driver[name] | {"controls": controls} for name in self.results}
        figures: dict[str, Any] = {"models": models}
        if len(models) == 1:
            (figures,) = models.values()
        if self.reference.in_heights:
            figures = _with_unit(figures, self.reference.unit.replace(" ", "_"))
        if self.reference.estimates:
            figures["estimates"] = dict(self.reference.estimates)
        return figures

    @property
    def best(self) -> str:
        """Return the model with most autonomy, of equal ones that nearest to the recorded path; ""
        without scores.
        """
        if not self.has_scores:
            return ""

        def rank(model: str) -> tuple[float, float]:
            figures = self.by_driver[model]
            return -figures["autonomy_percent"], figures["rms_cross_track_m"]

        return min(self.results, key=rank)

    @property
    def notices(self) -> list[str]:
        notices = []
        if self.has_scores and all(paths.keys() <= {"center"} for paths in self.reference.images):
            notices.append(
                "there are no images of the side cameras; "
                "views are made from the centre camera alone"
            )
        first = next(iter(self.results.values()))
        lacking = len(self.reference) - first.frames
        if lacking:
            outcome = "they are not compared"
            if self.has_scores:
                outcome = "the steering before them is held"
            notices.append(f"{lacking} rows have no readable centre image; {outcome}")
        return notices

    def table(self) -> Table:
        """Return a table with a row for each driver and control; without speeds it has no score."""
        # the columns of the score, in metres or in camera heights (h)
        columns = [TableColumn("driver", heading="")]
        if self.has_scores:
            per_distance, unit = ("a 1000", "h") if self.reference.in_heights else ("a km", "m")
            columns += [
                TableColumn("autonomy_percent", "{:.1f} %".format, "autonomy"),
                TableColumn("interventions_per_km", "{:.1f}".format, per_distance),
                TableColumn("rms_cross_track_m", "{:.2f}".format, "rms"),
            ]
            first = next(iter(self.by_driver.values()))
            columns += [
                TableColumn(limit, heading=f"{limit} {unit}") for limit in first["by_limit"]
            ]

        # the columns of the steering
        columns += [
            TableColumn("steering_correlation", "{:.2f}".format, "r"),
            TableColumn("steering_correlation_smoothed", "{:.2f}".format, "mean r"),
            TableColumn("steering_mae", "{:.2f}".format, "off by"),
        ]
        rows = []
        for name, figures in self.by_driver.items():
            counts = {limit: score["interventions"] for limit, score in figures["by_limit"].items()}
            values = {"driver": name, **figures, **counts}
            rows.append([values[column.key] for column in columns])
        return Table(columns, rows)

    def explanations(self) -> list[str]:
        reference = self.reference
        steered = (
            "r: correlation of the steering on the recorded frames with the recorded steering; "
            "mean r: with its mean over 9 rows; off by: mean absolute difference"
        )
        seconds = f"{reference.total_seconds:.0f} s"
        if not self.has_scores:
            return [f"{len(reference)} rows, {seconds} of driving", *reference.notes, steered]
        driven = f"{reference.distance_m / 1000:.2f} km"
        if reference.in_heights:
            driven = f"{reference.distance_m:,.0f} {reference.unit}"
        return [
            f"{len(reference)} rows, {driven} in {seconds}; the car is set back at "
            f"a deviation of {self.limit_m:g} {reference.unit}",
            *reference.notes,
            "autonomy: share of the time, 6 s less for each intervention; "
            f"rms: of the deviation, {reference.unit}; interventions by limit",
            steered,
        ]

    def as_text(self) -> str:
        return "\n".join([*self.explanations(), "", str(self.table())])


def _rounded_correlation(recorded: FloatArray, steering: FloatArray) -> float | None:
    r = correlation(recorded, steering)
    return None if r is None else round(r, 4)


def _with_unit(figures: Any, unit: str) -> Any:
    """Return JSON values whose keys name this unit instead of metres."""
    if not isinstance(figures, dict):
        return figures
    renamed = {}
    for key, value in figures.items():
        if key == "interventions_per_km":
            key = f"interventions_per_1000_{unit}"
        elif key.endswith("_m"):
            key = f"{key.removesuffix('m')}{unit}"
        renamed[key] = _with_unit(value, unit)
    return renamed
