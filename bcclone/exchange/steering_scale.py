"""The numbers in a column of the steering -> what neither its name nor the user states of them.

No middle, no range, no unit and no sign is made from numbers. They show only what has to be asked,
and which answers they contradict.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from bcclone.camera.vehicle import FULL_LOCK_DEGREES
from bcclone.exchange.cells import Look, look_of
from bcclone.exchange.exchange_settings import RATIO, ImportSettings
from bcclone.exchange.exchanged_rows import ACCIDENTS_SHARE
from bcclone.exchange.plain_names import last_name, plain
from bcclone.exchange.questions import SIDE, Missing
from bcclone.exchange.steering_side import (
    far_values,
    find_jump,
    flag_column,
    rows_with,
    side_column,
    signed_angle,
)
from bcclone.exchange.steering_words import (
    names_a_side,
    names_a_wheel,
    states_a_middle,
    states_a_scale,
    states_a_side,
)
from bcclone.exchange.table import SourceTable
from bcclone.exchange.units import (
    ANGLES,
    STEERING_UNITS,
    SteeringUnit,
    angle_unit_in,
    factor_in,
    says_another_angle,
)
from bcclone.recording.row import CAMERAS, ROUNDING
from bcclone.system.arrays import FloatArray

# plain names that mean -1 to 1 without a unit, as simulators and donkeycar have them
_RATIO_NAMES = ("steering", "user_angle")


def is_like_log(table: SourceTable) -> bool:
    """Return whether a table has the columns of a log of the simulator, or of our own export."""
    return {plain(name) for name in table.columns} >= {*CAMERAS, "throttle"}


def unit_of(table: SourceTable, column: str, settings: ImportSettings) -> SteeringUnit | None:
    """Return the unit of a steering, as the user or the column's name states it; None for none.

    A name states no unit where a text in the table names another one.
    """
    if settings.unit:
        return STEERING_UNITS[settings.unit]
    if _with_units(table, column):
        return None
    if unit := angle_unit_in(column):
        return unit
    is_ratio = last_name(factor_in(column, ANGLES)[1]) in _RATIO_NAMES
    return STEERING_UNITS[RATIO] if is_ratio else None


def _with_units(table: SourceTable, column: str) -> list[str]:
    """Return the texts in a table that name another unit than a column's name does, if it does."""
    texts = [*table.remarks, table.described.get(column, "")]
    unit = angle_unit_in(column)
    return [text for text in texts if says_another_angle(text, unit)]


def _with_sides(table: SourceTable, column: str) -> list[str]:
    """Return the name of a column and the texts in a table that speak of the side of a steering."""
    names = [column, table.described.get(column, "")]
    sides = [name for name in names if names_a_side(name)]
    return sides + [text for text in table.remarks if states_a_side(text)]


def _texts_of(table: SourceTable, column: str) -> list[str]:
    """Return the texts in a table that may speak of the steering in a column."""
    return [*filter(None, [table.described.get(column)]), *table.remarks]


def steering_questions(
    table: SourceTable, column: str, settings: ImportSettings
) -> Iterator[Missing]:
    """Yield what is not stated of the steering in a column.

    All is asked at once that an answer to another question would make necessary.
    """
    numbers = table.numbers(column)
    not_read, look = _not_read(table, column)
    are_thousands = look.kind == "thousands"  # perhaps; their signs are known
    yield from not_read
    if look.numbers:  # what the column will hold
        numbers = np.array(look.numbers)
    far = far_values(numbers, unit_of(table, column, settings))
    yield from _of_far_values(table, column, numbers, far)
    numbers = np.where(np.isin(numbers, far), np.nan, numbers)
    known = numbers[np.isfinite(numbers)]
    if not len(known):
        return
    if angle_unit_in(column) is None and _are_classes(known):
        yield Missing("classes", withdrawn=("straight",))
        return
    # where not all is read, the other side may be among the rest
    is_read = not not_read or bool(look.numbers)
    has_sign = is_read and not are_thousands
    is_stated = settings.straight is not None or is_like_log(table)
    needs_middle = not is_stated and is_read and _is_one_sided(known)
    unsigned = (
        list(_without_side(table, column, numbers, settings, needs_middle)) if has_sign else []
    )
    yield from unsigned
    flag = flag_column(table, column)
    if flag and not any(one.facts.get("sign") == flag.name for one in unsigned):
        facts = {"column": column, "flag": flag.name, "values": flag.values}
        facts |= {"first": flag.values[0], "first_rows": rows_with(flag.name, flag.values[0])}
        yield Missing("flag", facts=facts)
    is_unsigned = any(not one.setting for one in unsigned)
    needs_middle = needs_middle and not is_unsigned
    middles = list(filter(states_a_middle, _texts_of(table, column)))
    if middles and not is_stated and not is_unsigned:
        yield Missing("middle in the table", "straight", "X", {"texts": middles})
    elif needs_middle and not unsigned:
        yield Missing("middle", "straight", "X")
    away = known - (settings.straight or 0.0)
    if is_unsigned:  # no middle mends it
        away = known = signed_angle(known)
    elif needs_middle:  # at best, it is in the middle
        away = known - np.quantile(known, (ACCIDENTS_SHARE / 2, 1 - ACCIDENTS_SHARE / 2)).mean()
    sides = _with_sides(table, column)
    if sides and settings.left_positive is None:
        yield Missing("side in the table", "left_positive", SIDE, {"texts": sides})
    is_asked = needs_middle or (bool(middles) and not is_stated)
    yield from scale_questions(table, column, known, away, settings, is_asked)


def _not_read(table: SourceTable, column: str) -> tuple[list[Missing], Look]:
    """Return the question for cells that are no numbers as they are written, unless they are few,
    and as what they look.
    """
    if doubts := table.doubts(column):
        return doubts, look_of([str(cell) for cell in table.columns[column]])
    rows = table.not_read(column)
    count = len(table.columns[column])
    is_none_read = not np.isfinite(table.numbers(column)).any()
    if is_none_read:
        rows = rows or list(range(count))
    elif len(rows) <= max(1, ACCIDENTS_SHARE * count):
        return [], Look()
    cells = [str(table.written(column, row)) for row in range(count)]
    look = look_of(cells)
    facts: dict[str, Any] = {
        "column": column,
        "others": len(rows),
        "rows": count,
        "cell": cells[rows[0]],
        "place": table.place(rows[0]),
    }
    if look.sides:
        facts |= {"first": look.sides[0], "other": look.sides[1]}
    return [Missing(f"cells: {look.kind}" if look.kind else "cells", facts=facts)], look


def _of_far_values(
    table: SourceTable, column: str, numbers: FloatArray, far: list[float]
) -> Iterator[Missing]:
    if not far:
        return
    yield from _as_text(table, column)
    known = numbers[np.isfinite(numbers)]
    are_far = np.isin(known, far)
    facts: dict[str, Any] = {"column": column, "far": far, "count": int(are_far.sum())}
    facts |= {"rows": len(numbers), "list": repr([float(value) for value in far])}
    facts |= {"least": float(known[~are_far].min()), "greatest": float(known[~are_far].max())}
    yield Missing("missing values", facts=facts)


def _as_text(table: SourceTable, column: str) -> Iterator[Missing]:
    """Yield the question for a column of which pandas reads no numbers, as they are written."""
    if column in table.as_written:
        look = look_of(list(map(str, table.as_written[column])))
        kind = "hexadecimal as text" if look.kind == "hexadecimal" else "cells as text"
        facts = {"column": column, "cell": table.written(column, 0), "place": table.place(0)}
        yield Missing(kind, facts=facts | {"number": str(table.columns[column][0])})


def _without_side(
    table: SourceTable,
    column: str,
    numbers: FloatArray,
    settings: ImportSettings,
    needs_middle: bool,
) -> Iterator[Missing]:
    """Yield the questions for a steering whose side is not in its numbers."""
    question = None
    if jump := find_jump(numbers[np.isfinite(numbers)]):
        facts: dict[str, Any] = {"column": column, "before": jump.before, "after": jump.after}
        kind = "wrapped somewhere"
        if jump.turn:
            facts |= {"turn": jump.turn, "half": jump.turn / 2}
            kind = "wrapped often" if jump.is_beyond_half else "wrapped"
        question = Missing(kind, facts=facts, withdrawn=("straight",))
    elif side := side_column(table, column, numbers - (settings.straight or 0.0)):
        facts = {"column": column, "sign": side.name, "values": side.values}
        facts |= {"first": side.values[0], "first_rows": rows_with(side.name, side.values[0])}
        neither = side.neither or ""
        facts |= {"neither": neither, "neither_rows": rows_with(side.name, neither)}
        if side.is_sure or settings.straight is not None:
            kind = "sign" if side.neither is None else "sign of most rows"
            question = Missing(kind, facts=facts, withdrawn=("straight",))
        elif needs_middle:
            question = Missing("sign perhaps", "straight", "X", facts)
    if question:
        yield from _as_text(table, column)
        yield question


def scale_questions(
    table: SourceTable,
    column: str,
    known: FloatArray,
    away: FloatArray,
    settings: ImportSettings,
    needs_middle: bool,
) -> Iterator[Missing]:
    """Yield what is not stated of the unit and of full steering.

    away: the numbers less the middle, or less the best one where that is asked for
    """
    unit = unit_of(table, column, settings)
    with_units = _with_units(table, column)
    full = settings.max_degrees
    is_ratio = unit == STEERING_UNITS[RATIO]
    is_named = is_ratio and not settings.unit  # by the column's name alone
    not_a_ratio = _beyond(known, 1.0)
    factor, _ = factor_in(column, ANGLES)
    if factor is None and unit is None:
        yield Missing("unit of a multiple", "unit", "UNIT", {"column": column})
    elif unit is None and with_units:
        yield Missing("unit in the table", "unit", "UNIT", {"texts": with_units})
    else:
        yield from _of_unit(unit, is_named, known, settings)
    if factor != 1 and (unit is None or settings.unit) and not full:
        yield Missing("full of a multiple", "max_degrees", "FULL", {"column": column})
    if factor == 1 and (unit is None or unit in STEERING_UNITS.values()):
        yield from _of_scale(table, column, is_ratio, settings)
    units = [unit] if unit else list(STEERING_UNITS.values())
    beyond = max(_beyond(away * one.per, full or one.full) for one in units)
    needs_full = needs_middle or (is_ratio and bool(settings.straight))
    if beyond and unit and not is_named:
        facts = {"beyond": beyond, "rows": len(known), "full": float(full or unit.full)}
        yield Missing("full beyond", "max_degrees", "FULL", facts)
    elif beyond or (needs_full and not full):
        yield Missing("full", "max_degrees", "FULL")
    elif not full and (unit is None or unit.full == FULL_LOCK_DEGREES):
        wheels = list(filter(names_a_wheel, [column, *_texts_of(table, column)]))
        of_wheel = Missing("full of a steering wheel", "max_degrees", "FULL", {"texts": wheels})
        yield of_wheel if wheels else Missing("full of a wheel", "max_degrees", is_optional=True)
    if settings.left_positive is None and (not is_ratio or not_a_ratio):
        yield Missing("side", "left_positive", is_optional=True)


def _of_scale(
    table: SourceTable, column: str, is_ratio: bool, settings: ImportSettings
) -> Iterator[Missing]:
    """Yield the questions where a text says that the numbers are a multiple of the steering."""
    texts = list(filter(states_a_scale, _texts_of(table, column)))
    if texts and not settings.max_degrees:
        yield Missing("full in the table", "max_degrees", "FULL", {"texts": texts})
        if is_ratio and settings.straight is None:
            yield Missing("middle in the table", "straight", "X", {"texts": texts})


def _of_unit(
    unit: SteeringUnit | None, is_named: bool, known: FloatArray, settings: ImportSettings
) -> Iterator[Missing]:
    """Yield a question for a unit that is unknown, or that the numbers or the user contradict.

    is_named: whether the column's name alone says that the steering is -1 to 1
    """
    full = settings.max_degrees
    not_a_ratio = _beyond(known, 1.0)
    if unit is None:
        yield Missing("unit", "unit", "UNIT")
    elif is_named and not_a_ratio and not (full and settings.straight is not None):
        yield Missing("unit beyond", "unit", "UNIT", {"beyond": not_a_ratio, "rows": len(known)})
    elif unit.name == RATIO and full not in (None, 1) and settings.straight is None:
        facts = {"full": float(full or 0)}
        if is_named:
            yield Missing("unit of a full steering", "unit", "UNIT", facts)
        elif not not_a_ratio and not _reaches(known, float(full or 0)):
            yield Missing("middle of a ratio", "straight", "X", facts)


def _beyond(numbers: FloatArray, full: float) -> int:
    """Return how many numbers are beyond full steering; 0 for so few that they are accidents."""
    count = int(np.sum(np.abs(numbers) > full * (1 + ROUNDING)))
    return count if count > ACCIDENTS_SHARE * len(numbers) else 0


def _reaches(known: FloatArray, full: float) -> bool:
    """Return whether numbers are on both sides of 0, and some not far below full steering."""
    least_share = 0.1
    far_enough = np.abs(known).max() >= least_share * full
    return bool(far_enough and known.min() < 0 < known.max())


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
