"""Inspect recordings and report their content and their problems, without writing anything.

In: folders, CSV files and patterns. Out: a `RecordingReport` for each log.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bcclone.dataset.images import BadImage, read_frame
from bcclone.dataset.recoveries import MeasuredCorrection, measure_correction
from bcclone.recording.files import ImageIndex, find_logs
from bcclone.recording.log import ForeignLog, Log, read_log
from bcclone.recording.row import CAMERAS
from bcclone.system.json_values import to_json
from bcclone.system.location import Location
from bcclone.system.progress import ProgressBar

_HISTOGRAM_EDGES = np.array([-1.01, -0.75, -0.5, -0.25, -0.1, -1e-9, 1e-9, 0.1, 0.25, 0.5, 0.75, 1.01])
_HISTOGRAM_LABELS = (
    "-1.00 to -0.75", "-0.75 to -0.50", "-0.50 to -0.25", "-0.25 to -0.10", "-0.10 to  0", "     0",
    " 0 to 0.10", " 0.10 to 0.25", " 0.25 to 0.50", " 0.50 to 0.75", " 0.75 to 1.00",
)  # fmt: skip
_LONG_LAST_GAP = 3.0  # times the median


@dataclass(frozen=True)
class ImageFaults:
    """Counts of faulty images of a log.

    missing, corrupt: images that rows name; orphans: images that no row names; frozen: rows whose centre image is
    identical to that of the row before; duplicates: other rows that share a centre image; reasons: a line for each
    missing or corrupt image.
    """

    missing: int
    corrupt: int
    orphans: int
    frozen: int
    duplicates: int
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class RecordingReport:
    """Content and faults of a log.

    log: None for a file that is not a log of the simulator, for the reason given; images: None if none of them exists;
    suspects: rows that were probably recorded wrongly; correction: of the side cameras, None without images of them.
    """

    path: Location
    log: Log | None = None
    reason: str | None = None
    images: ImageFaults | None = None
    suspects: tuple[str, ...] = ()
    correction: MeasuredCorrection | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the report with the keys of --json."""
        if self.log is None:
            return {
                "path": str(self.path), "foreign": True, "reason": self.reason, "dialect": None, "rows": 0,
                "bad_rows": [], "deleted_rows": 0, "episodes": 0, "steering_sum": 0.0, "speed_sum": 0.0, "images": None,
                "correction": None,
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
        }

    def as_text(self) -> str:
        """Return the report as lines of text."""
        if self.log is None:
            return f"{self.path}\n  foreign: {self.reason}"
        log, dialect, steering = self.log, self.log.dialect, self.log.rows["steering"]
        described = ["spaced commas" if dialect.spaced else "bare separators"]
        described += ["decimal commas"] * dialect.decimal_comma + ["a header"] * dialect.header
        described += [f"{dialect.extra_columns} extra columns"] * bool(dialect.extra_columns)
        lines = [
            str(self.path),
            f"  dialect   {', '.join(described)}; cameras {', '.join(dialect.cameras)}",
            f"  rows      {len(log.rows)} in {log.episodes} episodes, {len(log.bad_rows)} bad{_deleted_text(log)}",
            *(f"            row {bad.row}: {bad.reason}" for bad in log.bad_rows[:10]),
            *(f"  suspect   {suspect}" for suspect in self.suspects),
            f"  images    {_image_text(self.images)}",
            *(f"            {reason}" for reason in (self.images.reasons[:10] if self.images else ())),
            f"  steering  {(steering == 0).mean():.0%} exactly zero, {steering.nunique()} distinct values",
        ]
        lines += _histogram(steering)
        return "\n".join(
            [*lines, f"  correction of the side cameras: {self.correction.as_text()}"] if self.correction else lines
        )


def _deleted_text(log: Log) -> str:
    return f", {len(log.deleted)} deleted by bcclone edit" if len(log.deleted) else ""


@dataclass
class _ImagePass:
    """Faults found so far while the images of a log are read."""

    missing: int = 0
    reasons: list[str] = field(default_factory=list)
    checksums: list[int | None] = field(default_factory=list)  # of the centre images, in order


def check(inputs: Sequence[str]) -> list[RecordingReport]:
    """Return a report for each log of the inputs, see recording.find_logs()."""
    return [_check_log(path) for path in find_logs(inputs)]


def _check_log(path: Location) -> RecordingReport:
    try:
        log = read_log(path)
    except ForeignLog as foreign:
        return RecordingReport(path, reason=foreign.reason)
    images = _check_images(log)
    measured = measure_correction(log) if images else None
    return RecordingReport(path, log, images=images, suspects=tuple(_suspects(log.rows)), correction=measured)


def _check_images(log: Log) -> ImageFaults | None:
    """Read every image that the log names; None if none of them exists."""
    index = ImageIndex(log.path)
    named = {name for camera in CAMERAS for name in log.rows[camera] if name}
    if not any(index.find(name) for name in named):
        return None
    known = named | {name for camera in CAMERAS for name in log.deleted[camera]}
    faults = _ImagePass()
    with ProgressBar(f"checking {log.path.name}", len(log.rows), "rows") as progress:
        for row in log.rows[["line", *CAMERAS]].to_dict("records"):
            _check_row(faults, index, row)
            progress.advance(1)
    frozen = sum(a is not None and a == b for a, b in zip(faults.checksums, faults.checksums[1:], strict=False))
    readable = [checksum for checksum in faults.checksums if checksum is not None]
    return ImageFaults(
        missing=faults.missing,
        corrupt=len(faults.reasons) - faults.missing,
        orphans=len(index.orphans(known)),
        frozen=frozen,
        duplicates=len(readable) - len(set(readable)) - frozen,
        reasons=tuple(faults.reasons),
    )


def _check_row(faults: _ImagePass, index: ImageIndex, row: Mapping[Any, Any]) -> None:
    for camera in CAMERAS:
        if name := row[camera]:
            _check_image(faults, index.find(name), name, row["line"], camera)


def _check_image(faults: _ImagePass, path: str | None, name: str, line: int, camera: str) -> None:
    checksum = None
    if path is None:
        faults.missing += 1
        faults.reasons.append(f"row {line}: image {name} is missing")
    else:
        try:
            checksum = zlib.crc32(read_frame(path).data)
        except BadImage as error:
            faults.reasons.append(f"row {line}: image {name}: {error}")
    if camera == "center":
        faults.checksums.append(checksum)


def _suspects(rows: pd.DataFrame) -> list[str]:
    """Return the last rows that follow a pause: the simulator writes them late, with another speed."""
    lines = []
    gaps = rows.groupby("episode")["time_ms"].diff()
    for _, episode in rows.groupby("episode"):
        last = episode.index[-1]
        if len(episode) > 2 and gaps[last] > _LONG_LAST_GAP * gaps.median():
            speeds = episode["speed_mph"].iloc[-2:].tolist()
            lines.append(
                f"row {episode['line'].iloc[-1]} ends an episode after a gap of {gaps[last]:.0f} ms, "
                f"speed {speeds[0]:.1f} to {speeds[1]:.1f} mph"
            )
    return lines


def _image_text(images: ImageFaults | None) -> str:
    if images is None:
        return "none of the images that the log names exists"
    return (
        f"{images.missing} missing, {images.corrupt} corrupt, {images.orphans} orphans (in no row), "
        f"{images.frozen} frozen, {images.duplicates} other duplicates"
    )


def _histogram(steering: "pd.Series[float]") -> list[str]:
    counts, _ = np.histogram(steering, _HISTOGRAM_EDGES)
    longest = max(int(counts.max()), 1)
    return [
        f"    {label:<15}{count:>7} {'#' * round(40 * count / longest)}"
        for label, count in zip(_HISTOGRAM_LABELS, counts.tolist(), strict=True)
    ]
