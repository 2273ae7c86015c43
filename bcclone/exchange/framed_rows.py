"""Rows with the images of a source -> rows with frames, which are JPEGs of 320x160 pixels.

Frames are named by their times. So if other images have taken a millisecond, a row gets the next
free one.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, islice

from bcclone.camera.framing import Framing
from bcclone.camera.images import (
    FRAME_HEIGHT,
    FRAME_WIDTH,
    BadImage,
    Image,
    decode_image,
    decode_jpeg,
    encode_jpeg,
    opencv_on_one_thread,
    upright_jpeg,
)
from bcclone.exchange.exchanged_row import (
    EMPTY,
    MISSING,
    UNREADABLE,
    ExchangedRow,
    LeftOut,
    Passed,
    UnusableImage,
)
from bcclone.exchange.video_file import VideoFrame
from bcclone.recording.row import CAMERAS, RowError
from bcclone.system.hardware import usable_cores
from bcclone.system.pool import prefetch_ordered

EPOCH = datetime(1970, 1, 1)
_LAST = datetime(9999, 1, 1)  # a later time does not fit into the name of an image
_LAST_MS = (_LAST - EPOCH) // timedelta(milliseconds=1)
_FRAME_SIZE = FRAME_WIDTH, FRAME_HEIGHT
_ROWS_AT_ONCE = 8  # rows that a thread converts together


@dataclass(frozen=True, slots=True)
class CameraPath:
    """How a camera moved around the time of a row, as motion.csv states it."""

    curvature: float  # positive to the right, in 1 / camera height
    error: float  # standard error of the curvature
    speed: float  # camera heights a second

    def row(self, image: str) -> str:
        """Return the row of motion.csv for an image's base name."""
        return f"{image},{self.curvature:.6f},{self.error:.6f},{self.speed:.4f}"


@dataclass(frozen=True, slots=True)
class FramedRow:
    """A row whose images are frames, JPEGs of 320x160, and whose time no other images have."""

    row: ExchangedRow
    framing: Framing | None  # framing that made the frames; None if the images were frames already
    source_ms: int  # time of the row in the source, which other images may have, too
    size: tuple[int, int]  # width and height of the centre image in the source
    converted: int  # how many of the images were no frames already
    path: CameraPath | None = None  # path from which the steering is estimated, in a film


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame, 320x160."""

    jpeg: bytes
    size: tuple[int, int]  # width and height of the image that it was made from


FramedItem = FramedRow | Passed  # what comes out of framed_rows()


@contextmanager
def framed_rows(
    items: Iterable[ExchangedRow | Passed], framing: Framing | None = None
) -> Iterator[Iterator[FramedItem]]:
    """Yield an iterator of the items, whose rows have frames instead of their images.

    A row without a usable image becomes LeftOut. Threads on all cores read the source, decode a
    video and convert the images before the caller asks for them. They end with the block.

    framing: how pictures become frames; None to stretch them to 320x160
    """
    items = iter(items)
    parts = iter(lambda: list(islice(items, _ROWS_AT_ONCE)), [])
    cores = usable_cores()
    convert = partial(_converted, framing)
    # OpenCV needs no threads of its own, since images are converted on all cores already
    with opencv_on_one_thread(), prefetch_ordered(convert, parts, cores, 2 * cores) as converted:
        yield _framed(chain.from_iterable(converted), framing)


class _DistinctTimes:
    """Gives each row of a recording its time in milliseconds, by which its images are named.

    A row with other images at a millisecond that is taken gets the next free one.
    """

    def __init__(self) -> None:
        # time in the source and hash of the images -> time that the row got
        self._given: dict[tuple[int, int], int] = {}
        # taken time -> later time at which to look for a free one. time_of() goes from one to the
        # next, and skips the times that earlier rows of the same millisecond took
        self._later: dict[int, int] = {}

    def time_of(self, row: ExchangedRow, images: Mapping[str, bytes]) -> int:
        key = (row.time_ms, hash(tuple(images.items())))
        if key not in self._given:
            time_ms = row.time_ms
            while time_ms in self._later:
                time_ms = self._later[time_ms]
            self._later[row.time_ms] = time_ms + 1
            self._later[time_ms] = time_ms + 1
            self._given[key] = time_ms
        return self._given[key]


@dataclass(frozen=True, slots=True)
class _ConvertedRow:
    """A row with its images and the frames that they became."""

    row: ExchangedRow
    frames: Mapping[str, Frame]  # camera -> frame


def _framed(
    items: Iterable[_ConvertedRow | Passed], framing: Framing | None
) -> Iterator[FramedItem]:
    """Yield the items, whose rows have frames and a time of their own."""
    times: dict[int, _DistinctTimes] = {}  # number of a recording -> its times
    for item in items:
        if not isinstance(item, _ConvertedRow):
            yield item
            continue
        row = item.row
        images = {camera: frame.jpeg for camera, frame in item.frames.items()}
        size = item.frames[CAMERAS[0]].size
        converted = sum(image is not row.images[camera] for camera, image in images.items())
        time_ms = times.setdefault(row.recording, _DistinctTimes()).time_of(row, images)
        made_by = None
        if converted and (framing or size != _FRAME_SIZE):
            made_by = framing or Framing(*size)
        yield FramedRow(
            row=replace(row, images=images, time_ms=time_ms),
            framing=made_by,
            source_ms=row.time_ms,
            size=size,
            converted=converted,
        )


def _converted(
    framing: Framing | None, items: Iterable[ExchangedRow | Passed]
) -> list[_ConvertedRow | Passed]:
    """Return the items, each row with its frames; without a usable image it is left out."""
    converted: list[_ConvertedRow | Passed] = []
    for item in items:
        if not isinstance(item, ExchangedRow):
            converted.append(item)
            continue
        try:
            _check(item)
            frames = {camera: frame_of(image, framing) for camera, image in item.images.items()}
            converted.append(_ConvertedRow(item, frames))
        except RowError as error:
            converted.append(LeftOut.of(item.place, error))
    return converted


def _check(row: ExchangedRow) -> None:
    """Raise RowError for a row that has no image, or a time that no name of an image can hold."""
    if CAMERAS[0] not in row.images:
        raise UnusableImage(MISSING, "it has no image of the center camera")
    if not 0 <= row.time_ms < _LAST_MS:
        expected = f"expected milliseconds since 1970, before the year {_LAST.year}"
        raise RowError(f"its time is {row.time_ms} ms, {expected}")


def frame_of(image: bytes | VideoFrame, framing: Framing | None) -> Frame:
    """Return the frame of an image, by a framing or stretched; raises UnusableImage.

    A JPEG of the simulator's size stays as it is, unless there is a framing, or its EXIF data turn
    it.
    """
    try:
        if framing is None and isinstance(image, VideoFrame):
            return Frame(image.stretched_jpeg(), image.size)
        if framing is None and isinstance(image, bytes):
            with suppress(BadImage):
                decode_jpeg(image)
                return Frame(upright_jpeg(image), _FRAME_SIZE)
        picture = _pixels_of(image)
        frame = (framing or Framing.of(picture)).apply(picture)
        return Frame(encode_jpeg(frame), (picture.shape[1], picture.shape[0]))
    except BadImage as error:
        kind = UNREADABLE if image else EMPTY
        raise UnusableImage(kind, f"its image cannot be read: {error}") from None


def _pixels_of(image: bytes | VideoFrame) -> Image:
    """Return the pixels of an image, RGB uint8 (height, width, 3); raises BadImage."""
    if isinstance(image, VideoFrame):
        return image.pixels()
    return decode_image(image, others=True)
