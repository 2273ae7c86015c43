"""Find the times of a table of another program: columns of numbers of any unit, or of dates -> milliseconds."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from bcclone.lab.exchange.exchange_settings import ImportSettings
from bcclone.lab.exchange.foreign_table import ForeignTable, is_number, number_of_cell, plain
from bcclone.recording.row import RowError, time_of
from bcclone.system.errors import UserError

_NAMES = re.compile(r"^(timestamp|time|t|date)(_(s|sec|seconds|ms|us|ns))?$|^seconds$")
_PER_MS = {"s": 1e-3, "ms": 1.0, "us": 1e3, "ns": 1e6}  # unit of times -> how many are a millisecond
_ENDINGS = {"seconds": "s", "sec": "s", **{unit: unit for unit in _PER_MS}}
_YEAR_2000_MS, _YEAR_2100_MS = 946_684_800_000, 4_102_444_800_000
_STEP_MS, _DATE_STEP_MS = 2000, 60_000
_COMPACT = re.compile(r"(20\d{6})_?(\d{6})(?:_?(\d{3}))?")  # yyyymmdd_hhmmss_fff
_TOO_LARGE = 1 << 62  # for a time in any unit


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
    for name in [asked] if asked else [name for name in table.cells if _NAMES.search(plain(name))]:
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

    Numbers have the unit that the column's name ends with. Without one, those of a date from 2000 to 2100 have the unit
    in which they are one, others the unit in which their steps are from 2 ms to 2 s.
    """
    dates = [_date_ms(cell) for cell in cells]
    if _are_times(dates):
        return Times(dates, True, "ms", column)
    values = [_number(cell) for cell in cells]
    if not _are_times(values):
        return None
    numbers = np.sort(np.array([value for value in values if value is not None], dtype=float))
    steps, middle = np.diff(numbers), float(np.median(numbers))
    step = float(np.median(steps[steps > 0])) if np.any(steps > 0) else 0.0
    named = unit_in_name(column, _ENDINGS)
    units = {named: _PER_MS[named]} if named else _PER_MS
    usual = next((unit for unit, per_ms in units.items() if step / per_ms < _STEP_MS), list(units)[-1])
    dated = (
        unit for unit, per_ms in units.items()
        if _YEAR_2000_MS <= middle / per_ms < _YEAR_2100_MS and step / per_ms < _DATE_STEP_MS
    )  # fmt: skip
    since_1970 = next(dated, None)
    unit = since_1970 or usual
    exact = [None if value is None else value / _PER_MS[unit] for value in values]
    whole = [None if each is None or abs(each) >= _TOO_LARGE else round(each) for each in exact]
    return Times(whole, since_1970 is not None, unit, column)


def unit_in_name(name: str, endings: Mapping[str, str]) -> str | None:
    """Return the unit with which the name of a column ends, or which it is."""
    name = f"_{plain(name)}"
    return next((unit for ending, unit in endings.items() if name.endswith(f"_{ending}")), None)


def _are_times(values: Sequence[float | None]) -> bool:
    times = [value for value in values if value is not None]
    return len(times) >= 0.5 * len(values) and len(set(times)) >= min(len(times), 2) > 0


def _number(cell: str) -> float | None:
    value = int(cell) if cell.isdecimal() and len(cell) < 20 else number_of_cell(cell)  # noqa: PLR2004
    return value if abs(value) < _TOO_LARGE else None


def _date_ms(cell: str) -> int | None:
    """Return the milliseconds since 1970 of a date, or of the name of one of our images; None for none."""
    if match := _COMPACT.fullmatch(cell):
        cell = f"{match[1]}T{match[2]}.{match[3] or '000'}"
    elif is_number(cell):
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
