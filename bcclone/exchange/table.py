"""A table of another program -> its columns of cells.

A table is text with a separator: tabs, semicolons, bars, commas with a blank, two blanks beside
commas, commas or blanks, the first of these that most of its lines have; or what a line such as
sep=; states. Lines of comments before the first row are left out, except one that names the
columns. The first line has the names of the columns, unless it holds a number or an image: then the
columns are called 1, 2 and so on. A line of units or of descriptions below it belongs to the names.
"""

import csv
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import dropwhile, pairwise, zip_longest
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from bcclone.exchange.cells import is_empty, may_be_thousands, number_in, read_numbers
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_rows import ACCIDENTS_SHARE, LeftOut
from bcclone.exchange.inquiry import Inquiry, Missing, quoted
from bcclone.exchange.source_files import IMAGE_ENDINGS, is_image
from bcclone.exchange.units import is_unit, plain, with_unit
from bcclone.recording.dialect import ASCII_NUMBERS, COLUMNS, nul_characters, text_of
from bcclone.recording.log import other_file
from bcclone.recording.row import CAMERAS, camera_of
from bcclone.system.arrays import FloatArray, runs
from bcclone.system.codec import explained, read_bytes
from bcclone.system.errors import UserError, number_of

# in this order; beside all but the single comma, a comma in a number is its decimal mark
_SEPARATORS = ("\t", ";", "|", ", ", "  ", ",", " ")
_STATED_SEPARATOR = re.compile(r'"?sep=(\\t|[^"])"?\s*', re.IGNORECASE)  # of Excel
_COMMENTS = ("#", "%", "//")  # how a comment begins
_SAMPLE_LINES = 1000  # that show the separator
_MOST_BEFORE = 50  # lines before the names of the columns
_LONGEST_BEGIN = 10_000  # bytes that may stand before the names of the columns
_SECTION = re.compile(r"\[\s*[^\W\d][\w .-]*\]")
_MOST_COLUMNS = 1000
_WHOLE = re.compile(r"[-+]?\d+")
_DECIMALS = re.compile(r"\d+(?:[eE][-+]?\d+)?")
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
_IMAGE_AND_NUMBER = re.compile(
    rf"(.+(?:{'|'.join(map(re.escape, IMAGE_ENDINGS))}))\s+([-+\d.eE]+)", re.IGNORECASE
)
_OF_UNITS = re.compile(r"(?:(?:steer\w*|angle)_)?units?(?:_(?:of_)?(?:steer\w*|angle))?")
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
    remarks: Sequence[str] = ()  # what stands in the table beside its cells, such as comments
    described: Mapping[str, str] = field(default_factory=dict)  # column -> the text below its name
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

    def texts_of(self, column: str) -> list[str]:
        """Return the texts that may say of what kind the numbers of a column are."""
        below = self.described.get(column)
        return [*self.remarks, *([below] if below else [])]

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
    lines = _read_lines(path)
    first = lines.numbered[0][1]
    width = len(first)
    if width > _MOST_COLUMNS:
        raise UserError(f"{path}: a line of {width} cells, expected at most {_MOST_COLUMNS}")
    divided = None
    if lines.separator == "," and not settings.decimal_comma:
        divided = _decimal_commas(lines.numbered, _has_names(lines.numbered))
    if divided:
        inquiry.settings = replace(inquiry.settings, decimal_comma=True)
        inquiry.ask([divided])
        return read_table(inquiry.settings, path, inquiry)
    has_names = _has_names(lines.numbered)
    body = lines.numbered[has_names:]
    if lines.separator == "," and settings.decimal_comma:
        body = _with_decimal_commas(path, body, width, has_names)
    if not has_names and lines.separator != " ":
        body, width = _with_blank_behind_image(body, width)
    _refuse_other_widths(path, body, width, lines.separator, settings.decimal_comma)
    rows, numbers, broken = _rows_of(path, body, width, first if has_names else None)
    below = _below_names(rows) if has_names else ()
    notes = list(lines.notes)
    if below:
        inquiry.note("line below the names", f"line {numbers[0]}: {quoted(below)}")
        notes.append(f"table: line {numbers[0]} belongs to the names: {quoted(below)}")
        rows, numbers = rows[1:], numbers[1:]
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
    remarks = [*lines.remarks, *_constant_units(columns)]
    if remarks:
        inquiry.note("text in the table", quoted(remarks))
    return SourceTable(
        path,
        lines=numbers,
        broken=broken,
        notes=notes,
        remarks=remarks,
        described=dict(zip(read["columns"], below, strict=False)),
        **read,
    )


def _with_decimal_commas(
    path: Path, body: Sequence[tuple[int, list[str]]], width: int, has_names: bool
) -> Sequence[tuple[int, list[str]]]:
    """Return the lines with the numbers joined that were divided at their decimal commas."""
    if not has_names:
        raise UserError(
            f"{path}: without names of columns nothing says how many numbers a row has; write "
            "their names into its first line, and state --decimal-comma",
            exit_code=2,
        )
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
            if has_commas and may_be_thousands(cells)
        ],
    }


def _has_names(numbered: Sequence[tuple[int, list[str]]]) -> bool:
    """Return whether the first line of a table names its columns, and is not like the next one."""
    first, *others = [cells for _, cells in numbered[:2]]
    shapes = [[re.sub(r"[-+.\d]+", "#", cell) for cell in cells] for cells in (first, *others)]
    is_alike = len(shapes) > 1 and shapes[0] == shapes[1] and "#" in "".join(shapes[0])
    counted = [str(number) for number in range(len(first))]
    return _are_names(first) and (not is_alike or first == counted)


def _are_names(first: Sequence[str]) -> bool:
    """Return whether the first line of a table names its columns.

    No name is a number or an image, but pandas writes 0, 1, 2 ...
    """
    filled = [cell for cell in first if cell]
    counted = [str(number) for number in range(len(filled))]
    return filled == counted or not any(map(_is_value, filled))


def _is_value(cell: str) -> bool:
    return is_image(cell) or _is_number(cell)


def _is_number(cell: str) -> bool:
    is_with_comma = _DECIMAL_COMMA.fullmatch(cell.translate(ASCII_NUMBERS))
    return bool(is_with_comma) or math.isfinite(number_in(cell))


def _below_names(rows: Sequence[Sequence[str]]) -> Sequence[str]:
    """Return the line below the names of columns if it has their units, such as s, [deg] or km/h,
    or describes them: it holds no value, but a text where the next one has a number. () otherwise.
    """
    if len(rows) < 2 or any(map(_is_value, rows[0])):
        return ()
    has_text = any(
        not is_empty(cell) and _is_number(number)
        for cell, number in zip(rows[0], rows[1], strict=True)
    )
    return rows[0] if has_text else ()


def _constant_units(columns: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the unit that a column such as `unit` states for all rows, as a text."""
    named = [name for name in columns if _OF_UNITS.fullmatch(plain(name))]
    return [f"{name}: {columns[name][0]}" for name in named if len(set(columns[name])) == 1]


def _header_of(names: Sequence[str], below: Sequence[str]) -> list[str]:
    """Return the names of columns with the units that stand below them; those of several columns
    that are called alike get their numbers.
    """
    counts = Counter(names)
    numbered = [
        f"{name}#{number}" if name and counts[name] > 1 else name
        for number, name in enumerate(names, start=1)
    ]
    return [
        with_unit(name, unit.strip("[]()")) if name and is_unit(unit) else name
        for name, unit in zip_longest(numbered, below, fillvalue="")
    ]


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
        f"{path}: line {line}: {_fault_of(cells, width)}: {cells!r:.200}; {remedy}", exit_code=2
    )


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
        fault = _fault_of(cells, width)
        if cells == names:
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


def _fault_of(cells: Sequence[str], width: int) -> str:
    """Return why a line is not a row of so many cells, "" if it is one."""
    if nul_count := "".join(cells).count("\0"):
        return nul_characters(nul_count)
    if len(cells) != width:
        return f"{len(cells)} cells, expected {width} as in the first line"
    return ""


@dataclass(frozen=True)
class _Lines:
    """The lines of a table, divided into cells."""

    separator: str
    numbered: Sequence[tuple[int, list[str]]]  # number of a line and its cells; at least one
    notes: Sequence[str]  # which lines were left out, in words
    remarks: Sequence[str]  # their text
    encoding: str  # what is said of it where it is not known; "" where it is


def _read_lines(path: Path) -> _Lines:
    """Return the lines of a table from the names of its columns on.

    Lines before these are left out: blank ones, Excel's sep=;, and comments.
    """
    with explained(path, "a table", "expected one of text, such as CSV"):
        content = read_bytes(path, "cells")
        _refuse_sections(path, content)
        if other := other_file(path, content[:512]):  # an image, an archive and so on
            raise UserError(f"{path}: not a table: {other}", exit_code=2)
        lines = text_of(content).rstrip("\n ").split("\n")
        begin, stated, comments = _before_rows(lines)
        separator, before = _find_separator(lines[begin : begin + _SAMPLE_LINES])
        if stated:
            separator, before = stated, 0
        remarks = [*comments, *filter(None, map(str.strip, lines[begin : begin + before]))]
        begin += before
        numbered = _divided(lines[begin:], separator, begin)
        filled = list(dropwhile(lambda numbered: not any(numbered[1]), numbered))
        if not filled:
            raise UserError(f"{path}: it has no rows; expected one for each frame")
        if comments:  # the last one may name the columns, as NumPy and ROS write them
            named = _divided(comments[-1:], separator, begin - 1)
            are_same = len(named[0][1]) == len(filled[0][1]) > 1
            if are_same and _are_names(named[0][1]) and not _are_names(filled[0][1]):
                filled = [*named, *filled]
                remarks.remove(comments[-1])
    notes = []
    if (left_out := filled[0][0] - 1) and (comments or before):
        notes = [f"table: {number_of(left_out, 'line')} before the first one of cells"]
        notes[0] += f": {quoted(remarks)}" if remarks else ""
    number, first = filled[0]
    if fault := _fault_of(first, len(first)):
        raise UserError(f"{path}: line {number}: {fault}; write the names of the columns there")
    return _Lines(separator, filled, notes, remarks, _unknown_encoding(content))


def _unknown_encoding(content: bytes) -> str:
    try:
        content.decode()
    except UnicodeDecodeError:
        is_utf_16 = b"\0" in content[:_LONGEST_BEGIN]
        return "" if is_utf_16 else "not UTF-8: save it so if its letters look wrong"
    return ""


def _refuse_sections(path: Path, content: bytes) -> None:
    """Raise UserError for a file with sections, which begin with lines such as [header]."""
    for number, line in enumerate(text_of(content[:_LONGEST_BEGIN]).split("\n")[:_MOST_BEFORE], 1):
        if _SECTION.fullmatch(line.strip()):
            raise UserError(
                f"{path}: line {number}: {line.strip()!r:.60} begins a section, as of a file of "
                "settings; write the lines of the section with the rows into a table of their own, "
                "with the names of the columns first",
                exit_code=2,
            )


def _before_rows(lines: Sequence[str]) -> tuple[int, str, list[str]]:
    """Return the place of the first line that is no comment, the separator that Excel states before
    it, "" for none, and the comments without their marks.
    """
    separator = ""
    comments: list[str] = []
    for place, line in enumerate(lines):
        if stated := _STATED_SEPARATOR.fullmatch(line):
            separator = stated[1].replace("\\t", "\t")
        elif line.strip().startswith(_COMMENTS):
            comments.append(line.strip().lstrip("#%/ "))
        elif line.strip():
            return place, separator, comments
    return len(lines), separator, comments


def _divided(lines: Sequence[str], separator: str, before: int) -> list[tuple[int, list[str]]]:
    """Return the number and the cells of each line. before: number of lines before these"""
    text = "\n".join(lines)
    mark = separator
    if len(separator) == 2:
        text = re.sub(f"{separator}+", ";", text)
        mark = ";"
    # with their ends, since a cell in quotes may have several lines
    ended = (f"{line}\n" for line in text.split("\n"))
    reader = csv.reader(ended, delimiter=mark, skipinitialspace=True)
    return [(before + reader.line_num, [cell.strip() for cell in cells]) for cells in reader]


def _find_separator(lines: Sequence[str]) -> tuple[str, int]:
    """Return the separator of most lines, and how many lines of text stand before the first one
    that has it, which then names the columns.
    """
    filled = [place for place, line in enumerate(lines) if line.strip()]
    bare = [re.sub(r'"[^"]*"', '""', lines[place].strip()) for place in filled]
    for mark in _SEPARATORS:
        has = [_divides(mark, line) for line in bare]
        before = has.index(True) if any(has) else len(has)
        if 2 * sum(has) <= len(has) - before or (mark == "  " and "," not in "".join(bare)):
            continue
        widths = [line.count(mark) for line in bare]
        usual = Counter(widths).most_common(1)[0][0]
        if before == 0 and widths[0] < usual:  # lines such as "Device,Pixel 7" stand before
            before = widths.index(usual)
        if not before:
            return mark, 0
        body = [line.split(mark) for line in bare[before + 1 :]]
        of_values = sum(any(_is_value(cell.strip()) for cell in cells) for cells in body)
        names = [cell.strip() for cell in bare[before].split(mark)]
        if before <= _MOST_BEFORE and _are_names(names) and 2 * of_values > len(body):
            return mark, filled[before]
        if has[0]:
            return mark, 0
    return ",", 0


def _divides(mark: str, line: str) -> bool:
    """Return whether a mark divides the cells of a line; of two characters, only where each comma
    without them is the decimal mark of a number.
    """
    if mark not in line:
        return False
    if len(mark) == 1:
        return True
    with_comma = (cell for cell in re.split(f"{mark}+", line) if "," in cell)
    return all(_DECIMAL_COMMA.fullmatch(cell.translate(ASCII_NUMBERS)) for cell in with_comma)


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


# ---- names of columns


_FORWARD = ("front", "forward", "centre", "middle", "mid")  # a camera that looks there


def camera_of_name(name: str) -> str:
    """Return a plain name without the words for cameras and images: left_camera -> left."""
    return re.sub("_?(?:camera|cam|images?|img)_?", "", plain(name))


def with_center(by_camera: Mapping[str, str]) -> dict[str, str]:
    """Return name of a camera -> what has its images, where one that looks forward is the center if
    none is called that.
    """
    forward = (by_camera[name] for name in _FORWARD if name in by_camera)
    center = by_camera.get(CAMERAS[0]) or next(forward, "")
    return dict(by_camera) | ({CAMERAS[0]: center} if center else {})
