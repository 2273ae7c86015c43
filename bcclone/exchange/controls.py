"""A table -> the steering, throttle, brake and speed of each row, in the units of a recording.

A column is found by its usual name, or the user names it; so is its unit. Columns are never
recognised by their values, but impossible values are refused. A *plain name* is in lower case, with
underscores between its words, as plain() returns it.
"""

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from bcclone.camera.vehicle import FULL_LOCK_DEGREES
from bcclone.exchange.exchange_settings import DEGREES, RADIANS, RATIO, ImportSettings
from bcclone.exchange.exchanged_rows import ACCIDENTS_SHARE, Seen
from bcclone.exchange.table import SourceTable, number_of, plain
from bcclone.recording.row import CAMERAS, NUMBERS, RANGES, ROUNDING
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError

_ANGLE_UNITS = {  # last word of a plain name -> unit of the steering
    **dict.fromkeys(("rad", "radian", "radians"), RADIANS),
    **dict.fromkeys(("deg", "degree", "degrees"), DEGREES),
    **dict.fromkeys(("ratio", "normalized", "norm"), RATIO),
}
# plain names that mean -1 to 1 without a unit, as simulators and donkeycar have them
_RATIO_NAMES = ("steering", "user_angle")
_MPH_OF = {  # end of a plain name of a speed -> miles an hour in its unit
    "mph": 1.0,
    **dict.fromkeys(("kmh", "kph", "km_h"), 0.621371),
    **dict.fromkeys(("mps", "m_s"), 2.236936),
    "knots": 1.150779,
}
_USUAL = {  # control -> the plain names that are known for it; no other column is found
    "steering": re.compile(
        r"(?:\w+_)?steer(?:ing)?(?:_wheel)?(?:_(?:angle|cmd|command|value|pos))?"
        rf"(?:_(?:{'|'.join(_ANGLE_UNITS)}))?"
        rf"|(?:user_|wheel_)?angle(?:_(?:{'|'.join(_ANGLE_UNITS)}))?"
    ),
    "throttle": re.compile(r"(?:\w+_)?throttle(?:_\w+)?|gas(?:_\w+)?|accelerator(?:_\w+)?"),
    "brake": re.compile(r"(?:brake|break)(?:_\w+)?"),
    "speed_mph": re.compile(
        r"(?:(?:vehicle|car|ego|observation|drive)_)?(?:speed|velocity)"
        rf"(?:_(?:{'|'.join(_MPH_OF)}))?"
    ),
}


def read_controls(
    table: SourceTable,
    settings: ImportSettings,
    seen: Seen,
    preferred: Mapping[str, str] = MappingProxyType({}),
) -> tuple[dict[str, FloatArray], dict[str, str]]:
    """Return two dicts with the names of recording.row.NUMBERS as keys: numbers, and their columns.

    The numbers, (rows,) each, are in the units of a recording; NaN where a cell holds none. A
    column of throttle, brake or speed that has no unit or wrong values is left out with a note.
    Raises UserError for a steering whose column or unit is not known.

    preferred: control -> prefix of the name to prefer where several columns fit
    """
    columns = {"steering": _steering_column(table, settings, preferred.get("steering", ""))}
    values = {"steering": _read_steering(table, columns["steering"], settings, seen)}
    for name in ("throttle", "brake", "speed_mph"):
        found = _usual_columns(table, name, preferred.get(name, ""))
        found = [column for column in found if column not in columns.values()]
        if not found:
            continue
        column = found[0]
        numbers = np.array([number_of(cell) for cell in table.columns[column]])
        low, high = RANGES[name]
        factor: float | None = 1.0
        if name == "speed_mph":
            factor = _unit_in(column, _MPH_OF)
            if plain(column) == "speed" and _is_like_log(table):
                factor = 1.0
            low, high = -math.inf, math.inf  # in any unit
        wrong = numbers[(numbers < low - ROUNDING) | (numbers > high + ROUNDING)]
        if len(found) > 1:
            problem = f"several columns may be it: {', '.join(found)}"
        elif factor is None:
            problem = "no unit is in its name, such as speed_kmh, _mps or _mph"
        elif len(wrong) > ACCIDENTS_SHARE * len(numbers):
            problem = f"it has {wrong[0]:g}, expected {low:g} to {high:g}"
        elif np.isnan(numbers).mean() > 0.5:
            problem = "it has no number in most rows"
        else:
            columns[name] = column
            values[name] = numbers * factor
            continue
        seen.notes.append(f"{column} is left out: {problem}")
    for name in NUMBERS[1:]:
        seen.notes.append(f"{name.removesuffix('_mph')}: {_how_read(name, columns)}")
    return values, columns


def _how_read(name: str, columns: Mapping[str, str]) -> str:
    if name not in columns:
        return "not read; 0 in each row of the recording"
    column = columns[name]
    if name == "speed_mph":
        return f"{column}, in {_suffix_in(column, _MPH_OF) or 'mph'}"
    return column


def numbers_at(
    controls: Mapping[str, FloatArray], columns: Mapping[str, str], table: SourceTable, row: int
) -> dict[str, float | str]:
    """Return the numbers of a row; "" for an empty cell, and NaN for another one without a number,
    which row_of() then refuses.
    """
    return {
        name: "" if table.columns[columns[name]][row] == "" else float(values[row])
        for name, values in controls.items()
    }


def _last_name(column: str) -> str:
    """Return the plain name of a column without that of a feature: action.Steering -> steering."""
    return plain(column.rpartition(".")[2])


def _unit_in(column: str, units: Mapping[str, Any]) -> Any:
    """Return the unit with which a column's name ends, None for none."""
    return units.get(_suffix_in(column, units))


def _suffix_in(column: str, units: Mapping[str, Any]) -> str:
    """Return the key of `units` with which a column's name ends, "" for none."""
    name = f"_{_last_name(column)}"
    return next((suffix for suffix in units if name.endswith(f"_{suffix}")), "")


def _is_like_log(table: SourceTable) -> bool:
    """Return whether a table has the columns of a log of the simulator, or of our own export."""
    return {plain(name) for name in table.columns} >= {*CAMERAS, "throttle"}


def _usual_columns(table: SourceTable, name: str, preferred: str) -> list[str]:
    """Return the columns with a usual name of a control.

    If exactly one of them has the preferred prefix, return only that one.
    """
    fitting = [
        column
        for column in table.columns
        if any(_USUAL[name].fullmatch(text) for text in (plain(column), _last_name(column)))
    ]
    of_preferred = [column for column in fitting if preferred and column.startswith(preferred)]
    return of_preferred if len(of_preferred) == 1 else fitting


def _steering_column(table: SourceTable, settings: ImportSettings, preferred: str) -> str:
    """Return the column of the steering; raises UserError for none, and for several."""
    option = "--steering-column"
    asked = settings.steering_column
    fitting = _usual_columns(table, "steering", preferred)
    if asked:
        # a column of a data set may be asked for by the last word of its name
        fitting = [column for column in table.columns if column.endswith(f".{asked}")]
        if asked in table.columns or not fitting:
            return table.find(asked, "the steering", option)
    if len(fitting) == 1:
        return fitting[0]
    reason = "several columns may be it" if fitting else "no column is called steering, or alike"
    raise table.no_column("the steering", option, reason, fitting)


def _read_steering(
    table: SourceTable, column: str, settings: ImportSettings, seen: Seen
) -> FloatArray:
    """Return the steering, -1 to 1, right positive, (rows,); raises UserError for a wrong unit."""
    where = f"{settings.source}: the steering, column {column[:60]!r}"
    numbers = np.array([number_of(cell) for cell in table.columns[column]])
    known = numbers[np.isfinite(numbers)]
    if not len(known):
        cell = str(table.columns[column][0])[:60]
        option = "decimal commas are read with --decimal-comma; " if "," in cell else ""
        raise UserError(
            f"{where}: no numbers, such as {cell!r}; expected such as -0.25; {option}correct them, "
            "or name another column with --steering-column",
            exit_code=2,
        )
    try:
        factor, words = _scale_of(column, known, settings)
        straight = settings.straight or 0.0
        scaled = (numbers - straight) * factor + 0.0  # no -0.0
        beyond = int(np.sum(np.abs(scaled[np.isfinite(numbers)]) > 1 + ROUNDING))
        if beyond > ACCIDENTS_SHARE * len(known):
            raise ValueError(
                f"{beyond} of {len(known)} values are beyond full steering; say what they are with "
                "--unit rad or deg, --max-degrees at full steering (100 of percent), and "
                "--straight for the value straight ahead; of classes, write a table with the "
                "steering of each"
            )
        is_one_sided = min(np.mean(known < 0), np.mean(known > 0)) <= ACCIDENTS_SHARE
        # no scale whose middle is not 0, such as 0 to 1 or the pulses of a servo, has negative
        # numbers; so one that is mostly 0 besides has its middle there
        is_around_0 = np.mean(known == 0) >= 0.5 and np.mean(known < 0) > ACCIDENTS_SHARE
        is_varied = np.ptp(known) > 0
        is_stated = settings.straight is not None or _is_like_log(table)
        if is_one_sided and is_varied and not (is_stated or is_around_0):
            raise ValueError(
                "it is never, or hardly, to the other side; say with --straight which value is "
                "straight ahead: 0, or another"
            )
    except ValueError as error:
        values, counts = np.unique(known, return_counts=True)
        raise UserError(
            f"{where}: {error}; its least value is {values[0]:g}, its greatest {values[-1]:g}, its "
            f"most frequent {values[counts.argmax()]:g} (in {counts.max() / len(known):.0%} of "
            f"the rows), of {len(values)} different ones",
            exit_code=2,
        ) from None
    side = "left" if settings.left_positive else "right"
    middle = f"; straight ahead is {straight:g}" if straight else ""
    seen.notes.append(f"steering: {column}, {words}, {side} positive{middle}")
    if factor == 1 and not straight:  # exactly as it is
        return numbers
    # values beyond full steering stay as they are, and row_of() refuses these rows
    return np.where(np.abs(scaled) <= 1 + ROUNDING, np.clip(scaled, -1, 1), scaled)


def _scale_of(column: str, known: FloatArray, settings: ImportSettings) -> tuple[float, str]:
    """Return the factor from the numbers of a column to a steering, and the scale in words.

    What the column's name and the user do not say is never taken from the numbers. Raises
    ValueError for what has to be said, and for numbers of classes.
    """
    unit = _unit_in(column, _ANGLE_UNITS)
    if unit is None and _are_classes(known):
        raise ValueError(
            "its values are whole numbers that count up, as those of classes, expected angles; "
            "write a table with the steering of each class, such as -0.5, 0 and 0.5; if they are "
            "angles, name the column with their unit, such as steering_deg"
        )
    unit = settings.unit or unit
    if unit is None and _last_name(column) in _RATIO_NAMES:
        unit = RATIO
    if unit is None:
        raise ValueError(
            "nothing says whether it is in rad, degrees, or -1 to 1; say it with --unit rad, deg "
            "or ratio, and --left-positive where positive is left"
        )
    side = -1.0 if settings.left_positive else 1.0
    full = settings.max_degrees
    if unit != RATIO:
        full = full or FULL_LOCK_DEGREES
        degrees = math.degrees(1) if unit == RADIANS else 1.0
        return side * degrees / full, f"in {unit}, 1 is {full:g} degrees"
    if not settings.straight:
        if full:
            raise ValueError(
                "it is read as -1 to 1, which --max-degrees does not change; leave it out, or say "
                "which value is --straight, or that it is an angle with --unit rad or deg"
            )
        return side, "-1 to 1"
    if not full:
        raise ValueError(
            f"straight ahead is {settings.straight:g}, but nothing says what full steering is; say "
            "with --max-degrees by how much it differs from that, such as 0.5 for 0 to 1"
        )
    return side / full, f"1 is {full:g} more than straight ahead"


def _are_classes(known: FloatArray) -> bool:
    """Return whether the numbers are 0, 1, 2 or 1, 2, 3 and so on, as those of classes."""
    most = 9  # such as those of the keys W, A, S and D, and of two of them
    values = np.unique(known)
    is_counted = np.array_equal(values, values[0] + np.arange(len(values)))
    return bool(is_counted and values[0] in (0, 1) and 3 <= len(values) <= most)
