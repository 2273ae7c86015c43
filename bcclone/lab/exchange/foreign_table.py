"""Read a table of any form, and find its columns: a CSV file -> names, cells and numbers.

The separator is a comma, semicolon, tab or blank; a first line with a number in it is no header, and its columns are
called 1, 2 and so on.
"""

import csv
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

from bcclone.lab.exchange.csv_table import lines_of
from bcclone.system.errors import UserError
from bcclone.system.reading import open_limited

TABLE_ENDINGS = (".csv", ".tsv", ".txt")
_SEPARATORS = ";\t, "  # a comma may be that of decimals
_MOST_BYTES = 1 << 27  # of a table, whose cells are kept in memory: a million rows
_LOOKED_AT = 200  # rows that decide what a column holds
_MOST_COLUMNS = 1000
_LONGEST_NAME = 60


@dataclass(frozen=True)
class ForeignTable:
    """A table. names: of its columns; lines: number of each line, and its cells; broken: lines of other lengths."""

    path: Path
    names: tuple[str, ...]
    lines: Sequence[tuple[int, Sequence[str]]]
    broken: Sequence[int]

    def place(self, line: int) -> str:
        """Return the words for a line in a message."""
        return f"{self.path}: line {line}"

    def cells(self, name: str) -> list[str]:
        """Return the cells of a column, (rows,)."""
        index = self.names.index(name)
        return [cells[index].strip() for _, cells in self.lines]

    def first_cells(self, name: str) -> list[str]:
        """Return the first cells of a column, by which it is judged."""
        index = self.names.index(name)
        return [cells[index].strip() for _, cells in self.lines[:_LOOKED_AT]]

    def numeric(self) -> list[str]:
        """Return the names of the columns that mostly hold numbers."""
        return [name for name in self.names if _mostly(lambda cell: is_number(cell), self.first_cells(name))]

    def choose(self, asked: str | None, fits: Callable[[str], object], what: str, option: str) -> str | None:
        """Return the column that was asked for, or the only numeric one whose plain name fits; None for none.

        fits: takes a name of lower case letters, digits and underscores. Raises UserError for a column that does not
        exist, and for several that fit.
        """
        if asked is not None:
            if asked not in self.names:
                raise self.no_column(what, option, self.names, f"no column {asked[:_LONGEST_NAME]!r}")
            return asked
        candidates = [name for name in self.numeric() if fits(plain(name))]
        if len(candidates) > 1:
            raise self.no_column(what, option, candidates, "several columns may be it")
        return candidates[0] if candidates else None

    def no_column(self, what: str, option: str, names: Sequence[str], reason: str) -> UserError:
        """Return the error for a column that is not found, with those that may be it."""
        listed = ", ".join(repr(name[:_LONGEST_NAME])[1:-1] for name in names[:20]) or "none"
        return UserError(f"{self.path}: {what}: {reason}; name it with {option}; there are: {listed}", exit_code=2)


def read_foreign(path: Path) -> ForeignTable:
    """Return a table; raises UserError for one that cannot be read, is too large, or has no rows."""
    try:
        with TextIOWrapper(open_limited(path, _MOST_BYTES), encoding="utf-8-sig", errors="replace", newline="") as file:
            start = [line for _, line in zip(range(20), lines_of(file), strict=False)]
            separator = _separator_of(start)
            file.seek(0)
            rows = csv.reader(lines_of(file), delimiter=separator, skipinitialspace=True)
            lines = [(rows.line_num, cells) for cells in rows if any(cell.strip() for cell in cells)]
    except (OSError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"{path}: cannot be read: {reason}; expected a table of text, such as CSV") from None
    if not lines:
        raise UserError(f"{path}: it is empty; expected a table with a row for each frame")
    header = [cell.strip() for cell in lines[0][1]]
    if len(header) > _MOST_COLUMNS:
        raise UserError(f"{path}: {len(header)} columns, expected at most {_MOST_COLUMNS}")
    if any(map(is_number, header)):
        names = [str(number) for number in range(1, len(header) + 1)]
    else:
        names, lines = _distinct(header), lines[1:]
    broken = [line for line, cells in lines if len(cells) != len(names)]
    complete = [(line, cells) for line, cells in lines if len(cells) == len(names)]
    if not complete:
        raise UserError(f"{path}: it has no rows below its header; expected one for each frame")
    return ForeignTable(path, tuple(names), complete, broken)


def _separator_of(start: Sequence[str]) -> str:
    """Return the separator that divides the first lines into the same number of cells, two or more."""
    for separator in _SEPARATORS:
        lengths = [len(cells) for cells in csv.reader(start, delimiter=separator, skipinitialspace=True) if cells]
        if lengths and min(lengths) > 1 and lengths.count(lengths[0]) > 0.8 * len(lengths):  # noqa: PLR2004
            return separator
    return ","


def _distinct(header: Sequence[str]) -> list[str]:
    """Return the names of the columns, each once: an empty or second one is its number."""
    names: list[str] = []
    for number, name in enumerate(header, start=1):
        names.append(name if name and name not in names else f"{name}#{number}")
    return names


def plain(name: str) -> str:
    """Return a name in lower case letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def is_number(cell: str) -> bool:
    """Return whether a cell is a finite number."""
    return math.isfinite(number_of_cell(cell))


def number_of_cell(cell: str) -> float:
    """Return the number in a cell, NaN for none. A decimal comma is one, too, where no comma separates the cells."""
    if "_" in cell:  # which Python ignores within a number
        return math.nan
    try:
        return float(cell)
    except ValueError:
        pass
    try:
        return float(cell.replace(",", ".")) if cell.count(",") == 1 else math.nan
    except ValueError:
        return math.nan


def _mostly(is_one: Callable[[str], bool], cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return bool(filled) and sum(map(is_one, filled)) > 0.5 * len(filled)  # noqa: PLR2004
