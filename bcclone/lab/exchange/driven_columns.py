"""Find the steering, throttle, brake and speed of each row of a table, in the units of a recording."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bcclone.lab.exchange.exchange_settings import ImportSettings
from bcclone.lab.exchange.foreign_table import ForeignTable, number_of_cell, plain
from bcclone.lab.exchange.foreign_units import (
    SteeringScale,
    Times,
    check_scale,
    speed_factor,
    steering_scale,
    times_of,
    without_unit,
)
from bcclone.recording.row import RANGES, ROUNDING, RowError
from bcclone.system.errors import UserError

_NO_STEERING = re.compile(r"torque|velocity|speed|(^|_)rate(_|$)|accel|driver|override")
_ANGLES = {"angle", "user_angle", "wheel_angle", "angle_deg", "angle_rad"}
_THROTTLES = re.compile(r"throttle|^gas(_|$)|^accelerator(_|$)")
_BRAKES = re.compile(r"^brake(_|$)")
_SPEEDS = re.compile(r"^(vehicle_)?speed(_|$)")
_TIMES = re.compile(r"^(timestamp|time|t|date)(_(s|sec|seconds|ms|us|ns))?$|^seconds$")


def is_steering(name: str) -> bool:
    """Return whether a column with this plain name holds the steering."""
    return ("steer" in name or name in _ANGLES) and not _NO_STEERING.search(name)


def other_numbers(settings: ImportSettings) -> Sequence[tuple[str, str | None, Callable[[str], object]]]:
    """Return name, column that was asked for, and what finds a plain name that fits, of the other numbers."""
    return (
        ("throttle", settings.throttle_column, _THROTTLES.search),
        ("brake", None, _BRAKES.search),
        ("speed_mph", settings.speed_column, _SPEEDS.search),
    )


@dataclass(frozen=True)
class Driving:
    """The numbers of each row of a table, as a recording holds them, and what was read.

    steering, others: of each row; columns: that were read; notes: lines for people.
    """

    scale: SteeringScale
    steering: Sequence[float]
    others: Mapping[str, Sequence[float]]
    columns: tuple[str, ...]
    notes: tuple[str, ...]

    def numbers(self, index: int) -> tuple[float, float, float, float]:
        """Return steering, throttle, brake and speed in mph of a row; raises RowError."""
        if math.isnan(self.steering[index]):
            raise RowError("its steering is no number")
        numbers = {"throttle": 0.0, "brake": 0.0, "speed_mph": 0.0}
        for name, values in self.others.items():
            if not math.isfinite(values[index]):
                raise RowError(f"its {name} is no number")
            numbers[name] = values[index]
        steering = self.scale.convert(self.steering[index])
        return steering, numbers["throttle"], numbers["brake"], numbers["speed_mph"]


def find_driving(table: ForeignTable, settings: ImportSettings) -> Driving:
    """Return the driving of a table's rows.

    Raises UserError for a steering that cannot be found or has no unit, and for a named column that does not fit.
    """
    column = table.choose(settings.steering_column, is_steering, "the steering", "--steering-column")
    if column is None:
        raise table.no_column("the steering", "--steering-column", table.numeric(), "no column is called so")
    scale = steering_scale(settings, column)
    steering = _numbers(table, column)
    check_scale(scale, [value for value in steering if math.isfinite(value)], str(table.path), settings)
    notes, columns = [scale.words], [column]
    others: dict[str, Sequence[float]] = {}
    for name, asked, fits in other_numbers(settings):
        option = f"--{name.removesuffix('_mph')}-column"
        if (found := _optional(table, asked, fits, name, option)) is None:
            continue
        factor = speed_factor(found, settings.speed_unit) if name == "speed_mph" else 1.0
        values = _numbers(table, found)
        if factor is None:
            notes.append(without_unit(found))
        elif name in RANGES and (beyond := _beyond(name, values)):
            low, high = RANGES[name]
            words = f"{found} has {beyond:g}, expected {low:g} to {high:g}"
            if asked:
                raise UserError(f"{table.path}: {name}: column {words}; name another column", exit_code=2)
            notes.append(f"{name}: {words}; it is left out")
        else:
            others[name] = [value * factor for value in values]
            columns.append(found)
            notes.append(f"{name.removesuffix('_mph')}: {found}")
    return Driving(scale, steering, others, tuple(columns), tuple(notes))


def find_times(table: ForeignTable, settings: ImportSettings) -> tuple[str, Times] | None:
    """Return the column of the times, and its times; None if there is none.

    Raises UserError for a named column without times.
    """
    asked = settings.time_column
    if asked is not None and asked not in table.names:
        table.choose(asked, lambda name: True, "the times", "--time-column")
    names = [asked] if asked else [name for name in table.names if _TIMES.search(plain(name))]
    for name in names:
        if times := times_of(table.cells(name), name):
            return name, times
    if asked:
        raise UserError(
            f"{table.path}: column {asked[:60]!r} holds no times, expected numbers in s, ms, us or ns, or dates",
            exit_code=2,
        )
    return None


def _optional(
    table: ForeignTable, asked: str | None, fits: Callable[[str], object], name: str, option: str
) -> str | None:
    """Return a column that may be missing; of several that fit none is taken unless it is asked for."""
    if asked is not None:
        return table.choose(asked, fits, f"the {name}", option)
    candidates = [each for each in table.numeric() if fits(plain(each))]
    return candidates[0] if len(candidates) == 1 else None


def _numbers(table: ForeignTable, column: str) -> list[float]:
    return [value if math.isfinite(value := number_of_cell(cell)) else math.nan for cell in table.cells(column)]


def _beyond(name: str, values: Sequence[float]) -> float:
    """Return the first value that is out of the range of a number of the log, 0 for none."""
    low, high = RANGES[name]
    return next((value for value in values if not low - ROUNDING <= value <= high + ROUNDING and value == value), 0.0)
