"""The times in a column, or in the names of images -> whole milliseconds.

A column has dates or clocks (recording/written_times.py), or numbers: in a unit that its name, its
cells or the user states, or of one of the calendars in _CALENDARS, if all are of the years 2001 to
2033. Steps that are those of no camera are asked about, and so are numbers that begin anew, unless
the name of the column says after how long. Which columns hold times is told in time_columns.py.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bcclone.exchange.cells import LONGEST_CELL, number_in
from bcclone.exchange.plain_names import plain
from bcclone.exchange.questions import Missing
from bcclone.exchange.units import factor_in, unit_in
from bcclone.recording import written_times
from bcclone.recording.time_forms import (
    DAY_MS,
    DAYS,
    FIRST_SECOND,
    HOUR_MS,
    LAST_SECOND,
    MS,
    NS,
    PER_MS,
    SECONDS,
    TIME_UNITS,
    US,
    stated_unit,
)
from bcclone.recording.written_times import (
    ENOUGH,
    LONGEST_STEP_MS,
    MINUTE_MS,
    SHORTEST_STEP_MS,
    WEEK_MS,
    Unclear,
    WrittenTimes,
    counted_on,
    times_in_cells,
    turn_of,
    usual_step,
)
from bcclone.system.arrays import FloatArray

_LONGEST_UNNAMED_MS = 2000.0  # step of numbers without any unit that are seconds
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
_IN_BRACKETS = re.compile(r"\(\d+\.\d+\)")
_LARGEST = 1e30  # of numbers that are times; larger ones are none, and infinite in milliseconds
# after how long numbers may begin anew, by what the name of a column says of it
_TURNS_MS = {
    "minute": MINUTE_MS, "hour": HOUR_MS, "half_day": DAY_MS / 2, "day": DAY_MS, "week": WEEK_MS
}  # fmt: skip
_OF_TURN = re.compile(
    rf"(?P<base>.*)_of_(?:the_)?(?P<turn>{'|'.join(_TURNS_MS)})(?P<unit>_(?:{'|'.join(TIME_UNITS)}))?"
)
_OF_GPS = re.compile("(?:.*_)?(?:gps|gnss|i?tow)(?:_.*)?")  # which counts the seconds of a week
_COUNTERS = {MS: (2**32,), US: (2**32,)}  # of 32 bits, as that of a microcontroller


@dataclass(frozen=True)
class Times:
    """When the rows of a source were taken."""

    milliseconds: FloatArray  # whole numbers, NaN where it is unknown, (rows,)
    words: str  # how they are known
    column: str = ""  # of the table that holds them
    columns: Sequence[str] = ()  # further ones that hold a part of them
    is_written: bool = False  # as dates or clocks
    uses_form: bool = False  # they are read as --time-form states

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


def times_of(cells: Sequence[object], name: str, form: str | None = None) -> Times | Missing:
    """Return the times in cells, or what has to be stated of them.

    name: of their column; its end may be the unit of numbers, which are seconds without one, and
        say after how long they begin anew, as ms_of_day does
    form: see --time-form; None where it is not stated
    """
    texts = [str(cell)[:LONGEST_CELL] for cell in cells]
    if dated := _stated_or_asked(times_in_cells(texts, form), name):
        return dated
    if all(map(_IN_BRACKETS.fullmatch, texts)):  # as candump writes them
        cells = [text[1:-1] for text in texts]
    return _of_numbers(cells, name, form, texts[0] if texts else "")


def _of_numbers(cells: Sequence[object], name: str, form: str | None, cell: str) -> Times | Missing:
    """Return the times in cells with numbers, as times_of(); cell: one as it is written."""
    called, turns_ms = _turns_in(name)
    many, stated = stated_unit(form) or (1.0, None)
    factor, called = factor_in(called, TIME_UNITS)
    named = unit_in(called, TIME_UNITS)
    if factor is None and not stated:
        return Missing("multiple of times", "time_form", "FORM", {"column": name})
    factor = many if stated else factor or 1.0
    numbers = _numbers_in(cells, stated or named or SECONDS) * factor
    known = np.sort(numbers[np.isfinite(numbers)])
    facts: dict[str, Any] = {"column": name, "cell": cell}
    usual = usual_step(known.tolist())
    calendar = None if stated else _calendar_of(known, usual)
    is_known = bool(stated or named or calendar)
    unit = stated or named or (calendar.unit if calendar else SECONDS)
    if not len(known) or len(known) < ENOUGH * len(numbers) or not (usual or is_known):
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
    milliseconds = ((numbers - since) / _PER_MS[unit]).tolist()
    turns_ms += [turn / _PER_MS[unit] for turn in _COUNTERS.get(unit, ())]
    raised, turn = counted_on(milliseconds, turns_ms)
    turn_ms = turn_of(raised, [] if calendar else [*_TURNS_MS.values(), 2.0**16])
    if turn_ms:
        facts |= {"seconds": turn_ms / 1000, "turn": turn_ms * _PER_MS[unit] / factor}
        return Missing("begins anew", facts=facts)
    words = calendar.words if calendar and not named else unit
    if stated and many != 1:
        words = f"{many:g} {unit}"
    uses_form = stated is not None
    return Times(np.round(raised), f"times: {name}, in {words}{turn}", name, uses_form=uses_form)


def _turns_in(name: str) -> tuple[str, list[float]]:
    """Return the name of a column without what says after how long it begins anew, and after how
    many ms that may be.
    """
    if match := _OF_TURN.fullmatch(plain(name)):
        return match["base"] + (match["unit"] or ""), [_TURNS_MS[match["turn"]]]
    return name, [WEEK_MS] if _OF_GPS.fullmatch(plain(name)) else []


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
    """Return the calendar by which numbers are times of the years 2001 to 2033, None for none.

    step: the usual one between the numbers; it must be one of a camera, which days must show
    """
    for calendar in _CALENDARS:
        per_ms = _PER_MS[calendar.unit]
        seconds = (known - calendar.at_1970) / per_ms / 1000
        is_of_camera = step / per_ms <= LONGEST_STEP_MS and (step > 0 or calendar.unit != DAYS)
        is_now = len(known) and seconds[0] >= FIRST_SECOND and seconds[-1] < LAST_SECOND
        if is_now and is_of_camera:
            return calendar
    return None


def times_of_images(stems: Sequence[str], form: str | None = None) -> Times | Missing | None:
    """Return the times in the names of images, or what has to be stated of them; None if most hold
    no time.

    form: see --time-form; None where it is not stated
    """
    found = written_times.times_in_names(stems, form)
    return _stated_or_asked(found, "the names of the images")


def _stated_or_asked(found: WrittenTimes | Unclear | None, name: str) -> Times | Missing | None:
    if isinstance(found, WrittenTimes):
        words = f"times: {name}, as {found.words}"
        milliseconds = np.array(found.milliseconds)
        return Times(milliseconds, words, name, is_written=True, uses_form=found.uses_stated)
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
