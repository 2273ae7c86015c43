"""`0,5,1,0,30,18`: which commas are decimal marks, when nothing but the meaning of the numbers tells.

Some machines write decimal commas and separate the columns with bare commas too. Most rows of such a log can
be read in several ways; what a simulator can have written leaves one, except for about 1 row in 700, where
the speed of the row before decides (measured on 24,160 rows, docs/reference/dialects.md).
"""

import re
from collections.abc import Iterator, Sequence

from bcclone.recording.row import RowError

_INTEGER = re.compile(r"[-+]?(?:0|[1-9]\d*)")
_EXPONENT_ONLY = re.compile(r"[-+]?[1-9]\d*[eE][-+]?\d+")
_FRACTION = re.compile(r"\d*[1-9]|\d+[eE][-+]?\d+")
_TOP_SPEED_MPH = 60.0

Numbers = tuple[float, float, float, float]


def resolve(pieces: Sequence[str], previous_speed_mph: float) -> Numbers:
    """Return steering, throttle, brake, speed from the comma-separated pieces of the numeric columns.

    Raises RowError when no reading, or more than one equally near to the previous speed, is left.
    """
    readings = sorted(set(_readings(pieces)), key=lambda numbers: abs(numbers[3] - previous_speed_mph))
    if not readings:
        raise RowError(f"decimal commas: no possible reading of {','.join(pieces)}")
    if len(readings) > 1:
        nearest, next_nearest = (abs(numbers[3] - previous_speed_mph) for numbers in readings[:2])
        if nearest == next_nearest:
            raise RowError(f"decimal commas: more than one reading of {','.join(pieces)}")
    return readings[0]


def _readings(pieces: Sequence[str]) -> Iterator[Numbers]:
    for numbers in _groupings(tuple(pieces), 4):
        steering, throttle, brake, speed = numbers
        pedals = 0 <= throttle <= 1 and 0 <= brake <= 1 and not (throttle > 0 and brake > 0)
        if abs(steering) <= 1 and pedals and 0 <= speed <= _TOP_SPEED_MPH:
            yield steering, throttle, brake, speed


def _groupings(pieces: tuple[str, ...], columns: int) -> Iterator[tuple[float, ...]]:
    """Yield each way to read the pieces as that many numbers of one piece or of two."""
    if not columns <= len(pieces) <= 2 * columns:
        return
    if columns == 0:
        yield ()
        return
    if _INTEGER.fullmatch(pieces[0]) or _EXPONENT_ONLY.fullmatch(pieces[0]):
        for others in _groupings(pieces[1:], columns - 1):
            yield (float(pieces[0]), *others)
    if len(pieces) > 1 and _INTEGER.fullmatch(pieces[0]) and _FRACTION.fullmatch(pieces[1]):
        for others in _groupings(pieces[2:], columns - 1):
            yield (float(f"{pieces[0]}.{pieces[1]}"), *others)
