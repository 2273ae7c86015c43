"""Understand times as programs write them: cells or names -> milliseconds.

A time is written as a number, as a date, or as a time of day. The unit of numbers is in the name of
their column, or follows from their size.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from bcclone.exchange.table_words import number_of_cell, unit_in_name

_PER_MS = {"s": 1e-3, "ms": 1.0, "us": 1e3, "ns": 1e6}  # unit -> how many are a millisecond
# last word of a column's name, as table_words.plain() returns it -> unit of the column's times
UNIT_ENDINGS = {
    **dict.fromkeys(("s", "sec", "secs", "seconds"), "s"),
    **dict.fromkeys(("ms", "msec", "millis", "milliseconds"), "ms"),
    **dict.fromkeys(("us", "usec", "micros", "microseconds"), "us"),
    **dict.fromkeys(("ns", "nsec", "nsecs", "nanos", "nanosec", "nanoseconds"), "ns"),
}
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Times:
    """The times of rows."""

    milliseconds: Sequence[int | None]  # time of each row, None if it has none
    is_since_1970: bool  # whether the times count from 1970, and not from any other start
    source: str  # where the times are from, such as the name of a column, for messages
    # unit of the numbers, or the name in _FORMS of how the times are written; "" for times that are
    # counted from the frame rate
    unit: str = ""
    columns: Sequence[str] = ()  # names of the columns that hold the times

    @property
    def words(self) -> str:
        """Return where the times are from, and their unit, for messages."""
        if not self.unit:
            return self.source
        if self.is_date_or_time_of_day:
            return f"{self.source}, as {self.unit}"
        return f"{self.source}, in {self.unit}"

    @property
    def is_date_or_time_of_day(self) -> bool:
        """Return whether the times are written as dates or times of day, not as numbers."""
        return self.unit in _FORMS


def times_of(cells: Sequence[str], source: str = "") -> Times | None:
    """Return the times in cells; None if most cells hold no time, or all hold the same.

    source: where the cells are from, such as the name of their column, which may end with a unit
    """
    numbers = [number_of_cell(cell) for cell in cells]
    for unit, form in _FORMS.items():
        found = [_find(form, cell, number) for cell, number in zip(cells, numbers, strict=True)]
        milliseconds = _milliseconds_of(found)
        if _are_times(milliseconds):
            return Times(milliseconds, unit == "dates", source, unit)
    return _times_in_numbers(cells, numbers, source)


def _are_times(values: Sequence[float | None], fewest_different: int = 2) -> bool:
    """Return whether at least half of the values are times, and enough of these differ.

    values: times in one unit, None for a cell without a time
    fewest_different: how many times must differ; if there are fewer times, all of them must
    """
    times = [value for value in values if value is not None]
    if not times:
        return False
    needed = min(len(times), fewest_different)
    return len(times) >= 0.5 * len(values) and len(set(times)) >= needed


# ---- numbers

_TOO_LARGE = 1 << 62  # a time is smaller than this in any unit
# ten digits in a text, the seconds since 1970; then a mark and a fraction of 3, 6 or 9 digits, or
# further digits without a mark, as times in ms, us or ns have them
_SINCE_1970 = re.compile(r"(?<!\d)(\d{10})(?:[._-](\d{3}|\d{6}|\d{9})|(\d{0,9}))(?!\d)")


def _times_in_numbers(cells: Sequence[str], numbers: Sequence[float], source: str) -> Times | None:
    """Return the times in cells of numbers, or of texts with a time since 1970; None for no times.

    numbers: number of each cell, NaN for a text
    """
    times = [_number_in(cell, number) for cell, number in zip(cells, numbers, strict=True)]
    named = unit_in_name(source, UNIT_ENDINGS)
    # a single time is enough if the name has a unit; else it may be any constant number
    fewest_different = 1 if named else 2
    if not _are_times(times, fewest_different):
        return None
    in_digits = _times_in_digits(cells, source)
    if in_digits:
        return in_digits
    unit, is_since_1970 = _unit_of([time for time in times if time is not None], named)
    milliseconds = [None if time is None else round(time / _PER_MS[unit]) for time in times]
    return Times(milliseconds, is_since_1970, source, unit)


def _number_in(cell: str, number: float) -> float | None:
    """Return the time in a cell as a number, None for none; a whole number is exact.

    number: number of the whole cell, NaN for a text
    """
    text = cell
    if math.isnan(number):
        found = _SINCE_1970.search(cell)
        if found:
            text = f"{found[1]}.{found[2]}" if found[2] else found[0]
    # a float would round nanoseconds
    value = int(text) if text.isdecimal() and len(text) < 20 else number_of_cell(text)
    # None for NaN, too
    return value if abs(value) < _TOO_LARGE else None


def _unit_of(times: Sequence[float], named: str | None) -> tuple[str, bool]:
    """Return the unit of times, and whether they count from 1970.

    The unit is the named one. Without a name it is the first one in which the times are dates from
    2000 to 2100, or else the first one in which the usual step between rows is under two seconds,
    or else ns.

    named: unit in the name of the column, None for none
    """
    year_2000_ms = 946_684_800_000
    year_2100_ms = 4_102_444_800_000
    longest_step_ms = 2000
    longest_step_of_dates_ms = 60_000  # numbers with longer steps are no dates, only look like them

    ordered = np.sort(np.array(times, dtype=float))
    middle = float(np.median(ordered))
    steps = np.diff(ordered)
    steps = steps[steps > 0]
    step = float(np.median(steps)) if len(steps) else 0.0
    units = {named: _PER_MS[named]} if named else _PER_MS
    for unit, per_ms in units.items():
        is_date = year_2000_ms <= middle / per_ms < year_2100_ms
        if is_date and step / per_ms < longest_step_of_dates_ms:
            return unit, True
    for unit, per_ms in units.items():
        if step / per_ms < longest_step_ms:
            return unit, False
    return list(units)[-1], False


_DIGITS_OF_DAY = re.compile(  # hour, minute and second without marks, and perhaps a fraction
    r"([01]?\d|2[0-3])([0-5]\d)([0-5]\d)(?:\.(\d+)|(\d{3}|\d{6}))?"
)


def _times_in_digits(cells: Sequence[str], source: str) -> Times | None:
    """Return times of day in numbers such as 125959.9, None for other numbers.

    Such numbers jump at each full minute, from 125959 to 130000. Read as times of day, they do not
    jump, and have the same steps otherwise.
    """
    matches = [match for match in map(_DIGITS_OF_DAY.fullmatch, cells) if match]
    if len(matches) < max(len(cells), 2):
        return None
    parts = [(match[1], match[2], f"{match[3]}.{match[4] or match[5] or 0}") for match in matches]
    times = times_of([":".join(part) for part in parts], source)
    if times is None:
        return None
    numbers = np.sort(np.array([1000 * float("".join(part)) for part in parts]))
    milliseconds = np.sort(np.array(times.milliseconds, float))
    # by how much each step of the numbers is longer than that of the times of day
    jumps = np.diff(numbers) - np.diff(milliseconds)
    is_of_day = float(np.median(jumps)) < 1 < float(np.max(jumps))
    return times if is_of_day else None


# ---- dates and times of day

# fraction of a second, behind a mark or none, but not behind the minus of a time zone such as
# -05:30; then perhaps AM or PM
_FRACTION = (
    r"(?:(?P<mark>[.,:_]?|-(?!\d\d:?\d\d(?!\d)))(?P<fraction>\d{1,9}))?(?!\d)"
    r"\s*(?:(?P<half>[AP])M\b)?"
)
# such as 2018-07-01 17:09:44:912, 20250620_141024_333000, or ISO 8601
_DATE = (
    r"(?<!\d)(?P<date>20\d\d[-_./]?\d\d[-_./]?\d\d)[T\s_-]*"
    r"(?P<hour>\d\d?)[-_:.h]?(?P<minute>\d\d)[-_:.m]?(?P<second>\d\d)"
    rf"{_FRACTION}\s*"
    r"(?:Z|(?P<zone>[+-]\d\d:?\d\d)(?!\d))?"
)
# such as 17:09:44.912; or 17_09_44_912: with _ or - only if three or six digits follow the second,
# since other numbers look so, too
_TIME_OF_DAY = (
    r"(?<!\d)(?P<hour>\d\d?)"
    r"(?::|(?=[_-]\d\d[_-]\d\d[_-](?:\d{3}){1,2}(?!\d))[_-])"
    r"(?P<minute>\d\d)[:_-](?P<second>\d\d)"
    rf"{_FRACTION}"
)
_FORMS = {  # how times may be written, in words -> pattern
    "dates": re.compile(_DATE, re.IGNORECASE),
    "times of day": re.compile(_TIME_OF_DAY, re.IGNORECASE),
}
# a digit alone between marks, such as the 7 in 2018_7_1_17_9_44, as C# writes numbers
_ONE_DIGIT = re.compile(r"(?<=[-_/:T ])\d(?=[-_/:T ]|$)")
_DECIMAL_MARKS = (".", ",")


def _find(form: re.Pattern[str], cell: str, number: float) -> re.Match[str] | None:
    """Return where a cell holds a time in a form, None for nowhere.

    form: pattern in _FORMS
    number: number of the cell, NaN for a text
    """
    if not math.isnan(number):
        return form.fullmatch(cell)  # a few digits within a number are no time
    # 17:9:44.5 is not completed, so that the form does not match: its last digit may be 5 ms or
    # 0.5 s
    if "." not in cell:
        cell = _ONE_DIGIT.sub(r"0\g<0>", cell)
    return form.search(cell)


def _milliseconds_of(found: Sequence[re.Match[str] | None]) -> list[int | None]:
    """Return the milliseconds since 1970 of dates, or since the first midnight of times of day.

    After midnight, times of day continue to rise.
    """
    # behind a point or comma is a fraction of a second; behind another mark, or none, is a number
    # of ms, us or ns: the longest number tells which
    counts = [
        len(match["fraction"])
        for match in found
        if match and match["fraction"] and match["mark"] not in _DECIMAL_MARKS
    ]
    digits = 3 * math.ceil(max(counts, default=3) / 3)
    times = [match and _time_of(match, digits) for match in found]
    days = 0
    last: int | None = None
    for index, time in enumerate(times):
        if time is None or time >= _DAY_MS:  # no time, or a date
            continue
        # a time that is half a day earlier than the one before is of the next day
        if last is not None and time < last - _DAY_MS / 2:
            days += 1
        last = time
        times[index] = time + days * _DAY_MS
    return times


def _time_of(match: re.Match[str], digits: int) -> int | None:
    """Return the milliseconds of a date since 1970, or of a time of day since midnight.

    Returns None for a date or time that does not exist, such as 25:00:00.

    digits: what a number behind another mark than a point or comma counts: 3 for ms, 6 for us, 9
        for ns; with 3, the 5 of 17:09:44:5 is 5 ms
    """
    values = match.groupdict("")
    day = re.sub(r"\D", "", values.get("date", "1970-01-01"))
    hour = int(values["hour"])
    half = values["half"].lower()  # "a" of AM, "p" of PM, or ""
    if half:
        hour %= 12
    if half == "p":
        hour += 12
    try:
        moment = datetime(
            int(day[:4]),
            int(day[4:6]),
            int(day[6:]),
            hour,
            int(values["minute"]),
            int(values["second"]),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    seconds = round(moment.timestamp() - 60 * _zone_minutes(values.get("zone", "")))
    fraction = values["fraction"]
    if values["mark"] in _DECIMAL_MARKS:
        digits = len(fraction)
    return 1000 * seconds + round(1000 * float(f"0.{fraction:0>{digits}}"))


def _zone_minutes(zone: str) -> int:
    """Return the minutes that a time zone such as +05:30 is ahead of UTC, 0 for none."""
    if not zone:
        return 0
    sign = -1 if zone.startswith("-") else 1
    digits = zone[1:].replace(":", "")
    return sign * (60 * int(digits[:2]) + int(digits[2:]))
