"""A drive -> pictures from all over it, and their steering.

The drive is a tub, a recording, or a folder of pictures with a table. The pictures are RGB uint8
(height, width, 3), all of one size; the steering is -1 to 1, right positive.
"""

import math
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Self

import numpy as np

from bcclone.camera.framing import Framing, framing_of
from bcclone.camera.geometry import FOCAL_PX
from bcclone.camera.images import BadImage, Image, decode_image, read_file, resized
from bcclone.evaluation.frame_files import frame_files, seconds_of
from bcclone.evaluation.steering_table import read_labels
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.formats import FORMATS, format_of
from bcclone.exchange.rows import Row
from bcclone.exchange.seen import Seen
from bcclone.exchange.video_file import VideoFrame
from bcclone.realcar.calibrate_settings import CalibrateSettings
from bcclone.recording.files import find_log, is_recording
from bcclone.recording.row import ROUNDING
from bcclone.system.errors import UserError, shown_command
from bcclone.system.numbers import FloatArray, evenly
from bcclone.system.settings import SettingError

SHORTEST_FOCAL = 0.34  # focal length of the widest lens of the first grid, in widths of a picture
FEWEST_PICTURES = 50
_MAX_PICTURES = 160  # most pictures that are kept, spread evenly over the drive


@dataclass(frozen=True)
class RecordedSteering:
    """The recorded steering of a whole drive, also where no picture is used."""

    seconds: FloatArray  # seconds of driving, without pauses, (rows,)
    steering: FloatArray  # right positive, (rows,)

    def at(self, seconds: FloatArray) -> FloatArray:
        """Return the steering at other times, (times,)."""
        return np.interp(seconds, self.seconds, self.steering)


@dataclass(frozen=True)
class LabelledPictures:
    """Pictures of one size, and the recorded steering."""

    # RGB uint8 (height, width, 3), reduced: through the widest lens that is tried, one pixel of a
    # network's frame then shows about one of their pixels
    pictures: Sequence[Image]
    size: tuple[int, int]  # width and height of the camera's pictures, before they were reduced
    steering: FloatArray  # (pictures,), right positive
    seconds: FloatArray  # seconds of driving, without pauses, until each picture, (pictures,)
    left_out: int  # number of pictures that cannot be read or have another size
    recorded: RecordedSteering  # of the whole drive

    def mirrored(self) -> Self:
        """Return the same pictures, with the steering to the other side."""
        recorded = replace(self.recorded, steering=-self.recorded.steering)
        return replace(self, steering=-self.steering, recorded=recorded)

    def thinned(self, every: int) -> Self:
        """Return every Nth of the pictures, with the recorded steering of the whole drive.

        every: N
        """
        return replace(
            self,
            pictures=self.pictures[::every],
            steering=self.steering[::every],
            seconds=self.seconds[::every],
        )

    @property
    def driven_seconds(self) -> float:
        """Return how many seconds of driving the pictures cover, without pauses."""
        return float(self.seconds[-1] - self.seconds[0])


@dataclass(frozen=True)
class _Labelled:
    """A picture that is not decoded yet, and its steering."""

    picture: str | bytes | VideoFrame  # path or content of its file, or frame of a video
    steering: float
    seconds: float  # time at which it was taken, from any start

    def pixels(self) -> Image:
        """Return the picture, RGB uint8 (height, width, 3); raises BadImage and OSError."""
        if isinstance(self.picture, VideoFrame):
            return self.picture.pixels()
        if isinstance(self.picture, bytes):
            return decode_image(self.picture)
        return decode_image(read_file(self.picture))


def read_labelled(settings: CalibrateSettings) -> LabelledPictures:
    """Return pictures from all over the drive, of their most frequent size, with their steering.

    An import has stretched pictures to frames; these get back the width and height of the pictures,
    which framing.json beside the recording's log states. Raises UserError for too few pictures, or
    a steering beyond -1 to 1; SettingError for settings of a table of labels, where there is no
    table.
    """
    source = settings.frames
    is_recorded = is_recording(source)
    imported = framing_of(find_log(str(source))) if is_recorded else None
    if imported and imported.cuts:
        raise UserError(
            f"{source}: its frames were cut by a framing already: {imported.describe()}; calibrate "
            "on its source"
        )
    labels = settings.labels or source
    if is_recording(labels):
        _check_unused(settings, labels, "steering_column", "rate")

    # decode pictures from all over the drive, and take those of the most frequent size
    with closing(_labelled(settings, is_recorded)) as labelled:
        chosen, recorded = _spread(labelled, settings.seconds or math.inf)
    decoded = list(_decoded(chosen, imported))
    usual: list[_Decoded] = []
    if decoded:
        sizes = Counter(picture.size for picture in decoded)
        ((usual_size, _),) = sizes.most_common(1)
        usual = [picture for picture in decoded if picture.size == usual_size]
    if len(usual) < FEWEST_PICTURES:
        raise UserError(
            f"{source}: {len(usual)} pictures of one size with a steering, expected "
            f"{FEWEST_PICTURES} or more; name a longer drive"
        )
    steering = np.array([picture.labelled.steering for picture in usual])
    _check_steering(steering, settings)
    return LabelledPictures(
        pictures=[picture.pixels for picture in usual],
        size=usual[0].size,
        steering=steering,
        seconds=np.array([picture.labelled.seconds for picture in usual]),
        left_out=len(chosen) - len(usual),
        recorded=recorded,
    )


def _check_steering(steering: FloatArray, settings: CalibrateSettings) -> None:
    """Raise UserError for a steering, (pictures,), without bends, or in another unit."""
    source = settings.frames
    if np.ptp(steering) < 1e-6:
        raise UserError(
            f"{source}: its steering is {steering[0]:g} throughout, expected bends; name a drive "
            "with some"
        )
    most = np.abs(steering).max()
    if most > 1 + ROUNDING:
        command = shown_command("import", source, "-o", "NEW", "--unit", "UNIT")
        raise UserError(
            f"{settings.labels or source}: a steering of {most:g} to one side, expected -1 to 1; "
            "import the pictures with the unit of their steering first, and calibrate on that: "
            f"{command}"
        )


@dataclass(frozen=True)
class _Decoded:
    """A decoded picture."""

    labelled: _Labelled
    size: tuple[int, int]  # width and height of the camera's picture
    pixels: Image  # the picture, reduced


def _decoded(labelled: Iterable[_Labelled], imported: Framing | None) -> Iterator[_Decoded]:
    """Yield the pictures that can be decoded.

    imported: framing by which an import stretched the pictures to frames; None if none did
    """
    for picture in labelled:
        try:
            pixels = picture.pixels()
        except (BadImage, OSError):
            continue
        height, width = pixels.shape[:2]
        if imported:
            width = imported.width
            height = imported.height
        # reduce by a whole factor: through the widest lens, this many of the picture's pixels,
        # across and down, fall on one pixel of a frame
        factor = max(1, int(SHORTEST_FOCAL * width / FOCAL_PX))
        reduced = resized(pixels, (width // factor, height // factor))
        yield _Decoded(picture, (width, height), reduced)


# ---- the sources


def _labelled(settings: CalibrateSettings, is_recorded: bool) -> Generator[_Labelled, None, None]:
    """Yield the pictures of the source with their steering; raises UserError for no steering.

    Closing it closes the source.

    is_recorded: whether the source is a recording
    """
    if is_recorded or settings.labels:
        yield from _labelled_files(settings)
    else:
        yield from _labelled_rows(settings)


def _labelled_rows(settings: CalibrateSettings) -> Iterator[_Labelled]:
    """Yield the pictures of a tub or another source that holds its steering."""
    source = settings.frames
    _check_unused(settings, source, "steering_column", "rate")
    if not source.exists():
        raise UserError(
            f"{source}: no such file or folder, expected a recording, a tub or a folder of "
            "pictures; check the name"
        )
    # pictures in a folder, the format "frames", hold no steering
    detected = format_of(source)
    if detected == "frames":
        command = shown_command("calibrate", "MODEL", source, "LABELS")
        raise UserError(
            f"{source}: neither a recording nor a tub; for a folder of pictures, name a table of "
            f"their steering, too: {command}"
        )
    # where straight ahead is follows from the pictures, so that 0 may stay 0
    as_it_is = ImportSettings(source, straight=0.0)
    with closing(FORMATS[detected].read(as_it_is, Seen())) as items:
        for row in (item for item in items if isinstance(item, Row)):
            picture = row.images.get("center")
            if picture is not None and not row.deleted:
                yield _Labelled(picture, _side(settings) * row.steering, row.time_ms / 1000)


def _side(settings: CalibrateSettings) -> float:
    """Return the factor that makes the recorded steering positive to the right."""
    return -1.0 if settings.left_positive else 1.0


def _check_unused(settings: CalibrateSettings, labels: Path, *names: str) -> None:
    """Raise SettingError if a setting that is only for a table of labels is not at its default.

    names: names of these settings
    """
    for name in names:
        # the class has the default as an attribute
        if getattr(settings, name) != getattr(type(settings), name):
            # a setting's name in braces, such as {rate}, becomes its option; {path} is a fact
            text = "{NAME} is only for a table of labels, and {path} is none; leave it out"
            raise SettingError(text.replace("NAME", name), path=labels)


def _labelled_files(settings: CalibrateSettings) -> list[_Labelled]:
    """Return the pictures of a recording or a folder for which a table has a steering."""
    source = settings.frames
    files = frame_files(source)
    table = settings.labels or find_log(str(source))
    labels = read_labels(table, settings.steering_column)
    both = [file for file in files if file.frame_id in labels]
    if not both:
        first_label = next(iter(labels))[:60]
        raise UserError(
            f"{settings.labels or source}: none of its frames is in {source}; its first frame_id "
            f"is {first_label!r}, theirs {files[0].frame_id[:60]!r}; expected the same names in "
            "both"
        )
    seconds = seconds_of([file.frame_id for file in both])
    if seconds is None:
        seconds = np.arange(len(both)) / settings.rate
    side = _side(settings)
    return [
        _Labelled(file.path, side * labels[file.frame_id], float(at))
        for file, at in zip(both, seconds, strict=True)
    ]


# ---- the choice


def _spread(
    labelled: Iterable[_Labelled], most_seconds: float
) -> tuple[list[_Labelled], RecordedSteering]:
    """Return pictures from all over the first seconds of driving, and all of their steering.

    Their `seconds` become seconds of driving since the first picture. Pauses do not count: a pause
    is a step from picture to picture of more than a second, and of more than three usual steps.

    most_seconds: how many seconds of driving are used
    """
    # the usual step, by the first pictures
    rest = iter(labelled)
    begin = list(islice(rest, FEWEST_PICTURES))
    usual_step = 0.0
    if len(begin) > 1:
        usual_step = float(np.median(np.diff([picture.seconds for picture in begin])))
    longest_step = max(1.0, 3 * usual_step)

    spread: list[_Labelled] = []
    recorded: list[tuple[float, float]] = []  # seconds of driving and steering of every picture
    every = 1  # N, to take every Nth picture
    driven = 0.0  # seconds of driving until the picture
    before: float | None = None
    for number, picture in enumerate(chain(begin, rest)):
        step = 0.0 if before is None else picture.seconds - before
        if 0 <= step <= longest_step:
            driven += step
        before = picture.seconds
        if driven > most_seconds:
            break
        recorded.append((driven, picture.steering))
        if number % every == 0:
            spread.append(replace(picture, seconds=driven))
        # if there are too many, keep every second one: all pictures of a long tub do not fit into
        # memory
        if len(spread) == 2 * _MAX_PICTURES:
            spread = spread[::2]
            every *= 2
    seconds, steering = np.array(recorded).reshape(-1, 2).T
    kept = [spread[index] for index in evenly(len(spread), _MAX_PICTURES)]
    return kept, RecordedSteering(seconds, steering)
