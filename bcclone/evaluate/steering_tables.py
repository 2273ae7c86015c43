"""Read and write tables of steering by frame, frame_id,steering_angle; read labels, also from a recording.

A frame_id is the name of the frame's file without its ending. The rows of a recording are named after the images of the
centre camera.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np

from bcclone.evaluate.evaluate_settings import MOST_STEERING
from bcclone.recording.files import find_log, is_recording
from bcclone.recording.log import read_log
from bcclone.recording.row import RowError, time_of
from bcclone.system.arrays import FloatArray
from bcclone.system.atomic import replacing
from bcclone.system.codec import number, read_table
from bcclone.system.errors import UserError
from bcclone.system.table import Table, TableColumn

ID, STEERING, PUBLIC = "frame_id", "steering_angle", "public"
_STEERING_NAMES = (STEERING, "steering", "angle")
_PUBLIC = {"0": False, "1": True, "false": False, "true": True}
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


def write_steering(path: Path, steering: Mapping[str, float]) -> None:
    """Write the steering by frame_id atomically."""
    table = Table((TableColumn(ID), TableColumn(STEERING)), list(steering.items()))
    with replacing(path) as temporary:
        temporary.write_text(table.csv(), encoding="utf-8", newline="")


def read_labels(path: Path, column: str = "") -> FrameSteering:
    """Read labels as read_steering(), or from the log of a recording, given by its folder or by itself."""
    if not (path.is_dir() or is_recording(path)):
        return read_steering(path, column)
    log = find_log(str(path))
    rows = read_log(log).rows
    names = (PurePath(name).stem for name in rows["center"])
    return FrameSteering(log, dict(zip(names, map(float, rows["steering"]), strict=True)))


def read_steering(path: Path, column: str = "") -> FrameSteering:
    """Read a table with the columns frame_id, steering and perhaps public; others are ignored.

    column: of the steering, by default the first of steering_angle, steering and angle, or the only other one. Raises
    UserError for a table that cannot be read, with the line.
    """
    steering: dict[str, float] = {}
    public: dict[str, bool] = {}
    for line, cells in read_table(path, [ID], f"a table of {ID},{STEERING}", "correct it, or name another CSV file"):
        named = column if column in cells else _steering_column(path, cells, column)
        try:
            frame_id = cells[ID].strip()
            if not frame_id or not frame_id.isprintable() or frame_id in steering:
                again = "stands there twice" if frame_id in steering else "is no name of a frame"
                raise ValueError(f"{ID} {frame_id[:40]!r} {again}")
            steering[frame_id] = number(named, cells[named], -MOST_STEERING, MOST_STEERING)
            if PUBLIC in cells:
                public[frame_id] = _flag(cells[PUBLIC].strip().lower())
        except ValueError as error:
            raise UserError(f"{path}: line {line}: {error}; correct it, or remove the line") from None
    return FrameSteering(path, steering, public)


def _steering_column(path: Path, columns: Iterable[str], column: str) -> str:
    """Return the name of the column with the steering; raises UserError where it is unknown."""
    others = [name for name in columns if name not in (ID, PUBLIC)]
    names = [name for name in _STEERING_NAMES if name in others] or (others if len(others) == 1 else [])
    if column or not names:
        shown = ",".join(columns)[:60]
        wanted = repr(column or STEERING)
        raise UserError(f"{path}: its columns are {shown}, expected {wanted}; name the steering: --steering-column")
    return names[0]


def _flag(text: str) -> bool:
    if text not in _PUBLIC:
        raise ValueError(f"{PUBLIC} is {text[:40]!r}, expected 0 or 1")
    return _PUBLIC[text]


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
