"""The unit in a name -> what a number in it means."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import degrees
from typing import TypeVar

from bcclone.camera.vehicle import FULL_LOCK_DEGREES
from bcclone.exchange.exchange_settings import DEGREES, RADIANS, RATIO
from bcclone.exchange.plain_names import last_name, plain
from bcclone.exchange.steering_words import without_side
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
_DECIMAL = r"\d*[.,]?\d+(?:[eE][-+]?\d+)?"
_POWER = r"10\s*(?:\^|\*\*)\s*[-+]?\d+"
_FRACTION = r"\d+\s*/\s*\d+"
# how many of a unit are 1 of the column, before the unit: [0.1 deg], (1/10 deg), 10^-1 deg; a whole
# number only in brackets
_FACTOR = re.compile(
    rf"(?:[\[(]\s*(?P<factor>{_POWER}|{_FRACTION}|{_DECIMAL})|"
    rf"[\s_](?P<behind>{_POWER}|{_FRACTION}|\d*[.,]\d+(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+))"
    r"[\s_*]*(?P<unit>[^\W\d_][^\s\])]*|[°º%])\s*[\])]?\s*"
)
_THOUSANDS = re.compile(r"\d+,\d{3}")
# words of a plain name beside a unit that make a multiple of it, which is not said clearly
_MULTIPLE = re.compile(
    r"x?\d+x?|\d+(?:st|nd|rd|th)s?|x?\d+e\d*|(?:ten|hundred|thousand|million|billion)(?:th)?s?|"
    r"half|quarters?|double|deci|centi|milli|micro|nano|kilo|times|scaled?"
)
_UNIT_AND_NUMBER = re.compile(r"([a-z]+)(\d+)")  # such as s10 and deg100
_BETWEEN = ("of", "a", "per", "x", "by")  # words between a multiple and its unit
_LONGEST_UNIT = 40  # characters
_NUMBER_OF_COLUMN = re.compile(r"#\d+$")  # of one of several columns of one name


def suffix_in(column: str, units: Mapping[str, object]) -> str:
    """Return the key of `units` with which a column's name ends, the longest; "" for none, and for
    a multiple of a unit.
    """
    factor, called = factor_in(column, units)
    return _suffix_of(last_name(called), units) if factor == 1 else ""


def _suffix_of(name: str, units: Mapping[str, object]) -> str:
    return max((key for key in units if f"_{name}".endswith(f"_{key}")), key=len, default="")


def unit_in(column: str, units: Mapping[str, Unit]) -> Unit | None:
    """Return the unit with which a column's name ends, None for none."""
    return units.get(suffix_in(column, units))


def angle_unit_in(column: str) -> SteeringUnit | None:
    """Return the unit of ANGLES with which a column's name ends, or the multiple of one, such as
    [0.1 deg]; None for none, and for a multiple that is not clear.
    """
    factor, called = factor_in(column, ANGLES)
    unit = ANGLES.get(_suffix_of(last_name(called), ANGLES))
    if not unit or not factor:
        return None
    if factor == 1:
        return unit
    return replace(unit, name=f"{factor:g} {unit.name}", per=factor * unit.per)


def factor_in(column: str, units: Mapping[str, object]) -> tuple[float | None, str]:
    """Return how many of the unit in a name are 1 of the column, and the name without that: (0.1,
    "steering deg") of steering [0.1 deg].

    It is 1 for a unit alone and without a unit; None for a multiple that is not clear, such as
    x10_deg or tenths_deg. The name is without words that say which side is positive.
    """
    name = without_side(_NUMBER_OF_COLUMN.sub("", column))
    match = next((each for each in _FACTOR.finditer(name) if each.end() == len(name)), None)
    if match and plain(match["unit"]) in units:
        called = f"{name[: match.start()].rstrip()} {match['unit']}"
        return _value_of(match["factor"] or match["behind"]), called
    words = plain(name).split("_")
    joined = _UNIT_AND_NUMBER.fullmatch(words[-1])
    if joined and joined[1] in units:
        words[-1:] = joined.groups()
    behind = len(words)
    while behind and _is_multiple(words[behind - 1]):
        behind -= 1
    unit = _suffix_of("_".join(words[:behind]), units)
    if not unit:
        return 1.0, name
    begin = first = behind - len(unit.split("_"))
    while first and (words[first - 1] in _BETWEEN or _is_multiple(words[first - 1])):
        first -= 1
    if not any(map(_is_multiple, [*words[first:begin], *words[behind:]])):
        return 1.0, name
    return None, "_".join([*words[:first], unit])


def _is_multiple(word: str) -> bool:
    return bool(_MULTIPLE.fullmatch(word))


def _value_of(factor: str) -> float | None:
    """Return the value of a number, a fraction or a power of 10; None for one that is not clear."""
    if _THOUSANDS.fullmatch(factor):
        return None
    text = re.sub(r"\s", "", factor).replace("**", "^").replace(",", ".")
    first, mark, second = text.partition("/" if "/" in text else "^")
    try:
        value = float(first)
        if mark:
            value = value / float(second) if mark == "/" else value ** float(second)
    except (ZeroDivisionError, OverflowError):
        return None
    return value if 0 < value < float("inf") else None


def says_another_angle(text: str, unit: SteeringUnit | None) -> bool:
    """Return whether a text names a unit of an angle or of a share, and not this one alone."""
    words = set(plain(text).split("_"))
    named = {of.per for name, of in ANGLES.items() if name in words and of.per < 360}
    if not named:
        return False
    return unit is None or unit.per not in named or factor_in(text, ANGLES)[0] != 1


def with_unit(name: str, unit: str) -> str:
    """Return a column's name with a unit, unless it ends with it, perhaps spelled otherwise."""
    for units in (ANGLES, MPH_OF, TIME_UNITS):
        if plain(unit) in units and unit_in(name, units) == units[plain(unit)]:
            return name
    return f"{name} [{unit}]" if unit else name


def is_unit(cell: str) -> bool:
    """Return whether a cell is a unit alone, or a multiple of one, such as [deg], °/s, km/h, 0.1 s.

    A side that is positive may stand beside it: deg (left +).
    """
    written = f"[{bare(cell)}]"
    return len(cell) <= _LONGEST_UNIT and any(
        plain(factor_in(written, units)[1]) in units for units in (ANGLES, MPH_OF, TIME_UNITS)
    )


def bare(cell: str) -> str:
    """Return a cell without brackets around all of it."""
    match = re.fullmatch(r"\s*[\[(]([^\[\]()]*)[\])]\s*", cell)
    return match[1] if match else cell
