"""Rows with the images of a source -> rows with frames, which are JPEGs of 320x160 pixels.

Frames are named by their times. So if other images have taken a millisecond, a row gets the next
free one.
"""

from collections.abc import Iterable, Iterator
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


def _at_distinct_times(items: Iterable[Row | LeftOut]) -> Iterator[Row | LeftOut]:
    """Yield the items, whose rows have a time of their own in their recording, by which their
    images are named: where a millisecond is taken, the next free one.
    """
    # recording and taken time -> later time at which to look for a free one. The search goes from
    # one to the next, and skips the times that earlier rows of the same millisecond took
    later: dict[tuple[int, int], int] = {}
    for item in items:
        if not isinstance(item, Row):
            yield item
            continue
        time_ms = item.time_ms
        while (item.recording, time_ms) in later:
            time_ms = later[item.recording, time_ms]
        later[item.recording, item.time_ms] = time_ms + 1
        later[item.recording, time_ms] = time_ms + 1
        yield replace(item, source_ms=item.time_ms, time_ms=time_ms)


def _framed(framing: Framing | None, items: Iterable[Row | LeftOut]) -> list[Row | LeftOut]:
    """Return the items, each row with its frames; without a usable image it is left out."""
    framed: list[Row | LeftOut] = []
    for item in items:
        try:
            framed.append(_with_frames(item, framing) if isinstance(item, Row) else item)
        except RowError as error:
            framed.append(LeftOut.of(item.place, error))
    return framed


def _with_frames(row: Row, framing: Framing | None) -> Row:
    """Return a row with frames; raises RowError for one without an image, or with a time that no
    name of an image can hold.
    """
    if CAMERAS[0] not in row.images:
        raise LeftOut("it has no image of the center camera", MISSING)
    if not 0 <= row.time_ms < _LAST_MS:
        expected = f"expected milliseconds since 1970, before the year {_LAST.year}"
        raise RowError(f"its time is {row.time_ms} ms, {expected}")
    frames = {camera: _frame_of(image, framing) for camera, image in row.images.items()}
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
        if isinstance(image, VideoFrame):
            picture = image.pixels()
        else:
            picture = decode_image(image, others=True)
        size = (picture.shape[1], picture.shape[0])
        if framing and size == _FRAME_SIZE != (framing.width, framing.height):
            raise LeftOut(
                "its image is a frame already, and the framing is for pictures of "
                f"{framing.width}x{framing.height}; import its source with this framing",
                UNREADABLE,
            )
        frame = (framing or Framing.of(picture)).apply(picture)
        return encode_jpeg(frame), size
    except BadImage as error:
        kind = UNREADABLE if image else EMPTY
        raise LeftOut(f"its image cannot be read: {error}", kind) from None
