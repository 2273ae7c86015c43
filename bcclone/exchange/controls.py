"""A table -> the steering, throttle, brake and speed of each row, in the units of a recording.

A column is found by its usual name, or the user names it; so is its unit. Columns are never
recognised by their values, but impossible values are refused.
"""

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from bcclone.exchange.cells import look_of, number_in
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_rows import ACCIDENTS_SHARE, Seen
from bcclone.exchange.inquiry import Inquiry
from bcclone.exchange.plain_names import last_name, plain
from bcclone.exchange.questions import Missing
from bcclone.exchange.steering_scale import (
    is_like_log,
    scale_questions,
    steering_questions,
    unit_of,
)
from bcclone.exchange.steering_side import columns_of_sides, columns_of_wheels
from bcclone.exchange.steering_words import names_a_rate
from bcclone.exchange.table import SourceTable, range_of
from bcclone.exchange.units import ANGLES, MPH_OF, PERCENT, factor_in, suffix_in
from bcclone.recording.row import NUMBERS, RANGES, ROUNDING
from bcclone.system.arrays import FloatArray

_FEW = 10  # rows; so few may rise by chance
# what may stand behind the word for a steering: which one it is of several, or as what it is given
_OF_STEERING = (
    "wheel|angle|pos|position|value|cmd|command|commanded|target|desired|request|requested|set|"
    "setpoint|ref|reference|demand|actual|measured|feedback|fb|reported|real|raw|adc|counts?"
)
_USUAL = {  # control -> the plain names that are known for it; no other column is found
    "steering": re.compile(
        rf"(?:\w+_)?steer(?:ing)?(?:_(?:{_OF_STEERING}))*(?:_(?:{'|'.join(ANGLES)}))?"
        rf"|(?:user_|wheel_)?angle(?:_(?:{'|'.join(ANGLES)}))?"
    ),
    "throttle": re.compile(r"(?:\w+_)?throttle(?:_\w+)?|gas(?:_\w+)?|accelerator(?:_\w+)?"),
    "brake": re.compile(r"(?:brake|break)(?:_\w+)?"),
    "speed_mph": re.compile(
        r"(?:(?:vehicle|car|ego|observation|drive)_)?(?:speed|velocity)"
        rf"(?:_(?:{'|'.join(MPH_OF)}))?"
    ),
}


def read_controls(
    table: SourceTable,
    settings: ImportSettings,
    seen: Seen,
    inquiry: Inquiry,
    preferred: Mapping[str, str] = MappingProxyType({}),
) -> tuple[dict[str, FloatArray], dict[str, str]]:
    """Return two dicts with the names of recording.row.NUMBERS as keys: numbers, and their columns.

    The numbers, (rows,) each, are in the units of a recording; NaN where a cell holds none. A
    column of throttle, brake or speed that has no unit or wrong values is left out with a note.
    What is not known of the steering is asked for; it is then not among the numbers.

    preferred: control -> prefix of the name to prefer where several columns fit
    """
    columns: dict[str, str] = {}
    values: dict[str, FloatArray] = {}
    column = _steering_column(table, settings, preferred.get("steering", ""), inquiry)
    if column:
        columns["steering"] = column
        values["steering"] = _read_steering(table, column, settings, seen, inquiry)
    read: dict[str, str] = {}  # control -> how it is read, in words
    for name in ("throttle", "brake", "speed_mph"):
        found = _usual_columns(table, name, preferred.get(name, ""))
        found = [column for column in found if column not in columns.values()]
        if not found:
            continue
        column = found[0]
        unit, factor = _unit_of_speed(column) if name == "speed_mph" else ("", 1.0)
        if plain(column) == "speed" and is_like_log(table):
            unit, factor = "mph", 1.0
        problem = _problem_of(name, table.numbers(column), factor)
        if column in table.doubtful:
            problem = "its points may be decimal, or stand between thousands"
        if len(found) > 1:
            problem = f"several columns may be it: {', '.join(found)}"
        if problem or factor is None:
            seen.notes.append(f"{column} is left out: {problem}")
            continue
        columns[name] = column
        values[name] = table.numbers(column) * factor
        read[name] = f"{column}, in {unit}" if unit else column
    for name in NUMBERS[1:]:
        words = read.get(name, "not read; 0 in each row of the recording")
        seen.notes.append(f"{name.removesuffix('_mph')}: {words}")
    return values, columns


def _unit_of_speed(column: str) -> tuple[str, float | None]:
    """Return the unit in the name of a speed, in words, and miles an hour in it; None for none, and
    for a multiple that is not clear.
    """
    multiple, called = factor_in(column, MPH_OF)
    unit = suffix_in(called, MPH_OF)
    if not unit or not multiple:
        return "", None
    return unit if multiple == 1 else f"{multiple:g} {unit}", multiple * MPH_OF[unit]


def _problem_of(name: str, numbers: FloatArray, factor: float | None) -> str:
    """Return why the numbers of a column are not taken as a control, "" if they are.

    factor: miles an hour in the unit of a speed; None for a speed without a unit
    """
    if factor is None:
        return "no unit is in its name, or no clear one, such as speed_kmh, _mps or _mph"
    low, high = RANGES[name]
    wrong = numbers[(numbers < low - ROUNDING) | (numbers > high + ROUNDING)]
    if name != "speed_mph" and len(wrong) > ACCIDENTS_SHARE * len(numbers):
        return f"it has {wrong[0]:g}, expected {low:g} to {high:g}"
    if np.isnan(numbers).mean() > 0.5:
        return "it has no number in most rows"
    return ""


def numbers_at(
    controls: Mapping[str, FloatArray], columns: Mapping[str, str], table: SourceTable, row: int
) -> dict[str, float | str]:
    """Return the numbers of a row; of a cell without one, its text, which row_of() then refuses."""
    numbers: dict[str, float | str] = {}
    for name, values in controls.items():
        numbers[name] = float(values[row])
        if not math.isfinite(values[row]):
            cell = str(table.written(columns[name], row))
            numbers[name] = cell if math.isnan(number_in(cell)) else repr(cell)
    return numbers


# ---- the column of the steering


def _usual_columns(table: SourceTable, name: str, preferred: str) -> list[str]:
    """Return the columns with a usual name of a control.

    If exactly one of them has the preferred prefix, return only that one.
    """
    fitting = []
    for column in table.columns:
        _, called = factor_in(column, MPH_OF if name == "speed_mph" else ANGLES)
        if any(_USUAL[name].fullmatch(text) for text in (plain(called), last_name(called))):
            fitting.append(column)
    of_preferred = [column for column in fitting if preferred and column.startswith(preferred)]
    return of_preferred if len(of_preferred) == 1 else fitting


def _steering_column(
    table: SourceTable, settings: ImportSettings, preferred: str, inquiry: Inquiry
) -> str:
    """Return the column of the steering; "" if it is not known, which is asked for."""
    asked = settings.steering_column
    fitting = _usual_columns(table, "steering", preferred)
    if asked:
        # a column of a data set may be asked for by the last word of its name
        fitting = [column for column in table.columns if column.endswith(f".{asked}")]
        if asked in table.columns or not fitting:
            fitting = [found for found in [table.find(asked)] if found]
    sides = columns_of_sides(table)
    wheels = columns_of_wheels(table)
    of_pairs = [column for pair in (*sides, *wheels) for column in pair]
    if len(fitting) == 1 and fitting[0] not in of_pairs and not names_a_rate(fitting[0]):
        return fitting[0]
    if (sides or wheels) and len(fitting) < 2:
        left, right = (sides or wheels)[0]
        facts: dict[str, Any] = {"left": left, "right": right}
        kind = "wheels"
        if sides:
            kind = "a steering for each side"
            unit = suffix_in(right, ANGLES)
            facts["steering"] = f"steering_{unit}" if unit else "steering_angle"
            both = np.concatenate([table.numbers(left), table.numbers(right)])
            known = both[np.isfinite(both)]
            inquiry.ask(scale_questions(table, right, known, known, settings, needs_middle=False))
        inquiry.ask([Missing(kind, facts=facts, withdrawn=("steering_column", "straight"))])
        return ""
    if not fitting and not asked and (found := _long_table(table)):
        facts, signal = found
        inquiry.ask([Missing("long table", facts=facts)])
        questions = steering_questions(signal, facts["signal"], settings)
        inquiry.ask(one for one in questions if one.setting)
        raise inquiry.refusal()  # its rows are no rows of pictures and times
    may_be = fitting or [name for name in _numeric(table) if name not in of_pairs]
    rates = [name for name in may_be if names_a_rate(name)]
    may_be = [name for name in may_be if name not in rates]
    may_be = may_be or [name for name in table.columns if look_of(table.columns[name]).kind]
    if not may_be and (rates or not asked):
        facts = {"columns": table.held(rates)}
        kind = "rates" if rates else "no steering at all"
        inquiry.ask([Missing(kind, facts=facts, withdrawn=("steering_column",))])
        return ""
    kind = "several steerings" if fitting else "no steering"
    facts = {"columns": table.held(may_be)}
    if asked and not fitting:
        kind = "no such column"
        facts["asked"] = asked
    inquiry.ask([Missing(kind, "steering_column", "COLUMN", facts)])
    # whichever column the user chooses, the next command is to be the last one
    for column in may_be:
        questions = steering_questions(table, column, settings)
        inquiry.ask(one for one in questions if one.setting or len(may_be) == 1)
    return ""


def _long_table(table: SourceTable) -> tuple[dict[str, Any], SourceTable] | None:
    """Return the facts of a table with one row for each signal, of which one is called as a
    steering, and that signal as a table; None for any other.
    """
    most_signals = 500
    for column, cells in table.columns.items():
        signals = list(dict.fromkeys(map(str, cells)))
        steering = [name for name in signals if _USUAL["steering"].fullmatch(plain(name))]
        if not steering or not 1 < len(signals) <= min(most_signals, len(cells) - 1):
            continue
        rows = [row for row, cell in enumerate(cells) if str(cell) == steering[0]]
        others = [name for name in _numeric(table) if name != column]
        values = [name for name in others if plain(name) in ("value", "val", "data", "reading")]
        value = (values or others or [""])[0]
        if not value:
            continue
        held = {name: [table.columns[name][row] for row in rows] for name in table.columns}
        # what differs between the rows of a signal, such as the time and the picture
        index = [name for name in held if name not in (column, value) and len(set(held[name])) > 1]
        facts = {"column": column, "signal": steering[0], "index": repr(index), "value": value}
        return facts, SourceTable(table.path, {steering[0]: held[value]}, remarks=table.remarks)
    return None


def _numeric(table: SourceTable) -> list[str]:
    """Return the columns of numbers without clocks and counters; those that change, if any do."""
    constant, changing = [], []
    for column in table.columns:
        numbers = table.numbers(column)
        known = numbers[np.isfinite(numbers)]
        if not len(known) or len(known) < 0.5 * len(numbers):
            continue
        if not np.ptp(known):
            constant.append(column)
        elif len(known) <= _FEW or not (np.diff(known) > 0).all():
            changing.append(column)
    return changing or constant


# ---- its unit, its middle and its range


def _read_steering(
    table: SourceTable, column: str, settings: ImportSettings, seen: Seen, inquiry: Inquiry
) -> FloatArray:
    """Return the steering, -1 to 1, right positive, (rows,).

    What the column's name and the user do not say is asked for, and never taken from the numbers.
    """
    numbers = table.numbers(column)
    known = numbers[np.isfinite(numbers)]
    unit = unit_of(table, column, settings)
    stated = {"unit": unit.name} if unit else {}
    if len(known):
        without = {"rows_without_a_number": len(numbers) - len(known)}
        inquiry.note("steering", f"column {column!r}", **range_of(known), **stated, **without)
    questions = list(steering_questions(table, column, settings))
    inquiry.ask(questions)
    if unit is None or not all(one.is_optional for one in questions):
        return numbers
    straight = settings.straight or 0.0
    full = settings.max_degrees or unit.full
    words = f"in {unit.name}, 1 is {full:g} degrees"
    if unit.full == 1:
        words = "-1 to 1" if full == 1 else f"1 is {full:g} more than straight ahead"
    elif unit == PERCENT:
        words = f"in percent, 1 is {full:g} %"
    side = "left" if settings.left_positive else "right"
    middle = f"; straight ahead is {straight:g}" if straight else ""
    seen.notes.append(f"steering: {column}, {words}, {side} positive{middle}")
    factor = (-1.0 if settings.left_positive else 1.0) * unit.per / full
    if factor == 1 and not straight:  # exactly as it is
        return numbers
    scaled = (numbers - straight) * factor + 0.0  # no -0.0
    # values beyond full steering stay as they are, and row_of() refuses these rows
    return np.where(np.abs(scaled) <= 1 + ROUNDING, np.clip(scaled, -1, 1), scaled)
