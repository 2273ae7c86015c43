"""Read a table of any form: a CSV file -> its columns of cells.

The separator is a comma, semicolon, tab or blank. If the first line looks like the lines below it,
the table has no header: its columns are called 1, 2 and so on, or, if it begins with images of the
simulator's cameras, as in driving_log.csv. Cells that hold an image and something else are divided.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path, PureWindowsPath

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_row import LeftOut
from bcclone.exchange.source_files import IMAGE_ENDINGS, files_inside, other_file_in
from bcclone.exchange.table_words import is_number, is_steering, kind_of_cell, plain
from bcclone.recording.dialect import COLUMNS, text_of
from bcclone.recording.foreign_log import other_file
from bcclone.recording.row import CAMERAS, camera_of
from bcclone.system.codec import explained, read_bytes
from bcclone.system.errors import UserError

TABLE_ENDINGS = (".csv", ".tsv", ".txt")
_MOST_COLUMNS = 1000
_LOOKED_AT = 200  # the first rows of a column, by which it is judged

_Line = tuple[int, list[str]]  # number of a line in the file, and its cells


@dataclass(frozen=True)
class ForeignTable:
    """A table of another program."""

    path: Path
    lines: Sequence[int]  # number of each row's line in the file, (rows,)
    cells: Mapping[str, Sequence[str]]  # name of a column -> its cells, (rows,)
    # whether the table has no header, and its columns are called as in a log of the simulator
    as_in_log: bool = False
    broken: Sequence[int] = ()  # numbers of the lines that are left out for their number of cells

    def place(self, row: int) -> str:
        """Return file and line of a row, for messages."""
        return f"{self.path}: line {self.lines[row]}"

    def left_out(self) -> Iterator[LeftOut]:
        """Yield the lines that are no rows, since they have not as many cells as most lines."""
        reason = f"not {len(self.cells)} cells, as in most lines"
        return (LeftOut(f"{self.path}: line {line}", reason) for line in self.broken)

    def first_cells(self, name: str) -> Sequence[str]:
        """Return the first cells of a column, by which it is judged."""
        return self.cells[name][:_LOOKED_AT]

    def is_numeric(self, name: str) -> bool:
        """Return whether a column mostly holds numbers."""
        filled = [cell for cell in self.first_cells(name) if cell]
        return 2 * sum(map(is_number, filled)) > len(filled)

    def find_column(self, asked: str, what: str, option: str) -> str:
        """Return the name of a column; raises UserError if there is none.

        asked: its name, or its number from 1
        what: what the column holds, for the message
        option: the option that names it, for the message
        """
        if asked in self.cells:
            return asked
        # nine digits are enough; int() would take long for a huge number
        if asked.isdecimal() and len(asked) <= 9:
            number = int(asked)
            if 0 < number <= len(self.cells):
                return list(self.cells)[number - 1]
        candidates = self.examples(self.cells)
        raise no_column(self.path, what, option, candidates, f"no column {asked[:60]!r}")

    def examples(self, names: Iterable[str]) -> list[str]:
        """Return the names of columns, with the first values of each."""
        examples = []
        for name in names:
            values = list(dict.fromkeys(filter(None, self.first_cells(name))))
            examples.append(f"{name} ({', '.join(value[:40] for value in values[:3])})")
        return examples


def no_column(
    path: Path, what: str, option: str, candidates: Sequence[str], reason: str
) -> UserError:
    """Return the error for a column that is not found.

    candidates: the columns that may be it, as examples() describes them
    """
    # repr() escapes control characters
    listed = ", ".join(repr(name[:200])[1:-1] for name in candidates[:20]) or "none"
    return UserError(
        f"{path}: {what}: {reason}; name it with {option}; there are: {listed}", exit_code=2
    )


def find_table(settings: ImportSettings) -> Path:
    """Return the table that was named, or the only one with a steering beside the pictures.

    Raises UserError for none, and for several.
    """
    source = settings.source
    if settings.table:
        return settings.table
    if source.suffix.lower() in TABLE_ENDINGS:
        return source
    paths = files_inside(source if source.is_dir() else source.parent, TABLE_ENDINGS)
    # a .csv or .tsv says that it is a table, a .txt may be anything
    paths = [path for path in paths if path.suffix.lower() != ".txt" or _has_numbers(path)]
    if not source.is_dir():
        # the table of a video often has its name
        paths = [path for path in paths if path.stem == source.stem] or paths
    fitting = paths
    if len(paths) > 1:
        fitting = [path for path in paths if _has_steering(path, settings.steering_column)]
    if len(fitting) == 1:
        return fitting[0]
    if not paths:
        remedy = "name one with --table, or estimate the steering from how the camera moves with "
        remedy += "--steering from-motion"
        if source.is_dir() and (other := other_file_in(source)):
            remedy += f"; {other}"
        raise UserError(
            f"{source}: no table ({', '.join(TABLE_ENDINGS)}) with the steering lies beside the "
            f"pictures; {remedy}",
            exit_code=2,
        )
    listed = ", ".join(path.name for path in (fitting or paths)[:20])
    raise UserError(
        f"{source}: which table has the steering? Name it with --table; there are: {listed}",
        exit_code=2,
    )


def _has_numbers(path: Path) -> bool:
    """Return whether a file is a table with a column of numbers."""
    with suppress(UserError):
        table = read_foreign(path)
        return any(map(table.is_numeric, table.cells))
    return False


def _has_steering(path: Path, asked: str | None) -> bool:
    """Return whether a table has the column asked for, or a numeric one named like a steering."""
    with suppress(UserError):
        table = read_foreign(path)
        names = [name for name in table.cells if is_steering(plain(name))]
        return asked in table.cells or any(map(table.is_numeric, names))
    return False


# ---- lines -> columns


def read_foreign(path: Path) -> ForeignTable:
    """Return a table, without lines that have not as many cells as most lines.

    Raises UserError for a table that cannot be read, is too large, or has no rows.
    """
    lines = _divided(_read_lines(path))

    # the table is as wide as most of its lines below the first
    widths = Counter(len(cells) for _, cells in lines[1:] or lines)
    width = widths.most_common(1)[0][0] if widths else 0
    lines = _from_header(lines, width)
    has_names = bool(lines) and _is_header(lines[0][1], [cells for _, cells in lines[1:]])
    rows = lines[1:] if has_names else lines
    complete = [(line, cells) for line, cells in rows if len(cells) == width]
    broken = [line for line, cells in rows if len(cells) != width]
    if not complete:
        raise UserError(f"{path}: it has no rows; expected one for each frame")

    # the names of its columns
    as_in_log = False
    header: list[str] = []
    if has_names:
        header = _with_missing_name(lines[0][1], [cells for _, cells in complete])
    elif _names_cameras(complete[0][1]):
        as_in_log = True
        header = COLUMNS.split(",")
    names = _distinct(header, width, has_names)

    columns = zip(*(cells for _, cells in complete), strict=True)
    by_name = dict(zip(names, map(list, columns), strict=True))
    return ForeignTable(path, [line for line, _ in complete], by_name, as_in_log, broken)


def _from_header(lines: list[_Line], width: int) -> list[_Line]:
    """Return the lines without those above the header, such as a title or remarks.

    width: number of cells in most lines
    """
    first = next((index for index, (_, cells) in enumerate(lines) if len(cells) == width), 0)
    if first and _is_header(lines[first][1], [cells for _, cells in lines[first + 1 :]]):
        return lines[first:]
    return lines


def _with_missing_name(header: list[str], rows: Sequence[list[str]]) -> list[str]:
    """Return a header with an empty name for the one column that it may lack."""
    if len(header) != len(rows[0]) - 1:
        return header
    if any(cells[-1] for cells in rows):
        return ["", *header]  # a table of R, whose rows have names
    return [*header, ""]  # rows that end with a separator


def _distinct(header: Sequence[str], width: int, has_names: bool) -> list[str]:
    """Return a name for each column.

    An empty or repeated name becomes `name#number`, or the number alone without a header.
    """
    names: list[str] = []
    for number in range(1, width + 1):
        name = header[number - 1] if number <= len(header) else ""
        if name and name not in names:
            names.append(name)
        elif has_names:
            names.append(f"{name}#{number}")
        else:
            names.append(str(number))
    return names


def _is_header(first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the cells of the first line are mostly of other kinds than those below.

    If all is text, the first line counts as a header.
    """
    kinds = [kind_of_cell(cell) for cell in first]  # "" for a text
    if not rows:
        return not any(kinds)  # a single line of nothing but text is a header
    usual_kinds = []
    for cells in zip_longest(*rows[:_LOOKED_AT], fillvalue=""):
        counts = Counter(map(kind_of_cell, filter(None, cells))).most_common(1)
        usual_kinds.append(counts[0][0] if counts else "")
    # text above text says nothing, so only columns count in which one of both is a number or image
    alike = [
        kind == usual
        for kind, usual, cell in zip(kinds, usual_kinds, first, strict=False)
        if cell and (kind or usual)
    ]
    filled = [cell for cell in first if cell]
    # 0, 1, 2 ...: the header that pandas writes for columns without names; above nothing but
    # numbers it may be a row as well
    is_0_to_n = filled == [str(number) for number in range(len(filled))]
    if is_0_to_n and not all(alike):
        return True
    return not alike or 2 * sum(alike) < len(alike)


def _names_cameras(cells: Sequence[str]) -> bool:
    """Return whether a line begins with images of the simulator's cameras, in its order.

    Some may be empty.
    """
    if len(cells) < len(CAMERAS):
        return False
    for cell, camera in zip(cells, CAMERAS, strict=False):
        if cell and camera_of(PureWindowsPath(cell).name) != camera:
            return False
    return True


# ---- text -> lines of cells

_EXCEL_SEPARATOR = re.compile(r'"?sep=."?')  # a first line that tells Excel the separator
_SEPARATORS = ";\t, "  # in the order in which they are tried: a comma may be a decimal mark
# matches a text such as `a.jpg, 0,25, 1`, in which ", " separates and "," is the decimal mark; a
# text that also has a decimal point does not match
_DECIMAL_COMMAS = re.compile(r"(?!.*\d\.\d).*, [-+]?\d+,\d+, ", re.DOTALL)


def _read_lines(path: Path) -> list[_Line]:
    """Return the lines of a table, divided into cells, without blank lines; raises UserError."""
    with explained(path, "a table", "expected one of text, such as CSV"):
        content = read_bytes(path, "cells")
    if other := other_file(path, content[:512]):  # an image, an archive and so on
        raise UserError(f"{path}: not a table: {other}", exit_code=2)
    with explained(path, "a table", "expected one of text, such as CSV"):
        text = text_of(content)
        if _DECIMAL_COMMAS.match(text[:10_000]):
            text = re.sub(r", +", ";", text)
        lines = text.split("\n")
        if _EXCEL_SEPARATOR.fullmatch(lines[0]):
            lines[0] = ""
        separator = _separator_of(lines[:_LOOKED_AT])
        # with their ends, since a cell in quotes may have several lines
        ended = (f"{line}\n" for line in lines)
        rows = csv.reader(ended, delimiter=separator, skipinitialspace=True)
        filled = _without_blank([(rows.line_num, [cell.strip() for cell in row]) for row in rows])
    if any(len(cells) > _MOST_COLUMNS for _, cells in filled):
        raise UserError(
            f"{path}: a line of more than {_MOST_COLUMNS} cells, expected at most that many columns"
        )
    return filled


def _separator_of(start: Sequence[str]) -> str:
    """Return the separator that divides the first lines into the same number of cells.

    The first line is one of them if any separator divides it; else it may be a title.
    """
    titled = start[1:]
    return _dividing(start, divides_first=True) or _dividing(titled, divides_first=False) or ","


def _dividing(start: Sequence[str], divides_first: bool) -> str:
    """Return the separator that divides lines into the same number of cells; "" for none.

    A separator whose cells contain decimal commas wins at once. Otherwise it is the first that
    fits, or the comma if that makes more cells.

    divides_first: whether it has to divide the first line, too
    """
    widths: dict[str, int] = {}
    for separator in _SEPARATORS:
        reader = csv.reader(start, delimiter=separator, skipinitialspace=True)
        rows = [cells for cells in reader if cells]
        if not rows or (divides_first and len(rows[0]) == 1):
            continue
        width, count = Counter(map(len, rows)).most_common(1)[0]
        if width == 1 or count <= 0.8 * len(rows):
            continue
        if any(_has_decimal_comma(cell) for cells in rows for cell in cells):
            return separator
        widths[separator] = width
    first = next(iter(widths), "")
    if widths.get(",", 0) > widths.get(first, 0):
        return ","
    return first


def _has_decimal_comma(cell: str) -> bool:
    return "," in cell.strip(",") and is_number(cell)


def _without_blank(lines: Sequence[_Line]) -> list[_Line]:
    """Return the lines of a table without blank ones.

    In a table of one column a blank line is a row with an empty cell, unless every second line is
    blank, as in a file whose lines end with two carriage returns and a line feed. Lines of nothing
    but separators stay, except at the table's begin and end.
    """
    filled = [index for index, (_, cells) in enumerate(lines) if any(cells)]
    if not filled:
        return []
    is_single = all(len(cells) < 2 for _, cells in lines)
    every_second_is_blank = not any(index % 2 for index in filled)
    keeps_blank = is_single and not every_second_is_blank
    within = lines[filled[0] : filled[-1] + 1]
    return [(line, cells or [""]) for line, cells in within if cells or keeps_blank]


# ---- cells of several things

# what stands between two things in a cell: a semicolon, a bar, or blanks or a comma after an image
_AFTER_IMAGE = "|".join(rf"(?<={re.escape(ending)})" for ending in IMAGE_ENDINGS)
# only the first of several blanks begins a match, or a search of many blanks would take for ever
_BETWEEN = re.compile(rf"(?:(?<!\s)\s+)?[;|]\s*|(?:{_AFTER_IMAGE})[\s,]+", re.IGNORECASE)


def _divided(lines: Sequence[_Line]) -> list[_Line]:
    """Return the lines with cells such as `a.png;b.png` or `a.png 0.1` split into several.

    Only columns in which most cells are like that are split.
    """
    counts = _things_in_cells(lines)
    if not counts:
        return list(lines)
    divided = []
    for index, (line, cells) in enumerate(lines):
        parts: list[str] = []
        for column, cell in enumerate(cells):
            if column in counts:
                parts += _things_in(cell, counts[column], is_first=index == 0)
            else:
                parts.append(cell)
        divided.append((line, parts))
    return divided


def _things_in_cells(lines: Sequence[_Line]) -> dict[int, int]:
    """Return column -> number of things in its cells, for columns whose cells hold several things.

    That is, most of the cells hold an image and something else.
    """
    counts: dict[int, int] = {}
    first_lines = [cells for _, cells in lines[: _LOOKED_AT + 1]]
    for column in range(max((len(cells) for _, cells in lines), default=0)):
        filled = [cells[column] for cells in first_lines if column < len(cells) and cells[column]]
        several = [parts for parts in map(_BETWEEN.split, filled) if len(parts) > 1]
        # the kinds of the last cell are looked at, since the first one may be the header
        if 2 * len(several) > len(filled) and "image" in map(kind_of_cell, several[-1]):
            counts[column] = Counter(map(len, several)).most_common(1)[0][0]
    return counts


def _things_in(cell: str, count: int, is_first: bool) -> list[str]:
    """Return the things in a cell.

    count: how many things most cells of the column hold
    is_first: the cell may be a header; then its words, or numbered copies of it, name the parts
    """
    if not cell:
        return [""] * count
    parts = _BETWEEN.split(cell)
    if len(parts) > 1 or not is_first:
        return parts
    words = re.split(r"[\s;,|]+", cell)
    if len(words) == count:
        return words
    return [f"{cell} {number}" for number in range(1, count + 1)]
