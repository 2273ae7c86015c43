"""The times of a table, or of images by their names -> whole milliseconds.

A time is a number in s, ms, us or ns, or a date such as 2018-07-01 17:09:44.912 or
20180701_170944_912000.
"""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.table import Table, number_of, plain
from bcclone.system.errors import UserError
from bcclone.system.numbers import FloatArray

_PER_MS = {"s": 1e-3, "ms": 1.0, "us": 1e3, "ns": 1e6}  # unit -> how many are a millisecond
_UNITS = {  # last word of a column's plain name -> unit of its times
    **dict.fromkeys(("s", "seconds"), "s"),  # not secs, which ROS has beside nsecs
    **dict.fromkeys(("ms", "millis", "milliseconds"), "ms"),
    **dict.fromkeys(("us", "micros", "microseconds"), "us"),
    **dict.fromkeys(("ns", "nanos", "nanoseconds"), "ns"),
}
_NAMED = "|".join(_UNITS)
_USUAL = re.compile(  # usual plain names of a column of times
    "(?:(?:frame|image|cam|camera|elapsed|unix|ros|sim|record|capture|log|sys|system|sensor|header)"
    f"_)?(?:time_?stamp|date_?time|time|stamp|ts|t|date|clock)(?:_(?:{_NAMED}|utc|local|unix|iso))?"
    f"|{_NAMED}"
)
# no camera gives more frames a second; the sensor of most small cars, Sony's IMX219, gives 120 on a
# Jetson, at most
_FASTEST_RATE = 125.0
_LONGEST_STEP_MS = 2000.0
# the seconds since 1970 in a text, from 2001 to 2033; then a fraction behind a mark, or without one
_SINCE_1970 = re.compile(r"(?<!\d)(1\d{9})(?:[._-](\d{3}|\d{6}|\d{9})|(\d{3}|\d{6}|\d{9})?)(?!\d)")
# ISO 8601, or other marks or none between the numbers, and a fraction behind any mark
_DATE = re.compile(
    r"(?<!\d)(20\d\d)([-_/.]?)(\d\d?)\2(\d\d?)[T_ -]?(\d\d?)([-_:.]?)(\d\d?)\6(\d\d?)"
    # the minus of a time zone such as -05:30 is no mark of a fraction
    r"(?:([.,:_]?|-(?!\d\d:?\d\d(?!\d)))(\d{1,9}))?(?!\d)\s*(Z|[+-]\d\d:?\d\d)?(?!\d)"
)


def read_times(
    table: Table, settings: ImportSettings, stems: Sequence[str] = ()
) -> tuple[FloatArray, str, str] | None:
    """Return the milliseconds of each row, (rows,), their column or "", and words for messages.

    They are those of --time-column; counted with --frame-rate; in a column with a usual name; or in
    the names of the images. NaN is an unknown time. Returns None if there is none of these; raises
    UserError for a column that holds no times of a camera.

    stems: name of each row's image, without ending
    """
    if settings.frame_rate and not settings.time_column:
        milliseconds, words = counted(range(len(table.lines)), settings.frame_rate)
        return milliseconds, "", words
    name = next((name for name in table.columns if _USUAL.fullmatch(plain(name))), None)
    if settings.time_column:
        name = table.find(settings.time_column, "the times", "--time-column")
    if name is None:
        found = times_in_names(stems)
        return found and (found[0], "", found[1])
    cells = table.columns[name]
    by_name = {plain(name): cells for name, cells in table.columns.items()}
    if plain(name) in ("date", "time") and {"date", "time"} <= by_name.keys():
        days = zip(by_name["date"], by_name["time"], strict=True)
        cells = [f"{date} {time}" for date, time in days]
    found = times_of(cells, name)
    if found is None:
        raise UserError(
            f"{table.path}: column {name[:60]!r} holds no times of a camera, such as "
            f"{str(table.columns[name][0])[:60]!r}; expected dates, or numbers in s, ms, us or ns "
            f"that differ by up to {_LONGEST_STEP_MS / 1000:g} s; name a column with "
            "--time-column, or count the rows with --frame-rate",
            exit_code=2,
        )
    return found[0], name, found[1]


def counted(numbers: Sequence[int], frame_rate: float) -> tuple[FloatArray, str]:
    """Return milliseconds that are counted from the numbers of frames, from 0, and words."""
    milliseconds = np.round(1000 * np.array(numbers, float) / frame_rate)
    return milliseconds, f"times: counted as {frame_rate:g} frames a second"


def no_times(where: object) -> UserError:
    """Return the error for rows without times."""
    return UserError(
        f"{where}: nothing says when the rows were taken; name a column with --time-column, or "
        "count them with --frame-rate, such as 20",
        exit_code=2,
    )


def check_rate(milliseconds: FloatArray, where: str) -> None:
    """Raise UserError for frames that follow each other faster than those of a camera.

    where: file and column, for the message
    """
    steps = np.diff(np.sort(milliseconds[np.isfinite(milliseconds)]))
    if len(steps) and float(np.median(steps)) < 1000 / _FASTEST_RATE:
        raise UserError(
            f"{where}: most frames are less than {1000 / _FASTEST_RATE:g} ms apart, as of no "
            "camera; if there are rows of several cameras, keep those of one; name another column "
            "with --time-column, or count the rows with --frame-rate and their rate, such as 20",
            exit_code=2,
        )


def times_of(cells: Sequence[object], name: str) -> tuple[FloatArray, str] | None:
    """Return the milliseconds of cells, NaN for none, and words; None if most hold no time.

    name: of their column; its end may be the unit of numbers
    """
    milliseconds = _dates([str(cell)[:100] for cell in cells])
    if np.isfinite(milliseconds).mean() >= 0.5:
        return np.round(milliseconds), f"times: {name}, as dates"
    numbers = np.array([number_of(cell) for cell in cells])
    numbers[np.isinf(numbers)] = np.nan
    known = np.sort(numbers[np.isfinite(numbers)])
    if len(known) < 0.5 * len(numbers):
        return None
    unit = _UNITS.get(plain(name).rpartition("_")[2])
    if unit is None:
        # the only unit in which a camera takes frames so often: the next one is 1000 times as much
        steps = np.diff(known)
        step = float(np.median(steps[steps > 0])) if np.any(steps > 0) else 0.0
        shortest = 1000 / _FASTEST_RATE
        fitting = [
            unit for unit, per in _PER_MS.items() if shortest <= step / per <= _LONGEST_STEP_MS
        ]
        if not fitting:
            return None
        unit = fitting[0]
    return np.round(numbers / _PER_MS[unit]), f"times: {name}, in {unit}"


def times_in_names(stems: Sequence[str]) -> tuple[FloatArray, str] | None:
    """Return the milliseconds in the names of images; None if most hold no date since 1970."""
    if not stems:
        return None
    for read in (_dates, _since_1970):
        milliseconds = read(stems)
        if np.isfinite(milliseconds).mean() >= 0.5:
            return np.round(milliseconds), "times: the names of the images, as dates"
    return None


def _dates(texts: Sequence[str]) -> FloatArray:
    """Return the milliseconds since 1970 of texts with dates, NaN for others, (texts,)."""
    written = []
    for text in texts:
        iso = ""
        if match := _DATE.search(text):
            year, _, month, day, hour, _, minute, second, mark, fraction, zone = match.groups("")
            # behind another mark than a point or comma, or behind none, is a number of ms or us:
            # C# writes the 60 ms of 17:09:44:60 so
            if mark not in (".", ","):
                fraction = fraction.zfill(3 if len(fraction) <= 3 else 6)
            iso = f"{year}-{month:0>2}-{day:0>2}T{hour:0>2}:{minute:0>2}:{second:0>2}"
            iso += f".{fraction}{zone or 'Z'}"
        written.append(iso)
    dates = pd.to_datetime(pd.Series(written), format="ISO8601", utc=True, errors="coerce")
    since_1970 = dates - pd.Timestamp(0, tz="UTC")
    return np.asarray(since_1970 / pd.Timedelta(milliseconds=1), float)


def _since_1970(texts: Sequence[str]) -> FloatArray:
    """Return the milliseconds in texts with seconds since 1970, NaN for others, (texts,)."""
    milliseconds = np.full(len(texts), np.nan)
    for row, text in enumerate(texts):
        if match := _SINCE_1970.search(text):
            milliseconds[row] = 1000 * float(f"{match[1]}.{match[2] or match[3] or 0}")
    return milliseconds
