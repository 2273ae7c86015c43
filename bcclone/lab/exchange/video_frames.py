"""Decode a video once, forwards: a file -> its frames with their times. Needs PyAV.

The container is chosen by the file's ending and read through an open file, so that a playlist under another name
cannot make FFmpeg open further files.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from bcclone.dataset.images import FRAME_HEIGHT, FRAME_WIDTH, MOST_PIXELS, BadImage, Image
from bcclone.system.codec import open_file
from bcclone.system.errors import UserError, first_line, require_package

_CONTAINERS = {
    ".mp4": "mov", ".m4v": "mov", ".mov": "mov", ".mkv": "matroska", ".webm": "matroska", ".avi": "avi",
}  # fmt: skip
VIDEO_ENDINGS = tuple(_CONTAINERS)
_CODECS = {"h264", "hevc", "av1", "libdav1d", "mpeg4", "mjpeg", "vp8", "vp9", "libvpx", "libvpx-vp9"}
_BROKEN = 1000  # packets in a row that cannot be decoded, at most


@dataclass(frozen=True)
class VideoFrame:
    """A frame. seconds: since the first frame; decoded: of PyAV."""

    seconds: float
    decoded: Any

    @property
    def size(self) -> tuple[int, int]:
        """Return the width and height of the frame turned upright."""
        width, height = self.decoded.width, self.decoded.height
        return (height, width) if self._turns % 2 else (width, height)

    def pixels(self) -> Image:
        """Return the frame in RGB, uint8 (height, width, 3), turned upright; raises BadImage."""
        return np.rot90(self._converted(lambda frame: frame.to_ndarray(format="rgb24")), self._turns)

    def recorded(self) -> bytes:
        """Return a JPEG of 320x160 of the frame, stretched; raises BadImage.

        FFmpeg fits the planes in which a video is decoded, which takes a third of the time of fitting RGB.
        """
        size = (FRAME_HEIGHT, FRAME_WIDTH) if self._turns % 2 else (FRAME_WIDTH, FRAME_HEIGHT)
        fitted = self._converted(lambda frame: frame.reformat(*size, format="yuvj420p", interpolation="AREA"))
        planes = (
            np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
            for plane in fitted.planes
        )
        turned = (np.ascontiguousarray(np.rot90(plane, self._turns)) for plane in planes)
        return bytes(simplejpeg.encode_jpeg_yuv_planes(*turned, quality=75))

    def _converted(self, convert: Callable[[Any], Any]) -> Any:
        if self.decoded.width * self.decoded.height > MOST_PIXELS:
            raise BadImage(f"{self.decoded.width}x{self.decoded.height} pixels, expected at most {MOST_PIXELS} in all")
        try:
            return convert(self.decoded)
        except _error() as error:
            raise BadImage(f"its frame cannot be converted: {first_line(error)}") from None

    @property
    def _turns(self) -> int:
        """Return by how many quarters, counterclockwise, the frame is to be turned."""
        return round((self.decoded.rotation or 0) / 90) % 4


class Video:
    """An open video.

    frame_rate: that its header states, 0 for none; broken: packets that could not be decoded so far, after each of
    which a frame is missing.
    """

    def __init__(self, path: Path, container: Any) -> None:
        self.path, self._container = path, container
        self._stream = container.streams.video[0]
        self.frame_rate = float(self._stream.average_rate or 0)
        self.broken = 0
        self._packets_read = self._index = 0
        self._first = math.nan

    def frames(self) -> Iterator[VideoFrame]:
        """Yield the frames in their order; a broken end is the end."""
        in_a_row = 0
        for packet in self._packets():
            try:
                decoded = packet.decode()
                in_a_row = 0
            except _error():
                self.broken += 1
                in_a_row += 1
                if in_a_row == _BROKEN:
                    return
                continue
            for frame in decoded:
                yield VideoFrame(self._seconds(frame), frame)

    def count_others(self) -> int:
        """Return how many frames follow those of frames(), by their packets; none of them is decoded."""
        for _ in self._packets():
            pass
        return max(self._packets_read - self.broken - self._index, 0)

    def _packets(self) -> Iterator[Any]:
        try:
            for packet in self._container.demux(self._stream):
                self._packets_read += packet.size > 0
                yield packet
        except _error():  # a file that ends too early
            return

    def _seconds(self, frame: Any) -> float:
        """Return the time of a frame, by its number where it has none."""
        index, self._index = self._index, self._index + 1
        time = frame.time
        if time is None or not math.isfinite(time):
            return index / (self.frame_rate or 20.0)
        if math.isnan(self._first):
            self._first = time
        return float(time - self._first)


@contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Open a video; raises UserError for a file that is none, has too many pixels or a codec that no camera writes."""
    require_package("av", "a video", "bcclone[video]")
    import av

    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_file(path, "video"))
            container = stack.enter_context(av.open(file, format=_CONTAINERS[path.suffix.lower()]))
            reason = _unfit(container)
        except KeyError:
            raise UserError(f"{path}: not a video; expected a file that ends in {', '.join(VIDEO_ENDINGS)}") from None
        except _error() as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
        if reason:
            raise UserError(f"{path}: cannot be read as a video: {reason}; copy it again, or convert it with ffmpeg")
        context = container.streams.video[0].codec_context
        context.options = {"max_pixels": str(MOST_PIXELS)}
        context.thread_type = "AUTO"
        yield Video(path, container)


def _unfit(container: Any) -> str:
    """Return why the video in a container is not decoded, "" if it is."""
    if not container.streams.video:
        return "it has no video, only other streams"
    context = container.streams.video[0].codec_context
    name = context.name[:40] if context else "unknown"
    if name not in _CODECS:
        return f"its codec is {name}, expected one of {', '.join(sorted(_CODECS))}"
    if context.width * context.height > MOST_PIXELS:
        return f"{context.width}x{context.height} pixels, expected at most {MOST_PIXELS} in all"
    return ""


def _error() -> tuple[type[Exception], ...]:
    import av

    return (av.FFmpegError, OSError, ValueError)
