"""Read a table of any form: a CSV file -> its columns of cells.

The separator is a comma, semicolon, tab or blank; a first line with a number in it is no header, and its columns are
called 1, 2 and so on.
"""

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path

from bcclone.lab.exchange.exchange_settings import ImportSettings
from bcclone.lab.exchange.findings import Findings
from bcclone.lab.exchange.formats import files_inside
from bcclone.system.codec import open_file
from bcclone.system.errors import UserError

TABLE_ENDINGS = (".csv", ".tsv", ".txt")
_SEPARATORS = ";\t, "  # a comma may be that of decimals
_CHARACTERS, _COLUMNS = 100_000, 1000  # of a line, at most
_LOOKED_AT = 200  # rows that decide what a column holds
_NO_STEERING = re.compile(r"torque|velocity|speed|(^|_)rate(_|$)|accel|driver|override")
_ANGLES = {"angle", "user_angle", "wheel_angle", "angle_deg", "angle_rad"}


@dataclass(frozen=True)
class ForeignTable:
    """A table. lines: the number of each row's line; cells: of each column, by its name, (rows,)."""

    path: Path
    lines: Sequence[int]
    cells: Mapping[str, Sequence[str]]

    def place(self, index: int) -> str:
        """Return the words for a row in a message."""
        return f"{self.path}: line {self.lines[index]}"

    def first_cells(self, name: str) -> Sequence[str]:
        """Return the first cells of a column, by which it is judged."""
        return self.cells[name][:_LOOKED_AT]

    def is_numeric(self, name: str) -> bool:
        """Return whether a column mostly holds numbers."""
        filled = [cell for cell in self.first_cells(name) if cell]
        return 2 * sum(map(is_number, filled)) > len(filled)

    def named(self, asked: str, what: str, option: str) -> str:
        """Return a column that was asked for; raises UserError if there is none of this name."""
        if asked not in self.cells:
            raise no_column(self.path, what, option, list(self.cells), f"no column {asked[:60]!r}")
        return asked


def no_column(path: Path, what: str, option: str, names: Sequence[str], reason: str) -> UserError:
    """Return the error for a column that is not found, with those that may be it."""
    listed = ", ".join(repr(name[:60])[1:-1] for name in names[:20]) or "none"
    return UserError(f"{path}: {what}: {reason}; name it with {option}; there are: {listed}", exit_code=2)


def read_foreign(path: Path, findings: Findings | None = None) -> ForeignTable:
    """Return a table; its lines of another length are counted.

    Raises UserError for one that cannot be read, is too large, or has no rows.
    """
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
    names: list[str] = []
    has_names = not any(map(is_number, header))
    for number, name in enumerate(header, start=1):  # an empty or second one is its number
        unnamed = f"{name}#{number}" if has_names else str(number)
        names.append(name if has_names and name and name not in names else unnamed)
    complete = [(line, cells) for line, cells in filled[has_names:] if len(cells) == len(names)]
    if not complete:
        raise UserError(f"{path}: it has no rows below its header; expected one for each frame")
    columns = zip(*(cells for _, cells in complete), strict=True)
    table = ForeignTable(
        path,
        [line for line, _ in complete],
        {name: [cell.strip() for cell in column] for name, column in zip(names, columns, strict=True)},
    )
    for line, cells in filled:
        if findings and len(cells) != len(names):
            findings.leave_out(f"{path}: line {line}", f"not {len(names)} cells, as in the first line")
    return table


def _lines(file: TextIOWrapper) -> Iterator[str]:
    while line := file.readline(_CHARACTERS + 1):
        if len(line) > _CHARACTERS:
            raise csv.Error(f"a line of more than {_CHARACTERS} characters")
        yield line


def _separator_of(start: Sequence[str]) -> str:
    """Return the separator that divides the first lines into the same number of cells, two or more."""
    for separator in _SEPARATORS:
        lengths = [len(cells) for cells in csv.reader(start, delimiter=separator, skipinitialspace=True) if cells]
        if lengths and min(lengths) > 1 and lengths.count(lengths[0]) > 0.8 * len(lengths):  # noqa: PLR2004
            return separator
    return ","


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
    fitting = paths if len(paths) == 1 else [path for path in paths if _has_steering(path, settings.steering_column)]
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(path.name for path in (fitting or paths)[:20])
    reason = f"which table has the steering? Name it with --table; there are: {listed}" if paths else (
        f"no table ({', '.join(TABLE_ENDINGS)}) with the steering lies beside the pictures; name one with --table"
    )  # fmt: skip
    raise UserError(f"{source}: {reason}", exit_code=2)


def _has_steering(path: Path, asked: str | None) -> bool:
    try:
        table = read_foreign(path)
    except UserError:
        return False
    return asked in table.cells or any(is_steering(plain(name)) and table.is_numeric(name) for name in table.cells)


def is_steering(name: str) -> bool:
    return ("steer" in name or name in _ANGLES) and not _NO_STEERING.search(name)


def plain(name: str) -> str:
    """Return a name in lower case letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def is_number(cell: str) -> bool:
    return math.isfinite(number_of_cell(cell))


def number_of_cell(cell: str) -> float:
    """Return the number in a cell, NaN for none. A decimal comma is one, too, where no comma separates the cells."""
    try:
        # Python ignores an underscore within a number
        return math.nan if "_" in cell else float(cell.replace(",", ".") if cell.count(",") == 1 else cell)
    except ValueError:
        return math.nan
