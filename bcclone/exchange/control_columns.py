"""Find steering, throttle, brake and speed in a source of another program, and convert them to a
recording's.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.exchange.exchange_settings import DEGREES, MPH_OF, RADIANS, RATIO, ImportSettings
from bcclone.exchange.foreign_table import (
    ForeignTable,
    find_table,
    is_steering,
    no_column,
    number_of_cell,
    plain,
    read_foreign,
    unit_in_name,
)
from bcclone.exchange.left_out import ACCIDENTS, Findings
from bcclone.recording.dialect import COLUMNS
from bcclone.recording.row import CAMERAS, RANGES, ROUNDING, RowError
from bcclone.system.codec import number
from bcclone.system.errors import UserError

_ANGLE_ENDINGS = {
    "rad": RADIANS, "radian": RADIANS, "radians": RADIANS, "deg": DEGREES, "degree": DEGREES, "degrees": DEGREES,
    "ratio": RATIO, "normalized": RATIO, "norm": RATIO,
}  # fmt: skip
_RATIO_NAMES = (
    "steering",
    "user_angle",
)  # what simulators and donkeycar call a steering of -1 to 1
_SPEED_ENDINGS = {
    **dict.fromkeys(("mph", "mi_h", "miles_per_hour"), "mph"),
    **dict.fromkeys(
        ("kmh", "kph", "kmph", "km_h", "km_hr", "km_per_h", "kilometers_per_hour"), "km/h"
    ),
    **dict.fromkeys(("mps", "m_s", "ms", "m_sec", "m_per_s", "meters_per_second"), "m/s"),
    **dict.fromkeys(("knots", "kn", "kt"), "knots"),
}
_FITS: Mapping[
    str, Callable[[str], object]
] = {  # number of a recording -> whether a column with a plain name holds it
    "steering": is_steering,
    "throttle": re.compile(r"throttle|^gas(_|$)|^accelerator(_|$)").search,
    "brake": re.compile(r"^(brake|break)(_|$)").search,
    "speed_mph": re.compile(
        rf"((vehicle|car|ego|cruising|observation|drive)_)?(speed|velocity)(_({'|'.join(_SPEED_ENDINGS)}))?"
    ).fullmatch,
}
_OF_SIMULATOR = {*CAMERAS, "throttle", "speed"}  # plain names in its log, whose speed is in mph
_OF_LOG = len(COLUMNS.split(","))  # columns; of a shorter log, nobody knows which are missing
_PERCENT, _OFFSET = (
    100,
    0.25,
)  # a greatest value; the least share of it that shows that 0 is not straight ahead
_FULL = RANGES["steering"][1]


@dataclass(frozen=True)
class Column:
    """A column of numbers.

    name: by which it is found; feature, place: the list that holds it, and where in it; shown: as
    messages list it.
    """

    name: str
    feature: str = ""
    place: int = 0
    shown: str = ""

    @property
    def full(self) -> str:
        """Return feature.name, or the name alone where the feature is this one number."""
        return self.name if self.feature in ("", self.name) else f"{self.feature}.{self.name}"


@dataclass(frozen=True)
class Controls:
    """The columns of steering, throttle, brake and speed, by the names of NUMBERS, and how to
    convert their values.

    factor: makes the steering -1 to 1, right positive; words: column, unit and side of the
    steering; speed_unit: one of MPH_OF.
    """

    columns: Mapping[str, Column]
    factor: float
    words: str
    speed_unit: str

    def converted(self, values: Mapping[str, Any]) -> dict[str, float]:
        """Return the numbers of a row, given those of the source by the names of NUMBERS; raises
        ValueError.
        """
        numbers = {name: number(self.columns[name].full, value) for name, value in values.items()}
        if self.factor != 1:  # else to the last bit
            steering = numbers["steering"] * self.factor
            if not abs(steering) <= _FULL + ROUNDING:
                raise RowError(
                    f"steering {numbers['steering']:g} is {steering:g} of full steering, expected -1 to 1"
                )
            numbers["steering"] = min(max(steering, -_FULL), _FULL) + 0.0
        if "speed_mph" in numbers:
            numbers["speed_mph"] *= MPH_OF[self.speed_unit]
        return numbers

    def check_steering(
        self, values: Sequence[float], place: Path, settings: ImportSettings
    ) -> None:
        """Raise UserError if more than one in a hundred values is beyond full steering, which a
        wrong unit shows.
        """
        steering = np.abs(np.asarray(values, float) * self.factor)
        beyond = int(np.sum(steering > _FULL + ROUNDING))
        if beyond <= ACCIDENTS * len(steering):
            return
        most = float(np.nanmax(steering))
        remedy = f"--max-degrees {math.ceil(most * settings.max_degrees)} or more, --steering-ratio, or another --unit"
        if abs(self.factor) == 1:
            remedy = "say its unit with --unit rad or deg"
            remedy += (
                ", or --unit deg --max-degrees 100 for -100 to 100"
                if _PERCENT / 4 < most <= _PERCENT
                else ""
            )
        if np.nanmax(steering) > np.nanmin(steering) > _OFFSET * most:
            remedy = "none is near 0, as with the middle of a servo: subtract that of straight ahead in the table"
        raise UserError(
            f"{place}: {beyond} of {len(steering)} values of the steering are beyond full steering, the greatest is "
            f"{most:.3g} of it ({self.words}); {remedy}",
            exit_code=2,
        )


def find_controls(
    path: Path,
    columns: Sequence[Column],
    settings: ImportSettings,
    findings: Findings,
    preferred: Mapping[str, str] | None = None,
) -> Controls:
    """Return which columns hold steering, throttle, brake and speed.

    columns: those to choose from; preferred: number -> the feature whose column is taken, if
    exactly one of it fits. Raises UserError for a steering that cannot be found or has no
    unit, and where a column that a setting names does not exist, or several times.
    """
    chosen: dict[str, Column] = {}
    taken = {settings.steering_column, settings.throttle_column, settings.speed_column}
    for name, fits in _FITS.items():
        short = name.removesuffix("_mph")
        asked = getattr(settings, f"{short}_column", None)
        fitting = [
            each
            for each in columns
            if (
                asked in (each.name, each.full)
                if asked
                else fits(plain(each.name)) and not taken & {each.name, each.full}
            )
        ]
        of_preferred = [each for each in fitting if each.feature == (preferred or {}).get(name)]
        if len(of_preferred) == 1:
            fitting = of_preferred
        if len(fitting) == 1:
            chosen[name] = fitting[0]
        elif asked or name == "steering" or (short == "speed" and settings.speed_unit):
            reason = (
                f"no column {asked[:60]!r}" if asked else f"no column is called {short}, or alike"
            )
            reason = "several columns may be it" if fitting else reason
            listed = [each.shown or each.full for each in fitting or columns]
            raise no_column(path, f"the {short}", f"--{short}-column", listed, reason)
        elif fitting:
            several = ", ".join(each.full for each in fitting)
            findings.notes.append(
                f"{short}: several columns may be it, and none is read: {several}"
            )
    factor, words = _steering_scale(settings, chosen["steering"].name)
    findings.notes.append(words)
    speed = chosen.get("speed_mph")
    speed_unit = settings.speed_unit or (speed and unit_in_name(speed.name, _SPEED_ENDINGS))
    if speed and not speed_unit:
        findings.notes.append(
            f"speed: {speed.full} is left out, since nothing says its unit; say it with --speed-unit"
        )
        del chosen["speed_mph"]
    if absent := [name.removesuffix("_mph") for name in _FITS if name not in chosen]:
        findings.notes.append(
            f"not in the source: {', '.join(absent)}; 0 in each row of the recording"
        )
    return Controls(chosen, factor, words, speed_unit or "mph")


def _steering_scale(settings: ImportSettings, column: str) -> tuple[float, str]:
    """Return the factor of a column's steering, and the words for it.

    Raises UserError where nothing says the unit, and for settings of an angle where it is none.
    """
    unit = (
        settings.unit
        or unit_in_name(column, _ANGLE_ENDINGS)
        or (RATIO if plain(column) in _RATIO_NAMES else None)
    )
    side, sign = ("left", -1.0) if settings.left_positive else ("right", 1.0)
    ratio, most = settings.steering_ratio, settings.max_degrees
    problem = ""
    if unit is None:
        problem = (
            "nothing says whether it is in rad, degrees, or -1 to 1; say it with --unit rad, deg or ratio, and "
            "--left-positive where positive is left"
        )
    elif unit == RATIO and (ratio, most) != (1, ImportSettings.max_degrees):
        problem = (
            "it is read as -1 to 1, which --steering-ratio and --max-degrees do not change; leave them out, or say "
            "that it is an angle with --unit rad or deg"
        )
    if problem:
        raise UserError(f"{settings.source}: column {column[:60]!r}: {problem}", exit_code=2)
    if unit == RATIO:
        return sign, f"steering: {column}, -1 to 1, {side} positive"
    of_wheel = "" if ratio == 1 else f", of the steering wheel, {ratio:g} to 1"
    words = f"steering: {column}, in {unit}{of_wheel}, {side} positive; 1 is {most:g} degrees of the front wheels"
    return sign * (math.degrees(1) if unit == RADIANS else 1.0) / (ratio * most), words


@dataclass(frozen=True)
class ControlTable:
    """A table with its controls.

    values: of each row, by the names of NUMBERS, the text of a cell where it holds no number.
    """

    table: ForeignTable
    controls: Controls
    values: Mapping[str, Sequence[Any]]

    def numbers(self, index: int) -> dict[str, float]:
        """Return the numbers of a row as a recording has them; raises ValueError."""
        return self.controls.converted(
            {name: values[index] for name, values in self.values.items()}
        )

    def others(self, *read: str) -> tuple[str, ...]:
        """Return the columns that nothing reads. read: those that hold no controls."""
        used = {self.controls.columns[name].name for name in self.values} | set(read)
        return tuple(name for name in self.table.cells if name not in used)


def read_controls(settings: ImportSettings, findings: Findings) -> ControlTable:
    """Return the table of a source with its controls; a throttle or brake out of range is left out.

    Raises UserError as find_table(), read_foreign() and find_controls(), and for a wrong unit.
    """
    table = read_foreign(find_table(settings), findings)
    named: dict[str, Any] = {
        f"{name}_column": table.named(column, f"the {name}", f"--{name}-column")
        for name in ("steering", "throttle", "speed")
        if (column := getattr(settings, f"{name}_column"))
    }
    asked = set(named.values())
    names = [name for name in table.cells if name in asked or table.is_numeric(name)]
    if set(map(plain, table.cells)) >= _OF_SIMULATOR and "speed" in map(plain, names):
        named["speed_unit"] = settings.speed_unit or "mph"
    _check_steering_cells(table, names, settings)
    columns = [
        Column(name, shown=shown) for name, shown in zip(names, table.examples(names), strict=True)
    ]
    controls = find_controls(table.path, columns, replace(settings, **named), findings)
    values: dict[str, Sequence[Any]] = {}
    for name, column in controls.columns.items():
        cells = table.cells[column.name]
        numbers = [number_of_cell(cell) for cell in cells]
        values[name] = [
            value if math.isfinite(value) else cell
            for value, cell in zip(numbers, cells, strict=True)
        ]
        if name == "steering":
            controls.check_steering(list(filter(math.isfinite, numbers)), table.path, settings)
            continue
        low, high = (
            (-math.inf, math.inf) if name == "speed_mph" else RANGES[name]
        )  # a speed may have any unit
        words = f"{name.removesuffix('_mph')}: {column.name}"
        beyond = [value for value in numbers if value < low - ROUNDING or value > high + ROUNDING]
        if len(beyond) > ACCIDENTS * len(numbers) or 2 * sum(map(math.isnan, numbers)) > len(
            numbers
        ):
            found = f"{beyond[0]:g}" if beyond else "no number in most rows"
            words += f" has {found}, expected {low:g} to {high:g}"
            if column.name in asked or (
                table.as_in_log
                and len(table.cells) >= _OF_LOG
                and not asked - {controls.columns["steering"].name}
            ):
                raise _wrong_column(table, words)
            words += "; it is left out"
            del values[name]
        elif name == "speed_mph":
            words += f", in {controls.speed_unit}"
        findings.notes.append(words)
    return ControlTable(table, controls, values)


def _check_steering_cells(
    table: ForeignTable, names: Sequence[str], settings: ImportSettings
) -> None:
    """Raise UserError if only columns of other cells than numbers are called steering. names: of
    those of numbers.
    """
    called = [name for name in table.cells if is_steering(plain(name))]
    if called and not settings.steering_column and not {*called} & {*names}:
        example = next(filter(None, table.cells[called[0]]), "")
        raise UserError(
            f"{table.path}: the cells of column {called[0][:60]!r} are no numbers, such as {example[:60]!r}; expected "
            "numbers such as -0.25; correct them, or name another column with --steering-column",
            exit_code=2,
        )


def _wrong_column(table: ForeignTable, words: str) -> UserError:
    """Return the error for a column that was named, or that has its name from the order of a log of
    the simulator.
    """
    if not table.as_in_log:
        return UserError(f"{table.path}: {words}; name another column", exit_code=2)
    numbers = enumerate(table.examples(table.cells), start=1)
    listed = ", ".join(
        f"{at} {shown.partition(' ')[2]}" for at, shown in numbers if at > len(CAMERAS)
    )
    return UserError(
        f"{table.path}: {words}; it has no header, and its columns are not in the order of a log of the simulator: "
        f"{listed}; name those that you know: --steering-column N --throttle-column N --speed-column N",
        exit_code=2,
    )
