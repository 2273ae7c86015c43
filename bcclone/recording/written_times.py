"""Texts that hold times, such as the names of images or the cells of a table -> milliseconds.

All texts of a source are read as a whole: what a part of a second is, and which number of a date is
the day, is one for all of them. A clock that begins anew counts on.

Loads neither NumPy nor pandas, so that --help is fast.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, nan
from statistics import median

from bcclone.recording.row import LONGEST_MONTH, seconds_of_date
from bcclone.recording.time_forms import (
    DAY_FIRST,
    DAY_MS,
    MONTH_FIRST,
    MS,
    NS,
    OF_CELLS,
    OF_NAMES,
    PER_MS,
    SINCE_1970,
    US,
    YEAR_FIRST,
    Form,
    Written,
    match_of,
)

# no camera gives more frames a second; the sensor of most small cars, Sony's IMX219, gives 120 on a
# Jetson, at most
SHORTEST_STEP_MS = 8.0
# nobody steers by fewer pictures; numbers in ms, us or ns that are taken for a thousand times as
# much are at least 8 s apart, as the camera above is quick
LONGEST_STEP_MS = 5000.0

MINUTE_MS = 60e3
WEEK_MS = 7 * DAY_MS  # of GPS
_SAMPLE = 200  # texts that show whether others may have a form
_LONGEST_NAME = 255  # characters of a file's name
ENOUGH = 0.5  # share of the texts that must hold a time


@dataclass(frozen=True)
class WrittenTimes:
    """The times in texts."""

    milliseconds: Sequence[float]  # NaN where a text holds none
    words: str  # how they are written
    uses_stated: bool = False  # they are read as the user states


@dataclass(frozen=True)
class Unclear:
    """What texts that hold times do not state."""

    kind: str  # one of those below
    text: str  # one of them
    digits: str = ""  # that may be a part of a second
    orders: Sequence[str] = ()  # YEAR_FIRST and so on, by which it is a date


ORDER = "order of dates"  # which number is the day, the month or the year
FRACTION = "part of a second"  # whether the digits behind the seconds are one
NO_CAMERA = "no times"  # they are those of no camera
COUNTED = "row numbers"  # they count up by 1
SEVERAL = "several times in names"  # each holds two, which differ


def times_in_names(
    stems: Sequence[str], stated: str | None = None
) -> WrittenTimes | Unclear | None:
    """Return the times in the names of images without their ending, or what has to be stated of
    them; None if most hold no time.

    The first time in a name counts, unless it is the same in all, as the date of a session is.

    stated: what comes first in dates, such as DAY_FIRST, or what the digits behind the seconds
        count, such as MS; None where it is not stated
    """
    return _read([stem[:_LONGEST_NAME] for stem in stems], stated, OF_NAMES)


def times_in_cells(
    cells: Sequence[str], stated: str | None = None
) -> WrittenTimes | Unclear | None:
    """Return the times in cells that are no plain numbers, as times_in_names()."""
    return _read(cells, stated, OF_CELLS)


def _read(
    texts: Sequence[str], stated: str | None, forms: Sequence[Form], may_follow: bool = True
) -> WrittenTimes | Unclear | None:
    """Return the times of texts in the first form that most have, or what is unclear of them.

    may_follow: whether another time in a name may stand behind the first one
    """
    some = texts[:: max(1, len(texts) // _SAMPLE)]
    for form in forms:
        if sum(match_of(form, text) is not None for text in some) < 0.2 * len(some):
            continue  # so that a long column of numbers is not searched for each form
        found = [match_of(form, text) for text in texts]
        known = [one for one in found if one]
        if not known or len(known) < ENOUGH * len(texts):
            continue
        behind = None
        if forms is OF_NAMES and may_follow:
            rests = [one.rest if one else "" for one in found]
            behind = _read(rests, stated, forms, may_follow=False)
            is_of_session = len({(one.date, one.seconds) for one in known}) == 1 < len(known)
            if is_of_session and behind and not _is_one_moment(behind):
                return behind
        filled = sum(map(bool, map(str.strip, texts)))
        if form.must_prove and len(known) < filled:
            continue
        times = _in_form(found, form, stated, is_name=forms is OF_NAMES)
        if times and behind and _rise_otherwise(behind, times):
            return Unclear(SEVERAL, known[0].text)
        if times:
            return times
    return None


def _in_form(
    found: Sequence[Written | None], form: Form, stated: str | None, is_name: bool
) -> WrittenTimes | Unclear | None:
    """Return the times that are written in one form, or what is unclear of them; None where they
    are none in truth.

    is_name: whether they are in names, which may have the number of a picture behind a time
    """
    known = [one for one in found if one]
    order = _order_of(known, form, stated)
    if isinstance(order, Unclear):
        return order
    days = [_seconds_of_date(one.date, order) if one.date else 0.0 for one in known]
    if sum(map(isfinite, days)) < ENOUGH * len(found):
        return None  # months that do not exist
    fractions = _fractions(known, stated, is_name)
    if isinstance(fractions, Unclear):
        return fractions
    of_known = iter(
        1000 * (day + one.seconds) + 1000 * fraction
        for one, day, fraction in zip(known, days, fractions, strict=True)
    )
    milliseconds = [nan if one is None else next(of_known) for one in found]
    turn = ""
    if form.turn_ms:
        milliseconds, turn = _raised(milliseconds, form.turn_ms, form.turn_ms / 2)
    if form.must_prove and not _passes_minutes(milliseconds):
        return None
    if form.turn_ms == DAY_MS and not turn:  # the clock may have 12 hours
        milliseconds, turn = counted_on(milliseconds, [DAY_MS / 2])
    if unclear := _unclear(milliseconds, form, known):
        return unclear
    whole = [float(round(each)) if isfinite(each) else nan for each in milliseconds]
    has_digits = any(one.fraction and one.point not in (".", ",") for one in known)
    is_used = (has_digits and stated in (MS, US, NS)) or (stated == _ORDERS.get(order, ""))
    return WrittenTimes(whole, form.words + turn, is_used)


def _is_one_moment(times: WrittenTimes | Unclear) -> bool:
    return isinstance(times, WrittenTimes) and not usual_step(times.milliseconds)


def _rise_otherwise(behind: WrittenTimes | Unclear, first: WrittenTimes | Unclear) -> bool:
    """Return whether the times behind the first ones rise with these, but are not alike."""
    if not (isinstance(behind, WrittenTimes) and isinstance(first, WrittenTimes)):
        return False
    pairs = sorted(zip(first.milliseconds, behind.milliseconds, strict=True))
    rising = [after for before, after in pairs if isfinite(before) and isfinite(after)]
    never_fall = all(before <= after for before, after in pairwise(rising))
    passes = usual_step(rising) > 0
    return never_fall and passes and not are_alike(first.milliseconds, behind.milliseconds)


def are_alike(times: Sequence[float], others: Sequence[float]) -> bool:
    """Return whether times are as far from others everywhere, but for half of their usual step."""
    off = [b - a for a, b in zip(times, others, strict=True) if isfinite(a) and isfinite(b)]
    return bool(off) and max(off) - min(off) <= usual_step(times) / 2


def _unclear(milliseconds: Sequence[float], form: Form, known: Sequence[Written]) -> Unclear | None:
    """Return what is unclear of times by their steps, None if these are those of a camera."""
    usual = usual_step(milliseconds)
    if usual > LONGEST_STEP_MS or (form.turn_ms and usual < SHORTEST_STEP_MS):
        return Unclear(NO_CAMERA, known[0].text)
    # seconds since 1970, or six digits that may be no clock from midnight on
    may_count = form.words == SINCE_1970 or all(
        one.date and not one.mark and one.seconds < 600 for one in known
    )
    is_plain = may_count and not any(one.fraction for one in known)
    if is_plain and usual == 1000 and len(set(milliseconds)) == len(milliseconds):
        return Unclear(COUNTED, known[0].text)
    return None


def usual_step(milliseconds: Sequence[float]) -> float:
    """Return the median of the steps between times that differ; 0 for no steps."""
    rising = sorted(filter(isfinite, milliseconds))
    steps = [after - before for before, after in pairwise(rising) if after > before]
    return median(steps) if steps else 0.0


_ORDERS = {"ymd": YEAR_FIRST, "dmy": DAY_FIRST, "mdy": MONTH_FIRST}


def _order_of(known: Sequence[Written], form: Form, stated: str | None) -> str | Unclear:
    """Return in which order dates have year, month and day, such as "ymd", "" for times without
    dates; or the question for it.
    """
    if not form.orders:
        return ""
    dates = [one.date for one in known if one.date]
    possible = [
        order
        for order in form.orders
        if all(isfinite(_seconds_of_date(date, order)) for date in dates)
    ]
    possible = [each for each in possible if _ORDERS[each] == stated] or possible
    if len(possible) > 1:
        return Unclear(ORDER, known[0].text, orders=[_ORDERS[each] for each in possible])
    return (possible or form.orders)[0]


def _seconds_of_date(date: tuple[int, int, int], order: str) -> float:
    """Return the seconds since 1970 of a date's day; NaN for a month that does not exist, or two
    digits that are no year of a digital camera.

    A day that our month lacks, as other calendars have them, counts on into the next month.
    """
    first_year, last_year = 10, 40
    year, month, day = (date[order.index(each)] for each in "ymd")
    if not 1 <= day <= LONGEST_MONTH or not 1 <= month <= 12:
        return nan
    if year < 100:
        if not first_year <= year <= last_year:
            return nan
        year += 2000
    return seconds_of_date(year, month, day)


def are_decimals(digits: Sequence[str]) -> bool | None:
    """Return whether the digits behind points are decimals; None where both may be.

    As many digits everywhere are decimals; of other ones, those with zeros before them are, while
    those with zeros behind them, such as 10, count.
    """
    filled = [each for each in digits if each]
    if len({len(each) for each in filled}) == 1:
        return True
    has_zeros_behind = any(len(each) > 1 and each[-1] == "0" for each in filled)
    if _have_zeros_before(filled) == has_zeros_behind:
        return None
    return not has_zeros_behind


def _have_zeros_before(digits: Sequence[str]) -> bool:
    return any(len(each) > 1 and each[0] == "0" for each in digits)


def _fractions(
    known: Sequence[Written], stated: str | None, is_name: bool
) -> list[float] | Unclear:
    """Return the part of a second that the digits behind the seconds of all texts mean, or the
    question for those that are not clearly one.

    Digits that are no decimals count ms, us or ns without zeros before them, as C# writes 60 ms of
    17:09:44:60. Those in a name, behind another mark than the others, may be the number of a
    picture, unless the times pass from one second to the next.

    stated: what they count, such as MS
    """
    digits = [one.fraction for one in known]
    filled = [each for each in digits if each]
    if not filled:
        return [0.0] * len(known)
    lengths = set(map(len, filled))
    longest = max(lengths)
    are_behind_points = all(one.point in (".", ",") for one in known if one.fraction)
    unclear = Unclear(FRACTION, known[-1].text, filled[-1])
    if stated in (MS, US, NS) and not are_behind_points:
        counts = [int(each or 0) / PER_MS[stated] / 1000 for each in digits]
        return counts if max(counts) < 1 else unclear
    is_decimal = are_decimals(filled)
    if is_decimal is None and are_behind_points:
        is_decimal = True
    if not is_decimal and _have_zeros_before(filled):
        return unclear
    if is_decimal and not are_behind_points and len(lengths) > 1:
        return unclear
    unit = 10.0 ** -(3 * -(-longest // 3))
    parts = [float(f"0.{each or 0}") if is_decimal else unit * int(each or 0) for each in digits]
    # numbers that count the pictures of each second end far below the next one
    at = [1000 * (one.seconds + part) for one, part in zip(known, parts, strict=True)]
    step_ms = usual_step(at)
    lasts_seconds = 3
    seconds = sorted({one.seconds for one in known})
    nears_end = max(parts) >= 1 - 4 * step_ms / 1000
    if len(seconds) >= lasts_seconds and step_ms and not nears_end:
        return unclear
    follow = any(after - before <= LONGEST_STEP_MS / 1000 for before, after in pairwise(seconds))
    is_usual = longest in (3, 6, 9)
    if not are_behind_points and not (is_usual or len(seconds) >= lasts_seconds):
        return unclear
    # behind the mark between the other numbers, as in 17_09_44_912, it is one more of these
    is_marked = any(one.point in set("_-:") - {one.mark} for one in known if one.fraction)
    if is_name and is_marked and not (nears_end and follow):
        return unclear
    return parts


# ---- clocks that begin anew


def counted_on(milliseconds: Sequence[float], turns_ms: Sequence[float]) -> tuple[list[float], str]:
    """Return the times of a clock that begins anew after one of these, which then count on, and
    words for that; times that do not fall, or not as that clock, as they are.
    """
    if turn_ms := turn_of(milliseconds, turns_ms):
        return _raised(milliseconds, turn_ms, 0.0)
    return list(milliseconds), ""


def turn_of(milliseconds: Sequence[float], turns_ms: Sequence[float]) -> float:
    """Return after which of these a clock begins anew; 0 for times that do not fall so.

    Each fall is as long as that clock runs, less a step that is usual in these times.
    """
    known = list(filter(isfinite, milliseconds))
    if are_newest_first(known):
        known.reverse()
    falls = [before - after for before, after in pairwise(known) if after < before]
    longest = 3 * usual_step(known)
    for turn_ms in turns_ms:
        if falls and all(0 < turn_ms - fall <= longest for fall in falls):
            return turn_ms
    return 0.0


def are_newest_first(milliseconds: Sequence[float]) -> bool:
    """Return whether times fall more often than they rise."""
    steps = [after - before for before, after in pairwise(milliseconds)]
    falls = sum(step < 0 for step in steps)
    return falls > max(2, sum(step > 0 for step in steps))


def _raised(
    milliseconds: Sequence[float], turn_ms: float, least_ms: float
) -> tuple[list[float], str]:
    """Return times, raised by the turn of their clock behind each fall that is so long, and words
    for that.
    """
    if are_newest_first(milliseconds):
        raised, words = _raised(milliseconds[::-1], turn_ms, least_ms)
        return raised[::-1], words
    raised = []
    offset = 0.0
    before = nan
    for each in milliseconds:
        if before - each > least_ms:
            offset += turn_ms
        if isfinite(each):
            before = each
        raised.append(each + offset)
    words = f", counted on where they begin anew, after {turn_ms / 1000:g} s" if offset else ""
    return raised, words


def _passes_minutes(milliseconds: Sequence[float]) -> bool:
    """Return whether successive times of clocks without marks pass from one minute to the next.

    Plain numbers would count from 59 to 60 there, and so not have been read as clocks.
    """
    return any(
        0 < after - before <= LONGEST_STEP_MS and before // 60e3 != after // 60e3
        for before, after in pairwise(milliseconds)
    )
