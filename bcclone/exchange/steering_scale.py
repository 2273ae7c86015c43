"""The numbers in a column of the steering -> what neither its name nor the user states of them.

No middle, no range, no unit and no sign is made from numbers. They show only what has to be asked,
and which answers they contradict.
"""

import math
import re
from collections.abc import Iterator

import numpy as np

from bcclone.camera.vehicle import FULL_LOCK_DEGREES
from bcclone.exchange.exchange_settings import RATIO, ImportSettings
from bcclone.exchange.exchanged_rows import ACCIDENTS_SHARE
from bcclone.exchange.inquiry import Missing
from bcclone.exchange.table import SourceTable
from bcclone.exchange.units import ANGLES, STEERING_UNITS, SteeringUnit, last_name, plain, unit_in
from bcclone.recording.row import CAMERAS, ROUNDING
from bcclone.system.arrays import FloatArray

# plain names that mean -1 to 1 without a unit, as simulators and donkeycar have them
_RATIO_NAMES = ("steering", "user_angle")
# a plain name of the side to which a steering without a sign is, and what its cells may be
_SIGN = re.compile(
    r"(?:\w*(?:steer\w*|angle|wheel)_)?(?:sign|direction|dir|side|polarity)"
    r"(?:_(?:of_)?(?:steer\w*|angle))?|(?:is_)(?:steer\w*_)?(?:to_)?left"
)
_SIDES = {"-1", "0", "1", "-", "+", "l", "r", "left", "right", "false", "true", "links", "rechts"}
_SIDES |= {"neg", "pos", "negative", "positive", "none", "straight", ""}


def is_like_log(table: SourceTable) -> bool:
    """Return whether a table has the columns of a log of the simulator, or of our own export."""
    return {plain(name) for name in table.columns} >= {*CAMERAS, "throttle"}


def unit_of(column: str, settings: ImportSettings) -> SteeringUnit | None:
    """Return the unit of a steering, as the user or the column's name states it; None for none."""
    if settings.unit:
        return STEERING_UNITS[settings.unit]
    if unit := unit_in(column, ANGLES):
        return unit
    return STEERING_UNITS[RATIO] if last_name(column) in _RATIO_NAMES else None


def steering_questions(
    table: SourceTable, column: str, settings: ImportSettings
) -> Iterator[Missing]:
    """Yield what is not stated of the steering in a column.

    All is asked at once that an answer to another question would make necessary.
    """
    numbers = table.numbers(column)
    known = numbers[np.isfinite(numbers)]
    if not len(known):
        cell = str(next(iter(table.columns[column]), ""))
        facts = {"column": column, "cell": cell, "columns": table.held()}
        yield Missing("no numbers", "steering_column", "COLUMN", facts)
        return
    if unit_in(column, ANGLES) is None and _are_classes(known):
        yield Missing("classes")
        return
    is_stated = settings.straight is not None or is_like_log(table)
    needs_middle = not is_stated and _is_one_sided(known)
    unsigned = list(_without_sign(table, column, known, settings.straight or 0.0, needs_middle))
    yield from unsigned
    is_unsigned = any(one.kind != "sign perhaps" for one in unsigned)
    needs_middle = needs_middle and not is_unsigned
    if needs_middle and not unsigned:
        yield Missing("middle", "straight", "X")
    away = known - (settings.straight or 0.0)
    if is_unsigned:  # no middle mends it
        away = known = _signed(known)
    elif needs_middle:  # at best, it is in the middle
        away = known - np.quantile(known, (ACCIDENTS_SHARE / 2, 1 - ACCIDENTS_SHARE / 2)).mean()
    yield from _of_unit_and_range(column, known, away, settings, needs_middle)


def _without_sign(
    table: SourceTable, column: str, known: FloatArray, straight: float, needs_middle: bool
) -> Iterator[Missing]:
    """Yield a question for a steering whose side is not in its numbers."""
    if jump := _jump(known):
        before, after = jump
        yield Missing("wrapped", facts={"before": before, "after": after})
        return
    sign = _sign_of(table, column, known - straight)
    if not sign:
        return
    facts = {"sign": sign, "values": table.held([sign])[sign]}
    if "sign" in plain(sign).split("_"):
        yield Missing("sign", facts=facts)
    elif needs_middle:
        yield Missing("sign perhaps", "straight", "X", facts)


def _of_unit_and_range(
    column: str, known: FloatArray, away: FloatArray, settings: ImportSettings, needs_middle: bool
) -> Iterator[Missing]:
    """Yield what is not stated of the unit and of full steering.

    away: the numbers less the middle, or less the best one where that is asked for
    """
    unit = unit_of(column, settings)
    full = settings.max_degrees
    is_ratio = unit == STEERING_UNITS[RATIO]
    is_named = is_ratio and not settings.unit  # by the column's name alone
    not_a_ratio = _beyond(known, 1.0)
    yield from _of_unit(unit, is_named, not_a_ratio, len(known), settings)
    units = [unit] if unit else list(STEERING_UNITS.values())
    beyond = max(_beyond(away * one.per, full or one.full) for one in units)
    needs_full = needs_middle or (is_ratio and bool(settings.straight))
    if beyond and unit and not is_named:
        facts = {"beyond": beyond, "rows": len(known), "full": float(full or unit.full)}
        yield Missing("full beyond", "max_degrees", "FULL", facts)
    elif beyond or (needs_full and not full):
        yield Missing("full", "max_degrees", "FULL")
    elif not full and (unit is None or unit.full == FULL_LOCK_DEGREES):
        yield Missing("full of a wheel", "max_degrees", is_optional=True)
    if not settings.left_positive and (not is_ratio or not_a_ratio):
        yield Missing("side", "left_positive", is_optional=True)


def _of_unit(
    unit: SteeringUnit | None, is_named: bool, not_a_ratio: int, rows: int, settings: ImportSettings
) -> Iterator[Missing]:
    """Yield a question for a unit that is unknown, or that the numbers or the user contradict.

    is_named: whether the column's name alone says that the steering is -1 to 1
    not_a_ratio: how many numbers are beyond that
    """
    full = settings.max_degrees
    if unit is None:
        yield Missing("unit", "unit", "UNIT")
    elif is_named and not_a_ratio and not (full and settings.straight is not None):
        yield Missing("unit beyond", "unit", "UNIT", {"beyond": not_a_ratio, "rows": rows})
    elif unit.name == RATIO and full not in (None, 1) and settings.straight is None:
        facts = {"full": float(full or 0)}
        if is_named:
            yield Missing("unit of a full steering", "unit", "UNIT", facts)
        elif not not_a_ratio:
            yield Missing("middle of a ratio", "straight", "X", facts)


def _beyond(numbers: FloatArray, full: float) -> int:
    """Return how many numbers are beyond full steering; 0 for so few that they are accidents."""
    count = int(np.sum(np.abs(numbers) > full * (1 + ROUNDING)))
    return count if count > ACCIDENTS_SHARE * len(numbers) else 0


def _is_one_sided(known: FloatArray) -> bool:
    """Return whether a steering is never, or hardly, to one side, so that its middle is unknown."""
    if not np.ptp(known):
        return False
    is_one_sided = min(np.mean(known < 0), np.mean(known > 0)) <= ACCIDENTS_SHARE
    # no scale whose middle is not 0, such as 0 to 1 or the pulses of a servo, has negative
    # numbers; so one that is mostly 0 besides has its middle there
    is_around_0 = np.mean(known == 0) >= 0.5 and np.mean(known < 0) > ACCIDENTS_SHARE
    return bool(is_one_sided and not is_around_0)


def _are_classes(known: FloatArray) -> bool:
    """Return whether the numbers are 0, 1, 2 or 1, 2, 3 and so on, as those of classes."""
    most = 9  # such as those of the keys W, A, S and D, and of two of them
    values = np.unique(known)
    is_counted = np.array_equal(values, values[0] + np.arange(len(values)))
    return bool(is_counted and values[0] in (0, 1) and 3 <= len(values) <= most)


def _jump(known: FloatArray) -> tuple[float, float] | None:
    """Return two successive values between which a steering jumps from one end to the other; None
    for none.

    An angle without a sign does so where it changes its side: 3 follows on 357. No driver turns
    from one end to the other within a row, without any value between.
    """
    fewest_values = 8  # of keys there are fewer
    far_share = 0.7  # of the whole range; a longer step is a jump
    farthest_share = 0.9  # of the longest one, from one end to the other
    halfway_share = 0.3
    most_between = 0.05  # share of the values in the middle half of the range
    least_at_an_end = 0.05  # share of the values in each outer quarter
    values = np.unique(known)
    if len(values) < fewest_values:
        return None
    span = np.ptp(known)
    steps = np.abs(np.diff(known))
    far = np.flatnonzero(steps > far_share * span)
    halfway = int(np.sum((steps > halfway_share * span) & (steps <= far_share * span)))
    places = (known - values[0]) / span
    is_smooth = len(far) >= 2 and halfway <= len(far) / 10
    at_ends = min(np.mean(places < 0.25), np.mean(places > 0.75)) >= least_at_an_end
    is_empty_between = at_ends and np.mean(np.abs(places - 0.5) < 0.25) < most_between
    if not len(far) or steps.max() < farthest_share * span:
        return None
    is_wrapped = is_smooth or is_empty_between
    if np.mean(known < 0) > ACCIDENTS_SHARE:  # to both sides: a gamepad may be fast
        is_wrapped = is_smooth and is_empty_between
    if not is_wrapped:
        return None
    jump = int(np.argmax(steps))
    return float(known[jump]), float(known[jump + 1])


def _signed(known: FloatArray) -> FloatArray:
    """Return an angle without a sign with one, as far as it has one: those above the half as minus.

    It only shows how large the steering will be, once the source says its sign.
    """
    greatest = known.max()
    turn = next((whole for whole in (2 * math.pi, 360, 65536) if greatest <= whole), greatest)
    return np.where(known > turn / 2, known - turn, known)


def _sign_of(table: SourceTable, column: str, away: FloatArray) -> str:
    """Return the column that says to which side the steering of another column is; "" for none.

    away: the steering less its middle, which has no sign of its own if it is beside a sign
    """
    if np.mean(away < 0) > ACCIDENTS_SHARE or not np.any(away):
        return ""
    for name, cells in table.columns.items():
        if name != column and _SIGN.fullmatch(plain(name)):
            values = {str(cell).strip().lower().removesuffix(".0") for cell in cells}
            if len(values - {""}) > 1 and values <= _SIDES | {"\N{MINUS SIGN}1", "\N{MINUS SIGN}"}:
                return name
    return ""
