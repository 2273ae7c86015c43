"""A steering whose numbers alone do not say to which side it is -> where its side is.

It stands in another column, or there is a column for each side; or the steering is an angle that
begins anew behind its greatest value, as 0 follows on 359. Each of them is found by measuring, and
is written anew by the user: no option states it.
"""

import math
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from bcclone.exchange.cells import number_in
from bcclone.exchange.exchanged_rows import ACCIDENTS_SHARE
from bcclone.exchange.plain_names import plain
from bcclone.exchange.table import SourceTable
from bcclone.exchange.units import SteeringUnit
from bcclone.system.arrays import BoolArray, FloatArray

# a plain name of the side to which a steering without a sign is
_NAMED = re.compile(
    r"(?:\w*(?:steer\w*|angle|wheel)_)?(?:sign|sgn|direction|dir|side|polarity|lr)(?:_bit)?"
    r"(?:_(?:of_)?(?:steer\w*|angle))?|(?:is_)(?:steer\w*_)?(?:to_)?left"
)
# a plain name of what says in which rows the steering is to be used
_FLAG = re.compile(
    r"(?:(?:\w+_)?(?:steer\w*|angle|wheel)_(?:\w+_)?(?:is_)?(?:valid\w*|invalid\w*|ok|good|bad|"
    r"quality|status|state|error|err|fault|flag|available|reliable|sign|sgn)|(?:is_)?(?:in)?valid\w*)"
)
_NOT = ("0", "false", "no", "f", "n", "", "invalid", "bad", "nok", "error", "fault")
# what such a column may hold whose name does not say it
_LEFTS = {
    "l", "left", "links", "gauche", "izquierda", "sinistra", "ccw", "-", "\N{MINUS SIGN}", "-1",
    "\N{MINUS SIGN}1", "<", "\N{LEFTWARDS ARROW}", "neg", "negative",
}  # fmt: skip
_RIGHTS = {
    "r", "right", "rechts", "droite", "derecha", "destra", "cw", "+", "1", ">",
    "\N{RIGHTWARDS ARROW}", "pos", "positive",
}  # fmt: skip
_STRAIGHT = 0.01  # share of the largest steering; less is none
_OF_NO_SIDE = {"", "0", "none", "straight", "center", "centre"}
# full turns of sensors, besides powers of 2: in rad, turns, degrees, and parts of these
_TURNS = (2 * math.pi, 1.0, 400.0, 360.0, 720.0, 3600.0, 36000.0, 2000 * math.pi, 100.0, 1e3, 1e4)
_COUNTS = tuple(2.0**bits for bits in range(7, 25))
_LEFT = re.compile(r"(?:^|(?<=_))(?:left|l|links|gauche)(?=_|$)")
_RIGHT_OF = {"left": "right", "l": "r", "links": "rechts", "gauche": "droite"}
# words that may stand behind the side in the name of one of two wheels
_OF_WHEEL = r"(?:_(?:wheel|motor|track|speed|velocity|vel|pwm|rpm|cmd|ctrl|control|encoder|enc))*"
_LEFT_WHEEL = re.compile(rf"(?:\w+_)?(?:left|l){_OF_WHEEL}")


# ---- the side in another column


@dataclass(frozen=True)
class SideColumn:
    """A column that is the side of a steering, or that may be it."""

    name: str
    values: tuple[str, str]  # as they are written, that of the left first if they say it
    is_sure: bool  # it is called the sign, or its values change where the steering is straight
    neither: str | None = (
        None  # a third value, of rows that are steered and whose side it does not say
    )


def side_column(table: SourceTable, column: str, away: FloatArray) -> SideColumn | None:
    """Return the column that says to which side the steering in another column is; None for none.

    away: the steering less its middle, which has no sign of its own if it is beside a sign
    """
    if np.mean(away < 0) > ACCIDENTS_SHARE or not np.any(away):
        return None
    found = []
    for name in table.columns:
        cells = [str(cell).strip() for cell in table.as_written.get(name, table.columns[name])]
        counts = Counter(cells)
        values = [cell for cell, _ in counts.most_common() if _word(cell) not in _OF_NO_SIDE]
        if len(values) == 1:  # and 0, or nothing, to the other side
            values += sorted((cell for cell in counts if _word(cell) in ("0", "")), reverse=True)[
                :1
            ]
        if name == column or len(values) != 2 or len(counts) > 3:
            continue
        is_called = bool(_NAMED.fullmatch(plain(name)))
        is_measured = _changes_when_straight(np.array(cells), values, away)
        left, right = sorted(values, key=lambda value: (_word(value) not in _LEFTS, not value))
        are_sides = _word(left) in _LEFTS and _word(right) in _RIGHTS
        if is_called or is_measured or are_sides:
            is_sure = is_measured or "sign" in plain(name).split("_")
            others = [cell for cell in counts if cell not in values]
            is_steered = np.isin(cells, others) & (np.abs(away) > _STRAIGHT * np.nanmax(away))
            neither = others[0] if np.any(is_steered) else None
            found.append(SideColumn(name, (left, right), is_sure, neither))
    return max(found, key=lambda side: side.is_sure, default=None)


def _word(cell: str) -> str:
    return cell.lower().removesuffix(".0")


def rows_with(column: str, value: str) -> str:
    """Return pandas' expression for the rows of a table in which a column has a value."""
    if not value:
        return f"table[{column!r}].isna()"
    number = number_in(value)
    if math.isfinite(number):
        return f"table[{column!r}] == {number:g}"
    return f"table[{column!r}].astype(str).str.strip().str.lower() == {value.lower()!r}"


@dataclass(frozen=True)
class Flag:
    """A column of two values that may say in which rows a steering is not to be used."""

    name: str
    values: tuple[str, str]  # as they are written, first that of the rows not to be used, if any is


def flag_column(table: SourceTable, column: str) -> Flag | None:
    """Return a column that is called as a flag of the steering in another column, and has two
    values in the rows that are steered; None for none, and where it is the sign of the numbers.
    """
    numbers = table.numbers(column)
    for name in table.columns:
        if name == column or not _FLAG.fullmatch(plain(name)):
            continue
        cells = np.array([str(cell).strip() for cell in table.columns[name]])
        values = [value for value, _ in Counter(cells[np.isfinite(numbers)]).most_common()]
        if len(values) != 2:
            continue
        turned = np.abs(numbers) > 0
        is_left = numbers[turned] < 0
        alike = float(np.mean(is_left == (cells[turned] == values[0]))) if turned.any() else 0.5
        if is_left.any() and not ACCIDENTS_SHARE < alike < 1 - ACCIDENTS_SHARE:
            continue
        is_of_errors = bool(re.search("invalid|bad|err|fault", plain(name)))
        unfit = [value for value in values if (_word(value) in _NOT) != is_of_errors]
        if len(unfit) != 1 and re.search("status|state|flag", plain(name)):
            continue  # such as manual and auto
        first = unfit[0] if len(unfit) == 1 else values[1]  # or the rarer one
        return Flag(name, (str(first), str(values[values[0] == first])))
    return None


def _changes_when_straight(
    cells: np.ndarray[tuple[int], np.dtype[np.str_]], values: Collection[str], away: FloatArray
) -> bool:
    """Return whether a column changes from one value to the other where the steering is small, as
    its side does, and as nothing else does again and again.
    """
    fewest_changes = 4
    small_share = 0.25  # of the usual steering
    least_small = 0.8  # of the changes
    sizes = np.abs(away)
    rows = np.flatnonzero(np.isin(cells, list(values)) & np.isfinite(away))
    changes = np.flatnonzero(cells[rows][1:] != cells[rows][:-1])
    if len(changes) < fewest_changes:
        return False
    usual = float(np.median(sizes[sizes > 0]))
    # the rows between may be neither to the left nor to the right
    between = zip(rows[changes], rows[changes + 1], strict=True)
    nearest = [float(np.nanmin(sizes[before : after + 1])) for before, after in between]
    return bool(np.mean(np.array(nearest) < small_share * usual) >= least_small)


# ---- a column for each side


def columns_of_sides(table: SourceTable) -> list[tuple[str, str]]:
    """Return pairs of columns that are called left and right, of which at most one is not 0 in a
    row: each has the steering to one side.
    """
    return [
        (left, right)
        for left, right in _left_and_right(table)
        if _are_sides(table.numbers(left), table.numbers(right))
        # and not the lights that blink
        and ("steer" in plain(left) or len(np.unique(table.numbers(left))) > 2)
    ]


def columns_of_wheels(table: SourceTable) -> list[tuple[str, str]]:
    """Return pairs of columns of numbers that are called as the left and the right wheel."""
    return [
        (left, right)
        for left, right in _left_and_right(table)
        if _LEFT_WHEEL.fullmatch(plain(left))
        and not _are_sides(table.numbers(left), table.numbers(right))
    ]


def _left_and_right(table: SourceTable) -> list[tuple[str, str]]:
    by_name = {plain(column): column for column in table.columns}
    pairs = []
    for name, left in by_name.items():
        right = by_name.get(_LEFT.sub(lambda side: _RIGHT_OF[side[0]], name))
        if right not in (None, left) and np.isfinite(table.numbers(left)).mean() >= 0.5:
            pairs.append((left, str(right)))
    return pairs


def _are_sides(left: FloatArray, right: FloatArray) -> bool:
    known = np.isfinite(left) & np.isfinite(right)
    both = (left[known] != 0) & (right[known] != 0)
    return bool(np.any(left[known]) and np.any(right[known]) and both.mean() <= ACCIDENTS_SHARE)


# ---- values that stand for none


def far_values(numbers: FloatArray, unit: SteeringUnit | None) -> list[float]:
    """Return the values that stand for a missing one, such as 999: the greatest one, which is
    repeated, is beyond full steering, and is far beyond all others, with nothing between; [] if
    there are none.
    """
    fewest_values = 8  # of keys there are fewer
    known = numbers[np.isfinite(numbers)]
    if not len(known):
        return []
    greatest = np.abs(known).max()
    are_far = np.abs(known) == greatest
    others = known[~are_far]
    count = int(are_far.sum())
    if len(np.unique(others)) < fewest_values or count < 2:
        return []
    if greatest <= (unit.full / unit.per if unit else 1.0):
        return []
    # 2 ** 15 - 1 is the greatest number of 16 bits with a sign
    turns = [turn for turn in (*_TURNS, *_COUNTS) if math.log10(turn) % 1 and turn != 2**15]
    if known.min() >= 0 and any(0.98 * turn <= greatest <= turn for turn in turns):
        return []  # perhaps an angle that begins anew
    far: list[float] = np.unique(known[are_far]).tolist()
    # times the range of all others; nines alone are a usual mark
    least_distance = 1 if set(f"{greatest:.10g}") <= set("9.") else 3
    distance = min(max(others.min() - value, value - others.max()) for value in far)
    is_often = count > ACCIDENTS_SHARE * len(known) or find_jump(known) is not None
    return far if is_often and distance >= least_distance * np.ptp(others) else []


# ---- an angle that begins anew


@dataclass(frozen=True)
class Jump:
    """Where a steering jumps from one end to the other."""

    before: float
    after: float
    turn: float | None  # the full turn at which it begins anew; None if that is not usual
    is_beyond_half: bool  # it turns further than half of that, so that it has to be followed


def find_jump(known: FloatArray) -> Jump | None:
    """Return where a steering jumps from one end to the other; None where it does not.

    An angle without a sign does so where it changes its side: 3 follows on 357. No driver turns
    from one end to the other within a row, without any value between.
    """
    fewest_values = 8  # of keys there are fewer
    values = np.unique(known)
    if len(values) < fewest_values or not _is_wrapped(known):
        return None
    steps = np.diff(known)
    jump = int(np.argmax(np.abs(steps)))
    turn = _turn_of(known)
    signed = signed_angle(known)
    is_beyond_half = bool(np.any(np.abs(np.diff(signed)) > 0.7 * np.ptp(known)))
    return Jump(float(known[jump]), float(known[jump + 1]), turn, is_beyond_half)


def signed_angle(known: FloatArray) -> FloatArray:
    """Return an angle without a sign with one, as far as it has one: those above the half as minus.

    It only shows how large the steering will be, once the source says its sign.
    """
    turn = _turn_of(known) or known.max()
    return np.where(known > turn / 2, known - turn, known)


def _is_wrapped(known: FloatArray) -> bool:
    far_share = 0.7  # of the whole range; a longer step is a jump
    farthest_share = 0.9  # of the longest one, from one end to the other
    halfway_share = 0.3
    most_between = 0.05  # share of the values in the middle half of the range
    least_at_an_end = 0.05  # share of the values in each outer quarter
    span = np.ptp(known)
    steps = np.abs(np.diff(known))
    far = np.flatnonzero(steps > far_share * span)
    if not len(far) or steps.max() < farthest_share * span:
        return False
    halfway = int(np.sum((steps > halfway_share * span) & (steps <= far_share * span)))
    places = (known - known.min()) / span
    is_smooth = len(far) >= 2 and halfway <= len(far) / 10
    at_ends = min(np.mean(places < 0.25), np.mean(places > 0.75)) >= least_at_an_end
    is_empty_between = bool(at_ends and np.mean(np.abs(places - 0.5) < 0.25) < most_between)
    if np.mean(known < 0) > ACCIDENTS_SHARE:  # to both sides: a gamepad may be fast
        return is_smooth and is_empty_between
    return is_smooth or is_empty_between


def _turn_of(known: FloatArray) -> float | None:
    """Return the usual full turn at which an angle begins anew; None for another one, and where two
    of them may be it.

    A jump is as long as the turn, less the step that the steering makes meanwhile, which is about
    as long as those before and behind it.
    """
    steps = np.abs(np.diff(known))
    is_far: BoolArray = steps > 0.7 * np.ptp(known)
    if not is_far.any() or is_far.all():
        return None
    usual = float(np.median(steps[~is_far]))
    around = np.where(is_far, np.nan, steps)
    around = np.concatenate([[np.nan], around, [np.nan]])
    before, after = around[:-2][is_far], around[2:][is_far]
    meanwhile = np.where(np.isnan(before) | np.isnan(after), usual, (before + after) / 2)
    each = steps[is_far] + meanwhile
    found = float(np.median(each))
    accuracy = max(float(np.ptp(each)), 0.25 * usual)
    turns = [turn for turn in (*_TURNS, *_COUNTS) if known.max() <= turn * 1.0001]
    if not turns:  # such as the count of an encoder
        return None
    off, turn = min((abs(turn - found), turn) for turn in turns)
    near = [other for other in turns if abs(other - found) <= max(accuracy, 2 * off)]
    return turn if off <= max(usual, 0.02 * turn) and len(near) == 1 else None
