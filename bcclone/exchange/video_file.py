"""A video file -> its frames, in order, with their times in seconds. Needs PyAV.

A video is decoded once, forwards. Its container is chosen by the file's ending and read through an
open file, so that a playlist under another name cannot make FFmpeg open further files.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, MOST_PIXELS, BadImage, Image
from bcclone.system.codec import UnfetchedFile, open_file
from bcclone.system.errors import UserError, first_line, require_package

_CONTAINERS = {  # ending of a file -> its format for FFmpeg
    ".mp4": "mov",
    ".m4v": "mov",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "matroska",
    ".avi": "avi",
}
VIDEO_ENDINGS = tuple(_CONTAINERS)
_CODECS = {  # names of the codecs that cameras write, and of their decoders
    "av1",
    "h264",
    "hevc",
    "libdav1d",
    "libvpx",
    "libvpx-vp9",
    "mjpeg",
    "mpeg4",
    "vp8",
    "vp9",
}


@dataclass(frozen=True)
class VideoFrame:
    """A frame of a video."""

    seconds: float  # time since the first frame
    decoded: Any  # av.VideoFrame

    @property
    def size(self) -> tuple[int, int]:
        """Return the width and height of the frame turned upright."""
        width = self.decoded.width
        height = self.decoded.height
        return (height, width) if self._turns % 2 else (width, height)

    def pixels(self) -> Image:
        """Return the frame in RGB, uint8 (height, width, 3), turned upright; raises BadImage."""
        rgb = self._converted(lambda frame: frame.to_ndarray(format="rgb24"))
        return np.rot90(rgb, self._turns)

    def stretched_jpeg(self) -> bytes:
        """Return the frame stretched to 320x160, as a JPEG; raises BadImage.

        FFmpeg resizes the YUV planes in which a video is decoded: that takes a third of the time of
        resizing RGB.
        """
        size = (FRAME_WIDTH, FRAME_HEIGHT)
        if self._turns % 2:
            size = (FRAME_HEIGHT, FRAME_WIDTH)
        fitted = self._converted(
            lambda frame: frame.reformat(*size, format="yuvj420p", interpolation="AREA")
        )
        planes = []
        for plane in fitted.planes:
            # a line in memory may be longer than the picture is wide: remove the padding
            lines = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
            turned = np.rot90(lines[:, : plane.width], self._turns)
            planes.append(np.ascontiguousarray(turned))
        return bytes(simplejpeg.encode_jpeg_yuv_planes(*planes, quality=75))

    def _converted(self, convert: Callable[[Any], Any]) -> Any:
        """Return what `convert` makes of the decoded frame; raises BadImage if it cannot."""
        width = self.decoded.width
        height = self.decoded.height
        if width * height > MOST_PIXELS:
            raise BadImage(f"{width}x{height} pixels, expected at most {MOST_PIXELS} in all")
        try:
            return convert(self.decoded)
        except _errors() as error:
            raise BadImage(f"its frame cannot be converted: {first_line(error)}") from None

    @property
    def _turns(self) -> int:
        """Return by how many quarter turns, counterclockwise, the frame becomes upright."""
        return round((self.decoded.rotation or 0) / 90) % 4


class Video:
    """An open video."""

    def __init__(self, path: Path, container: Any) -> None:
        self.broken = 0  # packets that could not be decoded; each is a missing frame
        self._path = path
        self._container = container

    @property
    def focal_mm(self) -> float | None:
        """Return the focal length that the file states, for film of 36x24 mm; None for none."""
        tag = "com.apple.quicktime.camera.focal_length.35mm_equivalent"
        for tags in (self._container.streams.video[0].metadata, self._container.metadata):
            with suppress(KeyError, ValueError):
                focal_mm = float(tags[tag])
                if focal_mm > 0:
                    return focal_mm
        return None

    def frames(self) -> Iterator[VideoFrame]:
        """Yield the frames in their order; a file that breaks off ends with its last whole frame.

        Raises UserError for a video without a rate.
        """
        stream = self._container.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate
        if not rate:
            raise UserError(
                f"{self._path}: it states no frame rate; convert it with ffmpeg -r RATE"
            )
        first = 0.0
        for number, decoded in enumerate(self._decoded(stream)):
            stated = number / rate if decoded.time is None else decoded.time
            seconds = float(stated)
            if number == 0:
                first = seconds
            yield VideoFrame(seconds - first, decoded)

    def _decoded(self, stream: Any) -> Iterator[Any]:
        """Yield the decoded frames of a stream, to its end, or to where the file ends too early."""
        with suppress(*_errors()):
            for packet in self._container.demux(stream):
                try:
                    frames = packet.decode()
                except _errors():
                    self.broken += 1
                    continue
                yield from frames


@contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Open a video.

    Raises UserError for a file that is no video, has too many pixels, or has a codec that no camera
    writes.
    """
    require_package("av", "a video", "bcclone[video]")
    import av

    container_format = _CONTAINERS.get(path.suffix.lower())
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_file(path, "video"))
            if container_format is None:
                raise UserError(
                    f"{path}: not a video; expected a file that ends in {', '.join(VIDEO_ENDINGS)}"
                )
            container = stack.enter_context(av.open(file, format=container_format))
            reason = _unfit(container)
        except UnfetchedFile:
            raise
        except _errors() as error:
            reason = first_line(error)
            if isinstance(error, OSError) and error.strerror:
                reason = error.strerror
        if reason:
            raise UserError(
                f"{path}: cannot be read as a video: {reason}; copy it again, or convert it with "
                "ffmpeg"
            )
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


def _errors() -> tuple[type[Exception], ...]:
    """Return the errors that reading a video may raise; a function, since PyAV is loaded late."""
    import av

    return (av.FFmpegError, OSError, ValueError)
