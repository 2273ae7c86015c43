"""Inspect recordings and report their content and their faults, without writing anything.

In: folders, CSV files and patterns. Out: a `RecordingReport` for each log, as text or as JSON.
docs/how-to/own-recording.md says what each fault means; docs/results/recording-faults.json says how
many of the known faults are found.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import pandas as pd

from bcclone.camera.images import MISSING, common_remedy, try_frame
from bcclone.diagnosis.evidence import Finding
from bcclone.diagnosis.frames import ReadImage, RecordingFigures, look_at, read_center
from bcclone.diagnosis.judging import Diagnosis, diagnose
from bcclone.recording.dialect import Dialect
from bcclone.recording.files import ImageIndex, Images, find_logs
from bcclone.recording.foreign_log import ForeignLog
from bcclone.recording.log import Log, read_log
from bcclone.recording.row import CAMERAS
from bcclone.recording.run_tables import read_trace
from bcclone.system.errors import UserError
from bcclone.system.location import Location
from bcclone.system.process import ProgressBar
from bcclone.system.values import to_json

Look = Callable[[pd.DataFrame], RecordingFigures]  # reads the frames of some rows -> what they show


@dataclass(frozen=True)
class ImageFaults:
    """Counts of faulty images of a log."""

    missing: int  # images that rows name and that do not exist
    corrupt: int  # images that rows name and that cannot be used
    orphans: int  # images in the folders of the log that no row names
    frozen: int  # rows whose centre image is identical to that of the row before
    duplicates: int  # other rows that share a centre image
    reasons: tuple[str, ...] = ()  # a line for each missing or corrupt image

    def __str__(self) -> str:
        return (
            f"{self.missing} missing, {self.corrupt} corrupt, {self.orphans} orphans (in no row), "
            f"{self.frozen} frozen, {self.duplicates} other duplicates"
        )


@dataclass(frozen=True)
class RecordingReport:
    """Content and faults of a log."""

    path: Location
    log: Log | None = None  # None if the file is not a log of the simulator
    reason: str | None = None  # why the file is not a log of the simulator
    images: ImageFaults | None = None  # None if no image of the log exists
    suspects: tuple[str, ...] = ()  # a line for each row that was probably recorded wrongly
    diagnosis: Diagnosis | None = None  # what is wrong with the log, None if the file is not a log

    def as_json(self) -> dict[str, Any]:
        if self.log is None:
            return {"path": str(self.path), "foreign": True, "reason": self.reason} | _NO_CONTENT
        log = self.log
        steering = log.rows["steering"]
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
            "diagnosis": self.diagnosis and self.diagnosis.as_json(),
        }

    def as_text(self) -> str:
        if self.log is None:
            return f"{self.path}\n  foreign: {self.reason}"
        lines = [str(self.path)]
        if self.diagnosis:
            lines += self.diagnosis.as_lines()
        lines += _lines_of_log(self.log)
        lines += [f"  suspect   {suspect}" for suspect in self.suspects]
        lines += _lines_of_images(self.images)
        steering = self.log.rows["steering"]
        zero = f"{(steering == 0).mean():.0%} exactly zero"
        lines.append(f"  steering  {zero}, {steering.nunique()} distinct values")
        return "\n".join(lines)


def check(inputs: Sequence[str]) -> list[RecordingReport]:
    """Return a report for each log of the inputs, see recording.find_logs()."""
    return [_check_file(path) for path in find_logs(inputs)]


def _check_file(path: Location) -> RecordingReport:
    try:
        log = read_log(path)
    except ForeignLog as foreign:
        return RecordingReport(path, reason=foreign.reason)
    index = ImageIndex(log.path)

    def look(rows: pd.DataFrame) -> RecordingFigures:
        with ProgressBar(f"checking {path.name}", len(rows), "rows") as progress:
            return look_at(rows, index, progress.advance)

    return check_log(log, index, look)


def check_log(log: Log, index: Images, look: Look, read: ReadImage = try_frame) -> RecordingReport:
    """Return the report of a log.

    index: finds the log's images
    look: reads the frames of the rows that are judged, and returns what they show
    read: reads a frame that is looked at again
    """
    path = log.path
    suspects = tuple(_suspects(log.rows))
    named = _images_of(log.rows)
    if not any(map(index.find, named)):
        nothing = Diagnosis((_no_images(len(named)),))
        return RecordingReport(path, log, suspects=suspects, diagnosis=nothing)

    judged = without_repeated(log)
    figures = look(judged.rows)
    images = _image_faults(figures, log, index, named, len(log.rows) - len(judged.rows))

    # If most pictures cannot be used for one reason, such as another size, the whole recording has
    # to be mended: that is reported as one fault, and nothing else is judged.
    remedy = ""
    if 2 * len(images.reasons) > len(named):
        remedy = common_remedy(images.reasons, path)
    if remedy:
        text = f"{len(images.reasons)} of the {len(named)} pictures cannot be used"
        diagnosis = Diagnosis((Finding("unreadable", text, advice=remedy),))
        return RecordingReport(path, log, images=images, suspects=suspects, diagnosis=diagnosis)

    diagnosis = diagnose(
        judged,
        figures,
        lambda row: read_center(judged.rows, row, index, read),
        _road_of(log),
    )
    return RecordingReport(path, log, images=images, suspects=suspects, diagnosis=diagnosis)


def without_repeated(log: Log) -> Log:
    """Return a log in which each row has its own picture.

    If several rows name the same picture, only the first of them stays; the others become deleted
    rows.
    """
    repeated = log.rows["center"].duplicated()
    return replace(
        log,
        rows=log.rows[~repeated].reset_index(drop=True),
        deleted=pd.concat([log.deleted, log.rows[repeated]]),
    )


def _no_images(named: int) -> Finding:
    return Finding(
        "no-images",
        f"none of the {named} images that the log names exists, expected them in the folder IMG "
        "next to the log",
        advice="copy the folder IMG of the recording next to its log",
    )


def _images_of(rows: pd.DataFrame) -> set[str]:
    """Return the names of the images of all cameras."""
    images = {image for camera in CAMERAS for image in rows[camera]}
    return images - {""}


def _image_faults(
    figures: RecordingFigures, log: Log, index: Images, named: set[str], repeated: int
) -> ImageFaults:
    """Return the counts of faulty images.

    named: the images that rows of the log name
    repeated: number of the rows that were not looked at, because they name an earlier row's picture
    """
    reasons = list(chain.from_iterable(figures.faults.values()))
    missing = sum(reason.endswith(MISSING) for reason in reasons)
    # the checksum of an unreadable frame is NaN, which is not >= 0
    checksums = [frame.checksum for frame in figures.frames if frame.checksum >= 0]
    frozen = int(figures.frozen.sum())
    deleted = _images_of(log.deleted)
    return ImageFaults(
        missing=missing,
        corrupt=len(reasons) - missing,
        orphans=len(index.orphans(named | deleted)),
        frozen=frozen,
        duplicates=len(checksums) - len(set(checksums)) - frozen + repeated,
        reasons=tuple(reasons),
    )


def _road_of(log: Log) -> str | None:
    """Return the road on which bcclone's simulator recorded; None for other recordings."""
    with suppress(UserError):  # raised for a trace.csv of another program
        for point in read_trace(log.path.parent).values():  # all points tell the same road
            return point.track
    return None


def _suspects(rows: pd.DataFrame) -> Iterator[str]:
    """Yield a line for each episode whose last row comes late, after a gap.

    The simulator writes such a row when recording ends, so its speed is of a later moment than its
    picture.
    """
    long_gap = 3.0  # a gap is long above this multiple of the median time between rows
    gaps = rows.groupby("episode")["time_ms"].diff()
    for _, episode in rows.groupby("episode"):
        last = episode.index[-1]
        if len(episode) > 2 and gaps[last] > long_gap * gaps.median():
            before, speed = episode["speed_mph"].iloc[-2:]
            yield (
                f"row {episode['line'].iloc[-1]} ends an episode after a gap of "
                f"{gaps[last]:.0f} ms, speed {before:.1f} to {speed:.1f} mph"
            )


# ---- what the report says


_MAX_LINES = 10  # most bad rows, and most faulty images, of which the text gives the reason

_NO_CONTENT: dict[str, Any] = {  # the fields of the JSON for a file that is not a log
    "dialect": None,
    "rows": 0,
    "bad_rows": [],
    "deleted_rows": 0,
    "episodes": 0,
    "steering_sum": 0.0,
    "speed_sum": 0.0,
    "images": None,
    "diagnosis": None,
}


def _lines_of_log(log: Log) -> list[str]:
    dialect = log.dialect
    rows = f"{len(log.rows)} in {log.episodes} episodes, {len(log.bad_rows)} bad"
    if len(log.deleted):
        rows += f", {len(log.deleted)} deleted by bcclone edit"
    return [
        f"  dialect   {', '.join(_words_of(dialect))}; cameras {', '.join(dialect.cameras)}",
        f"  rows      {rows}",
        *(f"            row {bad.row}: {bad.reason}" for bad in log.bad_rows[:_MAX_LINES]),
    ]


def _words_of(dialect: Dialect) -> Sequence[str]:
    separators = "spaced commas" if dialect.spaced else "bare separators"
    words = [separators]
    if dialect.decimal_comma:
        words.append("decimal commas")
    if dialect.header:
        words.append("a header")
    if dialect.extra_columns:
        words.append(f"{dialect.extra_columns} extra columns")
    return words


def _lines_of_images(images: ImageFaults | None) -> list[str]:
    if images is None:
        return ["  images    none of the images that the log names exists"]
    reasons = [f"            {reason}" for reason in images.reasons[:_MAX_LINES]]
    return [f"  images    {images}", *reasons]
