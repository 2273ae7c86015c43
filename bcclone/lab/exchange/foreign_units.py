"""Convert what a table of another program holds: steering in any unit and direction, speeds, and times of any size."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from bcclone.lab.exchange.exchange_settings import DEGREES, MPH_OF, RADIANS, RATIO, ImportSettings
from bcclone.lab.exchange.foreign_table import is_number, number_of_cell, plain
from bcclone.recording.row import RANGES, ROUNDING, RowError, time_of
from bcclone.system.errors import UserError

_UNIT_ENDINGS = {
    "rad": RADIANS, "radian": RADIANS, "radians": RADIANS, "deg": DEGREES, "degree": DEGREES, "degrees": DEGREES,
    "ratio": RATIO, "normalized": RATIO, "norm": RATIO,
}  # fmt: skip
_RATIO_NAMES = ("steering", "user_angle")  # what simulators and donkeycar call a steering of -1 to 1
_SPEED_ENDINGS = {"mph": "mph", "kmh": "km/h", "kph": "km/h", "km_h": "km/h", "mps": "m/s", "m_s": "m/s", "ms": "m/s"}
_PER_MS = {"s": 1e-3, "ms": 1.0, "us": 1e3, "ns": 1e6}  # unit of times -> how many are a millisecond
_TIME_ENDINGS = {"seconds": "s", "sec": "s", **{unit: unit for unit in _PER_MS}}
_YEAR_2000_MS, _YEAR_2100_MS = 946_684_800_000, 4_102_444_800_000
_STEP_MS, _DATE_STEP_MS = 2000, 60_000
_COMPACT = re.compile(r"(20\d{6})_?(\d{6})(?:_?(\d{3}))?")  # yyyymmdd_hhmmss_fff
_MOST = 1 << 62  # of a time in any unit


@dataclass(frozen=True)
class SteeringScale:
    """How the steering of a table becomes -1 to 1, right positive. factor: of its values; words: for people."""

    factor: float
    words: str

    def convert(self, value: float) -> float:
        """Return the steering, to the last bit if it has the unit; raises RowError for one beyond full steering."""
        if self.factor == 1:
            return value
        steering = value * self.factor
        most = RANGES["steering"][1]
        if not abs(steering) <= most + ROUNDING:
            raise RowError(f"steering {value:g} is {steering:g} of full steering, expected -1 to 1")
        return min(max(steering, -most), most) + 0.0


def steering_scale(settings: ImportSettings, column: str) -> SteeringScale:
    """Return how a column's steering is converted.

    Raises UserError where nothing says the unit, and for settings of an angle where it is none.
    """
    name = plain(column)
    unit = settings.unit or _ending(name, _UNIT_ENDINGS) or (RATIO if name in _RATIO_NAMES else None)
    if unit is None:
        raise UserError(
            f"{settings.source}: column {column[:60]!r}: nothing says whether it is in rad, degrees, or -1 to 1; "
            "say it with --unit rad, deg or ratio, and --left-positive where positive is left",
            exit_code=2,
        )
    side = "left" if settings.left_positive else "right"
    sign = -1.0 if settings.left_positive else 1.0
    if unit == RATIO:
        if (settings.steering_ratio, settings.max_degrees) != (1, ImportSettings.max_degrees):
            raise UserError(
                f"{settings.source}: column {column[:60]!r} is read as -1 to 1, which --steering-ratio and "
                "--max-degrees do not change; leave them out, or say that it is an angle with --unit rad or deg",
                exit_code=2,
            )
        return SteeringScale(sign, f"steering: {column}, -1 to 1, {side} positive")
    degrees = math.degrees(1) if unit == RADIANS else 1.0
    of_wheel = "" if settings.steering_ratio == 1 else f", of the steering wheel, {settings.steering_ratio:g} to 1"
    return SteeringScale(
        sign * degrees / (settings.steering_ratio * settings.max_degrees),
        f"steering: {column}, in {unit}{of_wheel}, {side} positive; 1 is {settings.max_degrees:g} degrees of the "
        "front wheels",
    )


def check_scale(scale: SteeringScale, values: Sequence[float], place: str, settings: ImportSettings) -> None:
    """Raise UserError if more than one in a hundred values is beyond full steering, which a wrong unit shows."""
    steering = np.abs(np.asarray(values, float) * scale.factor)
    beyond = int(np.sum(steering > RANGES["steering"][1] + ROUNDING))
    if beyond <= 0.01 * len(steering):
        return
    most = float(np.nanmax(steering))
    remedy = f"--max-degrees {math.ceil(most * settings.max_degrees)} or more, --steering-ratio, or another --unit"
    if scale.factor in (1.0, -1.0):
        remedy = "say its unit with --unit rad or deg"
    raise UserError(
        f"{place}: {beyond} of {len(steering)} values of the steering are beyond full steering, the greatest is "
        f"{most:.3g} of it ({scale.words}); {remedy}",
        exit_code=2,
    )


def speed_factor(column: str, unit: str | None) -> float | None:
    """Return the factor to mph for a column of speeds; None where nothing says the unit."""
    known = unit or _ending(plain(column), _SPEED_ENDINGS)
    return MPH_OF[known] if known else None


def _ending(name: str, endings: dict[str, str]) -> str | None:
    return next((unit for ending, unit in endings.items() if name == ending or name.endswith(f"_{ending}")), None)


@dataclass(frozen=True)
class Times:
    """The times of rows.

    milliseconds: since 1970, or since the start where is_since_1970 is false, None for no time; unit: of the source.
    """

    milliseconds: Sequence[int | None]
    is_since_1970: bool
    unit: str


def times_of(cells: Sequence[str], column: str = "") -> Times | None:
    """Return the times in cells: numbers, dates, or names of images; None where most cells are none, or all the same.

    Numbers have the unit that the column's name ends with. Without one, those of a date from 2000 to 2100 have the unit
    in which they are one, others the unit in which their steps are from 2 ms to 2 s.
    """
    dates = [_date_ms(cell) for cell in cells]
    if _are_times(dates):
        return Times(dates, True, "ms")
    values = [_number(cell) for cell in cells]
    if not _are_times(values):
        return None
    known = np.sort(np.array([value for value in values if value is not None], dtype=float))
    steps = np.diff(known)
    step = float(np.median(steps[steps > 0])) if np.any(steps > 0) else 0.0
    named = _ending(plain(column), _TIME_ENDINGS)
    units = [named] if named else list(_PER_MS)
    usual = next((unit for unit in units if step / _PER_MS[unit] < _STEP_MS), units[-1])
    since_1970 = next((unit for unit in units if _is_date(float(np.median(known)), step, _PER_MS[unit])), None)
    unit = since_1970 or usual
    return Times([_milliseconds(value, _PER_MS[unit]) for value in values], since_1970 is not None, unit)


def _are_times(values: Sequence[float | None]) -> bool:
    known = [value for value in values if value is not None]
    return len(known) >= 0.5 * len(values) and len(set(known)) >= min(len(known), 2) > 0


def _is_date(value: float, step: float, per_ms: float) -> bool:
    return _YEAR_2000_MS <= value / per_ms < _YEAR_2100_MS and step / per_ms < _DATE_STEP_MS


def _milliseconds(value: float | None, per_ms: float) -> int | None:
    if value is None:
        return None
    exact = value / per_ms
    return round(exact) if abs(exact) < _MOST else None


def _number(cell: str) -> float | None:
    value = int(cell) if cell.isdecimal() and len(cell) < 20 else number_of_cell(cell)  # noqa: PLR2004
    return value if abs(value) < _MOST else None


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
