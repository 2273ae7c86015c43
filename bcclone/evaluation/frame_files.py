"""Find frames to predict, and read and write the steering at them.

In: a folder of images, or a recording. Out: the files of its frames, in order, whose names may tell
their times. A table of steering has a row for each frame, with the columns frame_id and
steering_angle; a frame_id is the name of the frame's file without its ending.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from bcclone.camera.images import IMAGE_ENDINGS
from bcclone.evaluation.rollout import read_reference
from bcclone.recording.files import find_log, is_recording
from bcclone.recording.log import read_log
from bcclone.recording.row import EPISODE_GAP_MS, RowError, time_of
from bcclone.system.codec import number, read_table
from bcclone.system.errors import Table, TableColumn, UserError, shown
from bcclone.system.files import replacing
from bcclone.system.location import is_hidden
from bcclone.system.numbers import FloatArray

# ---- frames


@dataclass(frozen=True)
class NamedFrame:
    """The file of a frame."""

    frame_id: str
    path: str
    begins: bool  # whether it is the first frame of a drive: the model forgets the frames before


def frame_files(source: Path) -> tuple[NamedFrame, ...]:
    """Return the frames of a recording in order of time, or those of a folder by their names.

    Numbers in the names count by their value. Raises UserError if there are no images, or two
    images of one name.

    source: a recording's folder or log, or a folder of images
    """
    if source.is_file() or is_recording(source):
        return _recorded(find_log(str(source)))  # its error says what the file is, if it is no log
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; name a folder of JPEGs or PNGs, or a recording")

    def in_order(path: Path) -> list[str | int]:
        parts: list[str | int] = [*re.split(r"([0-9]+)", path.name)]
        parts[1::2] = map(int, parts[1::2])  # the numbers stand between the words
        return parts

    paths = [
        path
        for path in source.iterdir()
        if path.suffix.lower() in IMAGE_ENDINGS and not is_hidden(path.name)
    ]
    if not paths:
        raise UserError(
            f"{source}: no images in it, expected files that end in {', '.join(IMAGE_ENDINGS)}; "
            "name the folder that holds them"
        )
    by_id: dict[str, Path] = {}
    for path in sorted(paths, key=in_order):
        if not path.stem.isprintable():
            raise UserError(
                f"{source}: the name {path.name!r} cannot be written into a table; rename the image"
            )
        _check_name(path, by_id.setdefault(path.stem, path))

    # a pause begins another drive, if the names tell the time
    seconds = seconds_of(list(by_id))
    steps = np.zeros(len(paths)) if seconds is None else np.diff(seconds, prepend=seconds[0])
    begins = (steps > EPISODE_GAP_MS / 1000) | (np.arange(len(paths)) == 0)
    return tuple(
        NamedFrame(name, str(path), bool(is_first))
        for (name, path), is_first in zip(by_id.items(), begins, strict=True)
    )


def _recorded(log: Path) -> tuple[NamedFrame, ...]:
    """Return the frames of the centre camera of a recording; raises as frame_files()."""
    reference = read_reference(log)
    files: dict[str, NamedFrame] = {}
    begins = True
    for images, ends in zip(reference.images, reference.ends, strict=True):
        path = images.get("center")
        if path:
            frame_id = Path(path).stem
            if frame_id not in files:
                files[frame_id] = NamedFrame(frame_id, path, begins)
                begins = False
            # rows may share an image, for which a table has one row; two images need two names
            _check_name(Path(path), Path(files[frame_id].path))
        begins = begins or ends
    return tuple(files.values())


def _check_name(path: Path, other: Path) -> None:
    """Raise UserError if two images have one name, as a.jpg and a.jpeg do."""
    if path != other:
        raise UserError(
            f"{path} and {other} have one name, so their frame_id would be the same; rename one of "
            "them, and in a log, too"
        )


def seconds_of(frame_ids: Sequence[str]) -> FloatArray | None:
    """Return the seconds since the first frame, (frames,), by the names; None if one is no time.

    A time is a number of milliseconds, microseconds or nanoseconds since 1970, or written as the
    simulator does.
    """
    if not frame_ids:
        return None
    digits = len(frame_ids[0])
    units_by_digits = {13: 1e3, 16: 1e6, 19: 1e9}  # units a second
    if digits in units_by_digits and all(
        len(name) == digits and name.isascii() and name.isdecimal() for name in frame_ids
    ):
        unit = units_by_digits[digits]
        times = [int(name) for name in frame_ids]
    else:
        unit = 1e3
        try:
            times = [time_of(name) for name in frame_ids]
        except RowError:
            return None
    return np.array([time - times[0] for time in times], np.float64) / unit


# ---- tables of steering

# names of the columns
_ID = "frame_id"
_STEERING = "steering_angle"

_MOST_STEERING = 10_000.0  # largest number in a table; no steering wheel turns so many degrees


def write_steering(path: Path, steering: Mapping[str, float]) -> None:
    """Write the steering by frame_id atomically."""
    table = Table((TableColumn(_ID), TableColumn(_STEERING)), list(steering.items()))
    with replacing(path) as temporary:
        temporary.write_text(table.csv(), encoding="utf-8", newline="")


def read_labels(path: Path, column: str = "") -> dict[str, float]:
    """Read the labels of frames from a table, as read_steering(), or from a recording.

    path: a table, or the folder or log of a recording
    column: the table's column with the steering, "" to find it
    """
    if not (path.is_dir() or is_recording(path)):
        return read_steering(path, column)
    try:
        log = find_log(str(path))
    except UserError as error:
        # a folder without a log, such as a tub, must be imported first; its labels then fit only
        # the frames of the import, whose images have new names
        raise UserError(
            f"{error}; an import renames the images, so name the recording as the frames, too"
        ) from None
    rows = read_log(log).rows
    names = (PurePath(name).stem for name in rows["center"])
    return dict(zip(names, map(float, rows["steering"]), strict=True))


def read_steering(path: Path, column: str = "") -> dict[str, float]:
    """Read a table with the columns frame_id and steering; return the steering by frame_id.

    Other columns are ignored. Raises UserError for a table that cannot be read, with the line.

    column: name of the column with the steering; "" for the first of steering_angle, steering and
        angle that there is
    """
    steering: dict[str, float] = {}
    names = (column,) if column else (_STEERING, "steering", "angle")
    for line, cells in read_table(
        path, [_ID], f"a table of {_ID},{_STEERING}", "correct it, or name another CSV file"
    ):
        name = next((name for name in names if name in cells), None)
        if name is None:
            raise UserError(
                f"{path}: its columns are {shown(','.join(cells))}, expected {names[0]!r}; "
                "name the steering: --steering-column"
            )
        try:
            frame_id = cells[_ID].strip()
            if frame_id in steering:
                raise ValueError(f"{_ID} {shown(frame_id)} stands there twice")
            if not frame_id or not frame_id.isprintable():
                raise ValueError(f"{_ID} {shown(frame_id)} is no name of a frame")
            steering[frame_id] = number(name, cells[name], -_MOST_STEERING, _MOST_STEERING)
        except ValueError as error:
            raise UserError(
                f"{path}: line {line}: {error}; correct it, or remove the line"
            ) from None
    if not steering:
        raise UserError(
            f"{path}: it has no rows, expected a line for each frame below {_ID},{_STEERING}"
        )
    return steering
