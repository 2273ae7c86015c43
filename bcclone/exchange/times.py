"""The times of a table, or of images by their names -> whole milliseconds.

A time is a number in s, ms, us or ns, or a date such as 2018-07-01 17:09:44.912 or
20180701_170944_912000.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.table import SourceTable, number_of, plain
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError

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


@dataclass(frozen=True)
class Times:
    """When the rows of a source were taken."""

    milliseconds: FloatArray  # whole numbers, NaN where it is unknown, (rows,)
    words: str  # how they are known
    column: str = ""  # of the table that holds them

    def of(self, row: int) -> int | None:
        """Return the milliseconds of a row, None for an unknown time."""
        time_ms = self.milliseconds[row]
        return None if np.isnan(time_ms) else round(time_ms)

    def check_rate(self, where: object, pictures: Sequence[str]) -> None:
        """Raise UserError for frames that follow each other faster than those of a camera.

        pictures: the picture of each row; rows with the same one and the same time count once
        """
        frames = set(zip(pictures, self.milliseconds.tolist(), strict=True))
        known = np.array([time_ms for _, time_ms in frames if not np.isnan(time_ms)])
        steps = np.diff(np.sort(known))
        if len(steps) and float(np.median(steps)) < 1000 / _FASTEST_RATE:
            raise UserError(
                f"{where}: {self.words}: most frames are less than {1000 / _FASTEST_RATE:g} ms "
                "apart, as of no camera; if there are rows of several cameras, keep those of one; "
                "name another column with --time-column, or count the rows with --frame-rate and "
                "their rate, such as 20",
                exit_code=2,
            )


def read_times(
    table: SourceTable, settings: ImportSettings, stems: Sequence[str] = ()
) -> Times | None:
    """Return the times of a table's rows, None if nothing says them.

    They are those of --time-column; counted with --frame-rate; in a column with a usual name; or in
    the names of the images, which are `stems` without ending.
    """
    if settings.frame_rate and not settings.time_column:
        return counted(range(len(table.lines)), settings.frame_rate)
    name = next((name for name in table.columns if _USUAL.fullmatch(plain(name))), None)
    if settings.time_column:
        name = table.find(settings.time_column, "the times", "--time-column")
    if name is None:
        return times_in_names(stems)
    cells = table.columns[name]
    by_name = {plain(name): cells for name, cells in table.columns.items()}
    if plain(name) in ("date", "time") and {"date", "time"} <= by_name.keys():
        days = zip(by_name["date"], by_name["time"], strict=True)
        cells = [f"{date} {time}" for date, time in days]
    return times_of(cells, name, table.path)


def times_of(cells: Sequence[object], name: str, where: object) -> Times:
    """Return the times in cells; raises UserError if most hold no time of a camera.

    name: of their column; its end may be the unit of numbers, which are seconds without one
    """
    milliseconds = _dates([str(cell)[:100] for cell in cells])
    if np.isfinite(milliseconds).mean() >= 0.5:
        return Times(np.round(milliseconds), f"times: {name}, as dates", name)
    numbers = np.array([number_of(cell) for cell in cells])
    numbers[np.isinf(numbers)] = np.nan
    unit = _UNITS.get(plain(name).rpartition("_")[2])
    milliseconds = np.round(numbers / _PER_MS[unit or "s"])
    known = np.sort(milliseconds[np.isfinite(milliseconds)])
    steps = np.diff(known)
    usual = float(np.median(steps[steps > 0])) if np.any(steps > 0) else 0.0
    # where the unit is not stated, other steps show that it is not seconds
    is_camera = unit is not None or 1000 / _FASTEST_RATE <= usual <= _LONGEST_STEP_MS
    if len(known) < 0.5 * len(numbers) or not is_camera:
        raise UserError(
            f"{where}: column {name[:60]!r} holds no times of a camera, such as "
            f"{str(cells[0])[:60]!r}; expected dates, or numbers in seconds, or in the unit at the "
            "end of the column's name, _ms, _us or _ns; rename it, name another one with "
            "--time-column, or count the rows with --frame-rate",
            exit_code=2,
        )
    if unit is None and np.median(steps) == 1000 and not np.any(known % 1000):
        raise UserError(
            f"{where}: column {name[:60]!r} counts up by 1, as the numbers of rows do, and nothing "
            "says that it is seconds; count the rows with --frame-rate HZ (1 for a picture a "
            "second) and without --time-column, or rename it with its unit, such as time_s",
            exit_code=2,
        )
    return Times(milliseconds, f"times: {name}, in {unit or 's'}", name)


def counted(numbers: Sequence[int], frame_rate: float) -> Times:
    """Return times that are counted from the numbers of frames, from 0."""
    milliseconds = np.round(1000 * np.array(numbers, float) / frame_rate)
    return Times(milliseconds, f"times: counted as {frame_rate:g} frames a second")


def no_times(where: object) -> UserError:
    """Return the error for rows without times."""
    return UserError(
        f"{where}: nothing says when the rows were taken; name a column with --time-column, or "
        "count them with --frame-rate, such as 20",
        exit_code=2,
    )


def times_in_names(stems: Sequence[str]) -> Times | None:
    """Return the times in the names of images; None if most hold no date since 1970."""
    for read in (_dates, _since_1970):
        milliseconds = read(stems)
        if len(stems) and np.isfinite(milliseconds).mean() >= 0.5:
            return Times(np.round(milliseconds), "times: the names of the images, as dates")
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
