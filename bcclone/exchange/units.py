"""The unit in a name -> what a number in it means.

A *plain name* is in lower case, with underscores between its words, as plain() returns it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import degrees
from typing import TypeVar

from bcclone.camera.vehicle import FULL_LOCK_DEGREES
from bcclone.exchange.exchange_settings import DEGREES, RADIANS, RATIO
from bcclone.recording.time_forms import TIME_UNITS

Unit = TypeVar("Unit")


@dataclass(frozen=True)
class SteeringUnit:
    """A unit of the steering."""

    name: str
    per: float  # how many of what `full` counts are 1 of this unit: degrees of an angle
    full: float  # usual full steering


STEERING_UNITS = {  # those of --unit, by their names
    RADIANS: SteeringUnit(RADIANS, degrees(1), FULL_LOCK_DEGREES),
    DEGREES: SteeringUnit(DEGREES, 1.0, FULL_LOCK_DEGREES),
    RATIO: SteeringUnit(RATIO, 1.0, 1.0),
}
_DEGREES_OF = {  # how the plain name of an angle's unit may be written -> degrees
    ("mrad", "mrads", "millirad", "millirads"): degrees(1e-3),
    ("cdeg", "centideg", "centidegree", "centidegrees"): 0.01,
    ("ddeg", "decideg", "decidegree", "decidegrees"): 0.1,
    ("mdeg", "millideg", "millidegree", "millidegrees"): 1e-3,
    ("gon", "gons", "gradian", "gradians"): 0.9,
    ("rev", "revs", "revolution", "revolutions", "rotations", "turns"): 360.0,
}
PERCENT = SteeringUnit("percent", 1.0, 100.0)
# each table: how the plain name of a column ends -> the unit of its numbers
ANGLES = {
    **dict.fromkeys(("rad", "rads", "radian", "radians"), STEERING_UNITS[RADIANS]),
    **{
        name: SteeringUnit(names[0], per, FULL_LOCK_DEGREES)
        for names, per in _DEGREES_OF.items()
        for name in names
    },
    **dict.fromkeys(("deg", "degs", "degree", "degrees"), STEERING_UNITS[DEGREES]),
    **dict.fromkeys(("ratio", "normalized", "normalised", "norm"), STEERING_UNITS[RATIO]),
    **dict.fromkeys(("percent", "pct", "perc"), PERCENT),
}
MPH_OF = {  # miles an hour in the unit of a speed
    **dict.fromkeys(("mph", "mi_h", "mi_per_h", "miles_h", "miles_per_hour"), 1.0),
    **dict.fromkeys(
        ("kmh", "kph", "kmph", "km_h", "km_hr", "kmhr", "km_per_h", "km_per_hour"), 0.621371
    ),
    **dict.fromkeys(("mps", "m_s", "m_sec", "m_per_s", "m_per_sec", "meters_per_second"), 2.236936),
    **dict.fromkeys(("cm_s", "cmps"), 0.02236936),
    **dict.fromkeys(("knots", "knot", "kn", "kt", "kts"), 1.150779),
}
# a number before the unit in a name, such as [0.1 deg]: of so many of the unit is 1 of the column
_FACTOR = re.compile(
    r"(?:[\[(]\s*(?P<factor>\d+(?:[.,]\d+)?)|[\s_](?P<decimal>\d*[.,]\d+))[\s_*]*"
    r"(?P<unit>[^\W\d_][^\s\])]*|[°º%])\s*[\])]?\s*"
)


def plain(name: str) -> str:
    """Return a plain name: steeringAngle [°] -> steering_angle_deg."""
    signs = {"°": " deg", "º": " deg", "%": " percent", "µ": "u", "μ": "u"}
    spelled = re.sub(f"[{''.join(signs)}]", lambda sign: signs[sign[0]], name)
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", spelled)
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def last_name(column: str) -> str:
    """Return the plain name of a column without that of a feature: action.Steering -> steering."""
    return plain(column.rpartition(".")[2])


def suffix_in(column: str, units: Mapping[str, object]) -> str:
    """Return the key of `units` with which a column's name ends, the longest; "" for none, and for
    a multiple of a unit.
    """
    factor, called = factor_in(column)
    name = f"_{last_name(called)}" if factor == 1 else ""
    return max((key for key in units if name.endswith(f"_{key}")), key=len, default="")


def unit_in(column: str, units: Mapping[str, Unit]) -> Unit | None:
    """Return the unit with which a column's name ends, None for none."""
    return units.get(suffix_in(column, units))


def angle_unit_in(column: str) -> SteeringUnit | None:
    """Return the unit of ANGLES with which a column's name ends, or the multiple of one, such as
    [0.1 deg]; None for none.
    """
    factor, called = factor_in(column)
    unit = unit_in(called, ANGLES)
    if unit and factor != 1:
        return replace(unit, name=f"{factor:g} {unit.name}", per=factor * unit.per)
    return unit


def factor_in(column: str) -> tuple[float, str]:
    """Return the number before the unit in a name, 1 for none, and the name without it:
    (0.1, "steering deg") of steering [0.1 deg].
    """
    match = next((each for each in _FACTOR.finditer(column) if each.end() == len(column)), None)
    if not match:
        return 1.0, column
    factor = float((match["factor"] or match["decimal"]).replace(",", "."))
    return factor, f"{column[: match.start()].rstrip()} {match['unit']}"


def with_unit(name: str, unit: str) -> str:
    """Return a column's name with a unit, unless it ends with it, perhaps spelled otherwise."""
    for units in (ANGLES, MPH_OF, TIME_UNITS):
        if plain(unit) in units and unit_in(name, units) == units[plain(unit)]:
            return name
    return f"{name} [{unit}]" if unit else name


def is_unit(cell: str) -> bool:
    """Return whether a cell is a unit alone, such as [deg], °/s or km/h."""
    name = plain(cell)
    return name in ANGLES or name in MPH_OF or name in TIME_UNITS
