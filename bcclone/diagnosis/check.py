"""Inspect recordings and report their content and their faults, without writing anything.

In: folders, CSV files and patterns. Out: a `RecordingReport` for each log.
docs/how-to/own-recording.md says what each fault means; docs/results/recording-faults.json says how
many of the known faults are found.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain

import pandas as pd

from bcclone.camera.images import MISSING, common_remedy, try_frame
from bcclone.diagnosis.evidence import Finding
from bcclone.diagnosis.frames import ReadImage, RecordingFigures, look_at, read_center
from bcclone.diagnosis.judging import Diagnosis, diagnose
from bcclone.diagnosis.recoveries import measure_correction
from bcclone.diagnosis.report import ImageFaults, RecordingReport
from bcclone.recording.files import ImageIndex, Images, find_logs
from bcclone.recording.foreign_log import ForeignLog
from bcclone.recording.log import Log, read_log
from bcclone.recording.row import CAMERAS
from bcclone.recording.run_tables import read_trace
from bcclone.system.errors import UserError
from bcclone.system.location import Location
from bcclone.system.process import ProgressBar

Look = Callable[[pd.DataFrame], RecordingFigures]  # reads the frames of some rows -> what they show


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
        measure_correction(judged, index),
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
