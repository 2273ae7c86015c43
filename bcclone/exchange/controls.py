"""A table -> the steering, throttle, brake and speed of each row, in the units of a recording.

A column is found by its usual name, or the user names it; so is its unit. Nothing is found by the
values of a column, but values that cannot be are refused.
"""

import math
import re
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from bcclone.exchange.exchange_settings import DEGREES, RADIANS, RATIO, ImportSettings
from bcclone.exchange.rows import ACCIDENTS_SHARE
from bcclone.exchange.seen import Seen
from bcclone.exchange.table import Table, number_of, plain
from bcclone.recording.row import CAMERAS, NUMBERS, RANGES, ROUNDING, RowError
from bcclone.system.errors import UserError
from bcclone.system.numbers import FloatArray

_ANGLE_UNITS = {  # last word of a plain name -> unit of the steering
    **dict.fromkeys(("rad", "radian", "radians"), RADIANS),
    **dict.fromkeys(("deg", "degree", "degrees"), DEGREES),
    **dict.fromkeys(("ratio", "normalized", "norm"), RATIO),
}
# plain names that mean -1 to 1 without a unit, as simulators and donkeycar have them
_RATIO_NAMES = ("steering", "user_angle")
_MPH_OF = {"mph": 1.0, "km/h": 0.621371, "m/s": 2.236936, "knots": 1.150779}
_SPEED_UNITS = {  # end of a plain name -> unit of the speed
    "mph": "mph",
    **dict.fromkeys(("kmh", "kph", "km_h"), "km/h"),
    **dict.fromkeys(("mps", "m_s"), "m/s"),
    "knots": "knots",
}
_USUAL = {  # control -> its usual plain names, without those of data sets before the last point
    "steering": re.compile(
        r"(?:\w+_)?steer(?:ing)?(?:_wheel)?(?:_(?:angle|cmd|command|value|pos))?"
        rf"(?:_(?:{'|'.join(_ANGLE_UNITS)}))?"
        rf"|(?:user_|wheel_)?angle(?:_(?:{'|'.join(_ANGLE_UNITS)}))?"
    ),
    "throttle": re.compile(r"(?:\w+_)?throttle(?:_\w+)?|gas(?:_\w+)?|accelerator(?:_\w+)?"),
    "brake": re.compile(r"(?:brake|break)(?:_\w+)?"),
    "speed_mph": re.compile(
        r"(?:(?:vehicle|car|ego|observation|drive)_)?(?:speed|velocity)"
        rf"(?:_(?:{'|'.join(_SPEED_UNITS)}))?"
    ),
}


def _unit_in(column: str, units: Mapping[str, str]) -> str | None:
    """Return the unit with which a column's name ends, None for none."""
    ended = f"_{plain(column.rpartition('.')[2])}"
    return next((unit for word, unit in units.items() if ended.endswith(f"_{word}")), None)


def _is_like_log(table: Table) -> bool:
    """Return whether a table has the columns of a log of the simulator, or of our own export."""
    return {plain(name) for name in table.columns} >= {*CAMERAS, "throttle"}


def read_controls(
    table: Table,
    settings: ImportSettings,
    seen: Seen,
    preferred: Mapping[str, str] = MappingProxyType({}),
) -> tuple[dict[str, FloatArray], dict[str, str]]:
    """Return the numbers of each row, and their columns, by the names of recording.row.NUMBERS.

    The numbers, (rows,) each, are in the units of a recording; NaN where a cell holds none. A
    column of throttle, brake or speed that has no unit or wrong values is left out with a note.
    Raises UserError for a steering whose column is not found, or several times, and for one of an
    unknown or a wrong unit.

    preferred: control -> begin of the name to prefer where several columns fit
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
        unit: str | None = ""
        low, high = RANGES[name]
        if name == "speed_mph":
            unit = _unit_in(column, _SPEED_UNITS)
            low, high = -math.inf, math.inf  # in any unit
            if plain(column) == "speed" and _is_like_log(table):
                unit = "mph"
        short = name.removesuffix("_mph")
        beyond = numbers[(numbers < low - ROUNDING) | (numbers > high + ROUNDING)]
        if len(found) > 1:
            problem = f"several columns may be it: {', '.join(found)}"
        elif unit is None:
            problem = "no unit is in its name, such as speed_kmh, _mps or _mph"
        elif len(beyond) > ACCIDENTS_SHARE * len(numbers):
            problem = f"it has {beyond[0]:g}, expected {low:g} to {high:g}"
        elif np.isnan(numbers).mean() > 0.5:
            problem = "it has no number in most rows"
        else:
            columns[name] = column
            values[name] = numbers * _MPH_OF.get(unit, 1.0)
            seen.notes.append(f"{short}: {column}" + (f", in {unit}" if unit else ""))
            continue
        seen.notes.append(f"{short}: {column} is left out: {problem}")
    if absent := [name.removesuffix("_mph") for name in NUMBERS if name not in values]:
        seen.notes.append(f"not read: {', '.join(absent)}; 0 in each row of the recording")
    return values, columns


def numbers_at(controls: Mapping[str, FloatArray], row: int) -> dict[str, float]:
    """Return the numbers of a row; raises RowError where a cell holds none."""
    for name, values in controls.items():
        if math.isnan(values[row]):
            raise RowError(f"no number for the {name}")
    return {name: float(values[row]) for name, values in controls.items()}


def _usual_columns(table: Table, name: str, preferred: str) -> list[str]:
    """Return the columns with a usual name of a control, perhaps behind that of a feature.

    preferred: begin of a name; if only one of the columns begins so, it is that one
    """
    fitting = [
        column
        for column in table.columns
        if any(_USUAL[name].fullmatch(plain(text)) for text in (column, column.rpartition(".")[2]))
    ]
    of_preferred = [column for column in fitting if preferred and column.startswith(preferred)]
    return of_preferred if len(of_preferred) == 1 else fitting


def _steering_column(table: Table, settings: ImportSettings, preferred: str) -> str:
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


def _read_steering(table: Table, column: str, settings: ImportSettings, seen: Seen) -> FloatArray:
    """Return the steering, -1 to 1, right positive, (rows,); raises UserError for a wrong unit.

    More than one in a hundred values beyond full steering shows a wrong unit, and a steering to
    one side alone may have another middle than 0.
    """
    where = f"{settings.source}: the steering, column {column[:60]!r}"
    numbers = np.array([number_of(cell) for cell in table.columns[column]])
    unit = settings.unit or _unit_in(column, _ANGLE_UNITS)
    if unit is None and plain(column.rpartition(".")[2]) in _RATIO_NAMES:
        unit = RATIO
    known = numbers[np.isfinite(numbers)]
    if not len(known):
        raise UserError(
            f"{where}: no numbers, such as {str(table.columns[column][0])[:60]!r}; expected such "
            "as -0.25; correct them, or name another column with --steering-column",
            exit_code=2,
        )
    if unit is None:
        raise UserError(
            f"{where}: nothing says whether it is in rad, degrees, or -1 to 1; say it with --unit "
            "rad, deg or ratio, and --left-positive where positive is left",
            exit_code=2,
        )
    max_degrees = settings.max_degrees
    if unit == RATIO and max_degrees != ImportSettings.max_degrees:
        raise UserError(
            f"{where}: it is read as -1 to 1, which --max-degrees does not change; leave it out, "
            "or say that it is an angle with --unit rad or deg",
            exit_code=2,
        )
    side = "left" if settings.left_positive else "right"
    factor = -1.0 if settings.left_positive else 1.0
    words = f"steering: {column}, -1 to 1, {side} positive"
    if unit != RATIO:
        factor *= (math.degrees(1) if unit == RADIANS else 1.0) / max_degrees
        words = f"steering: {column}, in {unit}, {side} positive; 1 is {max_degrees:g} degrees"
    straight = settings.straight or 0.0
    if straight:
        words += f"; straight ahead is {straight:g}"
    seen.notes.append(words)

    beyond = int(np.sum(np.abs((known - straight) * factor) > 1 + ROUNDING))
    extremes = f"from {float(known.min()):g} to {float(known.max()):g}"
    if beyond > ACCIDENTS_SHARE * len(known):
        raise UserError(
            f"{where}: {beyond} of {len(known)} values are beyond full steering, {extremes}; "
            "say what they are with --unit rad or deg, --max-degrees at full steering, and "
            "--straight X of a servo; numbers of classes are no steering",
            exit_code=2,
        )
    is_one_sided = bool((known >= 0).all() or (known <= 0).all()) and np.ptp(known) > 0
    is_mostly_0 = float(np.mean(known == 0)) >= 0.5  # then 0 is straight ahead
    if is_one_sided and settings.straight is None and not (is_mostly_0 or _is_like_log(table)):
        raise UserError(
            f"{where}: it is never to the other side, {extremes}; say with --straight which value "
            "is straight ahead: 0, or another, as of a servo",
            exit_code=2,
        )
    if factor == 1 and not straight:  # exactly as it is
        return numbers
    scaled = (numbers - straight) * factor + 0.0  # no -0.0
    return np.where(np.abs(scaled) <= 1 + ROUNDING, np.clip(scaled, -1, 1), scaled)
