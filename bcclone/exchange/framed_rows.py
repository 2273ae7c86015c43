"""Rows with the images of a source -> rows with frames, which are JPEGs of 320x160 pixels.

Frames are named by their times. So if other images have taken a millisecond, a row gets the next
free one.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
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
from bcclone.exchange.rows import EMPTY, MISSING, UNREADABLE, LeftOut, Row
from bcclone.exchange.video_file import VideoFrame
from bcclone.recording.row import CAMERAS, RowError
from bcclone.system.hardware import usable_cores
from bcclone.system.pool import prefetch_ordered

EPOCH = datetime(1970, 1, 1)
_LAST = datetime(9999, 1, 1)  # a later time does not fit into the name of an image
_LAST_MS = (_LAST - EPOCH) // timedelta(milliseconds=1)
_FRAME_SIZE = FRAME_WIDTH, FRAME_HEIGHT
_ROWS_AT_ONCE = 8  # rows that a thread converts together


@contextmanager
def framed_rows(
    items: Iterable[Row | LeftOut], framing: Framing | None = None
) -> Iterator[Iterator[Row | LeftOut]]:
    """Yield an iterator of the items, whose rows have frames instead of their images.

    A row without a usable image becomes LeftOut. Threads on all cores read the source, decode a
    video and convert the images before the caller asks for them. They end with the block.

    framing: how pictures become frames; None to stretch them to 320x160
    """
    items = iter(items)
    parts = iter(lambda: list(islice(items, _ROWS_AT_ONCE)), [])
    cores = usable_cores()
    convert = partial(_framed, framing)
    # OpenCV needs no threads of its own, since images are converted on all cores already
    with opencv_on_one_thread(), prefetch_ordered(convert, parts, cores, 2 * cores) as framed:
        yield _at_distinct_times(chain.from_iterable(framed))


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

    def time_of(self, row: Row) -> int:
        key = (row.time_ms, hash(tuple(row.images.items())))
        if key not in self._given:
            time_ms = row.time_ms
            while time_ms in self._later:
                time_ms = self._later[time_ms]
            self._later[row.time_ms] = time_ms + 1
            self._later[time_ms] = time_ms + 1
            self._given[key] = time_ms
        return self._given[key]


def _at_distinct_times(items: Iterable[Row | LeftOut]) -> Iterator[Row | LeftOut]:
    """Yield the items, whose rows have a time of their own."""
    times: dict[int, _DistinctTimes] = {}  # number of a recording -> its times
    for item in items:
        if isinstance(item, Row):
            given = times.setdefault(item.recording, _DistinctTimes())
            yield replace(item, source_ms=item.time_ms, time_ms=given.time_of(item))
        else:
            yield item


def _framed(framing: Framing | None, items: Iterable[Row | LeftOut]) -> list[Row | LeftOut]:
    """Return the items, each row with its frames; without a usable image it is left out."""
    framed: list[Row | LeftOut] = []
    for item in items:
        if not isinstance(item, Row):
            framed.append(item)
            continue
        try:
            _check(item)
            frames = {camera: _frame_of(image, framing) for camera, image in item.images.items()}
        except RowError as error:
            framed.append(LeftOut.of(item.place, error))
            continue
        framed.append(_with_frames(item, frames, framing))
    return framed


def _check(row: Row) -> None:
    """Raise RowError for a row that has no image, or a time that no name of an image can hold."""
    if CAMERAS[0] not in row.images:
        raise LeftOut("it has no image of the center camera", MISSING)
    if not 0 <= row.time_ms < _LAST_MS:
        expected = f"expected milliseconds since 1970, before the year {_LAST.year}"
        raise RowError(f"its time is {row.time_ms} ms, {expected}")


def _with_frames(
    row: Row, frames: Mapping[str, tuple[bytes, tuple[int, int]]], framing: Framing | None
) -> Row:
    """Return a row with frames.

    frames: camera -> what _frame_of() returned
    """
    images = {camera: jpeg for camera, (jpeg, _) in frames.items()}
    _, size = frames[CAMERAS[0]]
    converted = sum(jpeg is not row.images[camera] for camera, jpeg in images.items())
    made_by = None
    if converted and (framing or size != _FRAME_SIZE):
        made_by = framing or Framing(*size)
    return replace(row, images=images, framing=made_by, size=size, converted=converted)


def _frame_of(image: bytes | VideoFrame, framing: Framing | None) -> tuple[bytes, tuple[int, int]]:
    """Return the frame of an image, and the image's width and height; raises LeftOut.

    A JPEG of the simulator's size stays as it is, unless there is a framing, or its EXIF data turn
    it.
    """
    try:
        if framing is None and isinstance(image, VideoFrame):
            return image.stretched_jpeg(), image.size
        if framing is None and isinstance(image, bytes):
            with suppress(BadImage):
                decode_jpeg(image)
                return upright_jpeg(image), _FRAME_SIZE
        picture = _pixels_of(image)
        frame = (framing or Framing.of(picture)).apply(picture)
        return encode_jpeg(frame), (picture.shape[1], picture.shape[0])
    except BadImage as error:
        kind = UNREADABLE if image else EMPTY
        raise LeftOut(f"its image cannot be read: {error}", kind) from None


def _pixels_of(image: bytes | VideoFrame) -> Image:
    """Return the pixels of an image, RGB uint8 (height, width, 3); raises BadImage."""
    if isinstance(image, VideoFrame):
        return image.pixels()
    return decode_image(image, others=True)
