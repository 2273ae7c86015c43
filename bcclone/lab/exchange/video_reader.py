"""Read the format video: a video, and a table with a row for each frame, or with times.

Without times, row 1 belongs to frame 1. With times, each frame gets the values between those of the rows around it;
times since 1970 begin with the first frame, others count from it. Where these are far apart, it gets none.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bcclone.lab.exchange.driven_columns import Driving, find_driving, find_times
from bcclone.lab.exchange.exchange_settings import ImportSettings
from bcclone.lab.exchange.findings import MISSING, UNREADABLE, Findings
from bcclone.lab.exchange.foreign_table import TABLE_ENDINGS, ForeignTable, read_foreign
from bcclone.lab.exchange.foreign_units import Times
from bcclone.lab.exchange.frames_reader import find_table, found_inside
from bcclone.lab.exchange.rows import ExchangedRow
from bcclone.lab.exchange.video_frames import VIDEO_ENDINGS, Video, VideoFrame, open_video
from bcclone.recording.row import RowError
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError

_LATEST_SECONDS = 0.12  # before the first and after the last row of a table with times, and in a gap of it
_GAP_SECONDS = 1.5  # that rows of one a second do not have
_Numbers = tuple[float, float, float, float]  # steering, throttle, brake, speed in mph


def read(settings: ImportSettings, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield a row for each frame that the table knows; the others are counted, and so are rows without a frame.

    Raises UserError for a video or a table that cannot be read.
    """
    path = _video_of(settings.source)
    table = read_foreign(find_table(settings))
    driving = find_driving(table, settings)
    found = find_times(table, settings)
    findings.notes.extend(driving.notes)
    findings.columns_left_out = tuple(
        name for name in table.names if name not in (*driving.columns, found and found[0])
    )
    for line in table.broken:
        findings.leave_out(table.place(line), f"not {len(table.names)} cells, as in the first line")
    with open_video(path) as video:
        if found:
            findings.notes.append(
                f"times: {found[0]}, in {found[1].unit}; the first frame is at " + _start_words(found[1])
            )
            yield from _rows_by_time(video, _TimedRows(table, driving, found[1], findings), findings)
        else:
            findings.notes.append("times: of the video; a row of the table for each frame")
            yield from _rows_by_number(video, table, driving, findings)
        findings.images_without_record += video.count_others()
        findings.frames_are_rows = True
        for number in range(video.broken):
            findings.leave_out(f"{path}: packet {number + 1} of {video.broken}", "it cannot be decoded", UNREADABLE)


def _start_words(times: Times) -> str:
    return "the first row's time" if times.is_since_1970 else "0"


def _video_of(source: Path) -> Path:
    """Return the video that was named, or the only one in the folder or beside the table; raises UserError."""
    folder = source.parent if source.suffix.lower() in TABLE_ENDINGS and source.is_file() else source
    if not folder.is_dir():
        return source
    paths = found_inside(folder, VIDEO_ENDINGS, "its path as the source")
    if len(paths) != 1:
        listed = ", ".join(path.name for path in paths[:20]) or "none"
        raise UserError(f"{source}: expected one video; name it itself; there are: {listed}", exit_code=2)
    return paths[0]


def _rows_by_number(video: Video, table: ForeignTable, driving: Driving, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield row N of the table with frame N; a packet that cannot be decoded is a frame, too."""
    count = len(table.lines)
    index = 0
    for number, frame in enumerate(video.frames()):
        index = number + video.broken
        if index >= count:
            findings.images_without_record += 1
            return  # video.count_others() counts the next ones
        place = table.place(table.lines[index][0])
        try:
            yield _row(frame, driving.numbers(index), round(1000 * frame.seconds), place)
        except RowError as error:
            findings.leave_out(place, error)
    for line, _ in table.lines[index + 1 :]:
        findings.leave_out(table.place(line), "the video has ended before it", MISSING)


class _TimedRows:
    """The rows of a table in the order of their times. start_ms: the time of the first frame."""

    def __init__(self, table: ForeignTable, driving: Driving, times: Times, findings: Findings) -> None:
        usable: list[tuple[int, int, _Numbers]] = []
        for index, time_ms in enumerate(times.milliseconds):
            line = table.lines[index][0]
            try:
                if time_ms is None:
                    raise RowError("it has no time")
                usable.append((time_ms, line, driving.numbers(index)))
            except RowError as error:
                findings.leave_out(table.place(line), error)
        if not usable:
            raise UserError(f"{table.path}: no row has a time and a steering; correct the table")
        usable.sort(key=lambda row: row[:2])
        self.table, self.lines = table, [line for _, line, _ in usable]
        self.start_ms = usable[0][0] if times.is_since_1970 else 0
        self.seconds: FloatArray = np.array([time_ms - self.start_ms for time_ms, _, _ in usable]) / 1000
        self._values = np.array([numbers for *_, numbers in usable]).T

    def numbers_at(self, seconds: float) -> _Numbers | None:
        """Return the values at a time; None before the first row, after the last one, and in a gap between two."""
        after = int(np.searchsorted(self.seconds, seconds))
        around = self.seconds[max(after - 1, 0) : after + 1]
        is_between = len(around) > 1 and np.ptp(around) <= _GAP_SECONDS
        if not is_between and np.abs(around - seconds).min() > _LATEST_SECONDS:
            return None
        steering, throttle, brake, speed_mph = (float(np.interp(seconds, self.seconds, each)) for each in self._values)
        return steering, throttle, brake, speed_mph

    def outside(self, last: float) -> Sequence[int]:
        """Return the lines of the rows before the first frame, and after the last one, which is at these seconds."""
        within = (self.seconds >= -_LATEST_SECONDS) & (self.seconds <= last + _LATEST_SECONDS)
        return [line for line, inside in zip(self.lines, within, strict=True) if not inside]


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
            yield _row(frame, numbers, rows.start_ms + round(1000 * frame.seconds), place)
        except RowError as error:
            findings.leave_out(place, error)
    for line in rows.outside(last):
        findings.leave_out(rows.table.place(line), "the video has no frame at its time", MISSING)


def _row(frame: VideoFrame, numbers: _Numbers, time_ms: int, place: str) -> ExchangedRow:
    """Return a row with a frame of a video; raises RowError."""
    return ExchangedRow(0, 0, time_ms, {"center": frame}, *numbers, place=place)
