"""The unit in a name -> what a number in it means.

A *plain name* is in lower case, with underscores between its words, as plain() returns it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import degrees
from typing import TypeVar

from bcclone.camera.vehicle import FULL_LOCK_DEGREES
from bcclone.exchange.exchange_settings import DEGREES, RADIANS, RATIO
from bcclone.recording.written_times import TIME_UNITS

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
PERCENT = SteeringUnit("percent", 1.0, 100.0)
# each table: how the plain name of a column ends -> the unit of its numbers
ANGLES = {
    **dict.fromkeys(("rad", "rads", "radian", "radians"), STEERING_UNITS[RADIANS]),
    **dict.fromkeys(("mrad", "millirad"), SteeringUnit("mrad", degrees(1e-3), FULL_LOCK_DEGREES)),
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
    """Return the key of `units` with which a column's name ends, the longest; "" for none."""
    name = f"_{last_name(column)}"
    return max((key for key in units if name.endswith(f"_{key}")), key=len, default="")


def unit_in(column: str, units: Mapping[str, Unit]) -> Unit | None:
    """Return the unit with which a column's name ends, None for none."""
    return units.get(suffix_in(column, units))


def is_unit(cell: str) -> bool:
    """Return whether a cell is a unit alone, such as [deg], °/s or km/h."""
    name = plain(cell)
    return name in ANGLES or name in MPH_OF or name in TIME_UNITS
