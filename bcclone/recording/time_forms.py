"""A text -> the time that is written in it, by a table of forms.

A time is a date such as 2018-07-01 17:09:44.912, 01.07.18 17:09:44,9 or 20180701_170944_912000; a
clock such as 17:09:44.912; seconds since 1970; a duration such as PT1M5.25S; or a number with its
unit, such as 250ms. What its part of a second means, and which number of a date is the day, the
texts of a source tell together (written_times.py).

Loads neither NumPy nor pandas, so that --help is fast.
"""

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# units of numbers, and what comes first in a date, as users state them
SECONDS = "s"
MS = "ms"
US = "us"
NS = "ns"
DECISECONDS = "ds"
CENTISECONDS = "cs"
MINUTES = "min"
HOURS = "h"
DAYS = "d"
PER_MS = {  # how many of a unit are a millisecond
    SECONDS: 1e-3, DECISECONDS: 1e-2, CENTISECONDS: 0.1, MS: 1.0, US: 1e3, NS: 1e6,
    MINUTES: 1 / 60e3, HOURS: 1 / 3.6e6, DAYS: 1 / 86.4e6,
}  # fmt: skip
TIME_UNITS = {  # how a unit is written
    **dict.fromkeys(("s", "sec", "second", "seconds"), SECONDS),  # not secs, beside ROS's nsecs
    **dict.fromkeys(("ms", "msec", "msecs", "milli", "millis", "millisecond", "milliseconds"), MS),
    **dict.fromkeys(("us", "usec", "usecs", "micros", "microsecond", "microseconds"), US),
    **dict.fromkeys(("ds", "decisecond", "deciseconds"), DECISECONDS),
    **dict.fromkeys(("cs", "centisecond", "centiseconds"), CENTISECONDS),
    **dict.fromkeys(("ns", "nsec", "nanos", "nanosec", "nanosecond", "nanoseconds"), NS),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), MINUTES),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), HOURS),
    **dict.fromkeys(("d", "days"), DAYS),
}
_OF_UNIT = re.compile(rf"(?P<many>\d{{1,9}}(?:\.\d{{1,9}})?)? ?(?P<unit>{'|'.join(PER_MS)})")
YEAR_FIRST = "year-first"
DAY_FIRST = "day-first"
MONTH_FIRST = "month-first"


def stated_unit(form: str | None) -> tuple[float, str] | None:
    """Return how many of which unit a number counts, as a user states it: (10.0, "ms") of 10ms.

    None for another form, such as DAY_FIRST.
    """
    match = _OF_UNIT.fullmatch(form or "")
    return (float(match["many"] or 1), match["unit"]) if match else None


DAY_MS = 86.4e6
HOUR_MS = 3.6e6


@dataclass(frozen=True)
class Form:
    """A way to write a time."""

    words: str
    pattern: re.Pattern[str]
    orders: Sequence[str] = ()  # which numbers of a date may be year, month and day: ymd, dmy
    turn_ms: float = 0.0  # after how long a clock begins anew; 0 for dates
    is_whole: bool = False  # the time is the whole text, not a part of it
    must_prove: bool = False  # it may be a plain number, too


_CLOCK = r"(?P<hour>\d\d?)(?P<mark>[-_:.]?)(?P<minute>\d\d?)(?P=mark)(?P<second>\d\d?)"
# a fraction behind any mark; the minus of a time zone such as -05:30 is no mark of a fraction
_FRACTION = r"(?:(?P<point>[.,:_]?|-(?!\d\d:?\d\d(?!\d)|\d:\d\d))(?P<fraction>\d{1,9}))?(?!\d)"
_HALF_AND_ZONE = (
    r"\s*(?P<half>[AaPp]\.?[Mm]\.?)?\s*(?P<zone>Z|[+-](?:\d\d:?\d\d|\d:\d\d|\d\d?))?(?!\d)"
)
_END = _FRACTION + _HALF_AND_ZONE
_GLUED = r"[T_ -]?(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)" + _FRACTION
_BEHIND = r"(?P<year>\d{4}|\d\d),?[T_ -]{1,2}" + _CLOCK + _END
_DATES = tuple(
    Form("dates", re.compile(pattern), orders)
    for pattern, orders in (
        # ISO 8601, or other marks or none between the numbers
        (
            r"(?<!\d)(?P<year>20\d\d)(?P<dash>[-_/.]?)(?P<month>\d\d?)(?P=dash)(?P<day>\d\d?)"
            r"[T_ -]?" + _CLOCK + _END,
            ("ymd",),
        ),
        # years of the calendars of Iran, Arabia, Nepal and Thailand, with marks
        (
            r"(?<!\d)(?P<year>1[34]\d\d|2[15]\d\d)(?P<dash>[-_/.])(?P<month>\d\d?)(?P=dash)"
            r"(?P<day>\d\d?)[T_ -]" + _CLOCK + _END,
            ("ymd",),
        ),
        # 20.05.2026 and 20.05.26; points stand between day, month and year alone
        (
            r"(?<!\d)(?P<day>\d\d?)(?P<dash>\.)\s?(?P<month>\d\d?)(?P=dash)\s?" + _BEHIND,
            ("dmy",),
        ),
        # 20/05/2026, 05-20-2026
        (
            r"(?<!\d)(?P<one>\d\d?)(?P<dash>[-/])(?P<two>\d\d?)(?P=dash)(?P<three>\d{4}),?[T_ -]"
            + _CLOCK
            + _END,
            ("dmy", "mdy"),
        ),
        (r"(?<!\d)(?P<one>\d\d)(?P<two>\d\d)(?P<three>20\d\d)" + _GLUED, ("dmy", "mdy")),
        # 05/20/26, 26-05-20
        (
            r"(?<!\d)(?P<one>\d\d?)(?P<dash>[-_/])(?P<two>\d\d?)(?P=dash)(?P<three>\d\d),?[T_ -]"
            + _CLOCK
            + _END,
            ("ymd", "dmy", "mdy"),
        ),
        (r"(?<!\d)(?P<one>\d\d)(?P<two>\d\d)(?P<three>\d\d)" + _GLUED, ("ymd", "dmy", "mdy")),
        # 20-May-2026, 20. Mai 26; May 20, 2026
        (
            r"(?<!\d)(?P<day>\d\d?)[-. /]{1,2}(?P<name>[^\W\d_]{3})[^\W\d_]*[-. /,]{1,2}" + _BEHIND,
            ("dmy",),
        ),
        (
            r"(?P<name>[^\W\d_]{3})[^\W\d_]*[-. /]{1,2}(?P<day>\d\d?)[-. /,]{1,2}" + _BEHIND,
            ("mdy",),
        ),
        # 2026-132T10:00:00, with the day of the year
        (
            r"(?<!\d)(?P<year>20\d\d)-(?P<of_year>(?!000)[0-2]\d\d|3[0-5]\d|36[0-6])[T_ -]"
            + _CLOCK
            + _END,
            ("ymd",),
        ),
    )
)
_MONTHS = {  # in English and German
    "jan": 1, "feb": 2, "mar": 3, "mär": 3, "mrz": 3, "apr": 4, "may": 5, "mai": 5, "jun": 6,
    "jul": 7, "aug": 8, "sep": 9, "oct": 10, "okt": 10, "nov": 11, "dec": 12, "dez": 12,
}  # fmt: skip
SINCE_1970 = "seconds since 1970"
FIRST_SECOND, LAST_SECOND = 1e9, 2e9  # of these, in which times are looked for: 2001 to 2033
OF_NAMES = (
    *_DATES,
    # seconds from FIRST_SECOND to LAST_SECOND; then a part of a second behind a mark, or ms, us or
    # ns without one
    Form(
        SINCE_1970,
        re.compile(
            r"(?<!\d)(?P<since>1\d{9})"
            r"(?:(?P<point>[._-])(?P<fraction>\d{1,9})|(?P<digits>\d{3}|\d{6}|\d{9})?)(?!\d)"
        ),
    ),
    Form(
        "a clock",
        re.compile(
            r"(?<!\d)(?P<hour>\d\d)(?P<mark>[-_:.])(?P<minute>\d\d)(?P=mark)(?P<second>\d\d)" + _END
        ),
        turn_ms=DAY_MS,
    ),
    Form(
        "numbers with their unit",
        re.compile(r"(?<![\d.,])(?P<number>\d+(?:[.,]\d+)?)(?P<unit>[mun]?s(?:ec)?)(?![A-Za-z\d])"),
    ),
)
OF_CELLS = (
    *_DATES,
    # 1 days 00:00:01.25, as pandas writes it, and PT1M5.25S of ISO 8601
    Form(
        "durations",
        re.compile(
            r"\s*(?P<days>-?\d{1,5}) days?,? \+?(?P<hour>\d\d?):(?P<minute>[0-5]\d):"
            r"(?P<second>[0-5]\d(?:\.\d{1,9})?)\s*"
        ),
        is_whole=True,
    ),
    Form(
        "durations",
        re.compile(
            r"\s*(?P<minus>-)?P(?:(?P<days>\d{1,5})D)?T(?:(?P<hour>\d{1,9})H)?"
            r"(?:(?P<minute>\d{1,9})M)?(?:(?P<second>\d{1,9}(?:[.,]\d{1,9})?)S)?\s*"
        ),
        is_whole=True,
    ),
    Form(
        "a clock",
        re.compile(
            r"\s*(?P<hour>\d\d?)(?P<mark>:)(?P<minute>\d\d?):(?P<second>\d\d?)" + _END + r"\s*"
        ),
        turn_ms=DAY_MS,
        is_whole=True,
    ),
    # minutes and seconds, with a part of a second that says so
    Form(
        "a clock",
        re.compile(r"\s*(?P<minute>\d\d?):(?P<second>\d\d)(?P<point>[.,])(?P<fraction>\d{1,9})\s*"),
        turn_ms=HOUR_MS,
        is_whole=True,
    ),
    # 170944.91, as GPS receivers write it, and 170944912
    Form(
        "a clock without marks",
        re.compile(
            # a spreadsheet leaves out the first zero
            r"\s*(?P<hour>\d\d?)(?P<minute>\d\d)(?P<second>\d\d)"
            r"(?:(?P<point>\.)(?P<fraction>\d{1,9})|(?P<digits>\d{3}))?\s*"
        ),
        turn_ms=DAY_MS,
        is_whole=True,
        must_prove=True,
    ),
)


# ---- one text


@dataclass(frozen=True)
class Written:
    """A time in a text, whose part of a second is read with those of the others."""

    text: str
    date: tuple[int, int, int] | None  # three numbers as they follow
    seconds: float  # of the day, in UTC where the text states a zone; or since 1970
    point: str  # mark before the part of a second
    fraction: str  # its digits, "" for none
    rest: str  # what stands behind the seconds
    mark: str = ""  # between hours, minutes and seconds


def match_of(form: Form, text: str) -> Written | None:
    """Return the time in a text; None for none, or one with a wrong hour."""
    match = form.pattern.fullmatch(text) if form.is_whole else form.pattern.search(text)
    if not match:
        return None
    part = match.groupdict("")
    fraction = part.get("fraction", "") or part.get("digits", "")
    point = part.get("point", "") or ("." if part.get("digits") else "")
    if "since" in part:
        return Written(text, None, int(part["since"]), point, fraction, text[match.end("since") :])
    if "number" in part:
        unit = TIME_UNITS.get(part["unit"].lower())
        if unit is None:
            return None
        ms = float(part["number"].replace(",", ".")) / PER_MS[unit]
        return Written(text, None, ms / 1000, "", "", text[match.end() :])
    if "days" in part:
        return Written(text, None, _seconds_of_duration(part), "", "", "")
    # of hours alone, such as -05, beside the colons of a clock; beside other marks they count
    if part.get("mark") == ":" and point == "-" and len(fraction) <= 2:
        part["zone"], point, fraction = f"-{fraction}", "", ""
    elif part.get("mark") != ":" and len(part.get("zone", "")) <= len("-05"):
        part["zone"] = ""
    seconds = _seconds_of_day(part)
    if seconds is None or not _is_divided(part):
        return None
    date = _date_of(part, form.orders[0]) if form.orders else None
    rest = text[match.end("second") :]
    return Written(text, date, seconds, point, fraction, rest, part.get("mark", ""))


def _date_of(part: dict[str, str], order: str) -> tuple[int, int, int]:
    """Return the three numbers of a date as they follow; order: of those that have names."""
    if "name" in part:
        part["month"] = str(_MONTHS.get(part["name"].lower(), 0))
    if "of_year" in part:
        first = datetime.date(int(part["year"]), 1, 1)
        day = first + datetime.timedelta(int(part["of_year"]) - 1)
        return day.year, day.month, day.day
    named = {"y": "year", "m": "month", "d": "day"}
    names = ["one", "two", "three"] if "one" in part else [named[each] for each in order]
    one, two, three = (int(part[name]) for name in names)
    return one, two, three


def _seconds_of_duration(part: Mapping[str, str]) -> float:
    of_part = {"days": 86_400, "hour": 3600, "minute": 60, "second": 1}
    numbers = {name: float(part[name].replace(",", ".") or 0) for name in of_part}
    seconds = sum(seconds * numbers[name] for name, seconds in of_part.items())
    return -seconds if part.get("minus") else seconds


def _is_divided(part: Mapping[str, str]) -> bool:
    """Return whether numbers without marks between them have two digits each."""
    groups = {"dash": ("month", "day"), "mark": ("hour", "minute", "second")}
    return all(
        part.get(mark) != "" or all(len(part.get(name, "00")) == 2 for name in names)
        for mark, names in groups.items()
    )


def _seconds_of_day(part: Mapping[str, str]) -> int | None:
    """Return the seconds of a clock; None for one with a wrong hour."""
    hour = int(part.get("hour") or 0)
    if half := part.get("half", ""):
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half[0] in "Pp" else 0)
    minute, second = int(part["minute"]), int(part["second"])
    if hour > 23 or minute > 59 or second > 60:
        return None
    seconds = 3600 * hour + 60 * minute + second
    zone = part.get("zone", "")
    if zone not in ("", "Z"):
        digits = zone[1:].replace(":", "")
        hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "0")
        offset = 60 * int(hours) + int(minutes)
        seconds -= 60 * offset * (-1 if zone[0] == "-" else 1)
    return seconds
