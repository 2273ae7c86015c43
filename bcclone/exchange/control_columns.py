"""Find steering, throttle, brake and speed among the columns of another program's source.

In: the source's columns of numbers, each a `Column`, and the settings of the import. Out:
`Controls`, which name the columns that were found and convert their values to those of a recording.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.exchange.exchange_settings import DEGREES, MPH_OF, RADIANS, RATIO, ImportSettings
from bcclone.exchange.exchanged_row import ACCIDENTS_SHARE
from bcclone.exchange.foreign_table import no_column
from bcclone.exchange.table_words import is_steering, plain, unit_in_name
from bcclone.recording.row import RANGES, ROUNDING, RowError
from bcclone.system.codec import number
from bcclone.system.errors import UserError
from bcclone.system.numbers import FloatArray

_FULL = RANGES["steering"][1]  # the sharpest steering of a recording
# no front wheels stand at a sharper angle for half of a drive
_GREATEST_USUAL_DEGREES = 45.0
# a smaller steering, as a share of the greatest, is nearly straight ahead; and the smallest share
# of the rows that drive so, if 0 is straight ahead
_NEARLY_STRAIGHT = 0.05
_LEAST_STRAIGHT = 0.05


@dataclass(frozen=True)
class Column:
    """A column of numbers."""

    name: str  # name by which the column is found
    feature: str = ""  # the list-valued column that this number is part of; "" for none
    place: int = 0  # index of this number in the list
    shown: str = ""  # how messages list the column; "" for the full name

    @property
    def full(self) -> str:
        """Return feature.name, or the name alone where the feature is this one number."""
        return self.name if self.feature in ("", self.name) else f"{self.feature}.{self.name}"


@dataclass(frozen=True)
class Controls:
    """The columns of steering, throttle, brake and speed, and how to convert their values."""

    columns: Mapping[str, Column]  # name in recording.row.NUMBERS -> column
    factor: float  # makes the steering -1 to 1, right positive
    words: str  # column, unit and positive side of the steering, for messages
    speed_unit: str  # one of MPH_OF
    notes: Sequence[str] = ()  # which columns were chosen, and why some controls have none
    straight: float = 0.0  # value of the steering straight ahead, in the source's unit

    def converted(self, values: Mapping[str, Any]) -> dict[str, float]:
        """Return the numbers of a row, by the names of recording.row.NUMBERS; raises ValueError.

        values: the values of the source, by the same names
        """
        numbers = {name: number(self.columns[name].full, value) for name, value in values.items()}
        # factor 1 leaves the value exactly as it is, unclipped
        if self.factor != 1 or self.straight:
            steering = (numbers["steering"] - self.straight) * self.factor
            if not abs(steering) <= _FULL + ROUNDING:  # also true for nan
                raise RowError(
                    f"steering {numbers['steering']:g} is {steering:g} of full steering, expected "
                    "-1 to 1"
                )
            numbers["steering"] = min(max(steering, -_FULL), _FULL) + 0.0  # no -0.0
        if "speed_mph" in numbers:
            numbers["speed_mph"] *= MPH_OF[self.speed_unit]
        return numbers

    def check_steering(
        self, values: Sequence[float], place: Path, settings: ImportSettings
    ) -> None:
        """Raise UserError if more than one in a hundred values is beyond full steering.

        That shows a wrong unit. So does an angle that no front wheels have, always to one side: it
        is that of a servo, whose middle is straight ahead.
        """
        steering: FloatArray = (np.asarray(values, float) - self.straight) * self.factor
        beyond = int(np.sum(np.abs(steering) > _FULL + ROUNDING))
        most = float(np.max(np.abs(steering), initial=0.0))
        if beyond > ACCIDENTS_SHARE * len(steering):
            raise UserError(
                f"{place}: {beyond} of {len(steering)} values of the steering are beyond full "
                f"steering, the greatest is {most:.3g} of it ({self.words}); "
                f"{self._remedy(steering, most, settings)}",
                exit_code=2,
            )
        if settings.straight is None and self._is_of_servo(steering, settings):
            raise UserError(
                f"{place}: the steering is to one side in all rows, and mostly sharper than front "
                f"wheels turn ({self.words}); {self._remedy_of_middle(steering, settings)}; if 0 "
                "is straight ahead: --straight 0",
                exit_code=2,
            )

    @property
    def _is_angle(self) -> bool:
        """Return whether the source has an angle; a steering of -1 to 1 has factor 1 or -1."""
        return abs(self.factor) != 1

    def _is_of_servo(self, steering: FloatArray, settings: ImportSettings) -> bool:
        """Return whether a steering, (values,), is always to one side, and mostly too sharp."""
        usual_degrees = np.median(np.abs(steering)) * settings.max_degrees
        is_too_sharp = self._is_angle and usual_degrees > _GREATEST_USUAL_DEGREES
        return bool(is_too_sharp) and _is_of_one_side(steering)

    def _remedy(self, steering: FloatArray, most: float, settings: ImportSettings) -> str:
        """Return what to do about a steering that is too large.

        steering: 1 = full, (values,)
        most: its greatest size
        """
        is_straight = np.abs(steering) < _NEARLY_STRAIGHT * most
        is_off_middle = settings.straight is None and _is_of_one_side(steering)
        has_straight = is_straight.mean() >= _LEAST_STRAIGHT
        if is_off_middle and (self._is_of_servo(steering, settings) or not has_straight):
            return self._remedy_of_middle(steering, settings)
        remedy = self._remedy_of_unit(most, settings)
        if is_off_middle:
            remedy += f"; or, if 0 is not straight ahead, {self._middle(steering, settings)}"
        return remedy

    def _remedy_of_middle(self, steering: FloatArray, settings: ImportSettings) -> str:
        """Return what to do about a steering to one side, whose middle is straight ahead."""
        options = self._middle(steering, settings)
        return (
            "none is to the other side, as of a servo, whose middle is straight ahead: say the "
            f"value of straight ahead and the angle of full steering, such as {options}"
        )

    def _middle(self, steering: FloatArray, settings: ImportSettings) -> str:
        """Return options that take the middle of the steering for straight ahead."""
        middle = (steering.min() + steering.max()) / 2
        straight = self.straight + float(middle) / self.factor
        # a steering of 1 has max_degrees; without an angle, the source's own numbers are degrees
        degrees_of_full = settings.max_degrees if self._is_angle else 1.0
        full = math.ceil(round(float(steering.max() - middle) * degrees_of_full, 3))
        unit = "" if self._is_angle else "--unit deg "
        return f"{unit}--straight {straight:.4g} --max-degrees {max(full, 1)}"

    def _remedy_of_unit(self, most: float, settings: ImportSettings) -> str:
        """Return which options to give for a steering that is too large.

        most: its greatest size, 1 = full
        """
        if self._is_angle:
            full = math.ceil(most * settings.max_degrees)
            return f"--max-degrees {full} or more, --steering-ratio, or another --unit"
        remedy = "say its unit with --unit rad or deg"
        if 25 < most <= 100:  # as a percentage
            remedy += ", or --unit deg --max-degrees 100 for -100 to 100"
        return remedy


def _is_of_one_side(steering: FloatArray) -> bool:
    """Return whether a steering, (values,), changes and is never to both sides."""
    if not len(steering) or np.ptp(steering) == 0:
        return False
    return bool((steering >= 0).all() or (steering <= 0).all())


# ---- which columns

_SPEED_ENDINGS = {  # last word of a column's plain() name -> unit
    **dict.fromkeys(("mph", "mi_h", "miles_per_hour"), "mph"),
    **dict.fromkeys(
        ("kmh", "kph", "kmph", "km_h", "km_hr", "km_per_h", "kilometers_per_hour"), "km/h"
    ),
    **dict.fromkeys(("mps", "m_s", "ms", "m_sec", "m_per_s", "meters_per_second"), "m/s"),
    **dict.fromkeys(("knots", "kn", "kt"), "knots"),
}
# control -> test of a column's name, as plain() returns it
_FITS: Mapping[str, Callable[[str], object]] = {
    "steering": is_steering,
    "throttle": re.compile(r"throttle|^gas(_|$)|^accelerator(_|$)").search,
    "brake": re.compile(r"^(brake|break)(_|$)").search,
    "speed_mph": re.compile(
        r"((vehicle|car|ego|cruising|observation|drive)_)?(speed|velocity)"
        rf"(_({'|'.join(_SPEED_ENDINGS)}))?"
    ).fullmatch,
}


def find_controls(
    path: Path,
    columns: Sequence[Column],
    settings: ImportSettings,
    preferred: Mapping[str, str] | None = None,
) -> Controls:
    """Return which columns hold steering, throttle, brake and speed.

    Raises UserError for a steering that cannot be found or has no unit, and where a column that a
    setting names does not exist, or several times.

    columns: the columns to choose from
    preferred: control -> feature to prefer where exactly one of its columns fits
    """
    # choose the column of each control; the notes say why a control has none
    notes: list[str] = []
    chosen: dict[str, Column] = {}
    for name in _FITS:
        fitting = _fitting(name, columns, settings)
        feature = (preferred or {}).get(name)
        of_preferred = [column for column in fitting if column.feature == feature]
        if len(of_preferred) == 1:
            fitting = of_preferred
        if len(fitting) == 1:
            chosen[name] = fitting[0]
        elif _is_needed(name, settings):
            raise _no_control(path, name, fitting, columns, settings)
        elif fitting:
            several = ", ".join(column.full for column in fitting)
            notes.append(
                f"{short_name(name)}: several columns may be it, and none is read: {several}"
            )

    factor, words = _steering_scale(settings, chosen["steering"].name)
    if settings.straight:
        words += f"; straight ahead is {settings.straight:g}"
    notes.append(words)
    speed = chosen.get("speed_mph")
    speed_unit = settings.speed_unit
    if speed and not speed_unit:
        speed_unit = unit_in_name(speed.name, _SPEED_ENDINGS)
    if speed and not speed_unit:
        notes.append(
            f"speed: {speed.full} is left out, since nothing says its unit; say it with "
            "--speed-unit"
        )
        del chosen["speed_mph"]
    absent = [short_name(name) for name in _FITS if name not in chosen]
    if absent:
        notes.append(f"not in the source: {', '.join(absent)}; 0 in each row of the recording")
    straight = settings.straight or 0.0
    return Controls(chosen, factor, words, speed_unit or "mph", notes, straight)


def short_name(name: str) -> str:
    """Return a name of recording.row.NUMBERS without its unit."""
    return name.removesuffix("_mph")


def _asked(name: str, settings: ImportSettings) -> str | None:
    """Return the column that a setting names for a control, None for none."""
    # the default is for the brake: there is no --brake-column
    column: str | None = getattr(settings, f"{short_name(name)}_column", None)
    return column


def _fitting(name: str, columns: Sequence[Column], settings: ImportSettings) -> list[Column]:
    """Return the columns that may hold a control.

    name: name of the control in recording.row.NUMBERS
    """
    asked = _asked(name, settings)
    if asked:
        return [column for column in columns if asked in (column.name, column.full)]
    # a column that a setting names for one control is not another control
    taken = {settings.steering_column, settings.throttle_column, settings.speed_column}
    return [
        column
        for column in columns
        if _FITS[name](plain(column.name)) and not taken & {column.name, column.full}
    ]


def _is_needed(name: str, settings: ImportSettings) -> bool:
    """Return whether an import cannot do without a control."""
    if name == "steering" or _asked(name, settings):
        return True
    return name == "speed_mph" and bool(settings.speed_unit)


def _no_control(
    path: Path,
    name: str,
    fitting: Sequence[Column],
    columns: Sequence[Column],
    settings: ImportSettings,
) -> UserError:
    """Return the error for a control for which no column fits, or several do."""
    short = short_name(name)
    asked = _asked(name, settings)
    reason = f"no column is called {short}, or alike"
    if fitting:
        reason = "several columns may be it"
    elif asked:
        reason = f"no column {asked[:60]!r}"
    listed = [column.shown or column.full for column in fitting or columns]
    return no_column(path, f"the {short}", f"--{short}-column", listed, reason)


# ---- the scale of the steering

_ANGLE_ENDINGS = {  # last word of a column's plain() name -> unit
    **dict.fromkeys(("rad", "radian", "radians"), RADIANS),
    **dict.fromkeys(("deg", "degree", "degrees"), DEGREES),
    **dict.fromkeys(("ratio", "normalized", "norm"), RATIO),
}
# plain() names of columns that mean -1 to 1 without a unit, as simulators and donkeycar have them
_RATIO_NAMES = ("steering", "user_angle")


def _steering_scale(settings: ImportSettings, column: str) -> tuple[float, str]:
    """Return the factor of a column's steering, and the words for it.

    Raises UserError where nothing says the unit, and where --steering-ratio or --max-degrees is
    given though the steering is no angle.
    """
    unit = settings.unit or unit_in_name(column, _ANGLE_ENDINGS)
    if unit is None and plain(column) in _RATIO_NAMES:
        unit = RATIO
    ratio = settings.steering_ratio
    max_degrees = settings.max_degrees
    problem = ""
    if unit is None:
        problem = (
            "nothing says whether it is in rad, degrees, or -1 to 1; say it with --unit rad, deg "
            "or ratio, and --left-positive where positive is left"
        )
    # both settings of angles must be left at their defaults
    elif unit == RATIO and (ratio, max_degrees) != (1, ImportSettings.max_degrees):
        problem = (
            "it is read as -1 to 1, which --steering-ratio and --max-degrees do not change; leave "
            "them out, or say that it is an angle with --unit rad or deg"
        )
    if problem:
        raise UserError(f"{settings.source}: column {column[:60]!r}: {problem}", exit_code=2)

    side = "left" if settings.left_positive else "right"
    sign = -1.0 if settings.left_positive else 1.0
    if unit == RATIO:
        return sign, f"steering: {column}, -1 to 1, {side} positive"
    of_wheel = "" if ratio == 1 else f", of the steering wheel, {ratio:g} to 1"
    words = (
        f"steering: {column}, in {unit}{of_wheel}, {side} positive; 1 is {max_degrees:g} degrees "
        "of the front wheels"
    )
    degrees_per_unit = math.degrees(1) if unit == RADIANS else 1.0
    return sign * degrees_per_unit / (ratio * max_degrees), words
