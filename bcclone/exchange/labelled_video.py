"""The format video: a video and a table -> a row for each frame that has values. Needs PyAV.

In a table without times, row 1 belongs to frame 1, or a column numbers the frames. In a table with
times, film_times.py tells whether this is so, too, or the film's own times are right. Then the
values of a frame are interpolated between the rows before and after it; a frame between rows that
are far apart gets no values, and no row. If the times count from 1970, the first row has the time
of the first frame; other times count from the first frame.
"""

from collections.abc import Generator
from pathlib import Path

import numpy as np

from bcclone.exchange.control_table import ControlTable, read_controls
from bcclone.exchange.exchange_settings import BY_FILM, BY_ROWS, OF_TABLES, SPREAD, ImportSettings
from bcclone.exchange.exchanged_row import (
    MISSING,
    UNREADABLE,
    LeftOut,
    SourceFacts,
    SourceItem,
    row_of,
)
from bcclone.exchange.film_fit import LONGEST_GAP_SECONDS
from bcclone.exchange.film_times import FilmTimes, TimedTable, choose_film_times
from bcclone.exchange.folder_images import FolderImages
from bcclone.exchange.foreign_table import TABLE_ENDINGS, ForeignTable
from bcclone.exchange.formats import Format
from bcclone.exchange.frame_numbers import frame_numbers
from bcclone.exchange.source_files import files_inside
from bcclone.exchange.table_times import find_times
from bcclone.exchange.timed_rows import FARTHEST_SECONDS, TimedRows, timed_rows
from bcclone.exchange.video_file import (
    FILM_ENDINGS,
    VIDEO_ENDINGS,
    Video,
    check_container,
    is_video,
    open_video,
)
from bcclone.exchange.written_times import Times
from bcclone.system.errors import UserError, shown_command
from bcclone.system.numbers import FloatArray

_Items = Generator[SourceItem, None, None]  # what a reader yields


def _read(settings: ImportSettings) -> _Items:
    """Yield a row for each frame for which the table has values, and count the other frames.

    Raises UserError for a video or a table that cannot be read.
    """
    path = _only_video(settings.source)
    check_container(path)
    with open_video(path) as video:
        if settings.steering:
            yield from _rows_without_table(path, video, settings.frame_rate)
        else:
            yield from _rows_of_table(path, video, settings)
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


# ---- with a table


def _rows_of_table(path: Path, video: Video, settings: ImportSettings) -> _Items:
    """Yield a row for each frame for which the table has values."""
    labelled = read_controls(settings)  # the table with its steering
    yield from labelled.table.left_out()
    times = find_times(labelled.table, settings)
    if not times:
        _check_no_film_times(labelled.table, settings)
        yield from _rows_by_number(video, labelled)
        return
    timed = timed_rows(labelled, times)
    with open_video(path) as other:
        of_frames = timed.seconds_of_frames(labelled.table)
        table = TimedTable(labelled.table.path, timed.steered, of_frames)
        chosen = choose_film_times(path, other, table, settings)
    if chosen.name == BY_ROWS:
        yield from _rows_by_number(video, labelled, times, chosen.words)
    else:
        yield from _rows_by_time(path, video, labelled, timed, chosen)


def _check_no_film_times(table: ForeignTable, settings: ImportSettings) -> None:
    """Raise UserError for settings of a table with times."""
    if settings.film_times in (None, BY_ROWS) and settings.film_offset is None:
        return
    raise UserError(
        f"{table.path}: it has no times, so that row N is of frame N; leave out --film-times and "
        "--film-offset, or name its times with --time-column",
        exit_code=2,
    )


# ---- with a row for each frame


def _rows_by_number(
    video: Video, labelled: ControlTable, times: Times | None = None, why: str = ""
) -> _Items:
    """Yield the row of each frame's number; a packet that cannot be decoded is a frame, too.

    times: the times of the rows; None for those of the film
    why: why each frame has the row of its number, for messages
    """
    table = labelled.table
    column, numbers = frame_numbers(table, times)
    rows = {number: row for row, number in enumerate(numbers)}
    without_row = 0
    index = 0
    for number, frame in enumerate(video.frames()):
        index = number + video.broken
        if index not in rows:
            without_row += 1
            continue
        place = table.place(rows[index])
        time_ms: int | None = round(1000 * frame.seconds)
        if times:
            time_ms = times.milliseconds[rows[index]]
        try:
            values = {**labelled.numbers(rows[index]), "time_ms": time_ms}
            labelled_frame = row_of(values, {"center": frame}, place, called={"time_ms": "time"})
        except ValueError as error:
            yield LeftOut.of(place, error)
            continue
        yield labelled_frame
    for numbered, row in rows.items():
        if not numbered <= index:  # unlike numbered > index, this is also True for NaN
            yield LeftOut(table.place(row), "the video has ended before it", MISSING)
    by_column = f", by {column}" if column else ""
    whence = times.words if times else "of the video"
    words = f"times: {whence}; a row of the table for each frame{by_column}"
    if why:
        words += f": {why}"
    read = times.columns if times else ()
    yield SourceFacts(
        notes=[*labelled.notes, words],
        columns_left_out=labelled.others(column, *read),
        frames_without_row=without_row,
    )


# ---- with times


def _rows_by_time(
    path: Path,
    video: Video,
    labelled: ControlTable,
    timed: TimedRows,
    chosen: FilmTimes,
) -> _Items:
    """Yield a row for each frame, with the values at its time; frames without any are counted.

    chosen: what tells the time of a frame
    """
    table = labelled.table
    times = timed.times
    yield from timed.left_out
    without_row = 0
    last = chosen.offset  # the table's time of the last frame, in seconds
    for frame in video.frames():
        seconds = chosen.at(frame.seconds)
        last = max(last, seconds)
        place = f"{path}: {frame.seconds:.3f} s"
        values = timed.values_at(seconds)
        if values is None:
            without_row += 1
            continue
        time_ms = timed.start_ms + round(1000 * seconds)
        try:
            row = row_of({**values, "time_ms": time_ms}, {"center": frame}, place)
        except ValueError as error:
            yield LeftOut.of(place, error)
            continue
        yield row

    if not times.is_since_1970 and chosen == FilmTimes(BY_FILM):
        _check_begin(table, timed.seconds, last, times)
    for second, number in zip(timed.seconds, timed.rows, strict=True):
        if not chosen.offset - FARTHEST_SECONDS <= second <= last + FARTHEST_SECONDS:
            yield LeftOut(table.place(number), "the video has no frame at its time", MISSING)
    yield SourceFacts(
        notes=[*labelled.notes, f"times: {times.words}; {_start_words(times, chosen)}"],
        columns_left_out=labelled.others(*times.columns),
        frames_without_row=without_row,
    )


def _start_words(times: Times, chosen: FilmTimes) -> str:
    """Return which time of the table the film's frames have, in words."""
    if chosen.name == SPREAD:
        words = "the frames are spread evenly over the table"
        return f"{words}: {chosen.words}" if chosen.words else words
    start = "the first row's time" if times.is_since_1970 else "0"
    if not chosen.offset:
        return f"the first frame is at {start}"
    side = "after" if chosen.offset > 0 else "before"
    return f"the first frame is {abs(chosen.offset):g} s {side} {start}"


def _check_begin(table: ForeignTable, seconds: FloatArray, last: float, times: Times) -> None:
    """Raise UserError for times of a clock that started long before the video.

    seconds: times of the rows, rising, (rows,)
    last: time of the last frame in seconds
    """
    late = seconds[-1] - last
    if seconds[0] <= LONGEST_GAP_SECONDS or late <= LONGEST_GAP_SECONDS:
        return
    rate = (len(seconds) - 1) / max(float(np.ptp(seconds)), 0.001)
    raise UserError(
        f"{table.path}: {times.words}: they begin at {seconds[0]:g} s and end {late:.3g} s after "
        "the video; if row 1 is of the first frame, count the rows with --frame-rate "
        f"{rate:.4g}, about their rate; else say at which of these times the video begins, with "
        "--film-offset SECONDS",
        exit_code=2,
    )


FORMAT = Format(
    "video",
    _is_source,
    _read,
    needs=("av", "bcclone[video]"),
    options=OF_TABLES | {"table", "time_column", "frame_rate", "film_times", "film_offset"},
    expected=f"a table beside a video ({', '.join(VIDEO_ENDINGS)})",
)
