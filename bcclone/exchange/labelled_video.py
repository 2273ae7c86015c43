"""The format video: a video and a table -> a row for each frame that has values. Needs PyAV.

A column numbers the frames of the rows; or row 1 belongs to frame 1, and so on, if the table has as
many rows as the film has frames. Each frame has the time of its row. Otherwise the user says with
--film-offset when the film begins: the values of a frame are interpolated between the rows before
and after it, by the film's own times. A frame between rows that are far apart gets no values, and
no row.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from bcclone.exchange.controls import numbers_at, read_controls
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_rows import MISSING, UNREADABLE, Items, LeftOut, Seen, row_of
from bcclone.exchange.inquiry import Inquiry, choose_table, import_of
from bcclone.exchange.plain_names import plain
from bcclone.exchange.questions import Missing
from bcclone.exchange.source_files import FolderImages, files_inside, path_in_source
from bcclone.exchange.table import SourceTable, read_table
from bcclone.exchange.table_files import TABLE_ENDINGS, find_tables, without_table
from bcclone.exchange.time_columns import no_times, read_times
from bcclone.exchange.times import Times
from bcclone.exchange.video_file import (
    FILM_ENDINGS,
    VIDEO_ENDINGS,
    Video,
    is_video,
    open_video,
)
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError, shown

_LONGEST_GAP_SECONDS = 1.5  # longest gap to interpolate in; some tables have one row a second
# largest distance from a frame to the nearest row whose values it takes, where it is not between
# two rows that are close to each other
_FARTHEST_SECONDS = 0.12
_FRAME_NUMBERS = re.compile("(?:video_)?frame(?:_(?:index|idx|id|number|num|no))?")
# number and seconds of a frame -> the place of its values, for messages, and these; None for none
_Label = Callable[[int, float], tuple[str, Mapping[str, Any]] | None]


# ---- the video of a source


def is_labelled_video(path: Path) -> bool:
    """Return whether a path is a video, or has one beside it; or only films and no pictures."""
    videos = _videos(path)
    if not path.is_dir() and videos == [path]:
        return is_video(path)
    if len(videos) == 1 and videos[0].suffix.lower() in VIDEO_ENDINGS:
        return True
    return bool(videos) and path.is_dir() and not _holds_images(path)


def _holds_images(folder: Path) -> bool:
    """Return whether a folder holds images; a link to another folder is said to lead to some."""
    try:
        return bool(FolderImages(folder).paths)
    except UserError:
        return True


def _videos(source: Path) -> list[Path]:
    """Return the file that was named, or the videos in the folder or beside the table.

    Films in a form that is not read count only where there is no other.
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


def only_video(settings: ImportSettings) -> Path:
    """Return the video of a source.

    Raises UserError for none, for several, and as path_in_source().
    """
    source = settings.source
    paths = _videos(source)
    if len(paths) == 1:
        path = paths[0]
        if path != source:
            path_in_source(path.parent, path.name, settings.follow_links)
        return path
    if not paths:
        raise UserError(f"{source}: no video in it; name one itself", exit_code=2)
    listed = ", ".join(path.name for path in paths[:20])
    raise UserError(
        f"{source}: {len(paths)} videos, expected one; import each by itself, the first with: "
        f"{import_of(settings, paths[0], of_several=True)}; there are: {listed}",
        exit_code=2,
    )


# ---- its rows


def read_video(settings: ImportSettings, seen: Seen) -> Items:
    """Yield a row for each frame for which the table has values, and count the other frames.

    Without a table, for a film whose steering will be estimated, each frame has a steering of 0.
    """
    path = only_video(settings)
    with open_video(path) as video:
        if settings.steering:
            yield from _labelled(video, _without_table(path, settings.frame_rate, seen), seen)
        else:
            yield from _rows_of_table(path, video, settings, seen)
        for number in range(1, video.broken + 1):
            place = f"{path}: packet {number} of {video.broken}"
            yield LeftOut("it cannot be decoded", UNREADABLE, place)


def _labelled(
    video: Video, label: _Label, seen: Seen, places: Mapping[int, str] = MappingProxyType({})
) -> Items:
    """Yield the rows of a video's frames; frames without values are counted.

    A packet that cannot be decoded is a frame, too.

    places: number of a frame -> place of its row, which is left out if the video ends before it
    """
    index = -1
    for number, frame in enumerate(video.frames()):
        index = number + video.broken
        found = label(index, frame.seconds)
        if found is None:
            seen.frames_without_row += 1
            continue
        place, values = found
        try:
            row = row_of(values, {"center": frame}, place, called={"time_ms": "time"})
        except ValueError as error:
            yield LeftOut.of(place, error)
            continue
        yield row
    for number, place in places.items():
        if number > index:
            yield LeftOut("the video has ended before it", MISSING, place)


def _without_table(path: Path, frame_rate: float | None, seen: Seen) -> _Label:
    """Return what gives each frame a steering of 0.

    frame_rate: frames a second, from which the times are counted; None for the video's own times
    """
    seen.notes.append(f"times: counted, {frame_rate:g} a second" if frame_rate else "times: video")

    def label(number: int, seconds: float) -> tuple[str, Mapping[str, Any]]:
        time_ms = round(1000 * (number / frame_rate if frame_rate else seconds))
        return f"{path}: {seconds:.3f} s", {"time_ms": time_ms, "steering": 0.0}

    return label


@dataclass(frozen=True)
class _FilmTable:
    """The table of a film, and what is read of it for each row."""

    table: SourceTable
    controls: dict[str, FloatArray]  # name in NUMBERS -> its numbers, (rows,)
    columns: dict[str, str]  # name in NUMBERS -> its column
    times: Times | None  # None where row N is of frame N
    number_column: str  # that numbers the frames; "" for none
    numbers: Sequence[int]  # frame of each row, from 0


def _rows_of_table(path: Path, video: Video, settings: ImportSettings, seen: Seen) -> Items:
    """Yield a row for each frame for which the table has values."""

    def look(chosen: ImportSettings) -> Inquiry:
        inquiry = Inquiry(chosen)
        _read_labels(path, chosen, find_tables(chosen)[0], Seen(), inquiry)
        return inquiry

    tables = find_tables(settings)
    if not tables:
        folder = settings.source if settings.source.is_dir() else settings.source.parent
        raise without_table(settings, folder)
    if len(tables) > 1:
        raise choose_table(settings, tables, look)
    inquiry = Inquiry(settings)
    labels = _read_labels(path, settings, tables[0], seen, inquiry)
    inquiry.check()
    table, times = labels.table, labels.times
    yield from table.broken.values()
    used = {*labels.columns.values(), labels.number_column}
    if times is not None:
        used |= {times.column, *times.columns}
        seen.notes.append(times.words)
    seen.columns_left_out = [name for name in table.columns if name not in used]
    offset = settings.film_offset
    if offset is not None and times is not None:
        seen.notes.append(f"film: it begins {offset:g} s after the table")
        is_known = np.isfinite([times.milliseconds, *labels.controls.values()]).all(axis=0)
        for row in np.flatnonzero(~is_known).tolist():
            yield LeftOut("it lacks a time or a number", place=table.place(row))
        if not is_known.any():
            return
        known = {name: values[is_known] for name, values in labels.controls.items()}
        label = _by_time(path, known, times.milliseconds[is_known], offset)
        yield from _labelled(video, label, seen)
        return
    of_what = f"the frame of its {labels.number_column}" if labels.number_column else "each frame"
    seen.notes.append(f"film: a row of the table for {of_what}")
    rows = {number: row for row, number in enumerate(labels.numbers)}

    def label_by_number(number: int, seconds: float) -> tuple[str, Mapping[str, Any]] | None:
        if number not in rows:
            return None
        row = rows[number]
        time_ms = times.of(row) if times else round(1000 * seconds)
        return table.place(row), {
            **numbers_at(labels.controls, labels.columns, table, row),
            "time_ms": time_ms,
        }

    places = {number: table.place(row) for number, row in rows.items()}
    yield from _labelled(video, label_by_number, seen, places)


def _read_labels(
    path: Path, settings: ImportSettings, table_path: Path, seen: Seen, inquiry: Inquiry
) -> _FilmTable:
    """Read the table of a film; ask for all that it does not state."""
    table = read_table(settings, table_path, inquiry)
    seen.notes += table.notes
    controls, columns = read_controls(table, settings, seen, inquiry)
    before = len(inquiry.missing)
    times = read_times(table, settings, inquiry)
    is_unclear = len(inquiry.missing) > before
    number_column, numbers = _frame_numbers(table, times is not None or is_unclear, inquiry)
    if settings.film_offset is not None:
        if times is None and not is_unclear:
            inquiry.ask(
                [Missing("film of rows", "frame_rate", "HZ"), *no_times(table, columns.values())]
            )
    elif not number_column:
        _ask_of_other_rows(path, table, times, is_unclear, columns.values(), inquiry)
    return _FilmTable(table, controls, columns, times, number_column, numbers)


def _ask_of_other_rows(
    path: Path,
    table: SourceTable,
    times: Times | None,
    is_unclear: bool,
    used: Collection[str],
    inquiry: Inquiry,
) -> None:
    """Ask when a film begins whose table has not a row for each frame, in order of time.

    Rows that cannot be read count, too.

    used: columns of the table that are not the time
    """
    with open_video(path) as video:
        frames = video.count_packets()
    rows = len(table.lines) + len(table.broken)
    inquiry.note("film", str(path), frames=frames)
    milliseconds = times.milliseconds if times else np.empty(0)
    known = milliseconds[np.isfinite(milliseconds)]
    if rows == frames and (np.diff(known) >= 0).all():
        return
    facts = {"rows": rows, "frames": frames}
    if times is None and not is_unclear:
        inquiry.ask(no_times(table, used))
    inquiry.ask([Missing("film", "film_offset", "SECONDS", facts)])


def _frame_numbers(
    table: SourceTable, is_timed: bool, inquiry: Inquiry
) -> tuple[str, Sequence[int]]:
    """Return the column that numbers the frames, "" for none, and the frame of each row, from 0.

    Rows with times count in the order of the table, unless each has another number, from 0.
    """
    column = next((name for name in table.columns if _FRAME_NUMBERS.fullmatch(plain(name))), "")
    named = table.numbers(column) if column else np.empty(0)
    is_numbered = bool(len(named)) and bool(np.isfinite(named).all()) and named.min() == 0
    is_numbered = is_numbered and not (named % 1).any()
    is_numbered = is_numbered and len(np.unique(named)) == len(named)
    if not column or (is_timed and not is_numbered):
        return "", table.among_all()
    numbers = table.numbers(column).tolist()
    for row, number in enumerate(numbers):
        if number >= 0 and not number.is_integer():  # infinity is none
            raise UserError(
                f"{table.place(row)}: {column} is {shown(table.columns[column][row])}, expected "
                "the number of the row's frame in the film, a whole number from 0; correct it, or "
                "remove the row"
            )
    first = min((number for number in numbers if np.isfinite(number)), default=np.nan)
    if 0 not in numbers or len(set(numbers)) < len(numbers):
        inquiry.ask([Missing("frame numbers", facts={"column": column, "first": first})])
        return column, []
    return column, [int(number) if number >= 0 else -1 for number in numbers]


def _by_time(
    path: Path, controls: Mapping[str, FloatArray], milliseconds: FloatArray, offset: float
) -> _Label:
    """Return what interpolates the values of a frame between the rows around its time.

    offset: seconds from the table's first row to the film's first frame
    """
    in_time = np.argsort(milliseconds, kind="stable")
    start_ms = float(milliseconds[in_time[0]])
    at = (milliseconds[in_time] - start_ms) / 1000  # seconds since the table's first row

    def label(_: int, seconds: float) -> tuple[str, Mapping[str, Any]] | None:
        since_start = offset + seconds
        after = int(np.searchsorted(at, since_start))
        around = at[max(after - 1, 0) : after + 1]
        is_between = len(around) > 1 and np.ptp(around) <= _LONGEST_GAP_SECONDS
        if not is_between and np.abs(around - since_start).min() > _FARTHEST_SECONDS:
            return None
        values = {
            name: float(np.interp(since_start, at, numbers[in_time]))
            for name, numbers in controls.items()
        }
        values["time_ms"] = round(start_ms) + round(1000 * since_start)
        return f"{path}: {seconds:.3f} s", values

    return label
