"""The lines of a log as nearly all are written -> its columns at once; any other log is left to be read line by line.

Reading line by line is kind to every dialect and says what is wrong with a line, and takes several times as long.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bcclone.recording.dialect import LONGEST_LINE, LONGEST_NAME, NUMBER, Dialect
from bcclone.recording.row import CAMERAS, STEERING_LIMIT, time_of

_IMAGE = r'(?:[^",;\t]*[/\\])?({}_\d[^",;\t/\\]*(?i:\.jpe?g))'
_LINE = re.compile(
    "(, ?)".join(_IMAGE.format(camera) for camera in CAMERAS[:2])
    + rf"\2{_IMAGE.format(CAMERAS[2])}"
    + rf"\2({NUMBER.pattern})" * 4
)
_NUMBERS = ("steering", "throttle", "brake", "speed_mph")


def read_plain(lines: Sequence[str]) -> tuple[Dialect, pd.DataFrame] | None:
    """Return the dialect and the columns of `Row` in order of time, or None unless every line is plain and right.

    Plain are three images named after their cameras, and four numbers with points; blank lines do not count.
    """
    columns = _columns(lines)
    if columns is None:
        return None
    line, center, separator, left, right, *numbers = columns
    if any(len(name.encode()) > LONGEST_NAME for names in (center, left, right) for name in names):
        return None
    table = pd.DataFrame({"line": line, "time_ms": 0, "center": center, "left": left, "right": right})
    for name, column in zip(_NUMBERS, numbers, strict=True):
        table[name] = np.array([float(number) for number in column])
    values = table[list(_NUMBERS)].to_numpy()
    if not (np.isfinite(values).all() and (np.abs(values[:, :3]) <= STEERING_LIMIT).all()):
        return None
    try:
        table["time_ms"] = [time_of(name) for name in center]
    except ValueError:
        return None
    table["extras"] = ""
    dialect = Dialect(separator.count(", ") * 2 > len(line), False, False, CAMERAS, 0)
    return dialect, table.sort_values("time_ms", kind="stable", ignore_index=True)


def _columns(lines: Sequence[str]) -> tuple[tuple[Any, ...], ...] | None:
    """Return line numbers and what _LINE's groups hold, or None unless all lines are plain."""
    if len(max(lines, key=len)) > LONGEST_LINE:
        return None
    fields = []
    for number, text in enumerate(lines, 1):
        if text and not text.isspace():
            match = _LINE.fullmatch(text)
            if match is None:
                return None
            fields.append((number, *match.groups()))
    return tuple(zip(*fields, strict=True)) or None
