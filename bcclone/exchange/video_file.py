"""A video file -> its frames, in order, with their times in seconds. Needs PyAV.

A video is decoded once, forwards. Its container is chosen by the file's first bytes, whatever its
name, and read through an open file, so that a playlist cannot make FFmpeg open further files. A
film in another form is refused with the command that converts it.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, Image
from bcclone.system.codec import UnfetchedFile, kind_of_content, open_file
from bcclone.system.errors import UserError, command_line, first_line, require_package
from bcclone.system.process import MOST_PIXELS

# pattern of a file's first bytes -> its format for FFmpeg; the last one is of transport streams,
# whose packets have 188 bytes, or 192 with a time before each
_CONTAINERS = {
    rb".{4}(ftyp|moov|mdat|wide|free|skip)": "mov",
    rb"\x1a\x45\xdf\xa3": "matroska",
    rb"RIFF.{4}AVI ": "avi",
    rb"G.{187}G.{187}G|.{4}G.{191}G": "mpegts",
}
_FIRST_BYTES = 512  # how many of them the patterns need
VIDEO_ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".3gp")
# endings of streams without a container, which know no times
_RAW_ENDINGS = (".h264", ".264", ".avc", ".h265", ".265", ".hevc", ".mjpeg", ".mjpg")
# endings of films in other forms, which have to be converted
_OTHER_ENDINGS = (".gif", ".wmv", ".asf", ".flv", ".mpg", ".mpeg", ".vob", ".ogv", ".y4m", ".3g2")
FILM_ENDINGS = (*VIDEO_ENDINGS, *_RAW_ENDINGS, *_OTHER_ENDINGS, ".lrv")
# names of the codecs that cameras write, and of their decoders
_CODECS = [
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
]


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
        self._stream = _only_stream(path, container.streams.video)

    @property
    def codec_context(self) -> Any:
        """Return the decoder of the stream that is read, an av.VideoCodecContext."""
        return self._stream.codec_context

    @property
    def focal_mm(self) -> float | None:
        """Return the focal length that the file states, for film of 36x24 mm; None for none."""
        tag = "com.apple.quicktime.camera.focal_length.35mm_equivalent"
        for tags in (self._stream.metadata, self._container.metadata):
            with suppress(KeyError, ValueError):
                focal_mm = float(tags[tag])
                if focal_mm > 0:
                    return focal_mm
        return None

    def count_packets(self) -> int:
        """Return how many frames the video has, by its packets, without decoding it."""
        packets = 0
        with suppress(*_errors()):
            for packet in self._container.demux(self._stream):
                packets += packet.size > 0
        return packets

    def frames(self) -> Iterator[VideoFrame]:
        """Yield the frames in their order, of a file that breaks off up to its last whole one."""
        stream = self._stream
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
    """Open a video; raises UserError for a file that is none, or in a form that is not read."""
    require_package("av", "a video", "bcclone[video]")
    import av

    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_file(path, "video"))
            begin = file.peek(_FIRST_BYTES)
            container_format = _container_of(begin)
            if container_format is None:
                what = kind_of_content(begin)
                if what in ("", "a video"):
                    what = "a film in a form that is not read, or damaged"
                raise ValueError(f"it is {what}")
            container = stack.enter_context(av.open(file, format=container_format))
            if not container.streams.video:
                raise ValueError("it has no video, only other streams")
            video = Video(path, container)
            context = video.codec_context
            name = context.name[:40] if context else "unknown"
            if name not in _CODECS:
                raise ValueError(f"its codec is {name}, expected one of {', '.join(_CODECS)}")
            if context.width * context.height > MOST_PIXELS:
                size = f"{context.width}x{context.height}"
                raise ValueError(f"{size} pixels, expected at most {MOST_PIXELS} in all")
        except UnfetchedFile:
            raise
        except _errors() as error:
            raise _unreadable(path, error) from None
        context.options = {"max_pixels": str(MOST_PIXELS)}
        context.thread_type = "AUTO"
        yield video


def is_video(path: Path) -> bool:
    """Return whether a file is a video that is read, by its first bytes, or a film by its name."""
    if not path.is_file():
        return False
    if path.suffix.lower() in FILM_ENDINGS:
        return True
    with suppress(OSError), open_file(path, "video") as file:
        return _container_of(file.peek(_FIRST_BYTES)) is not None
    return False


def _container_of(begin: bytes) -> str | None:
    """Return FFmpeg's name for the container with these first bytes, None for no known one."""
    for pattern, name in _CONTAINERS.items():
        if re.match(pattern, begin, re.DOTALL):
            return name
    return None


def _unreadable(path: Path, error: Exception) -> UserError:
    """Return the error for a film that cannot be read, with the command that converts it."""
    reason = getattr(error, "strerror", None) or first_line(error)
    converted = path.with_suffix(".mp4")
    if converted == path:
        converted = path.with_name(f"{path.stem}-converted.mp4")
    # A stream without a container does not say how many frames a second there are. It is encoded
    # again, since a copy (-c copy) of frames without times may get them in a wrong order.
    rate = ["-r", "RATE"] if path.suffix.lower() in _RAW_ENDINGS else []
    command = command_line(["ffmpeg", *rate, "-i", str(path), str(converted)])
    return UserError(
        f"{path}: cannot be read as a video: {reason}; copy it again, or convert it: {command}"
    )


def _only_stream(path: Path, streams: Sequence[Any]) -> Any:
    """Return the video stream of a camera; raises UserError for several, as of several cameras."""
    from av.stream import Disposition

    pictures = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    # a stream of one frame is a picture, too, such as that on a cover
    films = [film for film in streams if not film.disposition & pictures and film.frames != 1]
    if len(films) <= 1:
        return films[0] if films else streams[0]
    first = list(streams).index(films[0])
    one = path.with_name(f"{path.stem}-{first + 1}{path.suffix}")
    words = ["ffmpeg", "-i", str(path), "-map", f"0:v:{first}", "-c", "copy", str(one)]
    raise UserError(
        f"{path}: {len(films)} videos in one file, as of several cameras; copy the one of the "
        f"front camera into a file of its own, 0:v:{first} or one after it: "
        f"{command_line(words)}",
        exit_code=2,
    )


def _errors() -> tuple[type[Exception], ...]:
    """Return the errors that reading a video may raise; a function, since PyAV is loaded late."""
    import av

    return (av.FFmpegError, OSError, ValueError)
