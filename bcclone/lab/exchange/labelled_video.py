"""The format video: a video, and a table with a row for each frame, or with times.

Without times, row 1 belongs to frame 1. With times, each frame gets the values between those of the rows around it;
times since 1970 begin with the first frame, others count from it. Where these are far apart, it gets none.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bcclone.lab.exchange.driven_columns import DrivenTable, read_driven
from bcclone.lab.exchange.exchange_settings import OF_TABLES, ImportSettings
from bcclone.lab.exchange.findings import MISSING, UNREADABLE, Findings
from bcclone.lab.exchange.foreign_table import TABLE_ENDINGS
from bcclone.lab.exchange.foreign_times import Times
from bcclone.lab.exchange.formats import ExchangedRow, Format, files_inside, row_of
from bcclone.lab.exchange.video_frames import VIDEO_ENDINGS, Video, open_video
from bcclone.recording.row import RowError
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError

_LATEST_SECONDS = 0.12  # before the first and after the last row of a table with times, and in a gap of it
_GAP_SECONDS = 1.5  # that rows of one a second do not have


def _read(settings: ImportSettings, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield a row for each frame that the table knows; the others are counted, and so are rows without a frame.

    Raises UserError for a video or a table that cannot be read.
    """
    path, driven = _video_of(settings.source), read_driven(settings, findings)
    findings.columns_left_out = driven.others()
    with open_video(path) as video:
        if times := driven.times:
            start = "the first row's time" if times.is_since_1970 else "0"
            findings.notes.append(f"times: {times.column}, in {times.unit}; the first frame is at {start}")
            yield from _rows_by_time(video, _TimedRows(driven, times, findings), findings)
        else:
            findings.notes.append("times: of the video; a row of the table for each frame")
            yield from _rows_by_number(video, driven, findings)
        findings.images_without_record += video.count_others()
        findings.frames_are_rows = True
        for number in range(video.broken):
            findings.leave_out(f"{path}: packet {number + 1} of {video.broken}", "it cannot be decoded", UNREADABLE)


def _video_of(source: Path) -> Path:
    """Return the video that was named, or the only one in the folder or beside the table; raises UserError."""
    folder = source.parent if source.suffix.lower() in TABLE_ENDINGS and source.is_file() else source
    if not folder.is_dir():
        return source
    paths = files_inside(folder, VIDEO_ENDINGS, "its path as the source")
    if len(paths) != 1:
        listed = ", ".join(path.name for path in paths[:20]) or "none"
        raise UserError(f"{source}: expected one video; name it itself; there are: {listed}", exit_code=2)
    return paths[0]


def _rows_by_number(video: Video, driven: DrivenTable, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield row N of the table with frame N; a packet that cannot be decoded is a frame, too."""
    table = driven.table
    index, rows = 0, len(table.lines)
    for number, frame in enumerate(video.frames()):
        index = number + video.broken
        if index >= rows:
            findings.images_without_record += 1
            return  # video.count_others() counts the next ones
        place = table.place(index)
        try:
            values = driven.numbers(index) | {"time_ms": round(1000 * frame.seconds)}
            yield row_of(values, {"center": frame}, place)
        except ValueError as error:
            findings.leave_out(place, error)
    for after in range(index + 1, rows):
        findings.leave_out(table.place(after), "the video has ended before it", MISSING)


class _TimedRows:
    """The rows of a table in the order of their times. start_ms: the time of the first frame."""

    def __init__(self, driven: DrivenTable, times: Times, findings: Findings) -> None:
        self.table, usable = driven.table, []
        for index, time_ms in enumerate(times.milliseconds):
            try:
                if time_ms is None:
                    raise RowError("it has no time")
                usable.append((time_ms, index, driven.numbers(index)))
            except ValueError as error:
                findings.leave_out(self.table.place(index), error)
        if not usable:
            raise UserError(f"{self.table.path}: no row has a time and a steering; correct the table")
        usable.sort(key=lambda row: row[:2])
        milliseconds, self.rows, numbers = zip(*usable, strict=True)
        self.start_ms = milliseconds[0] if times.is_since_1970 else 0
        self.seconds: FloatArray = np.array([time_ms - self.start_ms for time_ms in milliseconds]) / 1000
        self._values = {name: np.array([each[name] for each in numbers]) for name in driven.values}

    def numbers_at(self, seconds: float) -> dict[str, float] | None:
        """Return the values at a time; None before the first row, after the last one, and in a gap between two."""
        after = int(np.searchsorted(self.seconds, seconds))
        around = self.seconds[max(after - 1, 0) : after + 1]
        is_between = len(around) > 1 and np.ptp(around) <= _GAP_SECONDS
        if not is_between and np.abs(around - seconds).min() > _LATEST_SECONDS:
            return None
        return {name: float(np.interp(seconds, self.seconds, each)) for name, each in self._values.items()}

    def outside(self, last: float) -> Sequence[int]:
        """Return the rows before the first frame, and after the last one, which is at these seconds."""
        within = (self.seconds >= -_LATEST_SECONDS) & (self.seconds <= last + _LATEST_SECONDS)
        return [row for row, inside in zip(self.rows, within, strict=True) if not inside]


def _rows_by_time(video: Video, rows: _TimedRows, findings: Findings) -> Iterator[ExchangedRow]:
    last = 0.0
    for frame in video.frames():
        numbers = rows.numbers_at(frame.seconds)
        last = max(last, frame.seconds)
        if numbers is None:
            findings.images_without_record += 1
            if frame.seconds > rows.seconds[-1] + _LATEST_SECONDS:
                break
            continue
        place = f"{video.path}: {frame.seconds:.3f} s"
        try:
            time_ms = rows.start_ms + round(1000 * frame.seconds)
            yield row_of(numbers | {"time_ms": time_ms}, {"center": frame}, place)
        except ValueError as error:
            findings.leave_out(place, error)
    for index in rows.outside(last):
        findings.leave_out(rows.table.place(index), "the video has no frame at its time", MISSING)


def _has_a_video(path: Path) -> bool:
    """Return whether a path is a video, or one is in the folder or beside the table."""
    folder = path.parent if path.suffix.lower() in TABLE_ENDINGS and path.is_file() else path
    names = [each.name for each in folder.iterdir()] if folder.is_dir() else [path.name] * path.is_file()
    return sum(name.lower().endswith(VIDEO_ENDINGS) for name in names) == 1


FORMAT = Format(
    "video",
    _has_a_video,
    _read,
    needs=("av", "bcclone[video]"),
    options=OF_TABLES | {"table", "time_column"},
    expected=f"a table beside a video ({', '.join(VIDEO_ENDINGS)})",
)
