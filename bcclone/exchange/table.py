"""A table of another program -> its columns of cells.

The first line has the names of the columns, unless it holds a number or an image: then the columns
are called 1, 2 and so on. Lines of units or of descriptions below it belong to the names. How the
lines are divided is in table_lines.py.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, takewhile
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from bcclone.exchange.cells import has_mark, is_empty, may_be_thousands, number_in, read_numbers
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_rows import ACCIDENTS_SHARE, LeftOut
from bcclone.exchange.inquiry import Inquiry
from bcclone.exchange.questions import Missing, quoted
from bcclone.exchange.source_files import IMAGE_ENDINGS
from bcclone.exchange.table_lines import (
    COMMENTS,
    are_names,
    fault_of,
    is_number_cell,
    is_value,
    read_lines,
)
from bcclone.exchange.units import bare, is_unit, with_unit
from bcclone.recording.dialect import COLUMNS
from bcclone.recording.row import CAMERAS, camera_of
from bcclone.system.arrays import FloatArray, runs
from bcclone.system.errors import UserError

_MOST_BELOW = 3  # lines below the names of the columns that belong to them
_WHOLE = re.compile(r"[-+]?\d+")
_DECIMALS = re.compile(r"\d+(?:[eE][-+]?\d+)?")
_IMAGE_AND_NUMBER = re.compile(
    rf"(.+(?:{'|'.join(map(re.escape, IMAGE_ENDINGS))}))\s+([-+\d.eE]+)", re.IGNORECASE
)
# behind a comma alone: a program that writes an exponent sets the point behind the first digit
_DIVIDED_DECIMALS = re.compile(r"\d{2,}[eE][-+]?\d+")


@dataclass(frozen=True)
class SourceTable:
    """A table, or the numbers of a LeRobot data set."""

    path: Path
    # name of a column -> its cells, (rows,), in which numbers are written as Python writes them
    columns: Mapping[str, Sequence[Any]]
    lines: Sequence[int] = ()  # number of each row's line in the file, (rows,)
    broken: Sequence[LeftOut] = ()  # with NULs, or without as many cells as the first line has
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
    first = lines.numbered[0][1]
    width = len(first)
    divided = None
    if lines.separator == "," and not settings.decimal_comma:
        divided = _decimal_commas(lines.numbered, _has_names(lines.numbered))
    if divided:
        inquiry.settings = replace(inquiry.settings, decimal_comma=True)
        inquiry.ask([divided])
        return read_table(inquiry.settings, path, inquiry)
    has_names = _has_names(lines.numbered)
    body = lines.numbered[has_names:]
    if settings.decimal_comma:
        body = _with_decimal_commas(path, body, width, has_names, lines.separator)
    if not has_names and lines.separator != " ":
        body, width = _with_blank_behind_image(body, width)
    _refuse_other_names(path, lines.numbered)
    _refuse_other_widths(path, body, width, lines.separator, settings.decimal_comma)
    body, comments = _without_comments(body, width, lines.separator)
    rows, numbers, broken = _rows_of(path, body, width, first if has_names else None)
    below = _below_names(rows) if has_names else ()
    notes = list(lines.notes)
    for number, line in zip(numbers, below, strict=False):
        inquiry.note("line below the names", f"line {number}: {quoted(line)}")
        notes.append(f"table: line {number} belongs to the names: {quoted(line)}")
    rows, numbers = rows[len(below) :], numbers[len(below) :]
    _refuse_other_units(path, numbers, rows, below)
    header = _header_of(first, below) if has_names else []
    if not rows:
        first_error = f"; the first: {broken[0].shown}" if broken else ""
        raise UserError(f"{path}: it has no rows; expected one for each frame{first_error}")
    # a line without names that begins as one of the simulator has its columns
    if not has_names and width >= 7 and camera_of(PureWindowsPath(first[0]).name) == CAMERAS[0]:
        header = COLUMNS.split(",")
    facts = {"separator": lines.separator, "encoding": lines.encoding}
    inquiry.note("table", str(path), rows=len(rows), **facts)
    decimal_comma = lines.separator != "," or settings.decimal_comma
    columns = _columns_of(rows, header)
    read = _numbers_of(columns, decimal_comma)
    _refuse_unknown_letters(lines.encoding, SourceTable(path, read["columns"]), settings)
    if comments:
        notes.append(f"table: comments among the rows: {quoted(comments)}")
    remarks = [*lines.remarks, *comments, *_constant_texts(columns)]
    if remarks:
        inquiry.note("text in the table", quoted(remarks))
    return SourceTable(
        path,
        lines=numbers,
        broken=broken,
        notes=notes,
        remarks=remarks,
        described=dict(zip(read["columns"], _descriptions(below), strict=False)),
        **read,
    )


def _with_decimal_commas(
    path: Path,
    body: Sequence[tuple[int, list[str]]],
    width: int,
    has_names: bool,
    separator: str,
) -> Sequence[tuple[int, list[str]]]:
    """Return the lines with the numbers joined that were divided at their decimal commas.

    Raises UserError for lines without a decimal comma.
    """
    if separator == "," and not has_names:
        raise UserError(
            f"{path}: without names of columns nothing says how many numbers a row has; write "
            "their names into its first line, and state --decimal-comma",
            exit_code=2,
        )
    if all(len(cells) <= width and "," not in "".join(cells) for _, cells in body):
        raise UserError(
            f"{path}: --decimal-comma states nothing of its numbers, none of which has a comma; "
            "leave it out",
            exit_code=2,
        )
    if separator != ",":
        return body
    return [(line, _joined(cells, width) or cells) for line, cells in body]


def _with_blank_behind_image(
    body: Sequence[tuple[int, list[str]]], width: int
) -> tuple[Sequence[tuple[int, list[str]]], int]:
    """Return the lines with a cell for an image, and one for the number that stands behind it and a
    blank, if most lines begin so, as those of SullyChen's data set; and how many cells a line has.
    """
    begins = [_IMAGE_AND_NUMBER.fullmatch(cells[0]) if cells else None for _, cells in body]
    if 2 * sum(match is not None for match in begins) <= len(body):
        return body, width
    divided = [
        (line, [*match.groups(), *cells[1:]] if match else cells)
        for match, (line, cells) in zip(begins, body, strict=True)
    ]
    return divided, width + 1


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


def _has_names(numbered: Sequence[tuple[int, list[str]]]) -> bool:
    """Return whether the first line of a table names its columns, and is not like the next one."""
    first, *others = [cells for _, cells in numbered[:2]]
    shapes = [[re.sub(r"[-+.\d]+", "#", cell) for cell in cells] for cells in (first, *others)]
    is_alike = len(shapes) > 1 and shapes[0] == shapes[1] and "#" in "".join(shapes[0])
    counted = [str(number) for number in range(len(first))]
    return are_names(first) and (not is_alike or first == counted)


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


def _descriptions(below: Sequence[Sequence[str]]) -> list[str]:
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


def _header_of(names: Sequence[str], below: Sequence[Sequence[str]]) -> list[str]:
    """Return the names of columns with the units that stand below them; those of several columns
    that are called alike get their numbers.
    """
    counts = Counter(names)
    header = [
        f"{name}#{number}" if name and counts[name] > 1 else name
        for number, name in enumerate(names, start=1)
    ]
    for line in below:
        header = [
            with_unit(name, bare(unit)) if name and is_unit(unit) else name
            for name, unit in zip(header, line, strict=True)
        ]
    return header


def _decimal_commas(numbered: Sequence[tuple[int, list[str]]], has_names: bool) -> Missing | None:
    """Return the question for a table with decimal commas between commas, None for any other.

    Two cells are divided at a decimal comma: -0 before several digits, or a whole number before
    digits with an exponent, as in -0,15 and 2,77e-17. Or lines have more cells than names, and
    become as many if numbers are joined.
    """
    width = len(numbered[0][1])
    body = numbered[has_names:]
    longer = [(line, cells) for line, cells in body if len(cells) > width]
    if len(longer) > ACCIDENTS_SHARE * len(body):
        line, cells = longer[0]
        if _joined(cells, width):
            return Missing("decimal comma", "decimal_comma", facts={"line": line, "cells": cells})
    # a line with as many cells as names is divided nowhere
    for line, cells in longer if has_names else body:
        for whole, decimals in pairwise(cells):
            with_exponent = _WHOLE.fullmatch(whole) and _DIVIDED_DECIMALS.fullmatch(decimals)
            if with_exponent or (whole == "-0" and len(decimals) > 1 and decimals.isdecimal()):
                facts = {"line": line, "cells": cells}
                return Missing("decimal comma", "decimal_comma", facts=facts)
    return None


def _refuse_other_names(path: Path, numbered: Sequence[tuple[int, list[str]]]) -> None:
    """Raise UserError where a line below names the columns otherwise than the first one, as in
    joined tables: it holds no value, and most of its cells are among those names.
    """
    (first_line, first), *others = numbered if _has_names(numbered) else numbered[:1]
    names = [name.lower() for name in first]
    for line, cells in others:
        called = [cell.lower() for cell in cells]
        if cells and cells[0].startswith(COMMENTS):
            called[0] = called[0].lstrip("#%/ ")
        is_of_names = 2 * len(set(called) & set(filter(None, names))) >= max(2, len(called))
        if is_of_names and called != names and not any(map(is_value, cells)):
            raise UserError(
                f"{path}: line {line} names the columns otherwise than line {first_line}: "
                f"{quoted(cells)}, and there {quoted(first)}; divide the table before line {line}, "
                "and import each part by itself",
                exit_code=2,
            )


def _refuse_other_units(
    path: Path, lines: Sequence[int], rows: Sequence[list[str]], below: Sequence[Sequence[str]]
) -> None:
    """Raise UserError for a line of other units than those below the names, as in joined tables."""
    for line, cells in zip(lines, rows if below else (), strict=False):
        if cells not in below and any(map(is_unit, cells)) and not any(map(is_value, cells)):
            raise UserError(
                f"{path}: line {line} has other units than those below the names of the columns: "
                f"{quoted(cells)}; divide the table there, and import each part by itself",
                exit_code=2,
            )


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


def _refuse_other_widths(
    path: Path, body: Sequence[tuple[int, list[str]]], width: int, separator: str, joined: bool
) -> None:
    """Raise UserError where lines have other numbers of cells than the first one.

    A few broken lines are allowed, and those in which a power failure left NULs.

    joined: whether numbers with decimal commas are joined already, where that is clear
    """
    filled = [(line, cells) for line, cells in body if any(cells) and "\0" not in "".join(cells)]
    longer = [(line, cells) for line, cells in filled if len(cells) > width]
    shorter = [(line, cells) for line, cells in filled if len(cells) < width]
    if len(longer) <= ACCIDENTS_SHARE * len(body) and 2 * len(shorter) <= len(body):
        return
    line, cells = (longer or shorter)[0]
    if longer and all(len(cells) == width + 1 and not cells[-1] for _, cells in longer):
        raise UserError(
            f"{path}: line {line} ends with {separator!r} behind its last cell, and the first line "
            "does not; write it at the end of the first line, too",
            exit_code=2,
        )
    mark = {"\t": "tabs", " ": "blanks"}.get(separator, repr(separator))
    remedy = f"its cells are divided by {mark}, as most lines are; write each line with as many "
    remedy += (
        "cells as the first one, and # before lines that stand before the names of the columns"
    )
    if longer:
        remedy += "; name each cell in the first line, without a separator at the end of a line"
    if longer and separator == "," and joined:
        remedy = "which of its commas are decimal marks cannot be told; write the table with "
        remedy += "another separator, as pandas does with sep=';'"
    elif longer and separator == ",":
        remedy += "; numbers with decimal commas need another separator, as pandas writes with "
        remedy += "sep=';', or --decimal-comma where only commas divide the cells"
    raise UserError(
        f"{path}: line {line}: {fault_of(cells, width)}: {cells!r:.200}; {remedy}", exit_code=2
    )


def _without_comments(
    body: Sequence[tuple[int, list[str]]], width: int, separator: str
) -> tuple[Sequence[tuple[int, list[str]]], list[str]]:
    """Return the lines without the comments among them, and the text of these."""
    are_comments = [
        len(cells) not in (0, width) and cells[0].startswith(COMMENTS) for _, cells in body
    ]
    comments = [
        separator.join(cells)
        for (_, cells), is_one in zip(body, are_comments, strict=True)
        if is_one
    ]
    return [line for line, is_one in zip(body, are_comments, strict=True) if not is_one], comments


def _rows_of(
    path: Path, body: Sequence[tuple[int, list[str]]], width: int, names: list[str] | None
) -> tuple[list[list[str]], list[int], list[LeftOut]]:
    """Return the rows of a table, the number of each one's line, and the lines that are no rows.

    names: of the columns, which a joined file repeats; None for none
    """
    rows = []
    lines = []
    broken = []
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
            broken.append(LeftOut(fault, place=place))
    return rows, lines, broken


def _joined(cells: Sequence[str], width: int) -> list[str] | None:
    """Join the numbers of a row that were divided at a decimal comma; return its cells.

    Returns None if they do not become `width` cells in exactly one way.
    """
    # where a number may begin: a whole number, and digits behind it
    begins = [
        place
        for place, (whole, decimals) in enumerate(pairwise(cells))
        if _WHOLE.fullmatch(whole) and _DECIMALS.fullmatch(decimals)
    ]
    numbers: set[int] = set()
    for first, last in runs(np.array(begins, int)):
        if (last - first) % 2:  # the cells of the run can be joined from its start or from its end
            return None
        numbers.update(range(first, last + 1, 2))
    if not numbers or len(cells) - len(numbers) != width:
        return None
    return [
        f"{cell},{cells[place + 1]}" if place in numbers else cell
        for place, cell in enumerate(cells)
        if place - 1 not in numbers
    ]
