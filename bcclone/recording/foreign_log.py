"""Recognize what is no log of the simulator: a file of another kind, a table of another program, a
steering in another unit.
"""

import math
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from bcclone.recording.dialect import NUMBER, Fields, with_decimal_point
from bcclone.recording.row import ROUNDING
from bcclone.system.codec import (
    HDF5,
    MODEL_ENDINGS,
    UnfetchedFile,
    kind_of_content,
    open_file,
)
from bcclone.system.errors import UserError, shown_command
from bcclone.system.location import Location

# what a file is, as kind_of_content() says or a store or model -> remedy for a user who names such
# a file as a log; of any other file, _ARRAYS
_TABLE = (
    "of a tub or data set, make a recording of its folder: bcclone import FOLDER -o "
    "recordings/NAME; of another program, write it as a table beside its pictures first, such as "
    "with pandas: pandas.{read}.to_csv('labels.csv', index=False)"
)
_ARRAYS = (
    "write its pictures as image files, with a table of their steering, as in docs/how-to/"
    "exchange.md (Arrays of another program), and import their folder: "
    "bcclone import FOLDER -o recordings/NAME"
)
_REMEDIES = {
    "a file of JSON": _TABLE.replace("{read}", "read_json({name}{lines})"),
    "a Parquet file": _TABLE.replace("{read}", "read_parquet({name})"),
    "a store": "expected a recording; train on the store: {model} {path}",
    "a model": "expected a recording; let the model drive: {drive} {path}",
    "a picture": "name the folder of its recording, or make one of pictures and a table: "
    "bcclone import {folder} -o recordings/NAME",
    "a video": "make a recording of it and a table with its steering: "
    "bcclone import {path} -o recordings/NAME; without a table, add --steering from-motion",
}


class ForeignLog(UserError):
    """A file that is not a log of the simulator. Exit code 1 for an empty file, 2 for any other.

    options: what follows `bcclone import SOURCE -o TARGET` in the message, which recommends this
        command, such as " --unit deg"; None if the file cannot be another program's table
    """

    def __init__(
        self, path: Location, reason: str, empty: bool = False, options: str | None = None
    ) -> None:
        if options is not None:
            reason += (
                "; a table of another program, with pictures beside it, becomes a recording with: "
                f"bcclone import {shlex.quote(str(path))} -o recordings/NAME{options}"
            )
        exit_code = 1 if empty else 2
        super().__init__(f"{path}: not a log of the simulator: {reason}", exit_code=exit_code)
        self.reason = reason


def other_file(path: Location, begin: bytes) -> str:
    """Return what a file is instead of a table, with the remedy; "" if it may be a table.

    begin: the first bytes of the file
    """
    what = kind_of_content(begin)
    if isinstance(path, Path):
        if begin.startswith(HDF5):
            from bcclone.system.hdf5_file import kind_of  # loads h5py

            what = {"store": "a store", "model": "a model"}.get(kind_of(path) or "", what)
        elif path.suffix.lower() in MODEL_ENDINGS:
            what = "a model"
    if not what or ";" in what:  # which has its remedy
        return what
    remedy = _REMEDIES.get(what, _ARRAYS).format(
        name=repr(path.name),
        lines=", lines=True" if path.suffix.lower() in (".jsonl", ".ndjson") else "",
        path=shlex.quote(str(path)),
        folder=shlex.quote(str(path.parent)),
        model=shown_command("model"),
        drive=shown_command("drive"),
    )
    return f"{what}; {remedy}"


def other_file_at(path: Path) -> str:
    """Return what a file or a pointer of Git LFS is instead of a table, as other_file() does.

    Returns "" for a path that is no file, or cannot be read.
    """
    try:
        with open_file(path, "store") as file:
            return other_file(path, file.read(512))
    except UnfetchedFile as error:
        return error.what
    except OSError:
        return ""


_STATED_UNIT = re.compile(r"steer[^,;\t|]*(?:deg|rad|°)", re.IGNORECASE)


def unit_option(header: str) -> str:
    """Return the option of `bcclone import` for the unit of the steering, for a message.

    Returns "" if the name of its column states the unit.
    """
    if _STATED_UNIT.search(header):
        return ""
    return " --unit ratio (or deg, rad: that of its steering)"


@dataclass(frozen=True)
class _OtherUnit:
    """From when on a steering beyond -1 to 1 is in another unit, and no accident."""

    fewest_rows: int = 5  # fewest rows with a steering beyond -1 to 1
    fewest_share: float = 0.1  # their smallest share of the rows that steer
    full_degrees: float = 25.0  # greatest angle of the simulator's wheels
    largest_radians: float = 10.0  # greatest angle of a steering wheel, if it is in radians
    largest: float = 1000.0  # greatest angle of a steering wheel in degrees; more is no steering


_OTHER_UNIT = _OtherUnit()


def check_unit(path: Location, split: list[Fields]) -> None:
    """Raise ForeignLog for a steering in another unit than -1 to 1.

    Without this check, only the rows with a steering near 0 would be used, which look like straight
    driving.
    """
    written = [
        with_decimal_point(fields.numbers[0]) for fields in split if not fields.has_bare_commas
    ]
    steering = [abs(float(number)) for number in written if NUMBER.fullmatch(number)]
    beyond = [value for value in steering if 1 + ROUNDING < value <= _OTHER_UNIT.largest]
    steering_rows = sum(value > 0 for value in steering)
    if len(beyond) < max(_OTHER_UNIT.fewest_rows, _OTHER_UNIT.fewest_share * steering_rows):
        return
    # the greatest value tells which unit it can be
    greatest = max(beyond)
    full_degrees = math.ceil(greatest / (1 + ROUNDING))
    options = " --unit deg"
    if greatest <= _OTHER_UNIT.largest_radians:
        options += " (or rad)"
    elif full_degrees > _OTHER_UNIT.full_degrees:
        options += f" --max-degrees {full_degrees} (or, of a steering wheel, --steering-ratio 15)"
    reason = (
        f"the steering of {len(beyond)} of {len(split)} rows is beyond -1 to 1, "
        f"the greatest is {greatest:g}, as in degrees or another unit"
    )
    raise ForeignLog(path, reason, options=options)
