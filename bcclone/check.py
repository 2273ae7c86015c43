"""Recording -> a report of what is in it and what is wrong with it; nothing is written."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bcclone.decode import read_frame
from bcclone.images import BadImage
from bcclone.progress import ProgressBar
from bcclone.recording import CAMERAS, ForeignLog, ImageIndex, Log, find_logs, read_log

_HISTOGRAM_EDGES = np.array([-1.01, -0.75, -0.5, -0.25, -0.1, -1e-9, 1e-9, 0.1, 0.25, 0.5, 0.75, 1.01])
_HISTOGRAM_LABELS = (
    "-1.00 to -0.75", "-0.75 to -0.50", "-0.50 to -0.25", "-0.25 to -0.10", "-0.10 to  0", "     0",
    " 0 to 0.10", " 0.10 to 0.25", " 0.25 to 0.50", " 0.50 to 0.75", " 0.75 to 1.00",
)  # fmt: skip
_LONG_LAST_GAP = 3.0  # times the median


@dataclass(frozen=True)
class ImageFaults:
    """The images of a log. missing, corrupt: those that rows name; frozen: rows whose centre image is byte for
    byte that of the row before; duplicates: other rows that share one."""

    missing: int
    corrupt: int
    orphans: int
    frozen: int
    duplicates: int
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What a log holds. images is None where none of them is there; reason tells why a log is foreign."""

    path: Path
    log: Log | None = None
    reason: str | None = None
    images: ImageFaults | None = None
    suspects: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the report with the keys documented in the README."""
        if self.log is None:
            return {
                "path": str(self.path), "foreign": True, "reason": self.reason, "dialect": None, "rows": 0,
                "bad_rows": [], "episodes": 0, "steering_sum": 0.0, "speed_sum": 0.0, "images": None,
            }  # fmt: skip
        log, dialect, images = self.log, self.log.dialect, self.images
        steering = log.rows["steering"]
        return {
            "path": str(self.path),
            "foreign": False,
            "dialect": {
                "spaced": dialect.spaced, "decimal_comma": dialect.decimal_comma, "header": dialect.header,
                "cameras": list(dialect.cameras), "extra_columns": dialect.extra_columns,
            },
            "rows": len(log.rows),
            "bad_rows": [{"row": bad.row, "reason": bad.reason} for bad in log.bad_rows],
            "episodes": log.episodes,
            "steering_sum": float(steering.sum()),
            "speed_sum": float(log.rows["speed_mph"].sum()),
            "zero_steering_share": float((steering == 0).mean()),
            "suspects": list(self.suspects),
            "images": images and {
                "missing": images.missing, "corrupt": images.corrupt, "orphans": images.orphans,
                "frozen": images.frozen, "duplicates": images.duplicates, "reasons": list(images.reasons),
            },
        }  # fmt: skip

    def as_text(self) -> str:
        """Return the report for a reader."""
        if self.log is None:
            return f"{self.path}\n  foreign: {self.reason}"
        log, dialect, steering = self.log, self.log.dialect, self.log.rows["steering"]
        written = ["spaced commas" if dialect.spaced else "bare separators"]
        written += ["decimal commas"] * dialect.decimal_comma + ["a header"] * dialect.header
        written += [f"{dialect.extra_columns} extra columns"] * bool(dialect.extra_columns)
        lines = [
            str(self.path),
            f"  dialect   {', '.join(written)}; cameras {', '.join(dialect.cameras)}",
            f"  rows      {len(log.rows)} in {log.episodes} episodes, {len(log.bad_rows)} bad",
            *(f"            row {bad.row}: {bad.reason}" for bad in log.bad_rows[:10]),
            *(f"  suspect   {suspect}" for suspect in self.suspects),
            f"  images    {_image_text(self.images)}",
            *(f"            {reason}" for reason in (self.images.reasons[:10] if self.images else ())),
            f"  steering  {(steering == 0).mean():.0%} exactly zero, {steering.nunique()} distinct values",
        ]
        return "\n".join(lines + _histogram(steering))


@dataclass
class _Seen:
    """What a pass over the images of a log has found so far."""

    missing: int = 0
    reasons: list[str] = field(default_factory=list)
    checksums: list[int | None] = field(default_factory=list)  # of the centre images, in order


def check(inputs: Sequence[str]) -> list[Report]:
    """Inspect each log that the inputs mean; a foreign one becomes a report with the reason."""
    return [_check_log(path) for path in find_logs(inputs)]


def _check_log(path: Path) -> Report:
    try:
        log = read_log(path)
    except ForeignLog as foreign:
        return Report(path, reason=foreign.reason)
    return Report(path, log, images=_check_images(log), suspects=tuple(_suspects(log.rows)))


def _check_images(log: Log) -> ImageFaults | None:
    """Read every image that the log names; None when not one is there."""
    index = ImageIndex(log.path)
    named = {name for camera in CAMERAS for name in log.rows[camera] if name}
    if not any(index.find(name) for name in named):
        return None
    seen = _Seen()
    with ProgressBar(f"checking {log.path.name}", len(log.rows), "rows") as progress:
        for row in log.rows[["line", *CAMERAS]].to_dict("records"):
            _check_row(seen, index, row)
            progress.advance(1)
    frozen = sum(a is not None and a == b for a, b in zip(seen.checksums, seen.checksums[1:], strict=False))
    whole = [checksum for checksum in seen.checksums if checksum is not None]
    return ImageFaults(
        missing=seen.missing,
        corrupt=len(seen.reasons) - seen.missing,
        orphans=len(index.orphans(named)),
        frozen=frozen,
        duplicates=len(whole) - len(set(whole)) - frozen,
        reasons=tuple(seen.reasons),
    )


def _check_row(seen: _Seen, index: ImageIndex, row: Mapping[Any, Any]) -> None:
    for camera in CAMERAS:
        if name := row[camera]:
            _check_image(seen, index.find(name), name, row["line"], camera)


def _check_image(seen: _Seen, path: str | None, name: str, line: int, camera: str) -> None:
    checksum = None
    if path is None:
        seen.missing += 1
        seen.reasons.append(f"row {line}: image {name} is missing")
    else:
        try:
            checksum = zlib.crc32(read_frame(path).data)
        except BadImage as error:
            seen.reasons.append(f"row {line}: image {name}: {error}")
    if camera == "center":
        seen.checksums.append(checksum)


def _suspects(rows: pd.DataFrame) -> list[str]:
    """Return takes whose last row came after a pause: the simulator writes it late, and its speed jumps."""
    found = []
    gaps = rows.groupby("episode")["time_ms"].diff()
    for _, take in rows.groupby("episode"):
        last = take.index[-1]
        if len(take) > 2 and gaps[last] > _LONG_LAST_GAP * gaps.median():
            speeds = take["speed_mph"].iloc[-2:].tolist()
            found.append(
                f"row {take['line'].iloc[-1]} ends a take after a gap of {gaps[last]:.0f} ms, "
                f"speed {speeds[0]:.1f} to {speeds[1]:.1f} mph"
            )
    return found


def _image_text(images: ImageFaults | None) -> str:
    if images is None:
        return "none of those that the log names is there"
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
