"""Read a table of any form and its times: a CSV file -> its columns of cells; numbers or dates -> milliseconds.

The separator is a comma, semicolon, tab or blank; a first line with a number in it is no header, and its columns are
called 1, 2 and so on.
"""

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import TextIOWrapper
from itertools import islice
from pathlib import Path

import numpy as np

from bcclone.lab.exchange.exchange_settings import ImportSettings
from bcclone.lab.exchange.formats import files_inside
from bcclone.lab.exchange.left_out import Findings
from bcclone.recording.row import RowError, time_of
from bcclone.system.codec import open_file
from bcclone.system.errors import UserError

TABLE_ENDINGS = (".csv", ".tsv", ".txt")
_SEPARATORS = ";\t, "  # a comma may be that of decimals
_CHARACTERS, _COLUMNS = 100_000, 1000  # of a line, at most
_LOOKED_AT = 200  # rows that decide what a column holds
_NO_STEERING = re.compile(r"torque|velocity|speed|(^|_)rate(_|$)|accel|driver|override")
_ANGLES = {"angle", "user_angle", "wheel_angle", "angle_deg", "angle_rad"}
_TIMES = re.compile(r"^(timestamp|time|t|date)(_(s|sec|seconds|ms|us|ns))?$|^seconds$")
_PER_MS = {"s": 1e-3, "ms": 1.0, "us": 1e3, "ns": 1e6}  # unit of times -> how many are a millisecond
_UNIT_ENDINGS = {"seconds": "s", "sec": "s", **{unit: unit for unit in _PER_MS}}
_YEAR_2000_MS, _YEAR_2100_MS = 946_684_800_000, 4_102_444_800_000
_STEP_MS, _DATE_STEP_MS = 2000, 60_000
_COMPACT = re.compile(r"(20\d{6})_?(\d{6})(?:_?(\d{3}))?")  # yyyymmdd_hhmmss_fff
_TOO_LARGE = 1 << 62  # for a time in any unit


@dataclass(frozen=True)
class ForeignTable:
    """A table. lines: the number of each row's line; cells: of each column, by its name, (rows,)."""

    path: Path
    lines: Sequence[int]
    cells: Mapping[str, Sequence[str]]

    def place(self, index: int) -> str:
        """Return the words for a row in a message."""
        return f"{self.path}: line {self.lines[index]}"

    def first_cells(self, name: str) -> Sequence[str]:
        """Return the first cells of a column, by which it is judged."""
        return self.cells[name][:_LOOKED_AT]

    def is_numeric(self, name: str) -> bool:
        """Return whether a column mostly holds numbers."""
        filled = [cell for cell in self.first_cells(name) if cell]
        return 2 * sum(map(_is_number, filled)) > len(filled)

    def named(self, asked: str, what: str, option: str) -> str:
        """Return a column that was asked for; raises UserError if there is none of this name."""
        if asked not in self.cells:
            raise no_column(self.path, what, option, list(self.cells), f"no column {asked[:60]!r}")
        return asked


def no_column(path: Path, what: str, option: str, names: Sequence[str], reason: str) -> UserError:
    """Return the error for a column that is not found, with those that may be it."""
    listed = ", ".join(repr(name[:60])[1:-1] for name in names[:20]) or "none"
    return UserError(f"{path}: {what}: {reason}; name it with {option}; there are: {listed}", exit_code=2)


def read_foreign(path: Path, findings: Findings | None = None) -> ForeignTable:
    """Return a table; its lines of another length are counted.

    Raises UserError for one that cannot be read, is too large, or has no rows.
    """
    try:
        with TextIOWrapper(open_file(path, "cells"), encoding="utf-8-sig", errors="replace", newline="") as file:
            start = list(islice(_lines(file), 20))
            file.seek(0)
            rows = csv.reader(_lines(file), delimiter=_separator_of(start), skipinitialspace=True)
            filled = [(rows.line_num, cells) for cells in rows if any(cell.strip() for cell in cells)]
    except (OSError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"{path}: cannot be read: {reason}; expected a table of text, such as CSV") from None
    header = [cell.strip() for cell in filled[0][1]] if filled else []
    if len(header) > _COLUMNS:
        raise UserError(f"{path}: {len(header)} columns, expected at most {_COLUMNS}")
    has_names = not any(map(_is_number, header))
    names: list[str] = []
    for number, name in enumerate(header, start=1):  # an empty or second one is its number
        unnamed = f"{name}#{number}" if has_names else str(number)
        names.append(name if has_names and name and name not in names else unnamed)
    complete = [(line, cells) for line, cells in filled[has_names:] if len(cells) == len(names)]
    if not complete:
        raise UserError(f"{path}: it has no rows below its header; expected one for each frame")
    for line, cells in filled:
        if findings and len(cells) != len(names):
            findings.leave_out(f"{path}: line {line}", f"not {len(names)} cells, as in the first line")
    columns = zip(*(cells for _, cells in complete), strict=True)
    cells_of = {name: [cell.strip() for cell in column] for name, column in zip(names, columns, strict=True)}
    return ForeignTable(path, [line for line, _ in complete], cells_of)


def _lines(file: TextIOWrapper) -> Iterator[str]:
    while line := file.readline(_CHARACTERS + 1):
        if len(line) > _CHARACTERS:
            raise csv.Error(f"a line of more than {_CHARACTERS} characters")
        yield line


def _separator_of(start: Sequence[str]) -> str:
    """Return the separator that divides the first lines into the same number of cells, two or more."""
    for separator in _SEPARATORS:
        lengths = [len(cells) for cells in csv.reader(start, delimiter=separator, skipinitialspace=True) if cells]
        if lengths and min(lengths) > 1 and lengths.count(lengths[0]) > 0.8 * len(lengths):  # noqa: PLR2004
            return separator
    return ","


def find_table(settings: ImportSettings) -> Path:
    """Return the table that was named, or the only one with a steering beside the pictures; raises UserError."""
    source = settings.source
    if settings.table or source.suffix.lower() in TABLE_ENDINGS:
        return settings.table or source
    paths = files_inside(source if source.is_dir() else source.parent, TABLE_ENDINGS, "--table")
    if not source.is_dir():
        paths = [path for path in paths if path.stem == source.stem] or paths
    fitting = paths if len(paths) == 1 else []
    for path in paths if len(paths) > 1 else ():
        with suppress(UserError):
            table = read_foreign(path)
            steering = [name for name in table.cells if is_steering(plain(name)) and table.is_numeric(name)]
            fitting += [path] if settings.steering_column in table.cells or steering else []
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(path.name for path in (fitting or paths)[:20])
    reason = f"which table has the steering? Name it with --table; there are: {listed}" if paths else (
        f"no table ({', '.join(TABLE_ENDINGS)}) with the steering lies beside the pictures; name one with --table"
    )  # fmt: skip
    raise UserError(f"{source}: {reason}", exit_code=2)


def is_steering(name: str) -> bool:
    return ("steer" in name or name in _ANGLES) and not _NO_STEERING.search(name)


def plain(name: str) -> str:
    """Return a name in lower case letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _is_number(cell: str) -> bool:
    return math.isfinite(number_of_cell(cell))


def number_of_cell(cell: str) -> float:
    """Return the number in a cell, NaN for none. A decimal comma is one, too, where no comma separates the cells."""
    try:
        # Python ignores an underscore within a number
        return math.nan if "_" in cell else float(cell.replace(",", ".") if cell.count(",") == 1 else cell)
    except ValueError:
        return math.nan


def unit_in_name(name: str, endings: Mapping[str, str]) -> str | None:
    """Return the unit with which the name of a column ends, or which it is."""
    name = f"_{plain(name)}"
    return next((unit for ending, unit in endings.items() if name.endswith(f"_{ending}")), None)


# ---- times


@dataclass(frozen=True)
class Times:
    """The times of rows.

    milliseconds: since 1970, or since the start where is_since_1970 is false, None for no time; unit: of the source;
    column: that holds them, "" for none.
    """

    milliseconds: Sequence[int | None]
    is_since_1970: bool
    unit: str
    column: str = ""


def find_times(table: ForeignTable, settings: ImportSettings) -> Times | None:
    """Return the times of a table, None if it has none; raises UserError for a named column without times."""
    asked = settings.time_column and table.named(settings.time_column, "the times", "--time-column")
    for name in [asked] if asked else [name for name in table.cells if _TIMES.search(plain(name))]:
        if times := times_of(table.cells[name], name):
            return times
    if asked:
        raise UserError(
            f"{table.path}: column {asked[:60]!r} holds no times, expected numbers in s, ms, us or ns, or dates",
            exit_code=2,
        )
    return None


def times_of(cells: Sequence[str], column: str = "") -> Times | None:
    """Return the times in cells: numbers, dates, or names of images; None where most cells are none, or all the same.

    Numbers have the unit that the column's name ends with. Otherwise choose the unit that gives dates from 2000 to
    2100, else steps under 2 s.
    """
    dates = [_date_ms(cell) for cell in cells]
    if _are_times(dates):
        return Times(dates, True, "ms", column)
    # whole numbers are exact, those of nanoseconds, too
    values = [int(cell) if cell.isdecimal() and len(cell) < 20 else number_of_cell(cell) for cell in cells]  # noqa: PLR2004
    times = [value if abs(value) < _TOO_LARGE else None for value in values]
    if not _are_times(times):
        return None
    numbers = np.sort(np.array([time for time in times if time is not None], dtype=float))
    steps, middle = np.diff(numbers), float(np.median(numbers))
    step = float(np.median(steps[steps > 0])) if np.any(steps > 0) else 0.0
    named = unit_in_name(column, _UNIT_ENDINGS)
    units = {named: _PER_MS[named]} if named else _PER_MS
    since_1970 = [
        unit
        for unit, per_ms in units.items()
        if _YEAR_2000_MS <= middle / per_ms < _YEAR_2100_MS and step / per_ms < _DATE_STEP_MS
    ]
    usual = [unit for unit, per_ms in units.items() if step / per_ms < _STEP_MS]
    unit = (since_1970 or usual or list(units)[-1:])[0]
    milliseconds = [None if time is None else round(time / _PER_MS[unit]) for time in times]
    return Times(milliseconds, bool(since_1970), unit, column)


def _are_times(values: Sequence[float | None]) -> bool:
    times = [value for value in values if value is not None]
    return len(times) >= 0.5 * len(values) and len(set(times)) >= min(len(times), 2) > 0


def _date_ms(cell: str) -> int | None:
    """Return the milliseconds since 1970 of a date, or of the name of one of our images; None for none."""
    if match := _COMPACT.fullmatch(cell):
        cell = f"{match[1]}T{match[2]}.{match[3] or '000'}"
    elif _is_number(cell):
        return None
    try:
        return time_of(cell)
    except RowError:
        pass
    try:
        date = datetime.fromisoformat(cell)
    except ValueError:
        return None
    return round((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() * 1000)
