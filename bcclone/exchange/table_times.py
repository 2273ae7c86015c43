"""Find the times of a table: numbers, dates, times of day or the names of images -> milliseconds."""

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.foreign_table import ForeignTable, number_of_cell, plain, unit_in_name
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError

_USUAL_RATE = 20.0  # frames a second where nothing says when they were taken
_PER_MS = {
    "s": 1e-3,
    "ms": 1.0,
    "us": 1e3,
    "ns": 1e6,
}  # unit of times -> how many are a millisecond
_UNIT_ENDINGS = {
    "s": "s", "sec": "s", "secs": "s", "seconds": "s", "ms": "ms", "msec": "ms", "millis": "ms", "milliseconds": "ms",
    "us": "us", "usec": "us", "micros": "us", "microseconds": "us", "ns": "ns", "nsec": "ns", "nsecs": "ns",
    "nanos": "ns", "nanosec": "ns", "nanoseconds": "ns",
}  # fmt: skip
_UNITS = "|".join(_UNIT_ENDINGS)
_NAMED = re.compile(  # a plain name of a column of times
    "(?:(?:frame|image|img|cam|camera|elapsed|unix|epoch|ros|sim|record|recorded|recording|capture|captured|log|sys|system|"
    "sensor|header|field_header)_)?"
    f"(?:time_?stamp|date_?time|time|date|stamp|ts|t|clock|utc|epoch|elapsed|{_UNITS})(?:_(?:{_UNITS}|utc|local|unix|iso))?"
)
_STEPS = re.compile(  # a plain name of a column of the time between two rows, or of its rate
    f"(?:dt|delta|delta_t|delta_time|time_delta|time_step|timestep|interval|period)(?:_(?:{_UNITS}))?|(fps|hz|frame_?rate)"
)
_MAY_BE = re.compile(r"(^|_)(time|timestamp|date|stamp|clock)(_|$)")
_OF_TWO = (
    ("date", "time", " "),
    ("sec", "nanosec", "."),
    ("secs", "nsecs", "."),
)  # endings of two columns of one time
_YEAR_2000_MS, _YEAR_2100_MS = 946_684_800_000, 4_102_444_800_000
_STEP_MS, _DATE_STEP_MS, _DAY_MS = 2000, 60_000, 86_400_000
# frames a second; the sensor of most small cars, Sony's IMX219, gives 120 on a Jetson, at most
_FASTEST_RATE = 125.0
_TOO_LARGE = 1 << 62  # for a time in any unit
# of the day
_AFTER_SECONDS = r"(?:(?P<mark>[.,:_]?|-(?!\d\d:?\d\d(?!\d)))(?P<fraction>\d{1,9}))?(?!\d)\s*(?:(?P<half>[AP])M\b)?"
# unit -> a time in it, such as 2018-07-01 17:09:44:912, 20250620_141024_333000, or ISO 8601
_FORMS = {
    "dates": re.compile(
        r"(?<!\d)(?P<date>20\d\d[-_./]?\d\d[-_./]?\d\d)[T\s_-]*"
        r"(?P<hour>\d\d?)[-_:.h]?(?P<minute>\d\d)[-_:.m]?(?P<second>\d\d)" + _AFTER_SECONDS + r"\s*"
        r"(?:Z|(?P<zone>[+-]\d\d:?\d\d)(?!\d))?",
        re.IGNORECASE,
    ),
    "times of day": re.compile(
        r"(?<!\d)(?P<hour>\d\d?)(?::|(?=[_-]\d\d[_-]\d\d[_-](?:\d{3}){1,2}(?!\d))[_-])(?P<minute>\d\d)[:_-]"
        r"(?P<second>\d\d)" + _AFTER_SECONDS,
        re.IGNORECASE,
    ),
}
_ONE_DIGIT = re.compile(r"(?<=[-_/:T ])\d(?=[-_/:T ]|$)")  # 2018_7_1_17_9_44, as C# writes numbers
_DIGITS_OF_DAY = re.compile(
    r"([01]?\d|2[0-3])([0-5]\d)([0-5]\d)(?:\.(\d+)|(\d{3}|\d{6}))?"
)  # %H%M%S.%f
_DECIMAL = re.compile(r"(?<![\d.-])\d+\.\d+$")  # at the end of a name
_SINCE_1970 = re.compile(
    r"(?<!\d)(\d{10})(?:[._-](\d{3}|\d{6}|\d{9})|(\d{0,9}))(?!\d)"
)  # in a text


@dataclass(frozen=True)
class Times:
    """The times of rows.

    milliseconds: since 1970, or since the start where is_since_1970 is false, None for no time;
    source: where they are from; unit: of the source, "" for counted ones; columns: that hold them.
    """

    milliseconds: Sequence[int | None]
    is_since_1970: bool
    source: str
    unit: str = ""
    columns: Sequence[str] = ()

    @property
    def words(self) -> str:
        return self.source + (
            f", {'in' if self.unit in _PER_MS else 'as'} {self.unit}" if self.unit else ""
        )


def find_times(
    table: ForeignTable, settings: ImportSettings, names: Sequence[str] = ()
) -> Times | None:
    """Return the times of a table: as a setting says, by columns of times, by the names of its
    images, or by dates.

    None if it has none. Raises UserError where a column of times cannot be read. names: of the
    images, without ending.
    """
    if asked := settings.time_column and table.named(
        settings.time_column, "the times", "--time-column"
    ):
        named: list[tuple[Sequence[str], Sequence[str]]] = [((asked,), table.cells[asked])]
    elif settings.frame_rate is not None:
        return counted(range(len(table.lines)), settings)
    else:
        named = list(_named_columns(table))
    for columns, cells in named:
        if times := times_of(cells, columns[0]):
            return replace(times, columns=columns)
    if not asked and (times := next(_unnamed_times(table, names), None)):
        return times
    unclear = [
        ((name,), cells) for name, cells in table.cells.items() if _MAY_BE.search(plain(name))
    ]
    if not (named or unclear):
        return None
    (column, *_), cells = (named or unclear)[0]
    problem = (
        "holds no times that can be read"
        if named
        else "may hold times, but is not called like them"
    )
    raise UserError(
        f"{table.path}: column {column[:60]!r} {problem}, such as {next(filter(None, cells), '')[:60]!r}; "
        "expected numbers in s, ms, us or ns, or dates such as 2018-07-01 17:09:44.912, which differ; name a column "
        "with --time-column, or count the rows with --frame-rate 20",
        exit_code=2,
    )


def is_too_fast(milliseconds: FloatArray) -> bool:
    """Return whether most frames follow each other faster than those of a camera; NaN is no time."""
    steps = np.diff(np.sort(milliseconds[np.isfinite(milliseconds)]))
    return len(steps) > 0 and float(np.median(steps)) < 1000 / _FASTEST_RATE


def check_rate(milliseconds: FloatArray, where: str, remedy: str = "") -> None:
    """Raise UserError for frames that follow each other faster than those of a camera. where: for
    the message.
    """
    if not is_too_fast(milliseconds):
        return
    instants, frames = np.unique(milliseconds[np.isfinite(milliseconds)], return_counts=True)
    step = np.quantile(np.diff(instants, append=math.inf), 0.5, method="lower")
    rate = 1000 * float(np.median(frames) / step)
    known = f"--frame-rate {rate:.3g}, about their rate" if 0 < rate < _FASTEST_RATE else (
        f"--frame-rate and the rate at which they were recorded, such as {_USUAL_RATE:g}"
    )  # fmt: skip
    raise UserError(
        f"{where}: most frames are less than {1000 / _FASTEST_RATE:g} ms apart, as of no camera; {remedy}count them "
        f"with {known}",
        exit_code=2,
    )


def counted(numbers: Sequence[int], settings: ImportSettings) -> Times:
    """Return times that are counted from the numbers of frames."""
    rate = settings.frame_rate or _USUAL_RATE
    words = f"counted as {rate:g} frames a second"
    words = words if settings.frame_rate else f"none found; {words}, which --frame-rate changes"
    return Times([round(1000 * number / rate) for number in numbers], False, words)


def _named_columns(table: ForeignTable) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Yield columns that are called like times, with their cells; first those that hold one time in
    two columns.
    """
    called = {plain(name): name for name in table.cells}
    for ending, other, between in _OF_TWO:
        for name, column in called.items():
            second = called.get(f"{name.removesuffix(ending)}{other}")
            if second and name.endswith(ending) and _NAMED.fullmatch(name):
                digits = 9 * (between == ".")  # of nanoseconds
                pairs = zip(table.cells[column], table.cells[second], strict=True)
                yield (column, second), [f"{one}{between}{two.zfill(digits)}" for one, two in pairs]
    for name in table.cells:
        if _NAMED.fullmatch(plain(name)):
            yield (name,), table.cells[name]


def times_in_names(names: Sequence[str]) -> Iterator[Times]:
    """Yield times in the names of images, without ending."""
    decimals = [found[0] if (found := _DECIMAL.search(name)) else "" for name in names]
    rise = all(float(one or 0) < float(after or 0) for one, after in itertools.pairwise(decimals))
    for texts in (names, decimals if rise else ()):
        times = times_of(texts, "the names of the images")
        if times and (times.is_since_1970 or times.unit in _FORMS or texts is decimals):
            yield times


def _unnamed_times(table: ForeignTable, names: Sequence[str]) -> Iterator[Times]:
    """Yield times in the names of images, then those that only the cells show, then sums of the
    steps between rows.
    """
    yield from times_in_names(names)
    for name, cells in table.cells.items():
        times = times_of(cells, name)
        if times and (times.is_since_1970 or times.unit in _FORMS):
            yield replace(times, columns=(name,))
    for name, cells in _summed_steps(table) if names else ():
        if times := times_of(cells, name):
            yield replace(times, columns=(name,))


def _summed_steps(table: ForeignTable) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield columns of the time between two rows, or of its rate, with the sum of it at each row."""
    for name, cells in table.cells.items():
        if found := _STEPS.fullmatch(plain(name)):
            steps = np.array(list(map(number_of_cell, cells)))
            with np.errstate(divide="ignore"):
                steps = 1 / steps if found[1] else steps
            yield name, list(map(repr, np.cumsum([0.0, *steps[1:]]).tolist()))


def times_of(cells: Sequence[str], source: str = "") -> Times | None:
    """Return the times in cells: dates, times of day, or numbers; None where most cells are none,
    or all the same.

    Numbers, also those since 1970 in a text, have the unit that the source, a column's name, ends
    with. Otherwise choose the unit that gives dates from 2000 to 2100, else steps under 2 s.
    """
    numbers = [number_of_cell(cell) for cell in cells]
    for unit, form in _FORMS.items():
        # digits may stand for a number
        found = [
            form.search(
                cell if "." in cell else _ONE_DIGIT.sub(r"0\g<0>", cell)
            )  # 17:9:44.5 may be 5 ms
            if number != number
            else form.fullmatch(cell)
            for cell, number in zip(cells, numbers, strict=True)
        ]
        if _are_times(written := _written_times(found)):
            return Times(written, unit == "dates", source, unit)
    times: list[float | None] = []
    for cell, number in zip(cells, numbers, strict=True):
        found_in = _SINCE_1970.search(cell) if number != number else None
        text = (
            f"{found_in[1]}.{found_in[2]}"
            if found_in and found_in[2]
            else found_in[0]
            if found_in
            else cell
        )
        # whole numbers are exact, those of nanoseconds, too
        value = int(text) if text.isdecimal() and len(text) < 20 else number_of_cell(text)  # noqa: PLR2004
        times.append(value if abs(value) < _TOO_LARGE else None)
    named = unit_in_name(source, _UNIT_ENDINGS)
    if not _are_times(times, 1 if named else 2):
        return None
    ordered = np.sort(np.array([time for time in times if time is not None], dtype=float))
    steps, middle = np.diff(ordered), float(np.median(ordered))
    step = float(np.median(steps[steps > 0])) if np.any(steps > 0) else 0.0
    units = {named: _PER_MS[named]} if named else _PER_MS
    since_1970 = [
        unit
        for unit, per_ms in units.items()
        if _YEAR_2000_MS <= middle / per_ms < _YEAR_2100_MS and step / per_ms < _DATE_STEP_MS
    ]
    usual = [unit for unit, per_ms in units.items() if step / per_ms < _STEP_MS]
    unit = (since_1970 or usual or list(units)[-1:])[0]
    milliseconds = [None if time is None else round(time / _PER_MS[unit]) for time in times]
    return _times_of_digits(cells, source) or Times(milliseconds, bool(since_1970), source, unit)


def _times_of_digits(cells: Sequence[str], source: str) -> Times | None:
    """Return times of day in numbers such as 125959.9, which jump at full minutes only; None for
    others.
    """
    found = [match for cell in cells if (match := _DIGITS_OF_DAY.fullmatch(cell))]
    if len(found) < max(len(cells), 2):
        return None
    parts = [(match[1], match[2], f"{match[3]}.{match[4] or match[5] or 0}") for match in found]
    times = times_of([":".join(each) for each in parts], source)
    if times is None:
        return None
    steps = np.diff(np.sort(np.array([1000 * float("".join(each)) for each in parts])))
    jumps = steps - np.diff(np.sort(np.array(times.milliseconds, float)))
    return times if float(np.median(jumps)) < 1 < float(np.max(jumps)) else None


def _are_times(values: Sequence[float | None], fewest: int = 2) -> bool:
    times = [value for value in values if value is not None]
    return len(times) >= 0.5 * len(values) and len(set(times)) >= min(len(times), fewest) > 0


def _written_times(found: Sequence[re.Match[str] | None]) -> list[int | None]:
    """Return milliseconds, since 1970 for dates; times of day go on after midnight."""
    counts = [
        len(match["fraction"])
        for match in found
        if match and match["fraction"] and match["mark"] not in (".", ",")
    ]
    digits = 3 * -(-max(counts, default=3) // 3)  # after another mark, ms, us or ns are counted
    times = [match and _written_time(match, digits) for match in found]
    days, last = 0, None
    for index, time in enumerate(times):
        if time is not None and time < _DAY_MS:
            days += last is not None and time < last - _DAY_MS / 2
            last, times[index] = time, time + days * _DAY_MS
    return times


def _written_time(match: re.Match[str], digits: int) -> int | None:
    """Return the milliseconds of a date since 1970, or of a time of day since midnight; None for
    one that is none.

    digits: of a whole second in a fraction that no decimal mark precedes.
    """
    values = match.groupdict("")
    day, hour = re.sub(r"\D", "", values.get("date", "1970-01-01")), int(values["hour"])
    if half := values["half"].lower():
        hour = hour % 12 + 12 * (half == "p")
    try:
        at = datetime(
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
    fraction, zone = values["fraction"], values.get("zone", "").replace(":", "")
    digits = len(fraction) if values["mark"] in (".", ",") else digits
    offset = (60 * int(zone[1:3]) + int(zone[3:])) * (-1 if zone[0] == "-" else 1) if zone else 0
    milliseconds = 1000 * float(f"0.{fraction:0>{digits}}")
    return round(at.timestamp() - 60 * offset) * 1000 + round(milliseconds)
