"""A tub, a recording, or a folder of pictures with a table -> the pictures of the first seconds, and their steering."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, takewhile
from pathlib import Path

import numpy as np

from bcclone.dataset.framing import Framing, framing_of
from bcclone.dataset.images import BadImage, Image, decode_image, read_file
from bcclone.dataset.statistics import evenly
from bcclone.evaluate.evaluate_settings import check_unused
from bcclone.evaluate.predict import frame_files, read_labels, seconds_of
from bcclone.lab.calibrate.calibrate_settings import CalibrateSettings
from bcclone.lab.exchange.exchange_settings import ImportSettings
from bcclone.lab.exchange.findings import Findings
from bcclone.lab.exchange.formats import ExchangedRow, format_named
from bcclone.lab.exchange.recording_import import format_of
from bcclone.recording.files import find_log, is_recording
from bcclone.recording.row import ROUNDING
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError
from bcclone.system.opencv import cv2

_MOST_PICTURES, _FEWEST = 160, 50  # of the first seconds, evenly spread
_LONGEST_STEP, _USUAL_STEPS = 1.0, 3  # seconds between frames, or usual steps; a longer pause does not count


@dataclass(frozen=True)
class LabelledPictures:
    """Pictures of one size, RGB uint8 (height, width, 3), and the recorded steering.

    steering: (pictures,), right positive; seconds: of driving from the first one, (pictures,); frames: those of the
    source from which they were chosen; unreadable: pictures that were left out.
    """

    pictures: Sequence[Image]
    steering: FloatArray
    seconds: FloatArray
    frames: int
    unreadable: int

    @property
    def size(self) -> tuple[int, int]:
        """Return the width and height of a picture."""
        height, width = self.pictures[0].shape[:2]
        return width, height


@dataclass(frozen=True)
class _Labelled:
    """A picture that is not decoded yet, its steering, and its time in seconds from any start."""

    content: Callable[[], bytes]
    steering: float
    seconds: float


def read_labelled(settings: CalibrateSettings) -> LabelledPictures:
    """Return pictures of the first seconds, evenly spread, of their most frequent size.

    The frames of an imported recording become pictures of the shape that framing.json beside its log says. Raises
    UserError where there are too few, or a steering beyond -1 to 1; SettingError for what only a table of labels needs.
    """
    source = settings.frames
    recorded = is_recording(source)
    imported = framing_of(find_log(str(source))) if recorded else None
    if imported and imported.cuts:
        raise UserError(
            f"{source}: its frames were cut by a framing already: {imported.describe()}; calibrate on its source"
        )
    if is_recording(settings.labels or source):
        check_unused(settings, settings.labels or source, "steering_column", "rate")
    first = list(_first(_labelled(settings, recorded), settings.seconds))
    chosen = evenly(len(first), _MOST_PICTURES)
    read = list(_decoded([first[index] for index in chosen], imported))
    shapes = Counter(picture.shape for _, picture in read)
    most_frequent = max(shapes, key=lambda shape: shapes[shape], default=None)
    usual = [(one, picture) for one, picture in read if picture.shape == most_frequent]
    pictures = [picture for _, picture in usual]
    steering = np.array([one.steering for one, _ in usual])
    seconds = np.array([one.seconds for one, _ in usual])
    if len(pictures) < _FEWEST:
        raise UserError(
            f"{source}: {len(pictures)} pictures of one size with a steering in its first {settings.seconds:g} s, "
            f"expected {_FEWEST} or more; name a longer drive, or give more --seconds"
        )
    if np.ptp(steering) < 1e-6:
        raise UserError(
            f"{source}: its steering is {steering[0]:g} throughout the first {settings.seconds:g} s, expected bends; "
            "give more --seconds"
        )
    if (most := max(abs(one.steering) for one in first)) > 1 + ROUNDING:
        raise UserError(
            f"{settings.labels or source}: a steering of {most:g} to one side, expected -1 to 1; import the pictures "
            f"with the unit of their steering first, and calibrate on that: bcclone import {source} -o NEW --unit UNIT"
        )
    return LabelledPictures(pictures, steering, seconds, len(first), len(chosen) - len(pictures))


def _decoded(chosen: Iterable["_Labelled"], imported: Framing | None) -> Iterator[tuple["_Labelled", Image]]:
    """Yield those that can be read, with their picture in the shape of the camera's."""
    for one in chosen:
        with suppress(BadImage, OSError):
            picture = decode_image(one.content())
            yield one, _resized(picture, imported) if imported else picture


def _labelled(settings: CalibrateSettings, recorded: bool) -> Iterable[_Labelled]:
    source = settings.frames
    if not recorded and settings.labels is None:
        check_unused(settings, source, "steering_column", "left_positive", "rate")
        rows = format_named(_format_of(source)).read(ImportSettings(source), Findings(None))
        exchanged = (row for row in rows if not row.deleted)
        return (_Labelled(partial(_content_of, row), row.steering, row.time_ms / 1000) for row in exchanged)
    files = frame_files(source)
    labels = read_labels(settings.labels or find_log(str(source)), settings.steering_column).steering
    side = -1.0 if settings.left_positive else 1.0
    both = [file for file in files if file.frame_id in labels]
    if not both:
        raise UserError(
            f"{settings.labels or source}: none of its frames is in {source}; its first frame_id is "
            f"{next(iter(labels))[:60]!r}, theirs {files[0].frame_id[:60]!r}; expected the same names in both"
        )
    seconds = seconds_of([file.frame_id for file in both])
    if seconds is None:
        seconds = np.arange(len(both)) / settings.rate
    return [
        _Labelled(partial(read_file, file.path), side * labels[file.frame_id], float(at))
        for file, at in zip(both, seconds, strict=True)
    ]


def _content_of(row: ExchangedRow) -> bytes:
    """Return the file of a row's picture; raises BadImage for a row without one and for a frame of a video."""
    content = row.images.get("center")
    if not isinstance(content, bytes):
        raise BadImage("no picture in a file")
    return content


def _format_of(source: Path) -> str:
    """Return the format of a source that holds its steering, too; raises UserError for any other, and for pictures."""
    if not source.exists():
        raise UserError(f"{source}: no such file or folder")
    with suppress(UserError):
        if (found := format_of(source)) != "frames":
            return found
    raise UserError(
        f"{source}: neither a recording nor a tub; for a folder of pictures, name a table of their steering, too: "
        f"bcclone calibrate MODEL {source} LABELS"
    )


def _first(labelled: Iterable[_Labelled], seconds: float) -> Iterator[_Labelled]:
    """Yield the pictures of the first seconds of driving; longer pauses do not count."""
    return takewhile(lambda one: one.seconds <= seconds, _without_pauses(labelled))


def _without_pauses(labelled: Iterable[_Labelled]) -> Iterator[_Labelled]:
    rest = iter(labelled)  # a tub, whose pictures are not all held at once
    begin = list(islice(rest, _FEWEST))
    usual = float(np.median(np.diff([one.seconds for one in begin]))) if len(begin) > 1 else 0.0
    longest = max(_LONGEST_STEP, _USUAL_STEPS * usual)
    driven, before = 0.0, None
    for one in chain(begin, rest):
        if before is not None and 0 <= one.seconds - before <= longest:
            driven += one.seconds - before
        before = one.seconds
        yield _Labelled(one.content, one.steering, driven)


def _resized(frame: Image, imported: Framing) -> Image:
    """Return a stretched frame as a picture of the camera's shape again."""
    size = imported.width, imported.height
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
