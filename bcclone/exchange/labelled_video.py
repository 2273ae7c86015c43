"""The format video: a video, and a table with a row for each frame, or with times. Needs PyAV.

Without times, row 1 belongs to frame 1, or a column numbers the frames. With times, the values of a
frame are interpolated between the rows around it; where these are far apart, it has none. Times
since 1970 begin with the first frame; others count from it.

A video is decoded once, forwards. Its container is chosen by the file's ending and read through an
open file, so that a playlist under another name cannot make FFmpeg open further files.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, MOST_PIXELS, BadImage, Image
from bcclone.exchange.control_columns import ControlTable, read_controls
from bcclone.exchange.exchange_settings import OF_TABLES, ImportSettings
from bcclone.exchange.foreign_table import TABLE_ENDINGS, ForeignTable, number_of_cell, plain
from bcclone.exchange.formats import MISSING, UNREADABLE, ExchangedRow, Format, files_inside, row_of
from bcclone.exchange.left_out import Findings
from bcclone.exchange.table_times import Times, find_times
from bcclone.system.arrays import FloatArray
from bcclone.system.codec import open_file
from bcclone.system.errors import UserError, first_line, require_package

_CONTAINERS = {
    ".mp4": "mov", ".m4v": "mov", ".mov": "mov", ".mkv": "matroska", ".webm": "matroska", ".avi": "avi",
}  # fmt: skip
_ENDINGS = tuple(_CONTAINERS)
_CODECS = {
    "h264",
    "hevc",
    "av1",
    "libdav1d",
    "mpeg4",
    "mjpeg",
    "vp8",
    "vp9",
    "libvpx",
    "libvpx-vp9",
}
_FOCAL_35MM = (
    "com.apple.quicktime.camera.focal_length.35mm_equivalent"  # of the file, or of its video
)
_FRAME = re.compile(
    r"(video_)?frame(_(index|idx|id|number|num|no|nr))?"
)  # a plain name of a column
_LATEST_SECONDS = 0.12  # how far from the nearest row a frame may be, where no two rows enclose it
_GAP_SECONDS = 1.5  # longest gap to interpolate; tables may have one row a second


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
        return np.rot90(
            self._converted(lambda frame: frame.to_ndarray(format="rgb24")), self._turns
        )

    def recorded(self) -> bytes:
        """Return a JPEG of 320x160 of the frame, stretched; raises BadImage.

        FFmpeg fits the planes in which a video is decoded, which takes a third of the time of
        fitting RGB.
        """
        size = (FRAME_HEIGHT, FRAME_WIDTH) if self._turns % 2 else (FRAME_WIDTH, FRAME_HEIGHT)
        fitted = self._converted(
            lambda frame: frame.reformat(*size, format="yuvj420p", interpolation="AREA")
        )
        planes = (
            np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
            for plane in fitted.planes
        )
        turned = (np.ascontiguousarray(np.rot90(plane, self._turns)) for plane in planes)
        return bytes(simplejpeg.encode_jpeg_yuv_planes(*turned, quality=75))

    def _converted(self, convert: Callable[[Any], Any]) -> Any:
        if self.decoded.width * self.decoded.height > MOST_PIXELS:
            raise BadImage(
                f"{self.decoded.width}x{self.decoded.height} pixels, expected at most {MOST_PIXELS} in all"
            )
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

    broken: packets that could not be decoded so far, after each of which a frame is missing.
    """

    def __init__(self, path: Path, container: Any) -> None:
        self._path, self._container, self.broken = path, container, 0

    @property
    def focal_mm(self) -> float | None:
        """Return the focal length that the file states, for film of 36x24 mm; None if it states
        none.
        """
        for tags in (self._container.streams.video[0].metadata, self._container.metadata):
            with suppress(KeyError, ValueError):
                if (focal_mm := float(tags[_FOCAL_35MM])) > 0:
                    return focal_mm
        return None

    def frames(self) -> Iterator[VideoFrame]:
        """Yield the frames in their order; a broken end is the end. Raises UserError for a video
        without a rate.
        """
        stream, first, number = self._container.streams.video[0], 0.0, 0
        if not (rate := stream.average_rate or stream.guessed_rate):
            raise UserError(
                f"{self._path}: it states no frame rate; convert it with ffmpeg -r RATE"
            )
        packets = self._container.demux(stream)
        with suppress(*_error()):  # of a file that ends too early
            for packet in packets:
                try:
                    decoded = packet.decode()
                except _error():
                    self.broken += 1
                    continue
                for frame in decoded:
                    seconds = float(number / rate if frame.time is None else frame.time)
                    first = first if number else seconds
                    number += 1
                    yield VideoFrame(seconds - first, frame)


@contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Open a video; raises UserError for a file that is none, has too many pixels or a codec that
    no camera writes.
    """
    require_package("av", "a video", "bcclone[video]")
    import av

    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_file(path, "video"))
            container = stack.enter_context(av.open(file, format=_CONTAINERS[path.suffix.lower()]))
            reason = _unfit(container)
        except KeyError:
            raise UserError(
                f"{path}: not a video; expected a file that ends in {', '.join(_ENDINGS)}"
            ) from None
        except _error() as error:
            reason = (
                error.strerror
                if isinstance(error, OSError) and error.strerror
                else first_line(error)
            )
        if reason:
            raise UserError(
                f"{path}: cannot be read as a video: {reason}; copy it again, or convert it with ffmpeg"
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


def _error() -> tuple[type[Exception], ...]:
    import av

    return (av.FFmpegError, OSError, ValueError)


# ---- with a table


def _read(settings: ImportSettings, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield a row for each frame that the table knows; the others are counted, and so are rows
    without a frame.

    Raises UserError for a video or a table that cannot be read.
    """
    paths = _videos(settings.source)
    if len(paths) != 1:
        listed = ", ".join(path.name for path in paths[:20]) or "none"
        raise UserError(
            f"{settings.source}: expected one video; name it itself; there are: {listed}",
            exit_code=2,
        )
    path = paths[0]
    labelled = None if settings.steering else read_controls(settings, findings)
    times = labelled and find_times(labelled.table, settings)
    with open_video(path) as video:
        if labelled is None:
            rate = settings.frame_rate
            findings.notes.append(
                f"times: counted, {rate:g} a second" if rate else "times: of the video"
            )
            for number, frame in enumerate(video.frames()):
                values = {
                    "time_ms": round(1000 * (number / rate if rate else frame.seconds)),
                    "steering": 0.0,
                }
                yield row_of(values, {"center": frame}, f"{path}: {frame.seconds:.3f} s")
        elif times:
            findings.columns_left_out = labelled.others(*times.columns)
            start = "the first row's time" if times.is_since_1970 else "0"
            findings.notes.append(f"times: {times.words}; the first frame is at {start}")
            yield from _rows_by_time(path, video, labelled, times, findings)
        else:
            column, numbers = _frame_numbers(labelled.table)
            findings.columns_left_out = labelled.others(column)
            findings.notes.append(
                f"times: of the video; a row of the table for each frame{column and f', by {column}'}"
            )
            yield from _rows_by_number(video, labelled, numbers, findings)
        findings.frames_are_rows = True
        for number in range(video.broken):
            findings.leave_out(
                f"{path}: packet {number + 1} of {video.broken}", "it cannot be decoded", UNREADABLE
            )


def stated_focal_mm(source: Path) -> float | None:
    """Return the focal length that a source states, for film of 36x24 mm; None if it is no video,
    or states none.
    """
    if not FORMAT.detect(source):
        return None
    with open_video(*_videos(source)) as video:
        return video.focal_mm


def _videos(source: Path) -> list[Path]:
    """Return the file that was named, or the videos in the folder or beside the table; raises
    UserError.
    """
    folder = (
        source.parent if source.suffix.lower() in TABLE_ENDINGS and source.is_file() else source
    )
    return files_inside(folder, _ENDINGS) if folder.is_dir() else [source]


def _frame_numbers(table: ForeignTable) -> tuple[str, Sequence[float]]:
    """Return the column that numbers the frames, "" for none, and the frame of each row, from 0.

    Raises UserError for a column that may skip frames and does not begin with the first one.
    """
    rows = [row + int(np.searchsorted(table.broken, line)) for row, line in enumerate(table.lines)]
    column = next(
        (name for name in table.cells if _FRAME.fullmatch(plain(name)) and table.is_numeric(name)),
        "",
    )
    numbers = [number_of_cell(cell) for cell in table.cells[column]] if column else rows
    if list(numbers) == [number + 1 for number in rows]:
        return column, rows
    if 0 in numbers and len(set(numbers)) == len(numbers):
        return column, numbers
    raise UserError(
        f"{table.path}: column {column[:60]!r} numbers the frames from {min(numbers):g}, expected each number once, "
        "from 0, or all from 1; correct it, or rename it if row 1 is of the video's first frame, and so on",
        exit_code=2,
    )


def _rows_by_number(
    video: Video, labelled: ControlTable, numbers: Sequence[float], findings: Findings
) -> Iterator[ExchangedRow]:
    """Yield the row of each frame's number; a packet that cannot be decoded is a frame, too."""
    table, index = labelled.table, 0
    rows = {number: row for row, number in enumerate(numbers)}
    for number, frame in enumerate(video.frames()):
        index = number + video.broken
        if index not in rows:
            findings.images_without_record += 1
            continue
        place = table.place(rows[index])
        with findings.usable(place):
            values = labelled.numbers(rows[index]) | {"time_ms": round(1000 * frame.seconds)}
            yield row_of(values, {"center": frame}, place)
    for numbered, row in rows.items():
        if not numbered <= index:
            findings.leave_out(table.place(row), "the video has ended before it", MISSING)


def _rows_by_time(
    path: Path, video: Video, labelled: ControlTable, times: Times, findings: Findings
) -> Iterator[ExchangedRow]:
    """Yield a row for each frame, with the values at its time.

    A frame before the first row, after the last one, or in a gap between two has none.
    """
    table, timed = labelled.table, list[tuple[int, int, dict[str, float]]]()
    for index, time_ms in enumerate(times.milliseconds):
        with findings.usable(table.place(index)):
            if time_ms is None:
                raise ValueError("it has no time")
            timed.append((time_ms, index, labelled.numbers(index)))
    if not timed:
        raise UserError(f"{table.path}: no row has a time and a steering; correct the table")
    timed.sort(key=itemgetter(0, 1))
    start_ms, last = timed[0][0] if times.is_since_1970 else 0, 0.0
    seconds: FloatArray = np.array([time_ms - start_ms for time_ms, *_ in timed], float) / 1000
    values = {name: [numbers[name] for *_, numbers in timed] for name in labelled.values}
    for frame in video.frames():
        last = max(last, frame.seconds)
        after = int(np.searchsorted(seconds, frame.seconds))
        around = seconds[max(after - 1, 0) : after + 1]
        is_between = len(around) > 1 and np.ptp(around) <= _GAP_SECONDS
        if not is_between and np.abs(around - frame.seconds).min() > _LATEST_SECONDS:
            findings.images_without_record += 1
            continue
        place = f"{path}: {frame.seconds:.3f} s"
        with findings.usable(place):
            numbers = {
                name: float(np.interp(frame.seconds, seconds, each))
                for name, each in values.items()
            }
            time_ms = start_ms + round(1000 * frame.seconds)
            yield row_of(numbers | {"time_ms": time_ms}, {"center": frame}, place)
    if not times.is_since_1970 and seconds[0] > _GAP_SECONDS and seconds[-1] > last + _GAP_SECONDS:
        rate = (len(seconds) - 1) / max(float(np.ptp(seconds)), 0.001)
        raise UserError(
            f"{table.path}: {times.words}: they begin at {seconds[0]:g} s and end {seconds[-1] - last:.3g} s after the "
            f"video; if row 1 is of the first frame, count the rows with --frame-rate {rate:.4g}, about their rate; "
            "else leave out the rows after the video",
            exit_code=2,
        )
    for second, (_, index, _) in zip(seconds, timed, strict=True):
        if not -_LATEST_SECONDS <= second <= last + _LATEST_SECONDS:
            findings.leave_out(table.place(index), "the video has no frame at its time", MISSING)


FORMAT = Format(
    "video",
    lambda path: (
        [each.suffix.lower() in _CONTAINERS and each.exists() for each in _videos(path)] == [True]
    ),
    _read,
    needs=("av", "bcclone[video]"),
    options=OF_TABLES | {"table", "time_column", "frame_rate"},
    expected=f"a table beside a video ({', '.join(_ENDINGS)})",
)
