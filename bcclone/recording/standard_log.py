"""Parse a log in the simulator's own dialect: its lines -> a table, by one regular expression."""

import re
from collections.abc import Sequence
from itertools import chain, islice, takewhile

import numpy as np
import pandas as pd

from bcclone.recording.dialect import LONGEST_LINE, LONGEST_NAME, NUMBER, Dialect
from bcclone.recording.row import CAMERAS, NUMBERS, RANGES, ROUNDING, RowError, time_of

# lines that are parsed at once; if it were all lines, their texts would take 500 bytes a row
_LINES_AT_ONCE = 10_000
# the cell of an image: perhaps folders, and the name, which is a group; {} becomes the camera
_STANDARD_IMAGE = r'(?:[^",;\t]*[/\\])?({}_\d[^",;\t/\\]*(?i:\.jpe?g))'
# \2 is the separator after the first image, so all separators of a line must be alike
_STANDARD_LINE = re.compile(
    "(, ?)".join(_STANDARD_IMAGE.format(camera) for camera in CAMERAS[:2])
    + rf"\2{_STANDARD_IMAGE.format(CAMERAS[2])}"
    + rf"\2({NUMBER.pattern})" * 4
)


def read_standard(lines: Sequence[str]) -> tuple[Dialect, pd.DataFrame] | None:
    """Return the dialect and table of a standard log, in order of time; None for any other log.

    In a standard log every line holds three images named after their cameras and four valid numbers
    with decimal points; blank lines are ignored.
    """
    numbered = (
        (number, text) for number, text in enumerate(lines, 1) if text and not text.isspace()
    )
    tables = []
    spaced_count = 0
    while part := list(islice(numbered, _LINES_AT_ONCE)):
        read = _read_standard_part(part)
        if read is None:
            return None
        table, spaced = read
        tables.append(table)
        spaced_count += spaced
    if not tables:
        return None
    whole = pd.concat(tables, ignore_index=True)
    dialect = Dialect(
        spaced=spaced_count * 2 > len(whole),
        decimal_comma=False,
        header=False,
        cameras=CAMERAS,
        extra_columns=0,
    )
    return dialect, whole.sort_values("time_ms", kind="stable", ignore_index=True)


def _read_standard_part(part: Sequence[tuple[int, str]]) -> tuple[pd.DataFrame, int] | None:
    """Return the table of some lines, and in how many of them a space follows the separators.

    Returns None if a line is not of a standard log.

    part: (number, text) of each line
    """
    # a generator, so that no line is matched after the first one that takewhile() refuses
    found = (
        _STANDARD_LINE.fullmatch(text) if len(text) <= LONGEST_LINE else None for _, text in part
    )
    # `if match` only tells the type checker what takewhile() does
    matches = [match.groups() for match in takewhile(bool, found) if match]
    if len(matches) < len(part):
        return None
    center, separators, left, right, *numbers = zip(*matches, strict=True)
    # time_ms gets its place among the columns here, and its values below
    table = pd.DataFrame({"line": [number for number, _ in part], "time_ms": 0})
    table = table.assign(center=center, left=left, right=right)
    for name, texts in zip(NUMBERS, numbers, strict=True):
        lowest, highest = RANGES[name]
        table[name] = np.array([float(text) for text in texts])
        if not table[name].between(lowest - ROUNDING, highest + ROUNDING).all():
            return None
    # for a bad name, None makes read_log() read line by line, which tells the row of the name
    if max(len(name.encode()) for name in chain(center, left, right)) > LONGEST_NAME:
        return None
    try:
        table["time_ms"] = [time_of(name) for name in center]
    except RowError:
        return None
    return table.assign(extras=""), separators.count(", ")
