"""Vectorised parser for standard logs; other logs fall back to line-by-line parsing, which is several times slower."""

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
    """Return the dialect and a table with the columns of LogRow in order of time, or None for a log of another form.

    In a standard log every line holds three images named after their cameras and four valid numbers with decimal
    points; blank lines are ignored.
    """
    columns = _split_lines(lines)
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


def _split_lines(lines: Sequence[str]) -> tuple[tuple[Any, ...], ...] | None:
    """Return the columns: line numbers, then the groups of _LINE; None if a line does not match."""
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
