"""A row of a recording on its way to another format or from one: its images as file content, and its numbers."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.dataset.images import Image
from bcclone.lab.exchange.video_frames import VideoFrame
from bcclone.recording.drivers import DrivenRow
from bcclone.recording.row import NUMBERS, RowError, check_numbers
from bcclone.recording.run_tables import TracePoint
from bcclone.system.opencv import cv2
from bcclone.system.reading import MOST_IMAGE, UnfitFile, path_inside, read_limited

ACTIONS = NUMBERS[:3]
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")
_PNG = b"\x89PNG"
_MOST = 1 << 63  # of a whole number


class ImageMissing(RowError):
    """A row whose image does not exist."""


class ImageUnusable(RowError):
    """A row whose image cannot be read."""


@dataclass(frozen=True, slots=True)
class ExchangedRow:
    """A row with all of its values.

    recording, episode: numbers from 0, the episodes counted through all recordings; time_ms: milliseconds since 1970 on
    the recorder's clock; images: camera -> content of a JPEG or PNG file, or of an imported video a VideoFrame;
    steering, throttle -1..1, brake 0..1, speed in mph, the values of the log to the last bit; driven: who drove; point:
    where a simulated car was; deleted: whether the source marks the row as deleted; place: file and row of an imported
    row, for messages. Raises RowError for values of other types or out of range.
    """

    recording: int
    episode: int
    time_ms: int
    images: Mapping[str, Any]
    steering: float
    throttle: float
    brake: float
    speed_mph: float
    driven: DrivenRow | None = None
    point: TracePoint | None = None
    deleted: bool = False
    place: str = ""

    def __post_init__(self) -> None:
        for name in ("recording", "episode", "time_ms"):
            if not -_MOST <= whole_number(name, getattr(self, name)) < _MOST:
                raise RowError(f"{name} is {str(getattr(self, name))[:40]}, expected a number of 64 bits")
        if min(self.recording, self.episode) < 0:
            raise RowError(f"recording {self.recording}, episode {self.episode}, expected 0 or more of each")
        check_numbers(*(number(name, value) for name, value in zip(NUMBERS, self.numbers, strict=True)))
        for camera, image in self.images.items():
            if not isinstance(image, (bytes, VideoFrame)):
                raise RowError(f"the image of the {camera} camera is {_shown(image)}, expected a JPEG or PNG")

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        """Return steering, throttle, brake and speed in mph."""
        return self.steering, self.throttle, self.brake, self.speed_mph

    @property
    def driver(self) -> str:
        """Return who drove, "" if unknown."""
        return self.driven.driver if self.driven else ""

    @property
    def take_over(self) -> int:
        """Return the number of the take-over that the row belongs to, 0 for none."""
        return (self.driven and self.driven.take_over) or 0

    @property
    def track(self) -> str:
        """Return the name of the simulated track, "" if unknown."""
        return self.point.track if self.point else ""

    @property
    def position(self) -> tuple[float, float, float, float]:
        """Return seconds, x and z in metres, and metres from the centre line; NaN if unknown."""
        point = self.point
        if point is None:
            return math.nan, math.nan, math.nan, math.nan
        return point.seconds, point.x_m, point.z_m, point.cross_track_m


@dataclass(frozen=True)
class Source:
    """Rows to export, each recording in order of time.

    cameras: of every row; size: height and width of the images; rows: their number; skipped: a line for each
    row that is left out; rows_per_second: the usual rate within an episode, rounded; has_drivers, has_trace:
    whether a row has a driver or a point; read: yields the rows.
    """

    cameras: tuple[str, ...]
    size: tuple[int, int]
    rows: int
    skipped: tuple[str, ...]
    rows_per_second: int
    read: Callable[[], Iterator[ExchangedRow]]
    has_drivers: bool = False
    has_trace: bool = False

    def __iter__(self) -> Iterator[ExchangedRow]:
        return self.read()

    def episodes(self) -> Iterator[tuple[int, Iterator[ExchangedRow]]]:
        """Yield the number of each episode, from 0 without a gap, and its rows, which are read once."""
        for number, (_, rows) in enumerate(itertools.groupby(self, key=lambda row: row.episode)):
            yield number, rows


def number(name: str, value: Any) -> float:
    """Return a number of a record; raises RowError for a value of another type."""
    if type(value) not in (int, float) or (type(value) is int and abs(value) >= _MOST):
        raise RowError(f"{name} is {_shown(value)}, expected a number")
    return float(value)


def whole_number(name: str, value: Any) -> int:
    """Return a whole number of a record; raises RowError for any other value."""
    if type(value) not in (int, float) or value != value // 1:
        raise RowError(f"{name} is {_shown(value)}, expected a whole number")
    return int(value)


def text(name: str, value: Any) -> str:
    """Return a text of a record; raises RowError for another value and for control characters."""
    if not isinstance(value, str) or not value.isprintable():
        raise RowError(f"{name} is {_shown(value)}, expected a text of one line")
    return value


def _shown(value: Any) -> str:
    return repr(str(value)[:40])


def read_image(folder: Path, name: str) -> bytes:
    """Return the content of an image that a row names; raises RowError, also for one outside the folder."""
    try:
        return read_inside(folder, name, MOST_IMAGE)
    except OSError as error:
        kind = ImageMissing if isinstance(error, FileNotFoundError) else ImageUnusable
        raise kind(f"image {name[:200]!r} cannot be read: {error.strerror}") from None


def read_inside(folder: Path, name: str, most: int) -> bytes:
    """Return the content of a file that a source names; raises OSError, also for one outside the folder."""
    try:
        path = path_inside(folder, name)
    except ValueError as error:
        raise UnfitFile(folder / name, str(error)) from None
    return read_limited(path, most)


def suffix_of(image: bytes) -> str:
    """Return the ending of an image file with this content."""
    return ".png" if image.startswith(_PNG) else ".jpg"


def encode_png(frame: Image) -> bytes:
    """Return an RGB frame, uint8 (height, width, 3), as the content of a PNG file."""
    _, content = cv2.imencode(".png", cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2BGR))
    return bytes(content.tobytes())
