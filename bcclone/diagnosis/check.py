"""Inspect recordings and report their content and their faults, without writing anything.

In: folders, CSV files and patterns. Out: a `RecordingReport` for each log.
docs/how-to/own-recording.md says what each fault means; docs/results/recording-faults.json how many
of them are found.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from bcclone.camera.images import MISSING, Image, import_remedy, try_frame
from bcclone.dataset.conversion_plan import MAX_SKIPPED
from bcclone.diagnosis.evidence import (
    BACKWARDS,
    MAX_LAG_ERROR,
    Evidence,
    ReadFrame,
    RecordingFigures,
)
from bcclone.diagnosis.findings import Coverage, Diagnosis, Finding
from bcclone.diagnosis.picture_faults import (
    PICTURE_FAULTS,
    is_trusted,
    rows_of_the_log,
    unusable_pictures,
)
from bcclone.diagnosis.recoveries import MeasuredCorrection, measure_correction
from bcclone.diagnosis.steering_faults import STEERING_FAULTS, constant_steering
from bcclone.recording.files import LOG_NAME, ImageIndex, find_logs
from bcclone.recording.log import ForeignLog, Log, read_log
from bcclone.recording.row import CAMERAS
from bcclone.recording.run_tables import MOTION, read_trace
from bcclone.system.errors import UserError
from bcclone.system.json_values import to_json
from bcclone.system.location import Location
from bcclone.system.progress import ProgressBar
from bcclone.system.statistics import constant, numbers_in

_HISTOGRAM_EDGES = np.array(
    [-1.01, -0.75, -0.5, -0.25, -0.1, -1e-9, 1e-9, 0.1, 0.25, 0.5, 0.75, 1.01]
)
_HISTOGRAM_LABELS = (
    "-1.00 to -0.75", "-0.75 to -0.50", "-0.50 to -0.25", "-0.25 to -0.10", "-0.10 to  0", "     0",
    " 0 to 0.10", " 0.10 to 0.25", " 0.25 to 0.50", " 0.50 to 0.75", " 0.75 to 1.00",
)  # fmt: skip
_NOT_COMPARED = {  # by whether the steering is estimated
    True: "whether the steering is right: it is estimated from these frames; look at the path that it means: "
    "bcclone edit RECORDING",
    False: "whether steering and frames agree: the steering or the camera hardly turns, or the pictures do not match",
}
_LONG_LAST_GAP = 3.0  # times the median
_ROUNDS = 5

Judge = Callable[[Evidence], Iterator[Finding]]
Looked = tuple[
    RecordingFigures, dict[int, list[str]]
]  # line of the log -> why its images cannot be used


@dataclass(frozen=True)
class ImageFaults:
    """Counts of faulty images of a log.

    missing, corrupt: images that rows name; orphans: images that no row names; frozen: rows whose
    centre image is identical to that of the row before; duplicates: other rows that share a centre
    image; reasons: a line for each missing or corrupt image.
    """

    missing: int
    corrupt: int
    orphans: int
    frozen: int
    duplicates: int
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.missing} missing, {self.corrupt} corrupt, {self.orphans} orphans (in no row), "
            f"{self.frozen} frozen, {self.duplicates} other duplicates"
        )


@dataclass(frozen=True)
class RecordingReport:
    """Content and faults of a log.

    log: None if the file is not a log of the simulator, for the reason given; images: None if none
    of them exists; suspects: rows that were probably recorded wrongly; correction: of the side
    cameras, None without images of them; diagnosis: what is wrong with the recording, None if the
    file is not a log.
    """

    path: Location
    log: Log | None = None
    reason: str | None = None
    images: ImageFaults | None = None
    suspects: tuple[str, ...] = ()
    correction: MeasuredCorrection | None = None
    diagnosis: Diagnosis | None = None

    def as_json(self) -> dict[str, Any]:
        if self.log is None:
            return {
                "path": str(self.path), "foreign": True, "reason": self.reason, "dialect": None, "rows": 0,
                "bad_rows": [], "deleted_rows": 0, "episodes": 0, "steering_sum": 0.0, "speed_sum": 0.0, "images": None,
                "correction": None, "diagnosis": None,
            }  # fmt: skip
        log, steering = self.log, self.log.rows["steering"]
        return {
            "path": str(self.path),
            "foreign": False,
            "dialect": to_json(log.dialect),
            "rows": len(log.rows),
            "bad_rows": to_json(log.bad_rows),
            "deleted_rows": len(log.deleted),
            "episodes": log.episodes,
            "steering_sum": float(steering.sum()),
            "speed_sum": float(log.rows["speed_mph"].sum()),
            "zero_steering_share": float((steering == 0).mean()),
            "suspects": list(self.suspects),
            "images": to_json(self.images),
            "correction": to_json(self.correction),
            "diagnosis": self.diagnosis.as_json() if self.diagnosis else None,
        }

    def as_text(self) -> str:
        if self.log is None:
            return f"{self.path}\n  foreign: {self.reason}"
        log, dialect, steering = self.log, self.log.dialect, self.log.rows["steering"]
        described = ["spaced commas" if dialect.spaced else "bare separators"]
        described += ["decimal commas"] * dialect.decimal_comma + ["a header"] * dialect.header
        described += [f"{dialect.extra_columns} extra columns"] * bool(dialect.extra_columns)
        deleted = f", {len(log.deleted)} deleted by bcclone edit" if len(log.deleted) else ""
        lines = [
            str(self.path),
            *(self.diagnosis.as_lines() if self.diagnosis else ()),
            f"  dialect   {', '.join(described)}; cameras {', '.join(dialect.cameras)}",
            f"  rows      {len(log.rows)} in {log.episodes} episodes, {len(log.bad_rows)} bad{deleted}",
            *(f"            row {bad.row}: {bad.reason}" for bad in log.bad_rows[:10]),
            *(f"  suspect   {suspect}" for suspect in self.suspects),
            f"  images    {self.images or 'none of the images that the log names exists'}",
            *(
                f"            {reason}"
                for reason in (self.images.reasons[:10] if self.images else ())
            ),
            f"  steering  {(steering == 0).mean():.0%} exactly zero, {steering.nunique()} distinct values",
        ]
        counts = np.histogram(steering, _HISTOGRAM_EDGES)[0].tolist()
        for label, count in zip(_HISTOGRAM_LABELS, counts, strict=True):
            lines.append(f"    {label:<15}{count:>7} {'#' * round(40 * count / max(counts))}")
        if self.correction:
            lines.append(f"  correction of the side cameras: {self.correction.as_text()}")
        return "\n".join(lines)


def check(inputs: Sequence[str]) -> list[RecordingReport]:
    """Return a report for each log of the inputs, see recording.find_logs()."""
    return [check_log(path) for path in find_logs(inputs)]


def look_at(rows: pd.DataFrame, index: ImageIndex, advance: Callable[[int], None]) -> Looked:
    """Return what the frames of a log's rows show, and why some cannot be used. advance: called for
    each row.
    """
    figures, reasons = RecordingFigures(len(rows)), dict[int, list[str]]()
    for line, *names in rows[["line", *CAMERAS]].itertuples(index=False):
        tried = {
            camera: try_frame(index.find(name))
            for camera, name in zip(CAMERAS, names, strict=True)
            if name
        }
        figures.add({camera: frame for camera, (frame, _) in tried.items()})
        named = zip(filter(None, names), tried.values(), strict=True)
        reasons[line] = [
            f"line {line}: image {name}{reason}" for name, (_, reason) in named if reason
        ]
        advance(1)
    return figures, reasons


def check_log(
    path: Location,
    look: Callable[[pd.DataFrame], Looked] | None = None,
    index: ImageIndex | None = None,
) -> RecordingReport:
    """Return the report of a log.

    look: looks at the frames of its rows, as look_at() does; None to show a bar, too; index: of its
    images, None to list them.
    """
    try:
        log = read_log(path)
    except ForeignLog as foreign:
        return RecordingReport(path, reason=foreign.reason)
    suspects, index = tuple(_suspects(log.rows)), index or ImageIndex(log.path)
    named = {name for camera in CAMERAS for name in log.rows[camera] if name}
    if not any(map(index.find, named)):
        text = f"none of the {len(named)} images that the log names exists, expected them in the folder IMG next"
        finding = Finding(
            "no-images",
            f"{text} to the log",
            "copy the folder IMG of the recording next to its log",
        )
        return RecordingReport(path, log, suspects=suspects, diagnosis=Diagnosis((finding,)))
    repeated = log.rows["center"].duplicated()
    rows, deleted = (
        log.rows[~repeated].reset_index(drop=True),
        pd.concat([log.deleted, log.rows[repeated]]),
    )
    judged = replace(log, rows=rows, deleted=deleted)
    if look:
        figures, lines = look(rows)
    else:
        with ProgressBar(f"checking {path.name}", len(rows), "rows") as progress:
            figures, lines = look_at(rows, index, progress.advance)
    reasons = [reason for line in lines.values() for reason in line]
    missing, frozen = sum(reason.endswith(MISSING) for reason in reasons), int(figures.frozen.sum())
    readable = [look.checksum for look in figures.looks if look.checksum >= 0]
    images = ImageFaults(
        missing=missing,
        corrupt=len(reasons) - missing,
        orphans=len(
            index.orphans(named | {name for camera in CAMERAS for name in log.deleted[camera]})
        ),
        frozen=frozen,
        duplicates=len(readable) - len(set(readable)) - frozen + int(repeated.sum()),
        reasons=tuple(reasons),
    )
    if 2 * len(reasons) > len(named) and (remedy := import_remedy(reasons, path)):
        finding = Finding(
            "unreadable", f"{len(reasons)} of the {len(named)} pictures cannot be used", remedy
        )
        return RecordingReport(path, log, None, images, suspects, diagnosis=Diagnosis((finding,)))
    correction, road = measure_correction(judged), None
    with suppress(UserError):  # a trace.csv of another program
        road = next((point.track for point in read_trace(path.parent).values()), None)
    diagnosis = diagnose(
        judged, figures, lambda row: read_center(judged, row, index), correction, road
    )
    named_diagnosis = diagnosis.of_recording(str(path.parent if path.name == LOG_NAME else path))
    return RecordingReport(path, log, None, images, suspects, correction, named_diagnosis)


def read_center(log: Log, row: int, index: ImageIndex | None = None) -> Image | None:
    """Return the centre frame of a row, by its index, RGB uint8 (160, 320, 3); None for one that
    cannot be read.
    """
    return try_frame((index or ImageIndex(log.path)).find(log.rows["center"].iloc[row]))[0]


def _suspects(rows: pd.DataFrame) -> Iterator[str]:
    """Yield a line for each last row of an episode that follows a gap: the simulator writes it
    late.

    Its speed is then of another moment.
    """
    gaps = rows.groupby("episode")["time_ms"].diff()
    for _, episode in rows.groupby("episode"):
        last = episode.index[-1]
        if len(episode) > 2 and gaps[last] > _LONG_LAST_GAP * gaps.median():
            before, speed = episode["speed_mph"].iloc[-2:]
            yield (
                f"row {episode['line'].iloc[-1]} ends an episode after a gap of {gaps[last]:.0f} ms, "
                f"speed {before:.1f} to {speed:.1f} mph"
            )


def diagnose(
    log: Log,
    figures: RecordingFigures,
    read_frame: ReadFrame,
    correction: MeasuredCorrection | None = None,
    road: str | None = None,
) -> Diagnosis:
    """Return the diagnosis of a recording. read_frame: as in Evidence; correction, road: as in
    Coverage.
    """
    evidence = Evidence(log, figures, read_frame, MOTION.is_in(log.path.parent))
    if evidence.too_few:
        judges = _unusable_rows, rows_of_the_log, unusable_pictures, constant_steering
        return Diagnosis(
            tuple(chain.from_iterable(judge(evidence) for judge in judges)), (evidence.too_few,)
        )
    findings, rest = _judged(evidence, (_unusable_rows, *PICTURE_FAULTS, *STEERING_FAULTS))
    measured = evidence if rest.too_few else rest
    agreement, heading = measured.agreement, measured.heading
    brightness = np.array([look.mean for look in figures.looks])
    lost = (
        finding.rows or [(1, int(evidence.numbers[-1]))]
        for finding in findings
        if not finding.usable
    )
    usable = ~np.isin(evidence.numbers, numbers_in(chain.from_iterable(lost)))
    usable_seconds = float(np.diff(evidence.seconds, prepend=0.0)[usable].sum())
    return Diagnosis(
        findings,
        tuple(_unknown(rest, correction)),
        {
            "turn_correlation": agreement.correlation if agreement else None,
            "steering_after_turn_seconds": agreement.lag if agreement else None,
            "steering_after_turn_error": agreement.error if agreement else None,
            "heading_column": heading and heading.column,
            "heading_row": heading and heading.row,
            "heading_agreeing": heading and heading.agreeing,
            "seconds": float(evidence.seconds[-1]),
        },
        evidence,
        Coverage(evidence.seconds_of_bends(), brightness, usable_seconds, correction, road),
    )


def _judged(evidence: Evidence, judges: Sequence[Judge]) -> tuple[tuple[Finding, ...], Evidence]:
    """Return the findings of all judges, and the evidence without the rows that are to be deleted.

    Each judges what is left after the remedies of those before, and again what its own leave, until
    nothing is found.
    """
    findings = list[Finding]()
    for judge in judges:
        found = dict[str, Finding]()
        for _ in range(_ROUNDS):
            deleted = {name: one for name, one in found.items() if one.deletes}
            new = {one.fault: one for one in judge(evidence)} if not evidence.too_few else {}
            found = new | {
                name: one.with_rows(new[name].rows) if name in new else one
                for name, one in deleted.items()
            }
            spans = [span for one in new.values() if one.deletes for span in one.rows]
            if not spans:
                break
            evidence = evidence.without(spans)
        findings += found.values()
    return tuple(findings), evidence


def _unusable_rows(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault if a conversion would refuse the log for its unusable rows."""
    bad, count = evidence.log.bad_rows, evidence.log.row_count + evidence.repeated
    if len(bad) > MAX_SKIPPED * count:
        yield Finding(
            "bad-rows",
            f"{len(bad)} of {count} rows cannot be used, the first for this reason: {bad[0].reason}",
            "correct them in the log, or leave them out: bcclone preprocess RECORDING --allow-skips",
            usable=True,  # the other rows
        )


def _unknown(evidence: Evidence, correction: MeasuredCorrection | None) -> Iterator[str]:
    if evidence.too_few:
        yield f"what is left without these rows: {evidence.too_few}"
        return
    agreement, heading = evidence.agreement, evidence.heading
    if agreement is None:
        yield _NOT_COMPARED[evidence.is_estimated]
    elif not (agreement.is_clear or agreement.is_mirrored or agreement.is_unrelated):
        yield f"whether steering and frames agree: their correlation of {agreement.correlation:.2f} could be chance"
    elif agreement.is_clear and agreement.error > MAX_LAG_ERROR:
        yield f"when the steering was recorded: its delay is uncertain by {agreement.error:.1f} s"
    if heading is None or not is_trusted(heading):
        yield "where the camera looks: too little on the ground can be followed while the car drives straight on"
    if evidence.turns.roll_degrees() is None:
        yield "whether the camera leans: it hardly turns"
    if evidence.grows is None or abs(evidence.grows - 0.5) < 0.5 - BACKWARDS:
        yield "whether the car drives forwards: it is hard to tell whether the pictures grow"
    if same := constant(evidence.throttle):
        yield f"whether the throttle is right: it is {same[1]}, so that nothing can be learned from it"
    if correction is None:
        yield "how many recoveries there are: that takes the frames of three cameras"
