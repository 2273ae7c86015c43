"""A tub, a recording, or a folder of pictures with a table -> pictures from the whole drive, and
their steering.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from typing import NamedTuple

import numpy as np

from bcclone.camera.framing import framing_of
from bcclone.camera.geometry import FOCAL_PX
from bcclone.camera.images import BadImage, Image, decode_image, read_file
from bcclone.evaluation.evaluate_settings import check_unused
from bcclone.evaluation.predict import frame_files, read_labels, seconds_of
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.formats import format_named
from bcclone.exchange.left_out import Findings
from bcclone.exchange.recording_import import format_of
from bcclone.exchange.video_file import VideoFrame
from bcclone.realcar.calibrate_settings import CalibrateSettings
from bcclone.recording.files import find_log, is_recording
from bcclone.recording.row import ROUNDING
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError, shown_command
from bcclone.system.opencv import resized
from bcclone.system.statistics import evenly

SHORTEST_FOCAL = 0.34  # focal length of the widest lens that is tried, in widths of a picture
_MAX_PICTURES, FEWEST_PICTURES = 160, 50  # evenly spread
_MAX_STEP, _USUAL_STEPS = (
    1.0,
    3,
)  # seconds between frames, or usual steps; a longer pause does not count


@dataclass(frozen=True)
class LabelledPictures:
    """Pictures of one size, RGB uint8 (height, width, 3), and the recorded steering.

    size: width and height of the camera's pictures, of which these show as much as frames of the
    widest lens can; steering: (pictures,), right positive; seconds: of driving from the first one,
    (pictures,); unreadable: pictures that were left out.
    """

    pictures: Sequence[Image]
    size: tuple[int, int]
    steering: FloatArray
    seconds: FloatArray
    unreadable: int

    @property
    def driven(self) -> float:
        """Return how many seconds of driving they cover."""
        return float(self.seconds[-1] - self.seconds[0])


class _Labelled(NamedTuple):
    """A picture (path or content of its file, or frame of a video), its steering, and its seconds
    from any start.
    """

    picture: str | bytes | VideoFrame
    steering: float
    seconds: float

    def pixels(self) -> Image:
        """Return the picture, RGB uint8 (height, width, 3); raises BadImage and OSError."""
        if isinstance(self.picture, VideoFrame):
            return self.picture.pixels()
        return decode_image(
            self.picture if isinstance(self.picture, bytes) else read_file(self.picture)
        )


def read_labelled(settings: CalibrateSettings) -> LabelledPictures:
    """Return pictures of the drive, evenly spread, of their most frequent size.

    The frames of an imported recording become pictures of the shape that framing.json beside its
    log says. Raises UserError where there are too few, or a steering beyond -1 to 1; SettingError
    for what only a table of labels needs.
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
    chosen = _spread(_labelled(settings, recorded), settings.seconds or math.inf)
    read: list[tuple[_Labelled, tuple[int, int], Image]] = []
    for one in chosen:
        with suppress(BadImage, OSError):
            picture = one.pixels()
            width, height = (imported.width, imported.height) if imported else picture.shape[1::-1]
            factor = max(
                1, int(SHORTEST_FOCAL * width / FOCAL_PX)
            )  # more pixels would only take time
            read.append(
                (one, (width, height), resized(picture, (width // factor, height // factor)))
            )
    most_frequent = Counter(size for _, size, _ in read).most_common(1)
    usual = [(one, picture) for one, size, picture in read if size == most_frequent[0][0]]
    if len(usual) < FEWEST_PICTURES:
        raise UserError(
            f"{source}: {len(usual)} pictures of one size with a steering, expected {FEWEST_PICTURES} or more; name a "
            "longer drive"
        )
    steering = np.array([one.steering for one, _ in usual])
    if np.ptp(steering) < 1e-6:
        raise UserError(
            f"{source}: its steering is {steering[0]:g} throughout, expected bends; name a drive with some"
        )
    if (most := np.abs(steering).max()) > 1 + ROUNDING:
        raise UserError(
            f"{settings.labels or source}: a steering of {most:g} to one side, expected -1 to 1; import the pictures "
            f"with the unit of their steering first, and calibrate on that: "
            f"{shown_command('import', source, '-o', 'NEW', '--unit', 'UNIT')}"
        )
    seconds = np.array([one.seconds for one, _ in usual])
    return LabelledPictures(
        pictures=[picture for _, picture in usual],
        size=most_frequent[0][0],
        steering=steering,
        seconds=seconds,
        unreadable=len(chosen) - len(usual),
    )


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
                f"too: {shown_command('calibrate', 'MODEL', source, 'LABELS')}"
            )
        rows = format_named(detected).read(ImportSettings(source), Findings())
        return (
            _Labelled(picture, row.steering, row.time_ms / 1000)
            for row in rows
            if (picture := row.images.get("center")) is not None and not row.deleted
        )
    files = frame_files(source)
    labels = read_labels(
        settings.labels or find_log(str(source)), settings.steering_column
    ).steering
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
        _Labelled(file.path, side * labels[file.frame_id], float(at))
        for file, at in zip(both, seconds, strict=True)
    ]


def _spread(labelled: Iterable[_Labelled], seconds: float) -> list[_Labelled]:
    """Return pictures from all over the first seconds of driving, with these; longer pauses do not
    count.
    """
    rest = iter(labelled)
    begin = list(islice(rest, FEWEST_PICTURES))
    usual = float(np.median(np.diff([one.seconds for one in begin]))) if len(begin) > 1 else 0.0
    longest = max(_MAX_STEP, _USUAL_STEPS * usual)
    spread: list[_Labelled] = []
    driven, before, every = 0.0, None, 1
    for number, one in enumerate(chain(begin, rest)):
        step = one.seconds - (one.seconds if before is None else before)
        driven, before = driven + (step if 0 <= step <= longest else 0.0), one.seconds
        if driven > seconds:
            break
        if number % every == 0:
            spread.append(one._replace(seconds=driven))
        if len(spread) == 2 * _MAX_PICTURES:  # the pictures of a long tub do not fit into memory
            spread, every = spread[::2], 2 * every
    return [spread[index] for index in evenly(len(spread), _MAX_PICTURES)]
