"""What a check says of a log: its content and its faults, as text and as JSON.

A `RecordingReport` is made of the log, the counts of its faulty images, and its diagnosis. Its
methods return the report as lines of text or as JSON values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bcclone.diagnosis.judging import Diagnosis
from bcclone.recording.dialect import Dialect
from bcclone.recording.log import Log
from bcclone.system.location import Location
from bcclone.system.numbers import FloatArray
from bcclone.system.values import to_json

_MAX_LINES = 10  # most bad rows, and most faulty images, of which the text gives the reason
# ranges of the steering; a thousandth beyond 1 is rounding, and exactly 0 has a range of its own
_HISTOGRAM_EDGES = np.array(
    [-1.01, -0.75, -0.5, -0.25, -0.1, -1e-9, 1e-9, 0.1, 0.25, 0.5, 0.75, 1.01]
)
_HISTOGRAM_LABELS = (
    "-1.00 to -0.75", "-0.75 to -0.50", "-0.50 to -0.25", "-0.25 to -0.10", "-0.10 to  0", "     0",
    " 0 to 0.10", " 0.10 to 0.25", " 0.25 to 0.50", " 0.50 to 0.75", " 0.75 to 1.00",
)  # fmt: skip


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
            "correction": to_json(self.diagnosis and self.diagnosis.correction),
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
        lines += _lines_of_steering(self.log.rows["steering"].to_numpy(np.float64))
        if self.diagnosis and self.diagnosis.correction:
            correction = self.diagnosis.correction.as_text()
            lines.append(f"  correction of the side cameras: {correction}")
        return "\n".join(lines)


_NO_CONTENT: dict[str, Any] = {  # the fields of the JSON for a file that is not a log
    "dialect": None,
    "rows": 0,
    "bad_rows": [],
    "deleted_rows": 0,
    "episodes": 0,
    "steering_sum": 0.0,
    "speed_sum": 0.0,
    "images": None,
    "correction": None,
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


def _lines_of_steering(steering: FloatArray) -> list[str]:
    """Return the lines of a histogram of the steering, (rows,)."""
    longest_bar = 40  # characters
    levels = len(np.unique(steering))
    lines = [f"  steering  {(steering == 0).mean():.0%} exactly zero, {levels} distinct values"]
    counts = np.histogram(steering, _HISTOGRAM_EDGES)[0].tolist()
    for label, count in zip(_HISTOGRAM_LABELS, counts, strict=True):
        bar = "#" * round(longest_bar * count / max(counts))
        lines.append(f"    {label:<15}{count:>7} {bar}")
    return lines
