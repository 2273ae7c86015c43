"""Models and a recording -> how well each model drives along the recording.

A simulated car drives along the recorded path. A model sees what the camera would have seen from
the car's place, and steers. Where the car deviates by more than a limit, it is set back onto the
path (an intervention). All models drive in one pass over the recording, for all limits at once.
Whether the recorded steering is right is told by the turns of the frames, never by a model.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bcclone.camera.framing import check_framed
from bcclone.camera.images import size_remedy, try_frame
from bcclone.camera.vehicle import MPH
from bcclone.dataset.answer import LEAST_CORRELATION, Answer
from bcclone.dataset.fingerprint import share_known
from bcclone.diagnosis.drive_rows import DriveRows
from bcclone.diagnosis.evidence import Evidence, recording_name
from bcclone.diagnosis.motion import RecordingFigures
from bcclone.evaluation.estimated_drive import read_drive
from bcclone.evaluation.recorded_drive import (
    RecordedDrive,
    RelativePose,
    Rollout,
    read_reference,
)
from bcclone.evaluation.settings import ReplaySettings
from bcclone.evaluation.views import RowFrames, Views, read_row
from bcclone.model.model_path import SHIPPED, comes_with_bcclone, is_shipped
from bcclone.model.policy import Memory, Policy, load_policy, not_finite
from bcclone.recording.edits import MIRROR, Edit
from bcclone.recording.files import find_log
from bcclone.recording.log import read_log
from bcclone.simulator.score import autonomy_text
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError, shown_command
from bcclone.system.prefetch import read_ahead
from bcclone.system.statistics import correlation
from bcclone.system.table import Table, TableColumn

_LIMITS_M = (1.0, 1.5, 2.0, 3.0)  # limits for which interventions are counted, too
_SMOOTHED_ROWS = 9  # 0.6 s, to compare with the mean of the recorded steering
# drivers to compare models with: key in JSON -> name in a table
CONTROLS = {
    "shipped": f"{SHIPPED}, shipped",
    "human": "the human",
    "zero": "no steering",
    "mean": "mean steering",
}


def replay(
    models: Sequence[Path | str],
    recording: Path | str,
    settings: ReplaySettings | None = None,
) -> "Replayed":
    """Score model files on a recording; raises UserError.

    recording: folder or log of the recording
    """
    return replay_beside(models, recording, settings, None)


def replay_beside(
    models: Sequence[Path | str],
    recording: Path | str,
    settings: ReplaySettings | None,
    shipped: Path | None,
) -> "Replayed":
    """Replay as replay() does, and compare the models with one that comes with bcclone.

    shipped: path of SHIPPED, which takes as long as a model more; None to leave it out
    """
    if not models:
        raise UserError(
            f"only {recording} is given, expected models and, last, a recording: "
            f"{shown_command('replay', 'MODEL', 'RECORDING')}"
        )
    settings = settings or ReplaySettings()
    log = find_log(str(recording))
    policies = {}
    for path in map(str, models):
        policy = load_policy(path, settings.preprocess, must_agree=len(models) == 1)
        check_framed(log, path, policy.framing)
        policies[path] = policy.without_framing()  # the recording has frames
    rows = _replayed_rows(log, settings.fraction)
    trained_shares = {
        path: _trained_share(Path(path), policy, rows) for path, policy in policies.items()
    }
    beside = None
    if shipped and not any(is_shipped(Path(path)) for path in policies):
        beside = load_policy(shipped)
    replayed = replay_policies(policies, log, settings, beside)
    return replace(replayed, trained_shares=trained_shares)


_LEAST_SHARE = 0.1  # a smaller one may come from rows of other drives that look alike


def _replayed_rows(log: Path, fraction: tuple[float, float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the replayed rows of a log with its edits, and the same ones without."""
    edited = read_log(log).rows
    first, last = (round(part * len(edited)) for part in fraction)
    edited = edited.iloc[first:last]
    recorded = read_log(log, edited=False).rows
    return edited, recorded[recorded["line"].isin(edited["line"])]


def _trained_share(model: Path, policy: Policy, versions: tuple[pd.DataFrame, ...]) -> float | None:
    """Return the share of the replayed rows that a model was trained on; None if not known.

    versions: the rows as the model may have seen them, since it may have been trained before the
        steering was edited, or after
    """
    training = policy.training
    known = training.recordings if training else None
    share = 0.0
    if known:
        shares = [
            share_known(
                known,
                rows["center"].tolist(),
                rows["speed_mph"],
                rows["throttle"],
                rows["steering"],
            )
            for rows in versions
        ]
        share = max(shares)
    if share >= _LEAST_SHARE:
        return round(share, 2)
    if training is None or training.has_unknown_recordings:
        return None
    return 0.0 if known is not None or comes_with_bcclone(model) else None


def replay_policies(
    policies: Mapping[str, Policy],
    recording: Path,
    settings: ReplaySettings | None = None,
    beside: Policy | None = None,
) -> "Replayed":
    """Score policies on a recording.

    Raises UserError for an unusable recording, also one whose steering is mirrored, and for a
    policy whose steering is not finite.

    policies: name -> policy
    recording: folder or log of the recording
    beside: the policy of SHIPPED, to compare them with
    """
    settings = settings or ReplaySettings()
    log = find_log(str(recording))
    reference = read_drive(log, settings.fraction)
    drivers = {
        name: _Driver(name, policy, reference, settings.limit_m)
        for name, policy in policies.items()
    }
    if beside:
        drivers[CONTROLS["shipped"]] = _Driver(SHIPPED, beside, reference, settings.limit_m)
    seen = RecordingFigures(len(reference))
    readable = 0
    with read_ahead("replaying", "rows", read_row, reference.images) as rows:
        for row, frames in enumerate(rows):
            readable += frames.centre is not None
            seen.add({"center": frames.centre})
            for driver in drivers.values():
                driver.drive_row(row, frames)
    if not readable:
        # the reason continues the sentence: " is missing" or ": reason"
        _, reason = try_frame(reference.images[0].get("center"))
        raise UserError(
            f"{recording}: no row has a centre image that can be read; the first{reason}; copy its "
            f"images again, or {size_remedy(recording)}"
        )
    evidence = _evidence_of(reference, seen)
    if evidence.turns_as_steered is None and settings.fraction != (0.0, 1.0):
        # a part may bend too little to tell it
        whole = read_reference(log)
        evidence = _evidence_of(whole, _look_at(whole))
    _refuse_mirrored(log, evidence)
    results = {name: drivers[name].driven for name in policies}
    controls = controls_of(reference, settings.limit_m)
    if beside:
        controls = {"shipped": drivers[CONTROLS["shipped"]].driven, **controls}
    return Replayed(reference, settings.limit_m, results, controls, evidence)


def _look_at(reference: RecordedDrive) -> RecordingFigures:
    """Read the centre frames of a drive."""
    seen = RecordingFigures(len(reference))
    paths = [images.get("center") for images in reference.images]
    with read_ahead("comparing steering and pictures", "rows", try_frame, paths) as frames:
        for frame, _ in frames:
            seen.add({"center": frame})
    return seen


def _evidence_of(reference: RecordedDrive, seen: RecordingFigures) -> Evidence:
    """Return what the rows and the centre frames of a drive show; pauses are made longer."""
    pause_seconds = 10.0
    seconds = np.where(reference.ends, pause_seconds, reference.seconds)
    has_speed = not reference.in_heights
    rows = pd.DataFrame(
        {
            "line": np.arange(len(reference)),
            "time_ms": np.round(1000 * np.cumsum(np.append(0.0, seconds[:-1]))).astype(np.int64),
            "steering": reference.steering,
            "throttle": 0.0,
            "speed_mph": reference.speed / MPH * has_speed,
        }
    )
    return Evidence(
        DriveRows.of(rows, rows[:0]),
        seen,
        lambda row: try_frame(reference.images[row].get("center"))[0],
    )


def _refuse_mirrored(log: Path, evidence: Evidence) -> None:
    """Raise UserError if the car surely turns to the other side than it is steered."""
    agreement = evidence.agreement
    if agreement and evidence.turns_as_steered is False:
        name = recording_name(log)
        raise UserError(
            f"{name}: the car turns to the other side than it is steered: the correlation is "
            f"{agreement.correlation:.2f}, and no model can be scored on it; mend it first: "
            f"{shown_command('edit', name, *Edit(MIRROR).options())}"
        )


@dataclass(frozen=True, eq=False)
class Driven:
    """The drives of one driver, and its steering on the recording's own frames."""

    rollouts: Mapping[float, Rollout]  # limit -> drive; empty where the speed is unknown
    steering: FloatArray  # on the recording's own frames, (rows,); NaN where a row has none


def controls_of(reference: RecordedDrive, limit_m: float) -> dict[str, Driven]:
    """Return key of CONTROLS -> its drives: with the recorded steering, none, and the mean."""
    recorded = reference.steering
    steering_by_control = {
        "human": recorded,
        "zero": np.zeros_like(recorded),
        "mean": np.full_like(recorded, recorded.mean()),
    }
    results = {}
    for name, steering in steering_by_control.items():
        rollouts = _rollouts_of(reference, limit_m)
        for rollout in rollouts.values():
            rollout.drive(steering.tolist())
        results[name] = Driven(rollouts, steering)
    return results


def _rollouts_of(reference: RecordedDrive, limit_m: float) -> dict[float, Rollout]:
    """Return limit -> a rollout that has not begun; none along a drive of no distance."""
    if not reference.distance_m:
        return {}
    return {limit: Rollout(reference, limit) for limit in _limits(limit_m)}


def _limits(limit_m: float) -> list[float]:
    """Return the limit of the score and the others, in ascending order."""
    return sorted({limit_m, *_LIMITS_M})


class _Driver:
    """A policy that steers a car for each limit, and also on the recording's own frames."""

    def __init__(self, name: str, policy: Policy, reference: RecordedDrive, limit_m: float) -> None:
        self._name = name
        self._policy = policy
        self._reference = reference
        self._views = Views(policy.preprocessing, reference.in_heights, reference.pitch_rad)
        self.driven = Driven(_rollouts_of(reference, limit_m), np.full(len(reference), np.nan))
        # what the policy remembers of the recording's own frames, since the row where they began
        self._memory: Memory = ()
        self._began = 0

    def drive_row(self, row: int, frames: RowFrames) -> None:
        """Steer all cars by the frames of a row, and drive them to the next row.

        Without a centre frame, the cars keep their last steering. Raises UserError if a steering is
        not finite.
        """
        rollouts = self.driven.rollouts.values()
        if frames.centre is not None:
            centre = self._views.prepare(frames.centre)
            # Cars that began at the same row and are at the same place have seen the same frames,
            # so they share an answer, which saves time: cars of different limits drive the same way
            # until the first one is set back.
            answers: dict[tuple[int, RelativePose], tuple[Answer, Memory]] = {}

            def ask(began: int, pose: RelativePose, memory: Memory) -> tuple[float, Memory]:
                if (began, pose) not in answers:
                    image = self._views.view(frames, pose, centre)
                    answers[began, pose] = self._policy.next_answer(image, memory)
                answer, after = answers[began, pose]
                if not math.isfinite(answer.steering):
                    raise not_finite(self._name, f"at row {row + 1}")
                return answer.steering, after

            steering, self._memory = ask(self._began, RelativePose(), self._memory)
            self.driven.steering[row] = steering
            for rollout in rollouts:
                rollout.steering, rollout.memory = ask(rollout.began, rollout.pose, rollout.memory)
        for rollout in rollouts:
            rollout.advance()
        if self._reference.ends[row]:
            self._memory = ()
            self._began = row + 1


# ---- results

_SCORES = ("autonomy_percent", "interventions", "interventions_per_km", "rms_cross_track_m")


@dataclass(frozen=True)
class Replayed:
    """All results of a replay, of one recording."""

    reference: RecordedDrive
    limit_m: float  # limit of the drives that are scored
    results: Mapping[str, Driven]  # path of the model -> its drives
    controls: Mapping[str, Driven] = field(default_factory=dict)  # by the keys of CONTROLS
    evidence: Evidence | None = None  # whether the recorded steering is right
    # path of the model -> share of the rows that it was trained on; None where that is not known
    trained_shares: Mapping[str, float | None] = field(default_factory=dict)

    @cached_property
    def by_driver(self) -> dict[str, dict[str, Any]]:
        """Return the figures of each model, and then of each control, by its name in a table."""
        drivers = {**self.results}
        drivers |= {CONTROLS[name]: control for name, control in self.controls.items()}
        return {name: self._figures_of(driven) for name, driven in drivers.items()}

    @property
    def best(self) -> str:
        """Return the model that was set back least often, then came nearest to the path; without
        scores, that whose steering goes with the recorded one most.
        """

        def rank(model: str) -> tuple[float, ...]:
            figures = self.by_driver[model]
            if self.has_scores:
                return figures["interventions"], figures["rms_cross_track_m"]
            r = figures["steering_correlation"]
            return (math.inf if r is None else -r,)

        return min(self.results, key=rank)

    @property
    def has_scores(self) -> bool:
        """Return whether cars could be driven: not for a recording without speeds."""
        return self.reference.distance_m > 0

    def _figures_of(self, driven: Driven) -> dict[str, Any]:
        """Return the figures of a driver, rounded; lengths are in the recording's unit.

        For a recording whose speed is unknown those of the score are None, and by_limit is empty.
        Figures of the steering compare it, on the recording's own frames, with the recorded
        steering; they are None where they are not defined, such as a correlation with a constant.
        """
        reference = self.reference
        scores = {f"{limit:g}": drive.score for limit, drive in driven.rollouts.items()}
        known = np.isfinite(driven.steering)
        steering = driven.steering[known]
        recorded = reference.steering[known]
        # a running mean smooths the steps of steering by keyboard
        rows = pd.Series(reference.steering).rolling(_SMOOTHED_ROWS, center=True, min_periods=1)
        smoothed = rows.mean().to_numpy()[known]
        mae = round(float(np.abs(recorded - steering).mean()), 4) if known.any() else None
        return {
            "unit": reference.unit,
            **scores.get(f"{self.limit_m:g}", dict.fromkeys(_SCORES)),
            "limit_m": self.limit_m,
            "by_limit": scores,
            "rows": len(reference),
            "frames": int(known.sum()),
            "seconds": round(float(reference.seconds.sum()), 2),
            "distance_m": round(reference.distance_m, 1),
            "steering_correlation": _rounded_correlation(recorded, steering),
            "steering_correlation_smoothed": _rounded_correlation(smoothed, steering),
            "steering_mae": mae,
        }

    def figures(self) -> dict[str, Any]:
        """Return the figures as JSON values; several models stand in "models".

        Where the unit is not the metre, the keys name it.
        """
        controls = {name: self.by_driver[CONTROLS[name]] for name in self.controls}
        models = {
            name: self.by_driver[name]
            | {"trained_share": self.trained_shares.get(name), "controls": controls}
            for name in self.results
        }
        figures: dict[str, Any] = {"models": models}
        if len(models) == 1:
            (figures,) = models.values()
        if self.reference.in_heights:
            figures = _with_unit(figures, self.reference.unit.replace(" ", "_"))
        if self.reference.estimates:
            figures["estimates"] = dict(self.reference.estimates)
        return figures

    def table(self) -> Table:
        """Return a table with a row for each driver and control; without speeds it has no score."""
        unit = "heights" if self.reference.in_heights else "m"  # heights of the camera
        limits = [f"{limit_m:g}" for limit_m in _limits(self.limit_m)]
        columns = [
            TableColumn("driver", heading=""),
            TableColumn("autonomy_percent", autonomy_text, "autonomy"),
            TableColumn("interventions_per_km", "{:.1f}".format, self._per_distance),
            TableColumn("rms_cross_track_m", "{:.2f}".format, "rms"),
            *(TableColumn(limit, heading=f"off {limit} {unit}") for limit in limits),
            TableColumn("steering_correlation", "{:.2f}".format, "r"),
            TableColumn("steering_correlation_smoothed", "{:.2f}".format, "mean r"),
            TableColumn("steering_mae", "{:.2f}".format, "off by"),
        ]
        rows = []
        for name, figures in self.by_driver.items():
            counts = {limit: score["interventions"] for limit, score in figures["by_limit"].items()}
            values = {"driver": name, **figures, **counts}
            rows.append([values.get(column.key) for column in columns])
        return Table(columns, rows)

    @property
    def _per_distance(self) -> str:
        """Return the heading of the column of interventions in a kilometre, or 1,000 heights."""
        return "a 1000" if self.reference.in_heights else "a km"

    def sentences(self) -> list[str]:
        """Return what the table shows, what was assumed, and what is missing."""
        reference = self.reference
        driven = f"{reference.distance_m / 1000:.2f} km"
        if reference.in_heights:
            driven = f"{reference.distance_m:,.0f} {reference.unit}"
        sentences = [
            f"{len(reference)} rows, {driven} in {reference.seconds.sum():.0f} s; the car is set "
            f"back where it is {self.limit_m:g} {reference.unit} from the recorded path",
            *reference.notes,
            *self.legend(),
        ]
        sentences += [*self.trained_on(), *self.careful()]
        if all(paths.keys() <= {"center"} for paths in reference.images):
            sentences.append(
                "there are no images of the side cameras; views are made from the centre camera"
            )
        first = next(iter(self.by_driver.values()))
        if lacking := first["rows"] - first["frames"]:
            sentences.append(
                f"{lacking} rows have no readable centre image; the steering before them is held"
            )
        return sentences

    def legend(self) -> list[str]:
        """Return what the headings of the table mean."""
        unit = self.reference.unit
        way = f"1,000 {unit}" if self.reference.in_heights else "a kilometre"
        return [
            "autonomy: share of the time, 6 s less for each intervention; "
            f"{self._per_distance}: interventions in {way}; "
            f"rms: of the deviation, {unit}; off: interventions by limit",
            "r: correlation of the steering on the recorded frames with the recorded steering; "
            "mean r: with its mean over 9 rows; off by: mean absolute difference",
        ]

    def reads_place(self, model: str) -> bool:
        """Return whether a model's steering follows the recorded one, or keeps the car on its path.

        A keyboard steers in pulses, with which no model's steering goes: their mean counts as well.
        """
        figures = self.by_driver[model]
        r = max(
            figures["steering_correlation"] or 0.0, figures["steering_correlation_smoothed"] or 0.0
        )
        return r >= LEAST_CORRELATION or figures["interventions"] == 0

    def trained_on(self) -> Iterator[str]:
        """Yield a sentence for each model that has seen the recording before, or may have."""
        for name, share in self.trained_shares.items():
            if share:
                yield (
                    f"careful: {name} was trained on this recording, on {100 * share:.0f} % of "
                    "these rows: the figures do not tell how it drives what it has not seen; "
                    "replay another drive"
                )
            elif share is None:
                yield f"whether {name} was trained on this recording is not known: it does not say"

    def careful(self) -> Iterator[str]:
        """Yield a sentence for each model that does not read the place, or reads it wrongly."""
        for name in self.results:
            r = self.by_driver[name]["steering_correlation"]
            if self.evidence is None or r is None or self.reads_place(name):
                continue
            is_right = "the frames do not tell whether the recorded steering is right"
            if self.evidence.agreement is not None and self.evidence.turns_as_steered:
                turns = self.evidence.agreement.correlation
                is_right = f"the recording's correlates with the turns of its frames by {turns:.2f}"
            yield (
                f"careful: {name} does not read this place: its steering correlates with the "
                f"recorded one by {r:.2f}, expected {LEAST_CORRELATION} or more; {is_right}"
            )


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
