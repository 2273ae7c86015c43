"""Find the steering, throttle, brake and speed in a source of another program, and convert them to a recording's."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcclone.lab.exchange.exchange_settings import ImportSettings
from bcclone.lab.exchange.findings import Findings
from bcclone.lab.exchange.foreign_table import ForeignTable, is_steering, no_column, number_of_cell, plain
from bcclone.lab.exchange.foreign_units import SteeringScale, Times, check_scale, speed_factor, steering_scale, times_of
from bcclone.recording.row import RANGES, ROUNDING
from bcclone.system.codec import number
from bcclone.system.errors import UserError

_FITS: Mapping[str, Callable[[str], object]] = {  # number of a recording -> whether a column with a plain name holds it
    "steering": is_steering,
    "throttle": re.compile(r"throttle|^gas(_|$)|^accelerator(_|$)").search,
    "brake": re.compile(r"^brake(_|$)").search,
    "speed_mph": re.compile(r"^(vehicle_)?speed(_|$)").search,
}
_TIMES = re.compile(r"^(timestamp|time|t|date)(_(s|sec|seconds|ms|us|ns))?$|^seconds$")


@dataclass(frozen=True)
class Column:
    """A column of numbers. name: by which it is found; feature, place: the list that holds it, and where in it."""

    name: str
    feature: str = ""
    place: int = 0

    @property
    def full(self) -> str:
        """Return the name with that of its feature, which may be that of one number."""
        return self.name if self.feature in ("", self.name) else f"{self.feature}.{self.name}"


@dataclass(frozen=True)
class Driving:
    """Which columns hold the driving, by the names of NUMBERS, and how their values become those of a recording."""

    columns: Mapping[str, Column]
    scale: SteeringScale
    speed_factor: float = 1.0

    def converted(self, values: Mapping[str, Any]) -> dict[str, float]:
        """Return the numbers of a row, given those of the source by the names of NUMBERS; raises ValueError."""
        numbers = {name: number(self.columns[name].full, value) for name, value in values.items()}
        numbers["steering"] = self.scale.convert(numbers["steering"])
        if "speed_mph" in numbers:
            numbers["speed_mph"] *= self.speed_factor
        return numbers


def find_driving(
    path: Path,
    columns: Sequence[Column],
    settings: ImportSettings,
    findings: Findings,
    preferred: Mapping[str, Sequence[str]] | None = None,
) -> Driving:
    """Return which columns hold the driving.

    columns: that may be found by their names; a setting may name others, too. preferred: number -> features of which
    the first with one column that fits is taken. Raises UserError for a steering that cannot be found or has no unit,
    and for a column that was asked for and does not exist, or several times.
    """
    asked_for = {
        "steering": settings.steering_column,
        "throttle": settings.throttle_column,
        "speed_mph": settings.speed_column,
    }
    found: dict[str, Column] = {}
    for name, fits in _FITS.items():
        asked = asked_for.get(name)
        fitting = [each for each in columns if (asked in (each.name, each.full) if asked else fits(plain(each.name)))]
        for feature in (preferred or {}).get(name, ()):
            of_feature = [each for each in fitting if each.feature == feature]
            fitting = of_feature if len(of_feature) == 1 else fitting
        if len(fitting) == 1:
            found[name] = fitting[0]
        elif asked or name == "steering":
            short = name.removesuffix("_mph")
            reason = f"no column {asked[:60]!r}" if asked else "no column is called so"
            raise no_column(
                path,
                f"the {short}",
                f"--{short}-column",
                [each.full for each in fitting or columns],
                "several columns may be it" if fitting else reason,
            )
    scale = steering_scale(settings, found["steering"].name)
    findings.notes.append(scale.words)
    factor = 1.0
    if speed := found.get("speed_mph"):
        factor = speed_factor(speed.name, settings.speed_unit) or 0.0
        if not factor:
            findings.notes.append(
                f"speed: {speed.full} is left out, since nothing says its unit; say it with --speed-unit"
            )
            del found["speed_mph"]
    return Driving(found, scale, factor)


@dataclass(frozen=True)
class DrivenTable:
    """A table with its driving. values: of the rows, by the names of NUMBERS: numbers, or a cell that is none."""

    table: ForeignTable
    driving: Driving
    values: Mapping[str, Sequence[Any]]

    def numbers(self, index: int) -> dict[str, float]:
        """Return the numbers of a row as a recording has them; raises ValueError."""
        return self.driving.converted({name: values[index] for name, values in self.values.items()})


def find_driven(table: ForeignTable, settings: ImportSettings, findings: Findings) -> DrivenTable:
    """Return a table with its driving; columns that are no throttle or brake by their values are left out.

    Raises UserError as find_driving(), and for a wrong unit.
    """
    asked = {settings.steering_column, settings.throttle_column, settings.speed_column}
    columns = [Column(name) for name in table.names if name in asked or table.is_numeric(name)]
    driving = find_driving(table.path, columns, settings, findings)
    values: dict[str, Sequence[Any]] = {}
    for name, column in driving.columns.items():
        cells = table.cells(column.name)
        numbers = [number_of_cell(cell) for cell in cells]
        low, high = RANGES.get(name, (-math.inf, math.inf))
        beyond = [value for value in numbers if not low - ROUNDING <= value <= high + ROUNDING and value == value]
        if name == "steering":
            check_scale(driving.scale, list(filter(math.isfinite, numbers)), str(table.path), settings)
        elif beyond:
            words = f"{column.name} has {beyond[0]:g}, expected {low:g} to {high:g}"
            if column.name in asked:
                raise UserError(f"{table.path}: {name}: column {words}; name another column", exit_code=2)
            findings.notes.append(f"{name}: {words}; it is left out")
            continue
        else:
            findings.notes.append(f"{name.removesuffix('_mph')}: {column.name}")
        pairs = zip(numbers, cells, strict=True)
        values[name] = [value if math.isfinite(value) else cell for value, cell in pairs]
    table.count_broken(findings)
    return DrivenTable(table, driving, values)


def find_times(table: ForeignTable, settings: ImportSettings) -> tuple[str, Times] | None:
    """Return the column of the times, and its times; None if there is none.

    Raises UserError for a named column without times.
    """
    asked = settings.time_column and table.named(settings.time_column, "the times", "--time-column")
    for name in [asked] if asked else [name for name in table.names if _TIMES.search(plain(name))]:
        if times := times_of(table.cells(name), name):
            return name, times
    if asked:
        raise UserError(
            f"{table.path}: column {asked[:60]!r} holds no times, expected numbers in s, ms, us or ns, or dates",
            exit_code=2,
        )
    return None
