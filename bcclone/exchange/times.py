"""The times of a table, or of images by their names -> whole milliseconds.

A time is a number in s, ms, us or ns; a date such as 2018-07-01 17:09:44.912, 01.07.2018 17:09:44,9
or 20180701_170944_912000; or a clock such as 17:09:44.912. A column is read as a whole: what a part
of a second is, and whether a day or a month comes first, is one for all of its cells.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np

from bcclone.exchange.exchange_settings import (
    DAY_FIRST,
    MONTH_FIRST,
    SECONDS,
    ImportSettings,
)
from bcclone.exchange.inquiry import Inquiry, Missing
from bcclone.exchange.table import SourceTable, number_in
from bcclone.exchange.units import PER_MS, TIME_UNITS, plain, unit_in
from bcclone.system.arrays import FloatArray

_NAMED = "|".join(TIME_UNITS)
_USUAL = re.compile(  # usual plain names of a column of times
    "(?:(?:frame|image|cam|camera|elapsed|unix|ros|sim|record|capture|log|sys|system|sensor|header)"
    f"_)?(?:time_?stamp|date_?time|time|stamp|ts|t|date|clock)(?:_(?:{_NAMED}|utc|local|unix|iso))?"
    f"|{_NAMED}"
)
# the seconds, and the nanoseconds behind them, that ROS writes into two columns
_SECONDS_OF_TWO = re.compile("(?P<before>(?:.*_)?)(?:secs?)")
_NANOSECONDS_OF_TWO = ("nsecs", "nsec", "nanosecs", "nanosec")
# no camera gives more frames a second; the sensor of most small cars, Sony's IMX219, gives 120 on a
# Jetson, at most
_FASTEST_RATE = 125.0
_LONGEST_STEP_MS = 2000.0
_SINCE = (946_684_800.0, 2_208_988_800.0)  # seconds of the years 2000 to 2040
_EPOCH = datetime(1970, 1, 1)
_DAY_MS = 86_400_000
_SAMPLE = 200  # texts that show whether a column may have dates in a form
_LONGEST_CELL = 100  # characters; a time has fewer
_ENOUGH = 0.5  # share of the cells that must hold a time


@dataclass(frozen=True)
class Times:
    """When the rows of a source were taken."""

    milliseconds: FloatArray  # whole numbers, NaN where it is unknown, (rows,)
    words: str  # how they are known
    column: str = ""  # of the table that holds them
    columns: Sequence[str] = ()  # further ones that hold a part of them

    def of(self, row: int) -> int | None:
        """Return the milliseconds of a row, None for an unknown time."""
        time_ms = self.milliseconds[row]
        return None if np.isnan(time_ms) else round(time_ms)

    def check_rate(self, pictures: Sequence[str]) -> Iterator[Missing]:
        """Yield a question for frames that follow each other faster than those of a camera.

        pictures: the picture of each row; rows with the same one and the same time count once
        """
        frames = set(zip(pictures, self.milliseconds.tolist(), strict=True))
        known = np.array([time_ms for _, time_ms in frames if not np.isnan(time_ms)])
        steps = np.diff(np.sort(known))
        if len(steps) and (step := float(np.median(steps))) < 1000 / _FASTEST_RATE:
            facts = {"column": self.words, "step": step}
            yield Missing("fast", "frame_rate", "HZ", facts)


def rows_at_once(times: Times, pictures: Sequence[str]) -> int:
    """Return how many rows follow each other faster than those of a camera before each step that is
    long, as the rows of so many cameras do; 0 where it is not always the same number.

    pictures: see Times.check_rate()
    """
    fewest_groups = 3
    longer = 5.0  # times as long as the steps within a group
    usual_share = 0.8  # of the groups
    frames = sorted(set(zip(times.milliseconds.tolist(), pictures, strict=True)))
    known = np.array([time_ms for time_ms, _ in frames if not np.isnan(time_ms)])
    steps = np.diff(known)
    within = steps < 1000 / _FASTEST_RATE
    # a clock of whole seconds has several rows of one camera in each
    if not within.any() or within.all() or not (known % 1000).any():
        return 0
    if steps[~within].min() < longer * steps[within].max():
        return 0
    sizes = np.diff(np.concatenate([[-1], np.flatnonzero(~within), [len(steps)]]))
    counts = Counter(sizes.tolist())
    size, groups = counts.most_common(1)[0]
    is_usual = groups >= max(fewest_groups, usual_share * len(sizes))
    return int(size) if is_usual and size > 1 else 0


def read_times(
    table: SourceTable, settings: ImportSettings, inquiry: Inquiry, stems: Sequence[str] = ()
) -> Times | None:
    """Return the times of a table's rows; None if nothing states them, or not clearly, which is
    asked for in the second case.

    They are those of --time-column; counted with --frame-rate; in a column with a usual name; or in
    the names of the images, which are `stems` without ending.
    """
    if settings.frame_rate and not settings.time_column:
        return counted(range(len(table.lines)), settings.frame_rate)
    names = [name for name in table.columns if _USUAL.fullmatch(plain(name))]
    if settings.time_column:
        names = [name for name in [table.find(settings.time_column)] if name]
        if not names:
            facts = {"asked": settings.time_column, "columns": table.held()}
            inquiry.ask([Missing("no such column", "time_column", "TIMES", facts)])
            return None
    found: list[Times | Missing] = [_of_column(table, name, settings) for name in names]
    if not settings.time_column:
        found += _of_two_columns(table)
        found += [] if found else filter(None, [times_in_names(stems)])
    for each in found:
        if isinstance(each, Times):
            inquiry.note("times", each.words.removeprefix("times: "))
            return each
    for each in found:
        if isinstance(each, Missing):
            inquiry.ask([each])
            return None
    return None


def _of_column(table: SourceTable, name: str, settings: ImportSettings) -> Times | Missing:
    cells = table.columns[name]
    by_name = {plain(name): cells for name, cells in table.columns.items()}
    if plain(name) in ("date", "time") and {"date", "time"} <= by_name.keys():
        days = zip(by_name["date"], by_name["time"], strict=True)
        both = times_of([f"{date} {time}" for date, time in days], name, settings.time_form)
        if isinstance(both, Times):
            return both
    return times_of(cells, name, settings.time_form)


def _of_two_columns(table: SourceTable) -> Iterator[Times]:
    """Yield the times in a column of seconds, and one of the nanoseconds behind them."""
    by_name = {plain(name): name for name in table.columns}
    for plain_name, name in by_name.items():
        if match := _SECONDS_OF_TWO.fullmatch(plain_name):
            for ending in _NANOSECONDS_OF_TWO:
                other = by_name.get(match["before"] + ending)
                if other is not None:
                    numbers = 1000 * table.numbers(name) + table.numbers(other) / 1e6
                    if np.isfinite(numbers).mean() >= _ENOUGH:
                        words = f"times: {name} and {other}"
                        yield Times(np.round(numbers), words, name, (other,))


def times_of(cells: Sequence[object], name: str, form: str | None = None) -> Times | Missing:
    """Return the times in cells, or what has to be stated of them.

    name: of their column; its end may be the unit of numbers, which are seconds without one
    form: see --time-form; None where it is not stated
    """
    texts = [str(cell)[:_LONGEST_CELL] for cell in cells]
    if dated := _written(texts, name, form, (*_FORMS, *_CLOCK_ALONE)):
        return dated
    numbers = np.array([number_in(cell) for cell in cells])
    numbers[np.isinf(numbers)] = np.nan
    known = np.sort(numbers[np.isfinite(numbers)])
    facts = {"column": name, "cell": texts[0] if texts else ""}
    steps = np.diff(known)
    steps = steps[steps > 0]
    usual = float(np.median(steps)) if len(steps) else 0.0
    named = unit_in(name, TIME_UNITS)
    found = next((unit for unit in PER_MS if _is_since_1970(known, unit)), None)
    unit = form if form in PER_MS else named or found
    if not len(known) or len(known) < _ENOUGH * len(numbers) or not (usual or unit):
        return Missing("no times", "frame_rate", "HZ", facts)
    if form not in PER_MS and named and found and named != found:
        return Missing(
            "unit of times", "time_form", "FORM", facts | {"named": named, "found": found}
        )
    step_ms = usual / PER_MS[unit or SECONDS]
    # where the unit is not stated, other steps show that it is not seconds
    if unit is None and not 1000 / _FASTEST_RATE <= step_ms <= _LONGEST_STEP_MS:
        return Missing("form of times", "time_form", "FORM", facts | {"step": usual})
    is_stated = form in PER_MS or named
    if not is_stated and unit in (None, SECONDS) and usual == 1 and not np.any(known % 1):
        return Missing("row numbers", "time_form", "FORM", facts)
    since = " since 1970" if unit and unit == found and not named else ""
    words = f"times: {name}, in {unit or SECONDS}{since}"
    return Times(np.round(numbers / PER_MS[unit or SECONDS]), words, name)


def _is_since_1970(known: FloatArray, unit: str) -> bool:
    """Return whether numbers in a unit are all times of the years 2000 to 2040."""
    if not len(known):
        return False
    seconds = known / PER_MS[unit] / 1000
    return bool(_SINCE[0] <= seconds[0] and seconds[-1] < _SINCE[1])


def counted(numbers: Sequence[int], frame_rate: float) -> Times:
    """Return times that are counted from the numbers of frames, from 0."""
    milliseconds = np.round(1000 * np.array(numbers, float) / frame_rate)
    return Times(milliseconds, f"times: counted as {frame_rate:g} frames a second")


def no_times(table: SourceTable | None = None) -> list[Missing]:
    """Return the questions for rows without times.

    table: whose columns may be the time; None for none
    """
    columns = table.columns if table else {}
    written = [name for name in columns if _is_written(columns[name], name)]
    if table and written:
        return [
            Missing("times of columns", "time_column", "TIMES", {"columns": table.held(written)})
        ]
    questions = [Missing("times", "frame_rate", "HZ")]
    rising = [name for name in columns if table and _may_be_time(table.numbers(name))]
    if table and rising:
        facts = {"columns": table.held(rising)}
        questions.append(Missing("times perhaps", "time_column", facts=facts, is_optional=True))
    return questions


def _is_written(cells: Sequence[object], name: str) -> bool:
    """Return whether a column has dates that are not all the same, or clocks."""
    texts = [str(cell)[:_LONGEST_CELL] for cell in cells]
    times = _written(texts, name, None, (*_FORMS, *_CLOCK_ALONE))
    return times is not None and len(set(texts)) > 1


def _may_be_time(numbers: FloatArray) -> bool:
    """Return whether numbers rise, and do not count, as those of frames do."""
    steps = np.diff(numbers)
    return len(steps) > 0 and bool((steps >= 0).all() and steps.any() and not (steps == 1).all())


def times_in_names(stems: Sequence[str]) -> Times | Missing | None:
    """Return the times in the names of images, or what has to be stated of them; None if most hold
    no time.
    """
    return _written(stems, "the names of the images", None, (*_FORMS, _SINCE_1970))


# ---- dates and clocks

_CLOCK = r"(?P<hour>\d\d?)(?P<mark>[-_:.]?)(?P<minute>\d\d?)(?P=mark)(?P<second>\d\d?)"
# a fraction behind any mark; the minus of a time zone such as -05:30 is no mark of a fraction
_FRACTION = r"(?:(?P<point>[.,:_]?|-(?!\d\d:?\d\d(?!\d)))(?P<fraction>\d{1,9}))?(?!\d)"
_HALF_AND_ZONE = r"\s*(?P<half>[AaPp]\.?[Mm]\.?)?\s*(?P<zone>Z|[+-]\d\d:?\d\d)?(?!\d)"
_END = _FRACTION + _HALF_AND_ZONE
_FORMS = (
    # ISO 8601, or other marks or none between the numbers
    re.compile(
        r"(?<!\d)(?P<year>20\d\d)(?P<dash>[-_/.]?)(?P<month>\d\d?)(?P=dash)(?P<day>\d\d?)[T_ -]?"
        + _CLOCK
        + _END
    ),
    # years of the calendars of Iran, Arabia, Nepal and Thailand, with marks
    re.compile(
        r"(?<!\d)(?P<year>1[34]\d\d|2[15]\d\d)(?P<dash>[-_/.])(?P<month>\d\d?)(?P=dash)"
        r"(?P<day>\d\d?)[T_ -]" + _CLOCK + _END
    ),
    # 20.05.2026, 05/20/2026
    re.compile(
        r"(?<!\d)(?P<one>\d\d?)(?P<dash>[-/.])(?P<other>\d\d?)(?P=dash)(?P<year>\d{4}),?[T_ -]"
        + _CLOCK
        + _END
    ),
    # 20-May-2026, 20. Mai 2026; May 20, 2026
    re.compile(
        r"(?<!\d)(?P<day>\d\d?)[-. /]{1,2}(?P<name>[^\W\d_]{3})[^\W\d_]*[-. /,]{1,2}"
        r"(?P<year>\d{4}),?[T_ -]" + _CLOCK + _END
    ),
    re.compile(
        r"(?P<name>[^\W\d_]{3})[^\W\d_]*[-. /]{1,2}(?P<day>\d\d?)[-. /,]{1,2}"
        r"(?P<year>\d{4}),?[T_ -]" + _CLOCK + _END
    ),
)
# seconds from 2001 to 2033; then a part of a second behind a mark, or ms, us or ns without one
_SINCE_1970 = re.compile(
    r"(?<!\d)(?P<second>1\d{9})"
    r"(?:(?P<point>[._-])(?P<fraction>\d{1,9})|(?P<digits>\d{3}|\d{6}|\d{9})?)(?!\d)"
)
_MONTHS = {  # in English and German
    "jan": 1, "feb": 2, "mar": 3, "mär": 3, "mrz": 3, "apr": 4, "may": 5, "mai": 5, "jun": 6,
    "jul": 7, "aug": 8, "sep": 9, "oct": 10, "okt": 10, "nov": 11, "dec": 12, "dez": 12,
}  # fmt: skip
_CLOCK_ALONE = (
    re.compile(r"\s*(?:(?P<hour>\d\d?):)(?P<minute>\d\d?):(?P<second>\d\d?)" + _END + r"\s*"),
    # minutes and seconds, with a part of a second that says so
    re.compile(r"\s*(?P<minute>\d\d?):(?P<second>\d\d)(?P<point>[.,])(?P<fraction>\d{1,9})\s*"),
)


@dataclass(frozen=True)
class _Written:
    """A date or a clock in a text, whose part of a second is read with those of the others."""

    text: str
    day: tuple[int, int, int] | None  # year, and the two other numbers as they follow
    seconds: int  # of the day, in UTC where the text states a zone
    point: str  # mark before the part of a second
    fraction: str  # its digits, "" for none


def _written(
    texts: Sequence[str], name: str, form: str | None, patterns: Sequence[re.Pattern[str]]
) -> Times | Missing | None:
    """Return the times of texts with dates or clocks, or what has to be stated of them; None where
    most have neither.

    patterns: of the dates and clocks that count; the first one counts that most texts have
    """
    some = texts[:: max(1, len(texts) // _SAMPLE)]
    for pattern in patterns:
        if sum(_match(pattern, text) is not None for text in some) < 0.2 * len(some):
            continue  # so that a long column of numbers is not searched for each pattern
        found = [_match(pattern, text) for text in texts]
        known = [one for one in found if one]
        if not texts or len(known) < _ENOUGH * len(texts):
            continue
        words = "dates" if known[0].day else "a clock"
        if pattern is _SINCE_1970:
            words = "seconds since 1970"
        order = _order_of(known, pattern, name, form)
        if isinstance(order, Missing):
            return order
        fractions = _fractions(known, name)
        if isinstance(fractions, Missing):
            return fractions
        parts = iter(fractions)
        milliseconds = np.array(
            [np.nan if one is None else _ms_of(one, order) + next(parts) for one in found]
        )
        if np.isfinite(milliseconds).mean() < _ENOUGH:
            continue  # months or hours that do not exist
        if pattern in _CLOCK_ALONE:
            hour = "hour" in pattern.groupindex
            milliseconds = _past_midnight(milliseconds, _DAY_MS if hour else 3_600_000)
            if question := _no_camera(milliseconds, name, texts[0]):
                return question
        return Times(np.round(milliseconds), f"times: {name}, as {words}", name)
    return None


def _match(pattern: re.Pattern[str], text: str) -> _Written | None:
    """Return the date or clock in a text; None for none, or one with a wrong hour."""
    match = pattern.fullmatch(text) if pattern in _CLOCK_ALONE else pattern.search(text)
    if not match:
        return None
    part = match.groupdict("")
    if pattern is _SINCE_1970:
        digits = part["fraction"] or part["digits"]
        return _Written(text, None, int(part["second"]), part["point"] or ".", digits)
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
        offset = 60 * int(zone[1:3]) + int(zone[-2:])
        seconds -= 60 * offset * (-1 if zone[0] == "-" else 1)
    day = None
    if year := part.get("year"):
        names = ("month", "day") if "month" in part else ("one", "other")
        if "name" in part:
            day = (int(year), _MONTHS.get(part["name"].lower(), 0), int(part["day"]))
        else:
            day = (int(year), int(part[names[0]]), int(part[names[1]]))
    return _Written(text, day, seconds, part["point"], part["fraction"])


def _order_of(
    known: Sequence[_Written], pattern: re.Pattern[str], name: str, form: str | None
) -> str | Missing:
    """Return whether the day or the month comes first in dates with the year behind, or the
    question which one does. Points stand between day, month and year alone.
    """
    if "one" not in pattern.groupindex:
        return MONTH_FIRST  # behind the year
    if form in (DAY_FIRST, MONTH_FIRST):
        return form
    dash = pattern.search(known[0].text)
    if dash and dash["dash"] == ".":
        return DAY_FIRST
    first = max(one.day[1] for one in known if one.day)
    second = max(one.day[2] for one in known if one.day)
    longest_year = 12
    if first > longest_year >= second:
        return DAY_FIRST
    if second > longest_year >= first:
        return MONTH_FIRST
    facts = {"column": name, "cell": known[0].text}
    return Missing("order of dates", "time_form", "FORM", facts)


def _ms_of(one: _Written, order: str) -> float:
    """Return the milliseconds of a date or clock without its part of a second; NaN for a month that
    does not exist.
    """
    if not one.day:
        return 1000.0 * one.seconds
    year, month, day = one.day
    if order == DAY_FIRST:
        month, day = day, month
    return _day_ms(year, month, day) + 1000.0 * one.seconds


@lru_cache(64)
def _day_ms(year: int, month: int, day: int) -> float:
    """Return the milliseconds since 1970 of a day; one that our month lacks, as other calendars
    have them, counts on into the next month.
    """
    longest_month = 32
    if not 1 <= day <= longest_month or not 1 <= month <= 12:
        return np.nan
    since = datetime(year, month, 1) + timedelta(day - 1) - _EPOCH
    return 1000.0 * since.total_seconds()


def _fractions(known: Sequence[_Written], name: str) -> list[float] | Missing:
    """Return the milliseconds that the digits behind the seconds of all texts mean, or the question
    for those that are not clearly a part of a second.

    As many digits everywhere are decimals, also two of them; otherwise they count ms, us or ns
    without zeros before them, as C# writes 60 ms of 17:09:44:60.
    """
    digits = [one.fraction for one in known]
    filled = [each for each in digits if each]
    if not filled:
        return [0.0] * len(known)
    lengths = Counter(map(len, filled))
    longest = max(lengths)
    has_zeros_before = any(len(each) > 1 and each[0] == "0" for each in filled)
    has_zeros_behind = any(len(each) > 1 and each[-1] == "0" for each in filled)
    is_decimal = all(one.point in (".", ",") for one in known if one.fraction)
    facts = {"cell": known[-1].text, "column": name, "digits": filled[-1]}
    question = Missing("part of a second", "frame_rate", "HZ", facts)
    if len(lengths) == 1 or (is_decimal and (has_zeros_before or not has_zeros_behind)):
        parts = [float(f"0.{each or 0}") for each in digits]
    elif has_zeros_before:
        return question
    else:
        unit = 10.0 ** -(3 * -(-longest // 3))
        parts = [unit * int(each or 0) for each in digits]
    # numbers that count the pictures of each second end far below the next one
    seconds = np.array([one.seconds for one in known], float)
    at = seconds + parts
    steps = np.diff(np.sort(at))
    steps = steps[steps > 0]
    lasts_seconds = 3
    different = len(np.unique(seconds))
    if different >= lasts_seconds and len(steps) and max(parts) < 1 - 4 * float(np.median(steps)):
        return question
    is_usual = is_decimal or longest in (3, 6, 9)
    if not is_usual and different < lasts_seconds:
        return question
    return [1000 * part for part in parts]


def _past_midnight(milliseconds: FloatArray, turn_ms: float) -> FloatArray:
    """Return the times of a clock that begins anew, which then count on. turn_ms: after how long"""
    falls = np.diff(milliseconds, prepend=milliseconds[:1]) < -turn_ms / 2
    return np.asarray(milliseconds + turn_ms * np.cumsum(falls))


def _no_camera(milliseconds: FloatArray, name: str, cell: str) -> Missing | None:
    """Return the question for a clock whose steps are those of no camera, None for another one."""
    steps = np.diff(np.sort(milliseconds[np.isfinite(milliseconds)]))
    steps = steps[steps > 0]
    usual = float(np.median(steps)) if len(steps) else 0.0
    if 1000 / _FASTEST_RATE <= usual <= _LONGEST_STEP_MS:
        return None
    return Missing("no times", "frame_rate", "HZ", {"column": name, "cell": cell})
