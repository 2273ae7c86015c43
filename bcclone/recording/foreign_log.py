"""Recognize what is no log of the simulator: a file of another kind, or of another program."""

import shlex
from pathlib import Path

from bcclone.system.codec import HDF5, MODEL_ENDINGS, UnfetchedFile, kind_of_content, open_file
from bcclone.system.errors import UserError, shown_command
from bcclone.system.location import Location

_OTHERS = (
    "of a tub or data set, name its folder: bcclone import FOLDER -o recordings/NAME; of another "
    "program, write its pictures as image files, with a table (CSV) of their steering, as in "
    "docs/how-to/exchange.md (Arrays of another program)"
)


class ForeignLog(UserError):
    """A file that is not a log of the simulator. Exit code 1 for an empty file, 2 for any other.

    is_table: whether it may be another program's table, so that the message names the command that
        imports it
    """

    def __init__(
        self, path: Location, reason: str, empty: bool = False, is_table: bool = False
    ) -> None:
        if is_table:
            reason += (
                "; a table of another program with pictures beside it, its steering in COLUMN (a "
                "name or number) and UNIT (deg, rad, or ratio for -1 to 1), becomes a recording "
                f"with: bcclone import {shlex.quote(str(path))} -o recordings/NAME "
                "--steering-column COLUMN --unit UNIT"
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
    folder = path.parent if isinstance(path, Path) else path
    remedies = {
        "a store": f"train on it: {shown_command('model')} {shlex.quote(str(path))}",
        "a model": f"let it drive: {shown_command('drive')} {shlex.quote(str(path))}",
        "a picture": "name the folder of its recording, or import its pictures with a table: "
        f"bcclone import {shlex.quote(str(folder))} -o recordings/NAME",
        "a video": "import it with a table beside it, or with --steering from-motion: "
        f"bcclone import {shlex.quote(str(path))} -o recordings/NAME",
    }
    return f"{what}; {remedies.get(what, _OTHERS)}"


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
