"""A tub, a recording, or a folder of pictures with a table -> the pictures of the first seconds, and their steering."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from typing import NamedTuple

import numpy as np

from bcclone.dataset.framing import framing_of
from bcclone.dataset.images import BadImage, Image, decode_image, read_file
from bcclone.dataset.statistics import evenly
from bcclone.evaluate.evaluate_settings import check_unused
from bcclone.evaluate.predict import frame_files, read_labels, seconds_of
from bcclone.lab.calibrate import CalibrateSettings
from bcclone.lab.exchange.exchange_settings import ImportSettings
from bcclone.lab.exchange.formats import format_named
from bcclone.lab.exchange.left_out import Findings
from bcclone.lab.exchange.recording_import import format_of
from bcclone.recording.files import find_log, is_recording
from bcclone.recording.row import ROUNDING
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError
from bcclone.system.opencv import resized

_MAX_PICTURES, _FEWEST = 160, 50  # of the first seconds, evenly spread
_MAX_STEP, _USUAL_STEPS = 1.0, 3  # seconds between frames, or usual steps; a longer pause does not count


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

    @property
    def driven(self) -> float:
        """Return how many seconds of driving they cover."""
        return float(self.seconds[-1] - self.seconds[0])


class _Labelled(NamedTuple):
    """A picture, as the path or the content of its file, its steering, and its time in seconds from any start."""

    picture: str | bytes
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
    chosen = [first[index] for index in evenly(len(first), _MAX_PICTURES)]
    read: list[tuple[_Labelled, Image]] = []
    for one in chosen:
        with suppress(BadImage, OSError):
            picture = decode_image(one.picture if isinstance(one.picture, bytes) else read_file(one.picture))
            if imported:  # in the shape of the camera's again
                picture = resized(picture, (imported.width, imported.height))
            read.append((one, picture))
    most_frequent = Counter(picture.shape for _, picture in read).most_common(1)
    usual = [(one, picture) for one, picture in read if picture.shape == most_frequent[0][0]]
    if len(usual) < _FEWEST:
        raise UserError(
            f"{source}: {len(usual)} pictures of one size with a steering in its first {settings.seconds:g} s, "
            f"expected {_FEWEST} or more; name a longer drive, or give more --seconds"
        )
    steering = np.array([one.steering for one, _ in usual])
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
    seconds = np.array([one.seconds for one, _ in usual])
    return LabelledPictures([picture for _, picture in usual], steering, seconds, len(first), len(chosen) - len(usual))


def _labelled(settings: CalibrateSettings, recorded: bool) -> Iterable[_Labelled]:
    source = settings.frames
    if not recorded and settings.labels is None:
        check_unused(settings, source, "steering_column", "left_positive", "rate")
        if not source.exists():
            raise UserError(f"{source}: no such file or folder")
        detected = "frames"
        with suppress(UserError):
            detected = format_of(source)
        if detected == "frames":
            raise UserError(
                f"{source}: neither a recording nor a tub; for a folder of pictures, name a table of their steering, "
                f"too: bcclone calibrate MODEL {source} LABELS"
            )
        rows = format_named(detected).read(ImportSettings(source), Findings())
        return (
            _Labelled(picture, row.steering, row.time_ms / 1000)
            for row in rows
            if isinstance(picture := row.images.get("center"), bytes) and not row.deleted
        )
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
        _Labelled(file.path, side * labels[file.frame_id], float(at)) for file, at in zip(both, seconds, strict=True)
    ]


def _first(labelled: Iterable[_Labelled], seconds: float) -> Iterator[_Labelled]:
    """Yield the pictures of the first seconds of driving, with these; longer pauses do not count."""
    rest = iter(labelled)  # a tub, whose pictures are not all in memory at once
    begin = list(islice(rest, _FEWEST))
    usual = float(np.median(np.diff([one.seconds for one in begin]))) if len(begin) > 1 else 0.0
    longest = max(_MAX_STEP, _USUAL_STEPS * usual)
    driven, before = 0.0, None
    for one in chain(begin, rest):
        step = one.seconds - (one.seconds if before is None else before)
        driven, before = driven + (step if 0 <= step <= longest else 0.0), one.seconds
        if driven > seconds:
            return
        yield one._replace(seconds=driven)
