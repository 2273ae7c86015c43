"""Read a driving log of any dialect into a table of checked rows, in order of time.

In: the path of a log. Out: a `Log`: its dialect, usable rows, bad rows with reasons, and deleted
rows; or a `ForeignLog` for a file of another kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from bcclone.recording.dialect import (
    BLANK,
    COLUMNS,
    FEWEST_COLUMNS,
    Dialect,
    Fields,
    header_error,
    is_header,
    is_known_header,
    row_ends,
    split_line,
    text_of,
)
from bcclone.recording.edits import Edits, edited_rows, read_edits
from bcclone.recording.files import UNFINISHED
from bcclone.recording.row import (
    CAMERAS,
    NUMBERS,
    RANGES,
    ROUNDING,
    RowError,
    check_numbers,
    time_of,
)
from bcclone.system.codec import (
    HDF5,
    MODEL_ENDINGS,
    UnfetchedFile,
    explained,
    kind_of_content,
    open_file,
    read_bytes,
)
from bcclone.system.errors import OtherKind, UserError, shown_command
from bcclone.system.location import Location
from bcclone.system.progress import note

_MOST_LINES = 10_000_000


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used."""

    row: int  # number of the line in the file, from 1
    reason: str


@dataclass(frozen=True)
class Log:
    """A log and its usable rows, in order of time.

    The columns of `rows` and `deleted`: `line`, the number of the line in the file, from 1;
    `time_ms`, milliseconds since 1970 by the recorder's clock; `center`, `left`, `right`, base
    names of the images, "" for none; `steering`, -1 to 1, right positive, 1 is 25 degrees;
    `throttle`, -1 to 1; `brake`, 0 to 1; `speed_mph`. `rows` also has `episode`, a number from 0; a
    new one begins after a gap of more than 1 s, and after deleted rows.
    """

    path: Location
    dialect: Dialect
    rows: pd.DataFrame
    bad_rows: tuple[BadRow, ...]
    deleted: pd.DataFrame  # the rows that edits leave out

    @property
    def row_count(self) -> int:
        """Count all rows but the deleted ones, the bad ones included."""
        return len(self.rows) + len(self.bad_rows)

    @property
    def episodes(self) -> int:
        return int(self.rows["episode"].max()) + 1


def read_log(path: Location, edited: bool = True) -> Log:
    """Read a log of any dialect in docs/reference/dialects.md, and leave out what edits delete.

    Raises ForeignLog for an empty file, a git-LFS pointer, and any table that is not the
    simulator's; UserError if the file or its edits cannot be read, and if every row is deleted.

    edited: False to return all rows as recorded, as if there were no edits
    """
    if isinstance(path, Path) and (path.parent / UNFINISHED).exists():
        note(
            f"{path.parent} ended early: what recorded it was interrupted or killed, or still "
            f"records; the rows until then are complete (remove {UNFINISHED} to drop this note)"
        )
    dialect, table, bad_rows = _read_lines(path, _read_text(path).split("\n"))
    # table[:0]: no row is deleted yet, but the columns are there
    as_recorded = Log(path, dialect, table, bad_rows, table[:0])
    return with_edits(as_recorded, read_edits(path) if edited else Edits())


def with_edits(as_recorded: Log, edits: Edits) -> Log:
    """Return a log that was read without edits, with the edits applied to it.

    Raises UserError if every row is deleted.
    """
    rows, deleted = edited_rows(as_recorded.path, as_recorded.rows, edits)
    return replace(as_recorded, rows=rows, deleted=deleted)


def _read_text(path: Location) -> str:
    try:
        with explained(path, "", "check the file and its permissions, or name another"):
            data = read_bytes(path, "table")
    except UnfetchedFile as error:
        raise ForeignLog(path, f"it is {error.what}") from None
    if what := other_file(path, data[:512]):
        raise OtherFile(path, f"it is {what}")
    text = text_of(data)
    count = text.count("\n")
    if count > _MOST_LINES:
        raise UserError(
            f"{path}: {count} lines, expected at most {_MOST_LINES}; "
            "divide it into several recordings"
        )
    if not text.strip():
        what = "it holds only NUL characters" if b"\0" in data else "the file is empty"
        raise ForeignLog(path, f"{what}, expected rows of {COLUMNS}", empty=True)
    return text


class _Split(NamedTuple):
    """A line of a log, split into its fields."""

    line: int  # number in the file, from 1
    time_ms: int
    fields: Fields


def _read_lines(
    path: Location, lines: Sequence[str]
) -> tuple[Dialect, pd.DataFrame, tuple[BadRow, ...]]:
    """Return dialect, usable rows and bad rows; raises ForeignLog if no row can be used."""
    first_line = next((text for text in lines if text.strip(BLANK)), "")
    has_header = is_header(first_line)
    split, bad = _split_lines(path, lines, first_line if has_header else "")
    if not split and not bad:
        reason = f"it has a header and no rows, expected rows of {COLUMNS}"
        raise ForeignLog(path, reason, empty=has_header)
    _refuse_bare_commas(path, split)
    _refuse_other_unit(path, split)
    table, refused = _table_of(split)
    bad_rows = sorted([*bad, *refused], key=lambda bad_row: bad_row.row)
    # a file without any usable row is a foreign table, whose columns the user has to name
    if table.empty:
        reason = (
            f"no row can be used; the first bad one is line {bad_rows[0].row}: "
            f"{bad_rows[0].reason} (the file begins with {first_line.strip()[:60]!r})"
        )
        raise ForeignLog(path, reason, is_table=True)
    all_fields = [one.fields for one in split]
    dialect = Dialect(
        spaced=sum(fields.separator == ", " for fields in all_fields) * 2 > len(all_fields),
        decimal_comma=any(fields.decimal_mark == "," for fields in all_fields),
        header=has_header,
        cameras=tuple(
            camera
            for index, camera in enumerate(CAMERAS)
            if any(fields.images[index] for fields in all_fields)
        ),
        extra_columns=max(fields.extra_columns for fields in all_fields),
    )
    return dialect, table, tuple(bad_rows)


def _split_lines(
    path: Location, lines: Sequence[str], header: str
) -> tuple[list[_Split], list[BadRow]]:
    """Split each line that is not a header; return those that are broken as bad rows.

    Raises ForeignLog for a header that contradicts the columns of a log.
    """
    split: list[_Split] = []
    bad = []
    for number, text in enumerate(lines, 1):
        if not text.strip(BLANK):
            continue
        try:
            fields = split_line(text)
            split.append(_Split(number, time_of(fields.images[0]), fields))
        except RowError as error:
            if contradiction := header_error(text):
                reason = f"line {number}: its header has {contradiction}"
                raise ForeignLog(path, reason, is_table=True) from None
            # a file of several logs may have several headers
            if text != header and not is_known_header(text):
                bad.append(BadRow(number, str(error)))
    return split, bad


def _table_of(split: Sequence[_Split]) -> tuple[pd.DataFrame, list[BadRow]]:
    """Return the usable rows as a table, in order of time, and the others as bad rows."""
    # if so, a row without its end may have decimal commas that split_line() took for separators
    has_spaced_commas = any(
        one.fields.separator == ", " and one.fields.decimal_mark == "," for one in split
    )
    rows = []
    bad = []
    for line, time_ms, fields in split:
        if has_spaced_commas and fields.columns < FEWEST_COLUMNS:
            bad.append(BadRow(line, str(row_ends(fields.columns))))
        else:
            rows.append((line, time_ms, *fields.images, *fields.numbers))
    table = pd.DataFrame(rows, columns=["line", "time_ms", *CAMERAS, *NUMBERS])
    is_outside = np.zeros(len(table), np.bool_)
    for name, (lowest, highest) in RANGES.items():
        is_outside |= ~table[name].between(lowest - ROUNDING, highest + ROUNDING).to_numpy()
    for line, *numbers in table.loc[is_outside, ["line", *NUMBERS]].itertuples(index=False):
        try:
            check_numbers(*numbers)
        except RowError as error:
            bad.append(BadRow(line, str(error)))
    # a log may be shuffled
    table = table[~is_outside].sort_values("time_ms", kind="stable", ignore_index=True)
    return table, bad


def _refuse_bare_commas(path: Location, split: Sequence[_Split]) -> None:
    """Raise ForeignLog for a log whose commas are both separators and decimal marks.

    0,5,1,0,30,18 can be read in several ways.
    """
    bare = [one.line for one in split if one.fields.has_bare_commas]
    with_points = sum(
        one.fields.decimal_mark == "." and one.fields.extra_columns > 0 for one in split
    )
    if len(bare) > with_points:
        raise ForeignLog(
            path,
            f"line {bare[0]}: its commas divide columns and may be decimal marks, too; write "
            "its numbers with decimal points, or record with an English language of the system",
        )


def _refuse_other_unit(path: Location, split: Sequence[_Split]) -> None:
    """Raise ForeignLog for a steering in another unit than -1 to 1.

    Without this check, only the rows with a steering near 0 would be used, which look like straight
    driving.
    """
    fewest = 5  # rows beyond -1 to 1; fewer are an accident
    least_share = 0.1  # of the rows that steer
    most_degrees = 1000.0  # greatest angle of a steering wheel; more is not a steering
    steering = np.abs([one.fields.numbers[0] for one in split])
    beyond = steering[(steering > 1 + ROUNDING) & (steering <= most_degrees)]
    if len(beyond) >= max(fewest, least_share * np.count_nonzero(steering)):
        raise ForeignLog(
            path,
            f"the steering of {len(beyond)} of {len(split)} rows is beyond -1 to 1, the greatest "
            f"is {beyond.max():g}, as in degrees or another unit",
            is_table=True,
        )


# ---- what is not a log


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
                "; import another program's table (UNIT: deg, rad, or ratio for -1 to 1) with: "
                f"{_importing(path)} --steering-column COLUMN --unit UNIT"
            )
        exit_code = 1 if empty else 2
        super().__init__(f"{path}: not a log of the simulator: {reason}", exit_code=exit_code)
        self.reason = reason


class OtherFile(ForeignLog, OtherKind):
    """A file of another kind, such as a store, as its first bytes tell."""


def _importing(path: Location | str) -> str:
    """Return the command that imports a file or folder."""
    return shown_command("import", path, "-o", "recordings/NAME")


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
    as_csv = "save it as a table of text (CSV) with the program that wrote it"
    remedies = {
        "an XML file": as_csv,
        "a workbook": as_csv,
        "a store": f"train on it: {shown_command('model', path)}",
        "a model": f"let it drive: {shown_command('drive', path)}",
        "a picture": "name the folder of its recording, or import its pictures with a table: "
        + _importing(folder),
        "a video": "import it with a table beside it, or with --steering from-motion: "
        + _importing(path),
    }
    others = (
        f"of a tub or data set, name its folder: {_importing('FOLDER')}; of another "
        "program, write its pictures as image files, with a table (CSV) of their steering, as in "
        "docs/how-to/exchange.md (Arrays of another program)"
    )
    return f"{what}; {remedies.get(what, others)}"


def other_file_at(path: Path) -> str:
    """Return what a file or a pointer of Git LFS is instead of a table, as other_file() does.

    Returns "" for a path that is not a file, or cannot be read.
    """
    try:
        with open_file(path, "store") as file:
            return other_file(path, file.read(512))
    except UnfetchedFile as error:
        return error.what
    except OSError:
        return ""
