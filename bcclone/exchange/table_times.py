"""Find the times of a table: in its columns or in the names of its images -> milliseconds."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.foreign_table import ForeignTable
from bcclone.exchange.table_words import number_of_cell, plain
from bcclone.exchange.written_times import UNIT_ENDINGS, Times, times_of
from bcclone.system.errors import UserError
from bcclone.system.numbers import FloatArray

_USUAL_RATE = 20.0  # frames a second that are assumed where nothing tells the times
# no camera gives more frames a second; the sensor of most small cars, Sony's IMX219, gives 120 on a
# Jetson, at most
_FASTEST_RATE = 125.0


class _TimeColumn(NamedTuple):
    """A column that may hold the times; or two columns, such as date and time, as one.

    The cells of two columns are joined.
    """

    names: Sequence[str]  # names of the one or two columns
    cells: Sequence[str]  # text of each row, (rows,)


def find_times(
    table: ForeignTable, settings: ImportSettings, images: Sequence[str] = ()
) -> Times | None:
    """Return the times of a table, None if it has none.

    The times are taken from where the settings say; else from a column with a name of times; else
    from the names of the images, or from any column with dates. Raises UserError where a column of
    times cannot be read.

    images: name of each row's image, without ending
    """
    if settings.time_column:
        asked = table.find_column(settings.time_column, "the times", "--time-column")
        column = _TimeColumn((asked,), table.cells[asked])
        times = _times_in(column)
        if times is None:
            raise _unreadable(table, column, "holds no times that can be read")
        return times
    if settings.frame_rate is not None:
        return counted(range(len(table.lines)), settings)

    columns = list(_named_columns(table))
    for column in columns:
        if times := _times_in(column):
            return times
    if times := next(_unnamed_times(table, images), None):
        return times
    if columns:
        raise _unreadable(table, columns[0], "holds no times that can be read")
    for name, cells in table.cells.items():
        if _MAY_BE_TIMES.search(plain(name)):
            column = _TimeColumn((name,), cells)
            raise _unreadable(table, column, "may hold times, but is not called like them")
    return None


def _times_in(column: _TimeColumn) -> Times | None:
    """Return the times in a column, None if most cells hold no time."""
    times = times_of(column.cells, column.names[0])
    return times and replace(times, columns=column.names)


def _unreadable(table: ForeignTable, column: _TimeColumn, problem: str) -> UserError:
    example = next(filter(None, column.cells), "")
    return UserError(
        f"{table.path}: column {column.names[0][:60]!r} {problem}, such as {example[:60]!r}; "
        "expected numbers in s, ms, us or ns, or dates such as 2018-07-01 17:09:44.912, which "
        "differ; name a column with --time-column, or count the rows with --frame-rate 20",
        exit_code=2,
    )


# ---- counted frames


def counted(numbers: Sequence[int], settings: ImportSettings) -> Times:
    """Return times that are counted from the numbers of frames, from 0, at --frame-rate."""
    rate = settings.frame_rate or _USUAL_RATE
    words = f"counted as {rate:g} frames a second"
    if not settings.frame_rate:
        words = f"none found; {words}, which --frame-rate changes"
    milliseconds = [round(1000 * number / rate) for number in numbers]
    return Times(milliseconds, is_since_1970=False, source=words)


def is_too_fast(milliseconds: FloatArray) -> bool:
    """Return whether most frames follow each other faster than those of a camera.

    milliseconds: time of each frame; NaN where it is unknown
    """
    steps = np.diff(np.sort(milliseconds[np.isfinite(milliseconds)]))
    return len(steps) > 0 and float(np.median(steps)) < 1000 / _FASTEST_RATE


def check_rate(milliseconds: FloatArray, where: str, remedy: str = "") -> None:
    """Raise UserError for frames that follow each other faster than those of a camera.

    where: file and column, for the message
    remedy: what the message tells the user to do besides counting the frames
    """
    if not is_too_fast(milliseconds):
        return
    # several frames may have the same time: such a time counts with all of its frames
    known = milliseconds[np.isfinite(milliseconds)]
    instants, frames = np.unique(known, return_counts=True)
    # no step follows the last instant: an endless one stands for it
    step_ms = np.quantile(np.diff(instants, append=math.inf), 0.5, method="lower")
    rate = 1000 * float(np.median(frames) / step_ms)
    advice = f"--frame-rate and the rate at which they were recorded, such as {_USUAL_RATE:g}"
    if 0 < rate < _FASTEST_RATE:
        advice = f"--frame-rate {rate:.3g}, about their rate"
    raise UserError(
        f"{where}: most frames are less than {1000 / _FASTEST_RATE:g} ms apart, as of no camera; "
        f"{remedy}count them with {advice}",
        exit_code=2,
    )


# ---- columns

_UNITS = "|".join(UNIT_ENDINGS)
_OF_TIMES = re.compile(  # a plain name of a column of times
    "(?:(?:frame|image|img|cam|camera|elapsed|unix|epoch|ros|sim|record|recorded|recording|capture"
    "|captured|log|sys|system|sensor|header|field_header)_)?"
    "(?:time_?stamp|date_?time|time|date|stamp|ts|t|clock|utc|epoch|elapsed"
    f"|{_UNITS})"
    f"(?:_(?:{_UNITS}|utc|local|unix|iso))?"
)
_MAY_BE_TIMES = re.compile(r"(^|_)(time|timestamp|date|stamp|clock)(_|$)")
_OF_STEPS = re.compile(  # a plain name of a column of the time between two rows, or of its rate
    "(?:dt|delta|delta_t|delta_time|time_delta|time_step|timestep|interval|period)"
    f"(?:_(?:{_UNITS}))?"
    "|(?P<rate>fps|hz|frame_?rate)"
)


class _Halves(NamedTuple):
    """How two columns are called that hold one time together, such as secs and nsecs."""

    ending: str  # ending of the first column's name
    other_ending: str  # ending of the second column's name
    between: str  # text between the joined cells
    digits: int = 0  # the second cell is padded with zeros to so many digits


_HALVES = (
    _Halves("date", "time", " "),
    _Halves("sec", "nanosec", ".", digits=9),
    _Halves("secs", "nsecs", ".", digits=9),
)


def _named_columns(table: ForeignTable) -> Iterator[_TimeColumn]:
    """Yield columns that are called like times; first those that hold one time in two columns."""
    by_name = {plain(name): name for name in table.cells}
    for halves in _HALVES:
        for name, first in by_name.items():
            second = by_name.get(f"{name.removesuffix(halves.ending)}{halves.other_ending}")
            if second and name.endswith(halves.ending) and _OF_TIMES.fullmatch(name):
                joined = [
                    f"{cell}{halves.between}{other.zfill(halves.digits)}"
                    for cell, other in zip(table.cells[first], table.cells[second], strict=True)
                ]
                yield _TimeColumn((first, second), joined)
    for name, cells in table.cells.items():
        if _OF_TIMES.fullmatch(plain(name)):
            yield _TimeColumn((name,), cells)


def _unnamed_times(table: ForeignTable, images: Sequence[str]) -> Iterator[Times]:
    """Yield times that are not in a column with a name of times, the most certain first.

    They are in the names of images; in columns whose cells are dates, times of day or times since
    1970; or they are sums of a column with the time between two rows.
    """
    yield from times_in_names(images)
    for name, cells in table.cells.items():
        times = times_of(cells, name)
        if times and (times.is_since_1970 or times.is_date_or_time_of_day):
            yield replace(times, columns=(name,))
    if images:
        for column in _summed_steps(table):
            if times := _times_in(column):
                yield times


def _summed_steps(table: ForeignTable) -> Iterator[_TimeColumn]:
    """Yield columns of the time between two rows, or of its rate, with the sum at each row."""
    for name, cells in table.cells.items():
        found = _OF_STEPS.fullmatch(plain(name))
        if not found:
            continue
        steps = np.array([number_of_cell(cell) for cell in cells])
        if found["rate"]:
            with np.errstate(divide="ignore"):
                steps = 1 / steps
        sums = np.cumsum([0.0, *steps[1:]])
        yield _TimeColumn((name,), [repr(seconds) for seconds in sums.tolist()])


# ---- names of images

_DECIMAL = re.compile(r"(?<![\d.-])\d+\.\d+$")  # at the end of a name


def times_in_names(names: Sequence[str]) -> Iterator[Times]:
    """Yield times in the names of images, without ending."""
    source = "the names of the images"
    times = times_of(names, source)
    if times and (times.is_since_1970 or times.is_date_or_time_of_day):
        yield times
    # seconds since the start, such as frame_12.345
    decimals = []
    for name in names:
        found = _DECIMAL.search(name)
        decimals.append(found[0] if found else "")
    if all(float(before or 0) < float(after or 0) for before, after in pairwise(decimals)):
        times = times_of(decimals, source)
        if times:
            yield times
