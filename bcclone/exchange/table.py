"""A table of another program -> its columns of cells.

A table is text with a separator: tabs, semicolons, commas with a blank, two blanks beside commas,
commas or blanks, the first of these that its first line has. This line has the names of the
columns, unless it holds a number or an image: then the columns are called 1, 2 and so on.
"""

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile, pairwise
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_rows import ACCIDENTS_SHARE, LeftOut
from bcclone.exchange.source_files import files_inside, is_image, path_in_source
from bcclone.recording.dialect import ASCII_NUMBERS, COLUMNS, nul_characters, text_of
from bcclone.recording.log import other_file
from bcclone.recording.row import CAMERAS, camera_of
from bcclone.recording.run_tables import SIDECARS
from bcclone.system.arrays import runs
from bcclone.system.codec import explained, read_bytes
from bcclone.system.errors import UserError

TABLE_ENDINGS = (".csv", ".tsv", ".txt")
# in this order; beside all but the single comma, a comma in a number is its decimal mark
_SEPARATORS = ("\t", ";", ", ", "  ", ",", " ")
_MOST_COLUMNS = 1000
_WHOLE = re.compile(r"[-+]?\d+")
_DECIMALS = re.compile(r"\d+(?:[eE][-+]?\d+)?")
# behind a comma alone: a program that writes an exponent sets the point behind the first digit
_DIVIDED_DECIMALS = re.compile(r"\d{2,}[eE][-+]?\d+")


@dataclass(frozen=True)
class SourceTable:
    """A table, or the numbers of a LeRobot data set."""

    path: Path
    columns: Mapping[str, Sequence[Any]]  # name of a column -> its cells, (rows,)
    lines: Sequence[int] = ()  # number of each row's line in the file, (rows,)
    broken: Sequence[LeftOut] = ()  # with NULs, or without as many cells as the first line has

    def place(self, row: int) -> str:
        """Return file and line of a row, for messages."""
        return f"{self.path}: line {self.lines[row]}"

    def find(self, asked: str, what: str, option: str) -> str:
        """Return the name of a column, which is asked for by it or by its number from 1.

        what, option: what the column holds, and the option that names it, for the message
        """
        if asked in self.columns:
            return asked
        # nine digits are enough; int() would take long for a huge number
        if asked.isdecimal() and len(asked) < 10 and 0 < int(asked) <= len(self.columns):
            return list(self.columns)[int(asked) - 1]
        raise self.no_column(what, option, f"no column {asked[:60]!r}")

    def no_column(
        self, what: str, option: str, reason: str, names: Iterable[str] = ()
    ) -> UserError:
        """Return the error for a column that is not found.

        names: the columns that may be it; all of the table if there are none
        """
        shown = []
        for name in list(names or self.columns)[:20]:
            values = list(dict.fromkeys(str(cell)[:40] for cell in self.columns[name][:200]))
            # repr() escapes control characters
            shown.append(repr(f"{name[:200]} ({', '.join(filter(None, values[:4]))})")[1:-1])
        return UserError(
            f"{self.path}: {what}: {reason}; name it with {option}; there are: {', '.join(shown)}",
            exit_code=2,
        )


def find_table(settings: ImportSettings) -> Path:
    """Return the table that was named, or the only one beside the pictures.

    Files .txt count only where there is no .csv or .tsv.
    """
    source = settings.source
    folder = source if source.is_dir() else source.parent
    if settings.table:
        # a name alone may be that of a table in the folder
        inside = folder / settings.table
        return inside if inside.is_file() and not settings.table.exists() else settings.table
    if source.suffix.lower() in TABLE_ENDINGS:
        return source
    paths = files_inside(folder, TABLE_ENDINGS[:2]) or files_inside(folder, TABLE_ENDINGS[2:])
    # those next to a log of the simulator hold no steering
    paths = [path for path in paths if path.name not in {table.name for table in SIDECARS}]
    # the table of a video often has its name
    paths = [path for path in paths if path.stem == source.stem] or paths
    if len(paths) == 1:
        return path_in_source(folder, paths[0].name, settings.follow_links)
    if paths:
        listed = ", ".join(map(str, paths[:20]))
        reason = f"which table has the steering? Name it with --table; there are: {listed}"
    else:
        reason = (
            f"no table ({', '.join(TABLE_ENDINGS)}) with the steering lies beside the pictures; "
            "name one with --table, or estimate the steering from how the camera moves with "
            "--steering from-motion"
        )
    raise UserError(f"{source}: {reason}", exit_code=2)


def read_table(settings: ImportSettings) -> SourceTable:
    """Return the table of a source; raises UserError for one that cannot be read or has no rows."""
    path = find_table(settings)
    separator, numbered = _read_lines(path, settings.decimal_comma)
    first = numbered[0][1]
    width = len(first)
    if width > _MOST_COLUMNS:
        raise UserError(f"{path}: a line of {width} cells, expected at most {_MOST_COLUMNS}")
    filled = [cell for cell in first if cell]
    # no name is a number or an image, but pandas writes 0, 1, 2 ...
    has_names = filled == [str(number) for number in range(len(filled))] or not any(
        is_image(cell) or math.isfinite(number_of(cell)) for cell in filled
    )
    body = numbered[has_names:]
    if separator == "," and settings.decimal_comma:
        if not has_names:
            raise UserError(
                f"{path}: without names of columns nothing says how many numbers a row has; write "
                "their names into its first line",
                exit_code=2,
            )
        body = [(line, _joined(cells, width) or cells) for line, cells in body]
    if separator == "," and not settings.decimal_comma:
        _refuse_divided_numbers(path, body)
    _refuse_longer_lines(path, body, width, separator, settings.decimal_comma)
    rows, lines, broken = _rows_of(path, body, width)
    if not rows:
        first_error = f"; the first: {broken[0].shown}" if broken else ""
        raise UserError(f"{path}: it has no rows; expected one for each frame{first_error}")
    if len(broken) > len(rows):
        raise UserError(
            f"{path}: {len(broken)} of {len(body)} lines are no rows; the first: "
            f"{broken[0].shown}; write each line with as many cells as the first one",
            exit_code=2,
        )
    header = first if has_names else []
    # a line without names that begins as one of the simulator has its columns
    if not has_names and width >= 7 and camera_of(PureWindowsPath(first[0]).name) == CAMERAS[0]:
        header = COLUMNS.split(",")
    columns: dict[str, list[str]] = {}
    for number, column in enumerate(zip(*rows, strict=True), start=1):
        name = header[number - 1] if number <= len(header) else ""
        if not name or name in columns:  # an empty or repeated name gets the column's number
            name = f"{name}#{number}" if header else str(number)
        columns[name] = list(column)
    return SourceTable(path, columns, lines, broken)


def _refuse_longer_lines(
    path: Path, body: Sequence[tuple[int, list[str]]], width: int, separator: str, joined: bool
) -> None:
    """Raise UserError where lines have more cells than the first one has names.

    A few broken lines are allowed, and those in which a power failure left NULs.

    joined: whether numbers with decimal commas are joined already, where that is clear
    """
    longer = [
        (line, cells) for line, cells in body if len(cells) > width and "\0" not in "".join(cells)
    ]
    if len(longer) <= ACCIDENTS_SHARE * len(body):
        return
    line, cells = longer[0]
    remedy = "name each cell in the first line, without a separator at the end of a line; numbers "
    remedy += "with decimal commas need another separator, as pandas writes with sep=';'"
    if separator == "," and not joined:
        remedy += ", or --decimal-comma where only commas divide the cells"
    if separator == "," and joined:
        remedy = "which of its commas are decimal marks cannot be told; write the table with "
        remedy += "another separator, as pandas does with sep=';'"
    elif separator == "," and _joined(cells, width):
        remedy = "decimal commas? Read them with --decimal-comma"
    raise UserError(
        f"{path}: line {line}: {_fault_of(cells, width)}: {cells!r:.200}; {remedy}", exit_code=2
    )


def _refuse_divided_numbers(path: Path, body: Sequence[tuple[int, list[str]]]) -> None:
    """Raise UserError for two cells that a decimal comma divides: -0 before several digits, or a
    whole number before digits with an exponent, as in -0,15 and 2,77e-17.
    """
    for line, cells in body:
        for whole, decimals in pairwise(cells):
            with_exponent = _WHOLE.fullmatch(whole) and _DIVIDED_DECIMALS.fullmatch(decimals)
            if with_exponent or (whole == "-0" and len(decimals) > 1 and decimals.isdecimal()):
                raise UserError(
                    f"{path}: line {line}: {cells!r:.200}; decimal commas? Read them with "
                    "--decimal-comma and the names of the columns in the first line, or write the "
                    "table with another separator, as pandas does with sep=';'",
                    exit_code=2,
                )


def _rows_of(
    path: Path, body: Sequence[tuple[int, list[str]]], width: int
) -> tuple[list[list[str]], list[int], list[LeftOut]]:
    """Return the rows of a table, the number of each one's line, and the lines that are no rows."""
    rows = []
    lines = []
    broken = []
    for line, cells in body:
        place = f"{path}: line {line}"
        fault = _fault_of(cells, width)
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


def _read_lines(path: Path, decimal_comma: bool) -> tuple[str, list[tuple[int, list[str]]]]:
    """Return the separator, and the number and cells of each line.

    Blank lines at the start are left out.
    """
    with explained(path, "a table", "expected one of text, such as CSV"):
        content = read_bytes(path, "cells")
        if other := other_file(path, content[:512]):  # an image, an archive and so on
            raise UserError(f"{path}: not a table: {other}", exit_code=2)
        text = text_of(content).rstrip("\n ")
        begin = text.strip().partition("\n")[0]
        # two blanks divide cells only where a comma could; otherwise a single one does, too
        marks = [mark for mark in _SEPARATORS if mark in begin and (mark != "  " or "," in begin)]
        separator = next(iter(marks), ",")
        clean = str.strip if separator == "," and not decimal_comma else _with_point
        if len(separator) == 2:
            text = re.sub(f"{separator}+", ";", text)
            separator = ";"
        # with their ends, since a cell in quotes may have several lines
        ended = (f"{line}\n" for line in text.split("\n"))
        reader = csv.reader(ended, delimiter=separator, skipinitialspace=True)
        numbered = [(reader.line_num, [clean(cell) for cell in cells]) for cells in reader]
    filled = list(dropwhile(lambda line: not any(line[1]), numbered))
    if not filled:
        raise UserError(f"{path}: it has no rows; expected one for each frame")
    number, first = filled[0]
    if fault := _fault_of(first, len(first)):
        raise UserError(f"{path}: line {number}: {fault}; write the names of the columns there")
    return separator, filled


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
        f"{cell}.{cells[place + 1]}" if place in numbers else cell
        for place, cell in enumerate(cells)
        if place - 1 not in numbers
    ]


def number_of(cell: Any) -> float:
    """Return the number in a cell, NaN if it holds none."""
    if isinstance(cell, str):
        if "_" in cell:  # Python would ignore it within a number
            return math.nan
        cell = cell.translate(ASCII_NUMBERS)
    try:
        return math.nan if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _with_point(cell: str) -> str:
    """Return a number with a decimal comma with a point; any other cell without blanks around."""
    cell = cell.strip()
    with_point = cell.replace(",", ".")
    return cell if math.isnan(number_of(with_point)) else with_point


# ---- names of columns


def plain(name: str) -> str:
    """Return a plain name: steeringAngle [°] -> steering_angle_deg."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.replace("°", " deg"))
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def camera_of_name(name: str) -> str:
    """Return a plain name without the words for cameras and images: left_camera -> left."""
    return re.sub("_?(?:camera|cam|images?|img)_?", "", plain(name))
