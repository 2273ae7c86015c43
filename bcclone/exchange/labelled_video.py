"""The format video: a video and a table -> a row for each frame that has values. Needs PyAV.

In a table without times, row 1 belongs to frame 1, or a column numbers the frames. In a table with
times, the values of a frame are interpolated between the rows before and after it; a frame between
rows that are far apart gets no values, and no row. If the times count from 1970, the first row has
the time of the first frame; other times count from the first frame.
"""

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np

from bcclone.exchange.control_table import ControlTable, read_controls
from bcclone.exchange.exchange_settings import OF_TABLES, ImportSettings
from bcclone.exchange.exchanged_row import (
    MISSING,
    UNREADABLE,
    LeftOut,
    SourceFacts,
    SourceItem,
    row_of,
)
from bcclone.exchange.folder_images import FolderImages
from bcclone.exchange.foreign_table import TABLE_ENDINGS, ForeignTable
from bcclone.exchange.formats import Format
from bcclone.exchange.source_files import files_inside
from bcclone.exchange.table_times import find_times
from bcclone.exchange.table_words import number_of_cell, plain
from bcclone.exchange.video_file import (
    FILM_ENDINGS,
    VIDEO_ENDINGS,
    Video,
    check_container,
    is_video,
    open_video,
)
from bcclone.exchange.written_times import Times
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError, shown_command

_Items = Generator[SourceItem, None, None]  # what a reader yields


def _read(settings: ImportSettings) -> _Items:
    """Yield a row for each frame for which the table has values, and count the other frames.

    Raises UserError for a video or a table that cannot be read.
    """
    path = _only_video(settings.source)
    check_container(path)
    labelled = None  # the table with its steering
    times = None
    if not settings.steering:
        labelled = read_controls(settings)
        yield from labelled.table.left_out()
        times = find_times(labelled.table, settings)
    with open_video(path) as video:
        if labelled is None:
            yield from _rows_without_table(path, video, settings.frame_rate)
        elif times:
            yield from _rows_by_time(path, video, labelled, times)
        else:
            yield from _rows_by_number(video, labelled)
        for number in range(1, video.broken + 1):
            place = f"{path}: packet {number} of {video.broken}"
            yield LeftOut(place, "it cannot be decoded", UNREADABLE)
        if video.notes:
            yield SourceFacts(notes=video.notes)


def _only_video(source: Path) -> Path:
    """Return the video of a source; raises UserError for none, and for several."""
    paths = _videos(source)
    if len(paths) == 1:
        return paths[0]
    if not paths:
        raise UserError(f"{source}: no video in it; name one itself", exit_code=2)
    listed = ", ".join(path.name for path in paths[:20])
    command = shown_command("import", paths[0], "-o", f"recordings/{paths[0].stem}")
    raise UserError(
        f"{source}: {len(paths)} videos, expected one; import each by itself, the first with: "
        f"{command}; there are: {listed}",
        exit_code=2,
    )


def _videos(source: Path) -> list[Path]:
    """Return the file that was named, or the videos in the folder or beside the table.

    Films in a form that is not read count only where there is no other. Raises UserError for a link
    that leads out of the folder.
    """
    is_table = source.suffix.lower() in TABLE_ENDINGS and source.is_file()
    folder = source.parent if is_table else source
    if not folder.is_dir():
        return [source]
    paths = files_inside(folder, VIDEO_ENDINGS) or files_inside(folder, FILM_ENDINGS)
    if is_table:
        # the table of a video often has its name
        return [path for path in paths if path.stem == source.stem] or paths
    return paths


def _is_source(path: Path) -> bool:
    """Return whether a path is a video, or has one beside it; or only films and no pictures."""
    videos = _videos(path)
    if not path.is_dir() and videos == [path]:
        return is_video(path)
    if len(videos) == 1 and videos[0].suffix.lower() in VIDEO_ENDINGS:
        return True
    return bool(videos) and path.is_dir() and not len(FolderImages(path))


def stated_focal_mm(source: Path) -> float | None:
    """Return the focal length that a source states, for film of 36x24 mm.

    Returns None if the source is no video, or states no focal length.
    """
    if not _is_source(source):
        return None
    with open_video(_only_video(source)) as video:
        return video.focal_mm


# ---- without a table


def _rows_without_table(path: Path, video: Video, frame_rate: float | None) -> _Items:
    """Yield a row for each frame, with a steering of 0.

    frame_rate: frames a second, from which the times are counted; None for the video's own times
    """
    words = f"counted, {frame_rate:g} a second" if frame_rate else "of the video"
    for number, frame in enumerate(video.frames()):
        seconds = number / frame_rate if frame_rate else frame.seconds
        values = {"time_ms": round(1000 * seconds), "steering": 0.0}
        yield row_of(values, {"center": frame}, f"{path}: {frame.seconds:.3f} s")
    yield SourceFacts(notes=[f"times: {words}"])


# ---- with a row for each frame


def _rows_by_number(video: Video, labelled: ControlTable) -> _Items:
    """Yield the row of each frame's number; a packet that cannot be decoded is a frame, too."""
    table = labelled.table
    column, numbers = _frame_numbers(table)
    rows = {number: row for row, number in enumerate(numbers)}
    without_row = 0
    index = 0
    for number, frame in enumerate(video.frames()):
        index = number + video.broken
        if index not in rows:
            without_row += 1
            continue
        place = table.place(rows[index])
        try:
            values = labelled.numbers(rows[index])
            values["time_ms"] = round(1000 * frame.seconds)
            labelled_frame = row_of(values, {"center": frame}, place)
        except ValueError as error:
            yield LeftOut.of(place, error)
            continue
        yield labelled_frame
    for numbered, row in rows.items():
        if not numbered <= index:  # unlike numbered > index, this is also True for NaN
            yield LeftOut(table.place(row), "the video has ended before it", MISSING)
    by_column = f", by {column}" if column else ""
    times = f"times: of the video; a row of the table for each frame{by_column}"
    yield SourceFacts(
        notes=[*labelled.notes, times],
        columns_left_out=labelled.others(column),
        frames_without_row=without_row,
    )


def _frame_numbers(table: ForeignTable) -> tuple[str, Sequence[float]]:
    """Return the column that numbers the frames, "" for none, and the frame of each row, from 0.

    Raises UserError for a column that may skip frames and does not begin with the first one.
    """
    # a line that could not be read belongs to a frame, too, so the frames after it count it
    rows = [row + int(np.searchsorted(table.broken, line)) for row, line in enumerate(table.lines)]
    named = re.compile(r"(video_)?frame(_(index|idx|id|number|num|no|nr))?")
    column = ""
    for name in table.cells:
        if named.fullmatch(plain(name)) and table.is_numeric(name):
            column = name
            break
    if not column:
        return "", rows
    numbers = [number_of_cell(cell) for cell in table.cells[column]]
    if numbers == [row + 1 for row in rows]:
        return column, rows
    if 0 in numbers and len(set(numbers)) == len(numbers):
        return column, numbers
    raise UserError(
        f"{table.path}: column {column[:60]!r} numbers the frames from {min(numbers):g}, expected "
        "each number once, from 0, or all from 1; correct it, or rename it if row 1 is of the "
        "video's first frame, and so on",
        exit_code=2,
    )


# ---- with times

# largest distance from a frame to the nearest row whose values it takes, where it is not between
# two rows that are close to each other
_FARTHEST_SECONDS = 0.12
_LONGEST_GAP_SECONDS = 1.5  # longest gap to interpolate in; some tables have one row a second


@dataclass(frozen=True)
class _TimedRows:
    """The rows of a table, in order of time."""

    start_ms: int  # time of the video's first frame
    seconds: FloatArray  # time of each row since the first frame, (rows,), rising
    rows: Sequence[int]  # index of each row in the table
    values: Mapping[str, Sequence[float]]  # name in NUMBERS -> value of each row
    left_out: Sequence[LeftOut]  # the rows without a time or a number

    def values_at(self, seconds: float) -> dict[str, float] | None:
        """Return the values at a time.

        Returns None in a gap between two rows, before the first row and after the last one; but
        near a row, its values are returned.
        """
        after = int(np.searchsorted(self.seconds, seconds))
        around = self.seconds[max(after - 1, 0) : after + 1]
        is_between = len(around) > 1 and np.ptp(around) <= _LONGEST_GAP_SECONDS
        if not is_between and np.abs(around - seconds).min() > _FARTHEST_SECONDS:
            return None
        return {
            name: float(np.interp(seconds, self.seconds, values))
            for name, values in self.values.items()
        }


def _rows_by_time(path: Path, video: Video, labelled: ControlTable, times: Times) -> _Items:
    """Yield a row for each frame, with the values at its time; frames without any are counted."""
    table = labelled.table
    timed = _timed_rows(labelled, times)
    yield from timed.left_out
    without_row = 0
    last = 0.0  # seconds of the last frame
    for frame in video.frames():
        last = max(last, frame.seconds)
        place = f"{path}: {frame.seconds:.3f} s"
        values = timed.values_at(frame.seconds)
        if values is None:
            without_row += 1
            continue
        time_ms = timed.start_ms + round(1000 * frame.seconds)
        try:
            row = row_of({**values, "time_ms": time_ms}, {"center": frame}, place)
        except ValueError as error:
            yield LeftOut.of(place, error)
            continue
        yield row

    if not times.is_since_1970:
        _check_begin(table, timed.seconds, last, times)
    for second, number in zip(timed.seconds, timed.rows, strict=True):
        if not -_FARTHEST_SECONDS <= second <= last + _FARTHEST_SECONDS:
            yield LeftOut(table.place(number), "the video has no frame at its time", MISSING)
    start = "the first row's time" if times.is_since_1970 else "0"
    yield SourceFacts(
        notes=[*labelled.notes, f"times: {times.words}; the first frame is at {start}"],
        columns_left_out=labelled.others(*times.columns),
        frames_without_row=without_row,
    )


def _timed_rows(labelled: ControlTable, times: Times) -> _TimedRows:
    """Return the rows of a table with their times; raises UserError if no row has one."""
    table = labelled.table
    timed: list[tuple[int, int, dict[str, float]]] = []  # time, row, numbers
    left_out: list[LeftOut] = []
    for row, time_ms in enumerate(times.milliseconds):
        if time_ms is None:
            left_out.append(LeftOut(table.place(row), "it has no time"))
            continue
        try:
            timed.append((time_ms, row, labelled.numbers(row)))
        except ValueError as error:
            left_out.append(LeftOut.of(table.place(row), error))
    if not timed:
        raise UserError(f"{table.path}: no row has a time and a steering; correct the table")
    timed.sort(key=itemgetter(0, 1))
    start_ms = timed[0][0] if times.is_since_1970 else 0
    return _TimedRows(
        start_ms=start_ms,
        seconds=np.array([time_ms - start_ms for time_ms, _, _ in timed], float) / 1000,
        rows=[row for _, row, _ in timed],
        values={name: [numbers[name] for _, _, numbers in timed] for name in labelled.values},
        left_out=left_out,
    )


def _check_begin(table: ForeignTable, seconds: FloatArray, last: float, times: Times) -> None:
    """Raise UserError for times of a clock that started long before the video.

    seconds: times of the rows, rising, (rows,)
    last: time of the last frame in seconds
    """
    late = seconds[-1] - last
    if seconds[0] <= _LONGEST_GAP_SECONDS or late <= _LONGEST_GAP_SECONDS:
        return
    rate = (len(seconds) - 1) / max(float(np.ptp(seconds)), 0.001)
    raise UserError(
        f"{table.path}: {times.words}: they begin at {seconds[0]:g} s and end {late:.3g} s after "
        "the video; if row 1 is of the first frame, count the rows with --frame-rate "
        f"{rate:.4g}, about their rate; else leave out the rows after the video",
        exit_code=2,
    )


FORMAT = Format(
    "video",
    _is_source,
    _read,
    needs=("av", "bcclone[video]"),
    options=OF_TABLES | {"table", "time_column", "frame_rate"},
    expected=f"a table beside a video ({', '.join(VIDEO_ENDINGS)})",
)
