"""Read a driving log of any dialect into a table of checked rows, in order of time.

In: the path of a log. Out: a `Log`: its dialect, usable rows, bad rows with reasons, and deleted
rows.

Standard logs are parsed by one regular expression (standard_log.py); the others line by line
(log_lines.py), which is several times slower.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from bcclone.recording.dialect import COLUMNS, Dialect, text_of
from bcclone.recording.edited_rows import edited_rows
from bcclone.recording.edits import Edits, read_edits
from bcclone.recording.files import UNFINISHED
from bcclone.recording.foreign_log import ForeignLog, other_file
from bcclone.recording.log_lines import BadRow, read_line_by_line
from bcclone.recording.standard_log import read_standard
from bcclone.system.codec import UnfetchedFile, explained, read_bytes
from bcclone.system.errors import UserError
from bcclone.system.location import Location
from bcclone.system.process import note

_MOST_LINES = 10_000_000


@dataclass(frozen=True)
class Log:
    """A log and its usable rows, in order of time.

    `rows` and `deleted` have the columns of LogRow. `rows` also has the column `episode`, a number
    from 0; a new episode begins after a gap of more than 1 s, and after deleted rows.
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
        """Count the episodes of the rows."""
        return int(self.rows["episode"].max()) + 1


def read_log(path: Location, edited: bool = True) -> Log:
    """Read a log of any dialect in docs/reference/dialects.md, and leave out what edits delete.

    Raises ForeignLog for an empty file, a git-LFS pointer, and any table that is not the
    simulator's; UserError if the file or its edits cannot be read, and if every row is deleted.

    edited: False to return all rows as recorded, as if there were no edits
    """
    _note_early_end(path)
    lines = _read_text(path).split("\n")
    bad_rows: tuple[BadRow, ...] = ()
    if standard := read_standard(lines):
        dialect, table = standard
    else:
        dialect, table, bad_rows = read_line_by_line(path, lines)
    # table[:0]: no row is deleted yet, but the columns are there
    as_recorded = Log(path, dialect, table, bad_rows, table[:0])
    edits = read_edits(path) if edited else Edits()
    return with_edits(as_recorded, edits)


def _note_early_end(path: Location) -> None:
    """Tell the user of a recording whose program was killed, so that it is not taken for whole."""
    if isinstance(path, Path) and (path.parent / UNFINISHED).exists():
        note(
            f"{path.parent} ended early: what recorded it was interrupted or killed, or still "
            f"records; the rows until then are complete (remove {UNFINISHED} to drop this note)"
        )


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
        raise ForeignLog(path, f"it is {what}")
    text = text_of(data)
    count = text.count("\n")
    if count > _MOST_LINES:
        raise UserError(
            f"{path}: {count} lines, expected at most {_MOST_LINES}; "
            "divide it into several recordings"
        )
    if not text.strip():
        raise ForeignLog(path, f"the file is empty, expected rows of {COLUMNS}", empty=True)
    return text
