"""A table of another program -> its columns of cells.

The first line has the names of the columns, unless it holds a number or an image: then the columns
are called 1, 2 and so on. Lines of units or of descriptions below it belong to the names. How the
lines are divided is in table_lines.py, and how they get as many cells in table_shape.py.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from bcclone.exchange.cells import has_mark, is_empty, may_be_thousands, number_in, read_numbers
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_rows import LeftOut
from bcclone.exchange.inquiry import Inquiry
from bcclone.exchange.questions import Missing, quoted
from bcclone.exchange.table_lines import (
    Lines,
    fault_of,
    is_number_cell,
    is_value,
    read_lines,
)
from bcclone.exchange.table_shape import (
    decimal_commas,
    has_names,
    refuse_other_names,
    refuse_other_units,
    refuse_other_widths,
    with_blank_behind_image,
    with_decimal_commas,
    without_comments,
)
from bcclone.exchange.units import bare, is_unit, with_unit
from bcclone.recording.dialect import COLUMNS
from bcclone.recording.row import CAMERAS, camera_of
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError

_MOST_BELOW = 3  # lines below the names of the columns that belong to them


@dataclass(frozen=True)
class SourceTable:
    """A table, or the numbers of a LeRobot data set."""

    path: Path
    # name of a column -> its cells, (rows,), in which numbers are written as Python writes them
    columns: Mapping[str, Sequence[Any]]
    lines: Sequence[int] = ()  # number of each row's line in the file, (rows,)
    # number of a line -> it is with NULs, or without as many cells as the first line has
    broken: Mapping[int, LeftOut] = field(default_factory=dict)
    notes: Sequence[str] = ()  # how it was read, in words
    # the cells of columns whose numbers the file writes in another way, as they stand there
    as_written: Mapping[str, Sequence[str]] = field(default_factory=dict)
    doubtful: Collection[str] = ()  # columns whose points may be decimal, or between thousands
    remarks: Sequence[str] = ()  # texts beside the cells, such as comments
    described: Mapping[str, str] = field(default_factory=dict)  # column -> text below its name
    _numbers: dict[str, FloatArray] = field(default_factory=dict, compare=False, repr=False)

    def place(self, row: int) -> str:
        """Return file and line of a row, for messages."""
        return f"{self.path}: line {self.lines[row]}" if self.lines else f"{self.path}: row {row}"

    def among_all(self) -> list[int]:
        """Return how many rows of the file stand before each row, (rows,), those that could not be
        read among them, since they, too, belong to an image.
        """
        broken = list(self.broken)
        before = np.searchsorted(broken, self.lines)
        return [row + int(count) for row, count in enumerate(before)]

    def numbers(self, column: str) -> FloatArray:
        """Return the numbers in the cells of a column, (rows,); NaN where a cell holds none."""
        if column not in self._numbers:
            self._numbers[column] = np.array([number_in(cell) for cell in self.columns[column]])
        return self._numbers[column]

    def written(self, column: str, row: int) -> Any:
        """Return a cell as it stands in the file."""
        return self.as_written.get(column, self.columns[column])[row]

    def not_read(self, column: str) -> list[int]:
        """Return the rows whose cell holds something else than a number, and is not empty."""
        cells = self.columns[column]
        unknown = np.flatnonzero(~np.isfinite(self.numbers(column))).tolist()
        return [row for row in unknown if not is_empty(cells[row])]

    def find(self, asked: str) -> str:
        """Return the name of a column, which is asked for by it or by its number from 1; "" for
        none.
        """
        if asked in self.columns:
            return asked
        # nine digits are enough; int() would take long for a huge number
        if asked.isdecimal() and len(asked) < 10 and 0 < int(asked) <= len(self.columns):
            return list(self.columns)[int(asked) - 1]
        with_unit = (name for name in self.columns if name.startswith(f"{asked} ["))
        return next(with_unit, "") if asked else ""

    def doubts(self, column: str) -> list[Missing]:
        """Return the question for a column whose points may be decimal, or between thousands."""
        if column not in self.doubtful:
            return []
        cells = [str(self.written(column, row)) for row in range(len(self.columns[column]))]
        row = next(row for row, cell in enumerate(cells) if has_mark(cell))
        facts = {"column": column, "cell": cells[row], "place": self.place(row)}
        return [Missing("cells: thousands", facts=facts)]

    def held(self, names: Iterable[str] = ()) -> dict[str, Any]:
        """Return what some columns hold: the range of numbers that change, or the first cells.

        names: of the columns; those of the whole table if there are none
        """
        held: dict[str, Any] = {}
        for name in list(names) or list(self.columns):
            numbers = self.numbers(name)
            known = numbers[np.isfinite(numbers)]
            if len(known) >= 0.5 * len(numbers) and len(np.unique(known)) > _FEW_VALUES:
                held[name] = range_of(known)
            else:
                cells = (str(cell)[:40] for cell in self.columns[name][:200])
                held[name] = list(dict.fromkeys(filter(None, cells)))[:_FEW_VALUES]
        return held


_FEW_VALUES = 4  # so many are listed themselves


def range_of(numbers: FloatArray) -> dict[str, Any]:
    """Return what is said of numbers, (rows,), none of which is NaN."""
    values, counts = np.unique(numbers, return_counts=True)
    return {
        "least": float(values[0]),
        "greatest": float(values[-1]),
        "most_frequent": float(values[counts.argmax()]),
        "share": round(float(counts.max() / counts.sum()), 4),
        "different": len(values),
    }


def read_table(settings: ImportSettings, path: Path, inquiry: Inquiry) -> SourceTable:
    """Return a table; raises UserError for one that cannot be read or has no rows.

    Decimal commas that are not stated are asked for, and the table is read as if they were.
    """
    lines = read_lines(path)
    are_named = has_names(lines.numbered)
    divided = None
    if lines.separator == "," and not settings.decimal_comma:
        divided = decimal_commas(lines.numbered, are_named)
    if divided:
        inquiry.settings = replace(inquiry.settings, decimal_comma=True)
        inquiry.ask([divided])
        return read_table(inquiry.settings, path, inquiry)
    rows = _rows_of(path, lines, are_named, settings.decimal_comma)
    notes = list(lines.notes)
    for number, cells in rows.below.items():
        inquiry.note("line below the names", f"line {number}: {quoted(cells)}")
        notes.append(f"table: line {number} belongs to the names: {quoted(cells)}")
    if not rows.cells:
        first_error = (
            f"; the first: {next(iter(rows.broken.values())).shown}" if rows.broken else ""
        )
        raise UserError(f"{path}: it has no rows; expected one for each frame{first_error}")
    facts = {"separator": lines.separator, "encoding": lines.encoding}
    inquiry.note("table", str(path), rows=len(rows.cells), **facts)
    columns = _columns_of(rows.cells, _header_of(lines.numbered[0][1], rows, are_named))
    decimal_comma = lines.separator != "," or settings.decimal_comma
    read = _numbers_of(columns, decimal_comma)
    _refuse_unknown_letters(lines.encoding, SourceTable(path, read["columns"]), settings)
    if rows.comments:
        notes.append(f"table: comments among the rows: {quoted(rows.comments)}")
    remarks = [*lines.remarks, *rows.comments, *_constant_texts(columns)]
    if remarks:
        inquiry.note("text in the table", quoted(remarks))
    return SourceTable(
        path,
        lines=rows.lines,
        broken=rows.broken,
        notes=notes,
        remarks=remarks,
        described=dict(zip(read["columns"], _descriptions(rows.below.values()), strict=False)),
        **read,
    )


@dataclass(frozen=True)
class _Rows:
    """The lines of a table, by what they are."""

    cells: Sequence[list[str]]  # of each row, as many as the table has columns
    lines: Sequence[int]  # number of each row's line, (rows,)
    # number of a line below the names -> its cells, which are units or descriptions
    below: Mapping[int, Sequence[str]]
    broken: Mapping[int, LeftOut]  # as SourceTable.broken
    comments: Sequence[str]  # among the rows


def _rows_of(path: Path, lines: Lines, are_named: bool, decimal_comma: bool) -> _Rows:
    """Return the rows of a table; raises UserError for joined tables, and for other widths."""
    first = lines.numbered[0][1]
    width = len(first)
    body = lines.numbered[are_named:]
    if decimal_comma:
        body = with_decimal_commas(path, body, width, are_named, lines.separator)
    if not are_named and lines.separator != " ":
        body, width = with_blank_behind_image(body, width)
    refuse_other_names(path, lines.numbered)
    refuse_other_widths(path, body, width, lines.separator, decimal_comma)
    body, comments = without_comments(body, width, lines.separator)
    cells, numbers, broken = _whole_rows(path, body, width, first if are_named else None)
    below = _below_names(cells) if are_named else ()
    count = len(below)
    refuse_other_units(path, numbers[count:], cells[count:], below)
    described = dict(zip(numbers[:count], below, strict=True))
    return _Rows(cells[count:], numbers[count:], described, broken, comments)


def _columns_of(rows: Sequence[list[str]], header: Sequence[str]) -> dict[str, list[str]]:
    """Return name -> cells; a column without a name of its own gets its number."""
    columns: dict[str, list[str]] = {}
    for number, column in enumerate(zip(*rows, strict=True), start=1):
        name = header[number - 1] if number <= len(header) else ""
        if not name:
            name = f"#{number}" if header else str(number)
        columns[name] = list(column)
    return columns


def _numbers_of(columns: Mapping[str, Sequence[str]], decimal_comma: bool) -> dict[str, Any]:
    """Return the columns of a SourceTable, those of them that are written in another way, and the
    doubtful ones. A unit that stands behind each number of a column belongs to its name.
    """
    read = {name: read_numbers(cells, decimal_comma) for name, cells in columns.items()}
    called = {name: with_unit(name, numbers.unit) for name, numbers in read.items()}
    has_commas = any(numbers.has_decimal_comma for numbers in read.values())
    return {
        "columns": {called[name]: numbers.cells for name, numbers in read.items()},
        "as_written": {
            called[name]: columns[name]
            for name, numbers in read.items()
            if numbers.cells is not columns[name]
        },
        "doubtful": [
            called[name]
            for name, cells in columns.items()
            # a program that writes all decimals writes them in each cell
            if may_be_thousands(cells)
            and (has_commas or not all(map(has_mark, filter(None, cells))))
        ],
    }


def _below_names(rows: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """Return the lines below the names of columns that have their units, such as s, [deg] or km/h,
    or describe them: they hold no value, but a text where the first row has a number.
    """
    first = next((place for place, row in enumerate(rows) if any(map(is_value, row))), 0)
    are_numbers = [is_number_cell(cell) for cell in rows[first]] if rows else []

    def has_text(row: Sequence[str]) -> bool:
        return any(
            is_one and not is_empty(cell) for is_one, cell in zip(are_numbers, row, strict=True)
        )

    return list(takewhile(has_text, rows[: min(first, _MOST_BELOW)]))


def _descriptions(below: Iterable[Sequence[str]]) -> list[str]:
    """Return what the lines below the names say of each column, besides its unit."""
    return [
        "; ".join(cell for cell in cells if cell and not is_unit(cell))
        for cells in zip(*below, strict=True)
    ]


def _constant_texts(columns: Mapping[str, Sequence[str]]) -> list[str]:
    """Return what columns of one and the same text, such as `unit` or `comment`, state."""
    return [
        f"{name}: {cells[0]}"
        for name, cells in columns.items()
        if len(set(cells)) == 1 and not is_empty(cells[0]) and not is_value(cells[0])
    ]


def _header_of(first: Sequence[str], rows: _Rows, are_named: bool) -> list[str]:
    """Return the names of columns with the units that stand below them; those of several columns
    that are called alike get their numbers. [] for a table without names.

    first: cells of the first line
    """
    if not are_named:
        # a line without names that begins as one of the simulator has its columns
        width = len(rows.cells[0])
        is_of_simulator = width >= 7 and camera_of(PureWindowsPath(first[0]).name) == CAMERAS[0]
        return COLUMNS.split(",") if is_of_simulator else []
    counts = Counter(first)
    header = [
        f"{name}#{number}" if name and counts[name] > 1 else name
        for number, name in enumerate(first, start=1)
    ]
    for line in rows.below.values():
        header = [
            with_unit(name, bare(unit)) if name and is_unit(unit) else name
            for name, unit in zip(header, line, strict=True)
        ]
    return header


def _refuse_unknown_letters(encoding: str, table: SourceTable, settings: ImportSettings) -> None:
    """Raise UserError for a column that is asked for and not found, in a table that is no UTF-8:
    its names may be read in wrong letters.

    encoding: what is said of it where it is not known
    """
    for asked in (settings.steering_column, settings.image_column, settings.time_column):
        if encoding and asked and not table.find(asked):
            raise UserError(
                f"{table.path}: it is not UTF-8, so that names of columns may be read in wrong "
                f"letters, and none is {asked!r}; save it as UTF-8 first, such as with "
                "iconv -f ENCODING -t UTF-8",
                exit_code=2,
            )


def _whole_rows(
    path: Path, body: Sequence[tuple[int, list[str]]], width: int, names: list[str] | None
) -> tuple[list[list[str]], list[int], dict[int, LeftOut]]:
    """Return the rows of a table, the number of each one's line, and the lines that are no rows by
    their numbers.

    names: of the columns, which a joined file repeats; None for none
    """
    rows = []
    lines = []
    broken = {}
    for line, cells in body:
        place = f"{path}: line {line}"
        fault = fault_of(cells, width)
        if names and [cell.lower() for cell in cells] == [name.lower() for name in names]:
            continue
        if not fault:
            rows.append(cells)
            lines.append(line)
        elif not cells and width == 1:
            raise UserError(
                f"{place}: blank, which may be a row without a number, or none; write nan, or "
                "remove it"
            )
        elif any(cells):
            broken[line] = LeftOut(fault, place=place)
    return rows, lines, broken
