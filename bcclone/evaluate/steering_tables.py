"""Read and write tables of steering by frame, frame_id,steering_angle, and match predictions with labels.

A frame_id is the name of the frame's file without its ending. Labels may also be a recording, whose rows are named
after the images of the centre camera.
"""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path, PurePath
from typing import TextIO

import numpy as np

from bcclone.evaluate.prediction_settings import MOST_STEERING
from bcclone.recording.files import find_log, is_recording
from bcclone.recording.log import read_log
from bcclone.recording.row import RowError, time_of
from bcclone.system.arrays import FloatArray
from bcclone.system.atomic import replacing
from bcclone.system.errors import UserError
from bcclone.system.reading import open_limited
from bcclone.system.table import Column, Table

ID, STEERING, PUBLIC = "frame_id", "steering_angle", "public"
_STEERING_NAMES = (STEERING, "steering", "angle")
_PUBLIC = {"0": False, "1": True, "false": False, "true": True}
_LONGEST_LINE = 10_000  # characters
_MOST_BYTES = 1 << 28  # six million frames
_UNITS = {13: 1e3, 16: 1e6, 19: 1e9}  # digits of a time since 1970 -> its units a second


@dataclass(frozen=True)
class FrameSteering:
    """The steering of frames, in the order of a table.

    steering: frame_id -> its steering; public: frame_id -> whether a challenge shows its score before the end, {} if
    the table does not say.
    """

    path: Path
    steering: Mapping[str, float]
    public: Mapping[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.steering:
            raise UserError(f"{self.path}: it has no rows, expected a line for each frame below {ID},{STEERING}")


def write_steering(path: Path, steering: Mapping[str, float], new: bool) -> None:
    """Write the steering by frame_id atomically. new: raise UserError for a file that exists."""
    table = Table((Column(ID), Column(STEERING)), list(steering.items()))
    with replacing(path, new=new) as temporary:
        temporary.write_text(table.csv(), encoding="utf-8", newline="")


def read_labels(path: Path, column: str = "") -> FrameSteering:
    """Read labels from a table as read_table(), or from the log of a recording, given by its folder or by itself."""
    if not (path.is_dir() or is_recording(path)):
        return read_table(path, column)
    log = find_log(str(path))
    rows = read_log(log).rows
    names = (PurePath(name).stem for name in rows["center"])
    return FrameSteering(log, dict(zip(names, map(float, rows["steering"]), strict=True)))


def read_table(path: Path, column: str = "") -> FrameSteering:
    """Read a table with the columns frame_id, steering and perhaps public; others are ignored.

    column: of the steering, by default the first of steering_angle, steering and angle, or the only other one. Raises
    UserError for a table that cannot be read, with the line.
    """
    try:
        with TextIOWrapper(open_limited(path, _MOST_BYTES), encoding="utf-8-sig", newline="") as file:
            return _parsed(path, file, column)
    except UnicodeDecodeError:
        raise UserError(f"{path}: it is not text, expected a table of {ID},{STEERING}; name a CSV file") from None
    except (OSError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path}: cannot be read: {reason}; expected a table of {ID},{STEERING}") from None


def _parsed(path: Path, file: TextIO, column: str) -> FrameSteering:
    table = csv.reader(_lines(file), strict=True)
    header = [name.strip() for name in next(table, [])]
    named = _steering_column(path, header, column)
    steering: dict[str, float] = {}
    public: dict[str, bool] = {}
    for cells in filter(None, table):
        try:
            if len(cells) != len(header):
                raise ValueError(f"{len(cells)} cells, expected {len(header)}")
            _add(dict(zip(header, cells, strict=True)), named, steering, public)
        except ValueError as error:
            raise UserError(f"{path}: line {table.line_num}: {error}; correct it, or remove the line") from None
    return FrameSteering(path, steering, public)


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise csv.Error(f"a line of more than {_LONGEST_LINE} characters")
        yield line


def _steering_column(path: Path, header: Sequence[str], column: str) -> str:
    """Return the name of the column with the steering; raises UserError for a header without it or without frame_id."""
    shown = ",".join(header)[:60]
    if ID not in header or len(set(header)) < len(header):
        raise UserError(f"{path}: its first line is {shown!r}, expected the names of columns, each once, with {ID}")
    others = [name for name in header if name not in (ID, PUBLIC)]
    if column:
        names = [column] if column in others else []
    else:
        names = [name for name in _STEERING_NAMES if name in others] or (others if len(others) == 1 else [])
    if not names:
        wanted = repr(column) if column else f"{STEERING!r}"
        raise UserError(f"{path}: its columns are {shown}, expected {wanted}; name the steering: --steering-column")
    return names[0]


def _add(cells: Mapping[str, str], column: str, steering: dict[str, float], public: dict[str, bool]) -> None:
    """Add a row; raises ValueError for one that cannot be used."""
    frame_id = cells[ID].strip()
    if not frame_id or not frame_id.isprintable():
        raise ValueError(f"{ID} is {frame_id[:40]!r}, expected the name of a frame")
    if frame_id in steering:
        raise ValueError(f"{ID} {frame_id[:40]!r} stands there twice")
    steering[frame_id] = _number(column, cells[column])
    if PUBLIC in cells:
        if (told := cells[PUBLIC].strip().lower()) not in _PUBLIC:
            raise ValueError(f"{PUBLIC} is {told[:40]!r}, expected 0 or 1")
        public[frame_id] = _PUBLIC[told]


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= MOST_STEERING:
        raise ValueError(f"{name} is {text[:40]!r}, expected a number with a decimal point, up to {MOST_STEERING:g}")
    return value


def seconds_of(frame_ids: Sequence[str]) -> FloatArray | None:
    """Return the seconds of frames since the first of them, (frames,); None if not all of their names are times.

    A time is a number of milliseconds, microseconds or nanoseconds since 1970, or written as the simulator does.
    """
    if not frame_ids:
        return None
    digits = len(frame_ids[0])
    if digits in _UNITS and all(len(one) == digits and one.isascii() and one.isdecimal() for one in frame_ids):
        times, unit = [int(one) for one in frame_ids], _UNITS[digits]
    else:
        try:
            times, unit = [time_of(one) for one in frame_ids], 1e3
        except RowError:
            return None
    return np.array([time - times[0] for time in times], np.float64) / unit
