"""The times of a table, or of images by their names -> whole milliseconds.

A column has dates or clocks (recording/written_times.py), or numbers: in a unit that its name, its
cells or the user states, or of one of the calendars in _CALENDARS, if all are of the years 2000 to
2040. Several columns may hold parts of a time, such as hours, minutes and seconds. Steps that are
those of no camera are asked about.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bcclone.exchange.cells import number_in
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.inquiry import Inquiry, Missing
from bcclone.exchange.table import SourceTable
from bcclone.exchange.units import factor_in, plain, unit_in
from bcclone.recording import written_times
from bcclone.recording.time_forms import (
    DAYS,
    HOURS,
    MINUTES,
    MS,
    NS,
    PER_MS,
    SECONDS,
    TIME_UNITS,
    US,
)
from bcclone.recording.written_times import (
    LONGEST_STEP_MS,
    SHORTEST_STEP_MS,
    Unclear,
    WrittenTimes,
    counted_on,
    times_in_cells,
    usual_step,
)
from bcclone.system.arrays import FloatArray

_NAMED = "|".join(name for name, unit in TIME_UNITS.items() if unit in (SECONDS, MS, US, NS))
_USUAL = re.compile(  # usual plain names of a column of times
    "(?:(?:frame|image|cam|camera|elapsed|unix|ros|sim|record|capture|log|sys|system|sensor|header|"
    "gps|gnss|utc)_)?(?:time_?stamp|date_?time|time|stamp|ts|t|date|clock)"
    f"(?:_(?:{'|'.join(TIME_UNITS)}|utc|local|unix|iso))?|{_NAMED}"
)
# parts of a time in columns of their own, such as tv_sec and tv_usec, or hour, minute and second
_PARTS = {**TIME_UNITS, "secs": SECONDS, "nsecs": NS, "nanosecs": NS}
_OF_PARTS = re.compile("|(?:.*_)?(?:time_?stamp|date_?time|time|stamp|tv|clock|utc|gps|header)")
_LARGEST_PART = {HOURS: 24, MINUTES: 60, MS: 1e3, US: 1e6, NS: 1e9}  # no part is as large
_LONGEST_UNNAMED_MS = 2000.0  # step of numbers without any unit that are seconds
_SINCE = (946_684_800.0, 2_208_988_800.0)  # seconds since 1970 of the years 2000 to 2040
_TICKS = "100 ns"  # the unit of Windows and .NET


@dataclass(frozen=True)
class _Calendar:
    """A way to count from a moment that all share."""

    words: str
    unit: str
    at_1970: float  # how many of the unit have passed then


_CALENDARS = (
    *(_Calendar(f"{unit} since 1970", unit, 0.0) for unit in (SECONDS, MS, US, NS)),
    _Calendar("days of a spreadsheet", DAYS, 25_569.0),
    _Calendar("days of MATLAB", DAYS, 719_529.0),
    _Calendar("Julian days", DAYS, 2_440_587.5),
    _Calendar("modified Julian days", DAYS, 40_587.0),
    _Calendar("ticks of Windows", _TICKS, 116_444_736e9),
    _Calendar("ticks of .NET", _TICKS, 621_355_968e9),
)
_PER_MS = {**PER_MS, _TICKS: 1e4}
_OF_CELL = re.compile(r"\d{1,3}(?:,\d{3})*")  # a whole number with commas between thousands
_LONGEST_CELL = 100  # characters; a time has fewer
_LARGEST = 1e30  # of numbers that are times; larger ones are none, and infinite in milliseconds
_ENOUGH = 0.5  # share of the cells that must hold a time


@dataclass(frozen=True)
class Times:
    """When the rows of a source were taken."""

    milliseconds: FloatArray  # whole numbers, NaN where it is unknown, (rows,)
    words: str  # how they are known
    column: str = ""  # of the table that holds them
    columns: Sequence[str] = ()  # further ones that hold a part of them
    is_written: bool = False  # as dates or clocks

    def of(self, row: int) -> int | None:
        """Return the milliseconds of a row, None for an unknown time."""
        time_ms = self.milliseconds[row]
        return round(time_ms) if np.isfinite(time_ms) else None

    def check_rate(self, pictures: Sequence[str]) -> Iterator[Missing]:
        """Yield a question for frames that follow each other faster than those of a camera.

        pictures: the picture of each row; rows with the same one and the same time count once
        """
        frames = set(zip(pictures, self.milliseconds.tolist(), strict=True))
        known = np.array([time_ms for _, time_ms in frames if not np.isnan(time_ms)])
        steps = np.diff(np.sort(known))
        if len(steps) and (step := float(np.median(steps))) < SHORTEST_STEP_MS:
            facts = {"column": self.words, "step": max(step, 1.0)}  # times are whole milliseconds
            yield Missing("fast", "frame_rate", "HZ", facts)


def read_times(
    table: SourceTable, settings: ImportSettings, inquiry: Inquiry, stems: Sequence[str] = ()
) -> Times | None:
    """Return the times of a table's rows; None if nothing states them, or not clearly, which is
    asked for in the second case.

    They are those of --time-column; counted with --frame-rate; in columns with usual names; or in
    the names of the images, which are `stems` without ending.
    """
    if settings.frame_rate:
        return counted(range(len(table.lines)), settings.frame_rate)
    names = [name for name in table.columns if _USUAL.fullmatch(plain(name))]
    parts = list(_of_parts(table))
    if settings.time_column:
        names = [name for name in [table.find(settings.time_column)] if name]
        if not names:
            facts = {"asked": settings.time_column, "columns": table.held()}
            inquiry.ask([Missing("no such column", "time_column", "TIMES", facts)])
            return None
        parts = [times for times in parts if names[0] in (times.column, *times.columns)]
    found: list[Times | Missing] = [*parts]
    found += [] if parts else [_of_column(table, name, settings) for name in names]
    if not found:
        found += filter(None, [times_in_names(stems, settings.time_form)])
    for each in found:
        if isinstance(each, Times):
            inquiry.note("times", each.words.removeprefix("times: "))
            return each
    for each in found:
        if isinstance(each, Missing):
            inquiry.ask([each])
            return None
    return None


def _of_column(table: SourceTable, name: str, settings: ImportSettings) -> Times | Missing:
    cells = table.columns[name]
    by_name = {plain(name): cells for name, cells in table.columns.items()}
    if plain(name) in ("date", "time") and {"date", "time"} <= by_name.keys():
        days = zip(by_name["date"], by_name["time"], strict=True)
        both = times_of([f"{date} {time}" for date, time in days], name, settings.time_form)
        if isinstance(both, Times):
            return both
    return times_of(cells, name, settings.time_form)


def _of_parts(table: SourceTable) -> Iterator[Times]:
    """Yield the times in columns that are called alike but for their units, each of which holds
    what is less than one of the next larger unit.
    """
    alike: dict[str, dict[str, str]] = {}  # what stands before the unit -> unit -> column
    for name in table.columns:
        before, _, unit = plain(name).rpartition("_")
        if unit in _PARTS and _OF_PARTS.fullmatch(before):
            alike.setdefault(before, {}).setdefault(_PARTS[unit], name)
    for columns in alike.values():
        units = [unit for unit in (HOURS, MINUTES, SECONDS, MS, US, NS) if unit in columns]
        if SECONDS not in units or len(units) < 2:
            continue
        numbers = {unit: table.numbers(columns[unit]) for unit in units}
        limits = {**_LARGEST_PART, **({SECONDS: 61} if MINUTES in units else {})}
        fits = all(
            np.nanmax(numbers[unit], initial=0.0) < limits.get(unit, np.inf)
            and (unit == units[-1] or not np.any(numbers[unit] % 1 > 0))
            for unit in units
        )
        milliseconds = np.sum([numbers[unit] / PER_MS[unit] for unit in units], axis=0)
        if fits and np.isfinite(milliseconds).mean() >= _ENOUGH:
            first, *others = (columns[unit] for unit in units)
            raised, turn = counted_on(milliseconds.tolist())
            words = f"times: {', '.join(columns[unit] for unit in units)}{turn}"
            yield Times(np.round(raised), words, first, others)


def times_of(cells: Sequence[object], name: str, form: str | None = None) -> Times | Missing:
    """Return the times in cells, or what has to be stated of them.

    name: of their column; its end may be the unit of numbers, which are seconds without one
    form: see --time-form; None where it is not stated
    """
    texts = [str(cell)[:_LONGEST_CELL] for cell in cells]
    if dated := _stated_or_asked(times_in_cells(texts, form), name):
        return dated
    stated = form if form in PER_MS else None
    factor, called = factor_in(name, TIME_UNITS)
    named = unit_in(called, TIME_UNITS)
    if factor is None and not stated:
        return Missing("multiple of times", "frame_rate", "HZ", {"column": name})
    numbers = _numbers_in(cells, stated or named or SECONDS)
    if factor and not stated:
        numbers = numbers * factor
    known = np.sort(numbers[np.isfinite(numbers)])
    facts: dict[str, Any] = {"column": name, "cell": texts[0] if texts else ""}
    usual = usual_step(known.tolist())
    calendar = None if stated else _calendar_of(known, usual)
    is_known = bool(stated or named or calendar)
    unit = stated or named or (calendar.unit if calendar else SECONDS)
    if not len(known) or len(known) < _ENOUGH * len(numbers) or not (usual or is_known):
        return Missing("no times", "frame_rate", "HZ", facts)
    if calendar and calendar.unit != unit:
        facts |= {"named": unit, "found": calendar.unit}
        return Missing("unit of times", "time_form", "FORM", facts)
    step_ms = usual / _PER_MS[unit]
    # where the unit is not stated, other steps show that it is not seconds
    longest = LONGEST_STEP_MS if is_known else _LONGEST_UNNAMED_MS
    is_usual = step_ms <= longest and (is_known or step_ms >= SHORTEST_STEP_MS)
    falls = int((np.diff(numbers) < 0).sum())
    if not is_usual and not stated and falls > len(numbers) / 4:
        return Missing("no times", "frame_rate", "HZ", facts)
    if not is_usual and not stated:
        facts |= {"step": usual, "rises": not falls}
        return Missing("form of times", "time_form", "FORM", facts)
    counts = usual == 1 and not np.any(known % 1) and len(np.unique(known)) == len(known)
    if unit == SECONDS and counts and not (stated or named):
        return Missing("row numbers", "time_form", "FORM", facts)
    since = calendar.at_1970 if calendar else 0.0
    raised, turn = counted_on(((numbers - since) / _PER_MS[unit]).tolist())
    words = calendar.words if calendar and not named else unit
    return Times(np.round(raised), f"times: {name}, in {words}{turn}", name)


def _numbers_in(cells: Sequence[object], unit: str) -> FloatArray:
    """Return the numbers in cells, NaN for none; commas may stand between thousands.

    unit: in which their steps show whether a comma is a decimal mark instead
    """
    numbers = np.array([number_in(cell) for cell in cells])
    numbers[np.abs(numbers) > _LARGEST] = np.nan
    unread = [str(cell) for cell, number in zip(cells, numbers, strict=True) if np.isnan(number)]
    if not unread or not all(map(_OF_CELL.fullmatch, map(str, cells))):
        return numbers
    readings = [
        np.array([number_in(str(cell).replace(",", mark)) for cell in cells]) for mark in ("", ".")
    ]
    for reading in readings:
        step_ms = usual_step(reading[np.isfinite(reading)].tolist()) / PER_MS[unit]
        if SHORTEST_STEP_MS <= step_ms <= LONGEST_STEP_MS:
            return reading
    return numbers


def _calendar_of(known: FloatArray, step: float) -> _Calendar | None:
    """Return the calendar by which numbers are times of the years 2000 to 2040, None for none.

    step: the usual one between the numbers; it must be one of a camera, which days must show
    """
    for calendar in _CALENDARS:
        per_ms = _PER_MS[calendar.unit]
        seconds = (known - calendar.at_1970) / per_ms / 1000
        is_of_camera = step / per_ms <= LONGEST_STEP_MS and (step > 0 or calendar.unit != DAYS)
        if len(known) and is_of_camera and _SINCE[0] <= seconds[0] and seconds[-1] < _SINCE[1]:
            return calendar
    return None


def times_in_names(stems: Sequence[str], form: str | None = None) -> Times | Missing | None:
    """Return the times in the names of images, or what has to be stated of them; None if most hold
    no time.

    form: see --time-form; None where it is not stated
    """
    found = written_times.times_in_names(stems, form)
    return _stated_or_asked(found, "the names of the images")


def _stated_or_asked(found: WrittenTimes | Unclear | None, name: str) -> Times | Missing | None:
    if isinstance(found, WrittenTimes):
        words = f"times: {name}, as {found.words}"
        return Times(np.array(found.milliseconds), words, name, is_written=True)
    if found is None:
        return None
    facts = {"column": name, "cell": found.text, "digits": found.digits, "orders": found.orders}
    if found.kind == written_times.ORDER:
        return Missing(found.kind, "time_form", "FORM", facts)
    return Missing(found.kind, "frame_rate", "HZ", facts)


def counted(numbers: Sequence[int], frame_rate: float) -> Times:
    """Return times that are counted from the numbers of frames, from 0."""
    milliseconds = np.round(1000 * np.array(numbers, float) / frame_rate)
    return Times(milliseconds, f"times: counted as {frame_rate:g} frames a second")


def no_times(table: SourceTable | None = None, others: Collection[str] = ()) -> list[Missing]:
    """Return the questions for rows without times.

    table: whose columns may be the time; None for none
    others: columns of it that are something else
    """
    columns = table.columns if table else {}
    found = {name: times_of(columns[name], name) for name in columns if name not in others}
    unclear = [name for name, each in found.items() if _may_be_time(each, of_unit=True)]
    listed = [name for name, each in found.items() if name in unclear or _may_be_time(each)]
    if not table or not listed:
        return [Missing("times", "frame_rate", "HZ")]
    facts = {"columns": table.held(listed)}
    questions = [Missing("times of columns", "time_column", "TIMES", facts)]
    if unclear:
        facts = {"columns": table.held(unclear)}
        questions.append(Missing("form perhaps", "time_form", facts=facts, is_optional=True))
    return questions


def _may_be_time(found: Times | Missing, of_unit: bool = False) -> bool:
    """Return whether what was read of a column may be times: dates and clocks, or what rises.

    of_unit: whether only those count whose unit, or order in a date, has to be stated
    """
    if isinstance(found, Missing):
        return found.kind == written_times.ORDER or found.facts.get("rises", False)
    steps = np.diff(found.milliseconds)
    rises = bool(len(steps) and (steps >= 0).all())
    return not of_unit and bool(steps.any()) and (rises or found.is_written)
