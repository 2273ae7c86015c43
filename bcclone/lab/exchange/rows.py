"""A row of a recording on its way to another format or from one: its images as file content, and its numbers."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from bcclone.dataset.images import BadImage, Image
from bcclone.recording.drivers import DrivenRow
from bcclone.recording.run_tables import TracePoint

_PNG = b"\x89PNG"


@dataclass(frozen=True, slots=True)
class ExchangedRow:
    """A row with everything that a recording knows about it.

    recording, episode: numbers from 0, the episodes counted through all recordings; time_ms: milliseconds since 1970 on
    the recorder's clock; images: camera -> content of a JPEG or PNG file; steering -1..1, throttle, brake 0..1, speed
    in mph, the values of the log to the last bit; driven: who drove; point: where a simulated car was; deleted: whether
    the source marks the row as deleted.
    """

    recording: int
    episode: int
    time_ms: int
    images: Mapping[str, bytes]
    steering: float
    throttle: float
    brake: float
    speed_mph: float
    driven: DrivenRow | None = None
    point: TracePoint | None = None
    deleted: bool = False

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        """Return steering, throttle, brake and speed in mph."""
        return self.steering, self.throttle, self.brake, self.speed_mph


@dataclass(frozen=True)
class Source:
    """Rows to export, each recording in order of time.

    cameras: those of every row; size: height and width of the images; rows: their number; skipped: a line for each
    row that is left out; rows_per_second: the usual rate within an episode, rounded; has_drivers, has_trace: of at
    least one row; read: yields the rows.
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


def position_of(row: ExchangedRow) -> tuple[float, float, float, float]:
    """Return the point of a row: seconds, x and z in metres, metres from the centre line; NaN if it is not known."""
    point = row.point
    if point is None:
        return math.nan, math.nan, math.nan, math.nan
    return point.seconds, point.x_m, point.z_m, point.cross_track_m


def suffix_of(image: bytes) -> str:
    """Return the ending of an image file with this content."""
    return ".png" if image.startswith(_PNG) else ".jpg"


def decode(image: bytes) -> Image:
    """Return the pixels of a JPEG or PNG, RGB uint8 (height, width, 3); raises BadImage if they cannot be read."""
    found = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR) if image else None
    if found is None:
        raise BadImage("neither a JPEG nor a PNG")
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), np.uint8)


def encode_png(frame: Image) -> bytes:
    """Return an RGB frame, uint8 (height, width, 3), as the content of a PNG file."""
    _, content = cv2.imencode(".png", cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2BGR))
    return bytes(content.tobytes())
