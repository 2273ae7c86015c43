"""Inspect recordings and report their content and their faults, without writing anything.

In: folders, CSV files and patterns. Out: a `RecordingReport` for each log, as text or as JSON, and
lines that say what to record next. docs/how-to/own-recording.md says what each fault means;
docs/results/recording-faults.json says how many of the known faults are found.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from math import ceil
from typing import Any

import numpy as np
import pandas as pd

from bcclone.camera.images import MISSING, size_remedy, try_frame
from bcclone.diagnosis.agreement import RADII_M
from bcclone.diagnosis.evidence import Finding
from bcclone.diagnosis.judging import Diagnosis, diagnose
from bcclone.diagnosis.motion import ReadImage, RecordingFigures, look_at, read_center
from bcclone.recording.files import ImageIndex, Images, find_logs
from bcclone.recording.log import ForeignLog, Log, read_log
from bcclone.recording.row import CAMERAS
from bcclone.recording.run_tables import read_trace
from bcclone.system.arrays import FloatArray, runs
from bcclone.system.errors import UserError, number_of, shown_command
from bcclone.system.location import Location
from bcclone.system.progress import ProgressBar
from bcclone.system.values import to_json

Look = Callable[[pd.DataFrame], RecordingFigures]  # reads the frames of some rows -> what they show

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


@dataclass(frozen=True)
class ImageFaults:
    """Counts of faulty images of a log."""

    missing: int  # images that rows name and that do not exist
    corrupt: int  # images that rows name and that cannot be used
    orphans: int  # images in the folders of the log that no row names
    frozen: int  # rows whose centre image is identical to that of the row before
    duplicates: int  # other rows that share a centre image
    reasons: tuple[str, ...] = ()  # a line for each missing or corrupt image


@dataclass(frozen=True)
class RecordingReport:
    """Content and faults of a log."""

    path: Location
    log: Log | None = None  # None if the file is not a log of the simulator
    reason: str | None = None  # why the file is not a log of the simulator
    images: ImageFaults | None = None  # None if no image of the log exists
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
            "images": to_json(self.images),
            "diagnosis": self.diagnosis and self.diagnosis.as_json(),
        }

    def as_text(self) -> str:
        most = 10  # bad rows, and faulty images, of which the reason is told
        if self.log is None:
            return f"{self.path}\n  foreign: {self.reason}"
        log = self.log
        rows = f"{len(log.rows)} in {number_of(log.episodes, 'episode')}, {len(log.bad_rows)} bad"
        if len(log.deleted):
            rows += f", {len(log.deleted)} deleted by bcclone edit"
        lines = [str(self.path)]
        if self.diagnosis:
            lines += self.diagnosis.as_lines()
        lines += [
            f"  rows      {rows}",
            *(f"            row {bad.row}: {bad.reason}" for bad in log.bad_rows[:most]),
        ]
        images = self.images
        if images is None:
            lines.append("  images    none of the images that the log names exists")
        else:
            lines.append(
                f"  images    {images.missing} missing, {images.corrupt} corrupt, "
                f"{images.orphans} orphans (in no row), {images.frozen} frozen, "
                f"{images.duplicates} other duplicates"
            )
            lines += [f"            {reason}" for reason in images.reasons[:most]]
        steering = log.rows["steering"]
        zero = f"{(steering == 0).mean():.0%} exactly zero"
        lines.append(f"  steering  {zero}, {steering.nunique()} distinct values")
        return "\n".join(lines)


def check(inputs: Sequence[str]) -> list[RecordingReport]:
    """Return a report for each log of the inputs, see find_logs()."""
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
    named = _images_of(log.rows)
    if not any(map(index.find, named)):
        nothing = Finding(
            "no-images",
            f"none of the {len(named)} images that the log names exists, expected them in the "
            "folder IMG next to the log",
            advice="copy the folder IMG of the recording next to its log",
        )
        return RecordingReport(path, log, diagnosis=Diagnosis((nothing,)))

    judged = without_repeated(log)
    figures = look(judged.rows)
    images = _image_faults(figures, log, index, named, len(log.rows) - len(judged.rows))

    # If most pictures cannot be used, such as those of another size, the whole recording has to be
    # mended: that is reported as one fault, and nothing else is judged.
    if 2 * images.corrupt > len(named):
        text = f"{len(images.reasons)} of the {len(named)} pictures cannot be used"
        diagnosis = Diagnosis(
            (Finding("unreadable", text, advice=f"copy them again, or {size_remedy(path)}"),)
        )
    else:
        diagnosis = diagnose(
            judged,
            figures,
            lambda row: read_center(judged.rows, row, index, read),
            _road_of(log),
        )
    return RecordingReport(path, log, images=images, diagnosis=diagnosis)


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
    return ImageFaults(
        missing=missing,
        corrupt=len(reasons) - missing,
        orphans=len(index.orphans(named | _images_of(log.deleted))),
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


# ---- what to record next


RECORD_ALSO = "For a network that stays on the road, record also"  # stands before advise()'s lines
_LEAST_SECONDS = 120.0  # from less driving, a model has too little to learn


def advise(recordings: Sequence[Diagnosis]) -> tuple[str, ...]:
    """Return lines that say what else to record, each with its seconds first: see RECORD_ALSO.

    A recording without a usable row does not count: its faults must be mended first.
    """
    least_range = 45.0  # of 255; with a smaller range of brightness, there is only one light
    most_lines = 5
    usable = [recording for recording in recordings if recording.usable_seconds > 0]
    if not usable:
        return ()
    road = next((recording.road for recording in usable if recording.road), None)
    lines = list(_more_bends(usable, road))
    known = [item.brightness for item in usable if item.brightness is not None]
    bright, dark = np.nanquantile(np.concatenate(known), (0.95, 0.05))
    if bright - dark < least_range and not all(recording.has_one_light for recording in usable):
        seconds = _rounded(_LEAST_SECONDS / 2)
        line = f"{seconds} in another light: all frames are alike in brightness"
        if road:
            how = ["--road", road, "--light", 0.6, "--sun-elevation", 20]
            line += f"; for example: {shown_command('simulate', 'record', 'other-light', *how)}"
        lines.append(line)
    missing = _LEAST_SECONDS - sum(recording.usable_seconds for recording in usable)
    if missing > 0:
        lines.append(
            f"{_rounded(missing)} of the same, or fine-tune models/any-road.h5 "
            "(any-camera.h5 for a real car)"
        )
    return tuple(lines[:most_lines])


def _more_bends(recordings: Sequence[Diagnosis], road: str | None) -> Iterator[str]:
    """Yield a line for each side to which there are few bends, and kind of bend."""
    few_share = 0.2  # bends to a side are few if they are less than this share of both sides'
    fewest_bend_seconds = 10.0  # with fewer seconds of bends in all, kinds are not compared
    fewest_seconds = 2.0  # a kind counts only if it lasts this long to the other side
    bends = _all_bends(recordings)
    if bends.sum() < fewest_bend_seconds:
        yield (
            f"{_rounded(2 * fewest_bend_seconds)} of bends to both sides: there are "
            f"{bends.sum():.0f} s of them"
        )
        return
    for side, (here, opposite) in {"left": bends, "right": bends[::-1]}.items():
        is_few = (here < few_share * (here + opposite)) & (opposite >= fewest_seconds)
        for first, last in runs(np.flatnonzero(is_few)):
            have = here[first : last + 1].sum()
            have_opposite = opposite[first : last + 1].sum()
            radii = ""
            if len(here) > 1:
                least = RADII_M[first - 1] if first else "up"  # "radius up to 15 m"
                radii = f" (radius {least} to {RADII_M[last]} m)"
            other_side = "right" if side == "left" else "left"
            line = (
                f"{_rounded(have_opposite / 2 - have)} of {side} bends{radii}: there are "
                f"{have:.0f} s of them, and {have_opposite:.0f} s of {other_side} ones; drive "
                "the other way round"
            )
            if road:
                play = shown_command("play", "-o", "more", "--road", road)
                line += f" (with or without --reverse): {play}"
            yield line


def _all_bends(recordings: Sequence[Diagnosis]) -> FloatArray:
    """Return the seconds of bends in all recordings, (2, kinds); one kind if some know no radii."""
    known = [recording.bends for recording in recordings if recording.bends is not None]
    if len({bends.shape for bends in known}) > 1:
        known = [bends.sum(axis=1, keepdims=True) for bends in known]
    return np.asarray(np.sum(known, axis=0))


def _rounded(seconds: float) -> str:
    """Return seconds in words, rounded up to tens, and ten at least."""
    shortest = 10.0
    return f"{max(shortest, 10 * ceil(seconds / 10)):.0f} s"
