"""Read a table of any form: a CSV file -> names of columns, and cells.

The separator is a comma, semicolon, tab or blank; a first line with a number in it is no header, and its columns are
called 1, 2 and so on.
"""

import csv
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path

from bcclone.lab.exchange.exchange_settings import ImportSettings
from bcclone.lab.exchange.findings import Findings
from bcclone.lab.exchange.rows import files_inside
from bcclone.system.codec import open_file
from bcclone.system.errors import UserError

TABLE_ENDINGS = (".csv", ".tsv", ".txt")
_SEPARATORS = ";\t, "  # a comma may be that of decimals
_LINE = 100_000  # characters
_LOOKED_AT = 200  # rows that decide what a column holds
_COLUMNS = 1000
_NO_STEERING = re.compile(r"torque|velocity|speed|(^|_)rate(_|$)|accel|driver|override")
_ANGLES = {"angle", "user_angle", "wheel_angle", "angle_deg", "angle_rad"}


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

    def cells(self, name: str, rows: int | None = None) -> list[str]:
        """Return the cells of a column, (rows,), all or the first ones."""
        index = self.names.index(name)
        return [cells[index].strip() for _, cells in self.lines[:rows]]

    def first_cells(self, name: str) -> list[str]:
        """Return the first cells of a column, by which it is judged."""
        return self.cells(name, _LOOKED_AT)

    def is_numeric(self, name: str) -> bool:
        """Return whether a column mostly holds numbers."""
        filled = [cell for cell in self.first_cells(name) if cell]
        return 2 * sum(map(is_number, filled)) > len(filled)

    def named(self, asked: str, what: str, option: str) -> str:
        """Return a column that was asked for; raises UserError if there is none of this name."""
        if asked not in self.names:
            raise no_column(self.path, what, option, self.names, f"no column {asked[:60]!r}")
        return asked

    def count_broken(self, findings: Findings) -> None:
        """Count the lines that are left out for their length."""
        for line in self.broken:
            findings.leave_out(self.place(line), f"not {len(self.names)} cells, as in the first line")


def no_column(path: Path, what: str, option: str, names: Sequence[str], reason: str) -> UserError:
    """Return the error for a column that is not found, with those that may be it."""
    listed = ", ".join(repr(name[:60])[1:-1] for name in names[:20]) or "none"
    return UserError(f"{path}: {what}: {reason}; name it with {option}; there are: {listed}", exit_code=2)


def read_foreign(path: Path) -> ForeignTable:
    """Return a table; raises UserError for one that cannot be read, is too large, or has no rows."""
    try:
        with TextIOWrapper(open_file(path, "cells"), encoding="utf-8-sig", errors="replace", newline="") as file:
            start = list(islice(_lines(file), 20))
            file.seek(0)
            rows = csv.reader(_lines(file), delimiter=_separator_of(start), skipinitialspace=True)
            filled = [(rows.line_num, cells) for cells in rows if any(cell.strip() for cell in cells)]
    except (OSError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"{path}: cannot be read: {reason}; expected a table of text, such as CSV") from None
    if not filled:
        raise UserError(f"{path}: it is empty; expected a table with a row for each frame")
    header = [cell.strip() for cell in filled[0][1]]
    if len(header) > _COLUMNS:
        raise UserError(f"{path}: {len(header)} columns, expected at most {_COLUMNS}")
    if any(map(is_number, header)):
        names = [str(number) for number in range(1, len(header) + 1)]
    else:
        names, filled = _distinct(header), filled[1:]
    complete = [(line, cells) for line, cells in filled if len(cells) == len(names)]
    if not complete:
        raise UserError(f"{path}: it has no rows below its header; expected one for each frame")
    return ForeignTable(path, tuple(names), complete, [line for line, cells in filled if len(cells) != len(names)])


def _lines(file: TextIOWrapper) -> Iterator[str]:
    while line := file.readline(_LINE + 1):
        if len(line) > _LINE:
            raise csv.Error(f"a line of more than {_LINE} characters")
        yield line


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


def find_table(settings: ImportSettings) -> Path:
    """Return the table that was named, or the only one with a steering beside the pictures; raises UserError."""
    source = settings.source
    if settings.table:
        return settings.table
    if source.is_file() and source.suffix.lower() in TABLE_ENDINGS:
        return source
    paths = files_inside(source.parent if source.is_file() else source, TABLE_ENDINGS, "--table")
    if source.is_file():
        paths = [path for path in paths if path.stem == source.stem] or paths
    if not paths:
        raise UserError(
            f"{source}: no table ({', '.join(TABLE_ENDINGS)}) with the steering lies beside the pictures; "
            "name one with --table",
            exit_code=2,
        )
    fitting = paths if len(paths) == 1 else [path for path in paths if _has_steering(path, settings.steering_column)]
    if len(fitting) != 1:
        listed = ", ".join(path.name for path in (fitting or paths)[:20])
        raise UserError(
            f"{source}: which table has the steering? Name it with --table; there are: {listed}", exit_code=2
        )
    return fitting[0]


def _has_steering(path: Path, asked: str | None) -> bool:
    try:
        table = read_foreign(path)
    except UserError:
        return False
    return asked in table.names or any(is_steering(plain(name)) and table.is_numeric(name) for name in table.names)


def is_steering(name: str) -> bool:
    """Return whether a column with this plain name holds the steering."""
    return ("steer" in name or name in _ANGLES) and not _NO_STEERING.search(name)


def plain(name: str) -> str:
    """Return a name in lower case letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def is_number(cell: str) -> bool:
    """Return whether a cell is a finite number."""
    return math.isfinite(number_of_cell(cell))


def number_of_cell(cell: str) -> float:
    """Return the number in a cell, NaN for none. A decimal comma is one, too, where no comma separates the cells."""
    try:
        # Python ignores an underscore within a number
        return math.nan if "_" in cell else float(cell.replace(",", ".") if cell.count(",") == 1 else cell)
    except ValueError:
        return math.nan
