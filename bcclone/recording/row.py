"""What a row of a driving log may hold, and the time and the camera in an image's name."""

import datetime
import math
import re
from functools import lru_cache

CAMERAS = ("center", "left", "right")
NUMBERS = ("steering", "throttle", "brake", "speed_mph")  # columns of a row, in the order of a log

EPISODE_GAP_MS = 1000  # longest time between two rows of an episode

# column -> its lowest and highest value in a log
RANGES = {
    "steering": (-1.0, 1.0),
    "throttle": (-1.0, 1.0),  # negative is reverse; donkeycar writes it, the simulator does not
    "brake": (0.0, 1.0),
    "speed_mph": (-300.0, 300.0),  # a larger one has lost its decimal point in a spreadsheet
}
# How far a value may lie outside its range: at full lock the simulator divides 25 degrees by 25
# degrees and sometimes writes 1.0000001.
ROUNDING = 0.001

_NAME = re.compile(
    r"^(?:(?P<camera>center|left|right)_)?"
    # six digits are microseconds, of which the first three are the milliseconds
    r"(?P<second>\d{4}(?:_\d\d){5})_(?P<milliseconds>\d{3})(?:\d{3})?(?!\d)",
    re.IGNORECASE,
)
_EPOCH = datetime.datetime(1970, 1, 1)
LONGEST_MONTH = 32  # days; the Nepali calendar has months of 32, no other one has more


class RowError(ValueError):
    """A row that cannot be used; the text is the reason, without file and row number."""


def check_numbers(*numbers: float) -> None:
    """Raise RowError unless a log can hold these numbers: finite, and within their RANGES.

    numbers: one for each column of NUMBERS, in that order
    """
    for column, number in zip(NUMBERS, numbers, strict=True):
        if not math.isfinite(number):
            raise RowError(f"{column} is not a finite number, expected one such as 0.25")
        lowest, highest = RANGES[column]
        if not lowest - ROUNDING <= number <= highest + ROUNDING:
            raise RowError(f"{column} is {number:g}, expected {lowest:g} to {highest:g}")


def image_stamp(time: datetime.datetime) -> str:
    """Return a time as the names of images have it, in milliseconds: 2026_11_25_09_30_15_250."""
    return f"{time:%Y_%m_%d_%H_%M_%S}_{time.microsecond // 1000:03d}"


def camera_of(name: str) -> str | None:
    """Return the camera that an image's base name begins with, or None."""
    match = _NAME.match(name)
    return match["camera"].lower() if match and match["camera"] else None


def time_of(name: str) -> int:
    """Return the time in an image's base name, in milliseconds since 1970 on the recorder's clock.

    Names are `[camera_]yyyy_MM_dd_HH_mm_ss_fff.jpg`. .NET writes them in the calendar of the
    system, such as the Persian one, whose second month has 31 days. A day that our month lacks
    counts on into the next one, since only the differences of times matter. Raises RowError if the
    name holds no valid time.
    """
    match = _NAME.match(name)
    if match is None:
        raise RowError(
            f"no time stamp in the image name {name!r}, expected center_yyyy_MM_dd_HH_mm_ss_fff.jpg"
        )
    try:
        return _seconds_since_epoch(match["second"]) * 1000 + int(match["milliseconds"])
    except ValueError as error:
        raise RowError(f"no such time in the image name {name!r}: {error}") from None


@lru_cache(16)  # consecutive rows share their second
def _seconds_since_epoch(text: str) -> int:
    year, month, day, hour, minute, second = map(int, text.split("_"))
    if not 1 <= day <= LONGEST_MONTH:
        raise ValueError(f"day {day}, expected 1 to {LONGEST_MONTH}")
    datetime.time(hour, minute, second)  # only for the ValueError of an hour that does not exist
    return seconds_of_date(year, month, day) + 3600 * hour + 60 * minute + second


@lru_cache(64)
def seconds_of_date(year: int, month: int, day: int) -> int:
    """Return the seconds since 1970 of a day; one that our month lacks counts on into the next
    month. Raises ValueError for a month that does not exist.
    """
    since = datetime.datetime(year, month, 1) + datetime.timedelta(day - 1) - _EPOCH
    return round(since.total_seconds())
