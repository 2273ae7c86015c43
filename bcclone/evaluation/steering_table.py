"""Tables of the steering at frames: frame_id -> steering, to a file and back.

A table has a row for each frame, with the columns frame_id and steering_angle. A frame_id is the
name of the frame's file without its ending.
"""

from collections.abc import Collection, Mapping
from pathlib import Path, PurePath

from bcclone.recording.files import find_log, is_recording
from bcclone.recording.log import read_log
from bcclone.system.codec import number, read_table
from bcclone.system.errors import Table, TableColumn, UserError, shown
from bcclone.system.files import replacing

# names of the columns of a table
ID = "frame_id"
STEERING = "steering_angle"


def write_steering(path: Path, steering: Mapping[str, float]) -> None:
    """Write the steering by frame_id atomically."""
    table = Table((TableColumn(ID), TableColumn(STEERING)), list(steering.items()))
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


_MOST_STEERING = 10_000.0  # largest number in a table; no steering wheel turns so many degrees


def read_steering(path: Path, column: str = "") -> dict[str, float]:
    """Read a table with the columns frame_id and steering; return the steering by frame_id.

    Other columns are ignored. Raises UserError for a table that cannot be read, with the line.

    column: name of the column with the steering; "" for the first of steering_angle, steering and
        angle that there is
    """
    steering: dict[str, float] = {}
    for line, cells in read_table(
        path, [ID], f"a table of {ID},{STEERING}", "correct it, or name another CSV file"
    ):
        name = _steering_column(path, cells, column)
        try:
            frame_id = cells[ID].strip()
            if frame_id in steering:
                raise ValueError(f"{ID} {shown(frame_id)} stands there twice")
            if not frame_id or not frame_id.isprintable():
                raise ValueError(f"{ID} {shown(frame_id)} is no name of a frame")
            steering[frame_id] = number(name, cells[name], -_MOST_STEERING, _MOST_STEERING)
        except ValueError as error:
            raise UserError(
                f"{path}: line {line}: {error}; correct it, or remove the line"
            ) from None
    if not steering:
        raise UserError(
            f"{path}: it has no rows, expected a line for each frame below {ID},{STEERING}"
        )
    return steering


def _steering_column(path: Path, columns: Collection[str], column: str) -> str:
    """Return the name of the column with the steering; raises UserError where it is unknown.

    column: as read_steering() takes it
    """
    if column and column in columns:
        return column
    names = [name for name in (STEERING, "steering", "angle") if name in columns]
    if column or not names:  # the column that was asked for is missing, or none can be found
        given = shown(",".join(columns))
        raise UserError(
            f"{path}: its columns are {given}, expected {column or STEERING!r}; "
            "name the steering: --steering-column"
        )
    return names[0]
