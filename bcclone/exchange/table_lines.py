"""A file of text -> the lines of a table, divided into cells, and the texts that stand before them.

The separator is that of tabs, semicolons, bars, commas with a blank, two blanks beside commas,
commas or blanks, the first of these that most of the lines have; or what a line such as sep=;
states. Lines of comments before the first row are left out, except one that names the columns.
"""

import csv
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

from bcclone.exchange.cells import number_in
from bcclone.exchange.questions import quoted
from bcclone.exchange.source_files import is_image
from bcclone.recording.dialect import ASCII_NUMBERS, nul_characters, text_of
from bcclone.recording.log import other_file
from bcclone.system.codec import explained, read_bytes
from bcclone.system.errors import UserError, number_of

# in this order; beside all but the single comma, a comma in a number is its decimal mark
_SEPARATORS = ("\t", ";", "|", ", ", "  ", ",", " ")
_STATED_SEPARATOR = re.compile(r'"?sep=(\\t|[^"])"?\s*', re.IGNORECASE)  # of Excel
COMMENTS = ("#", "%", "//")  # how a comment begins
_SAMPLE_LINES = 1000  # that show the separator
_MOST_BEFORE = 50  # lines before the names of the columns
_LONGEST_BEGIN = 10_000  # bytes that may stand before the names of the columns
_SECTION = re.compile(r"\[\s*[^\W\d][\w .-]*\]")
_MOST_COLUMNS = 1000
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")


@dataclass(frozen=True)
class Lines:
    """The lines of a table, divided into cells."""

    separator: str
    numbered: Sequence[tuple[int, list[str]]]  # number of a line and its cells; at least one
    notes: Sequence[str]  # which lines were left out, in words
    remarks: Sequence[str]  # their text
    encoding: str  # what is said of it where it is not known; "" where it is


def read_lines(path: Path) -> Lines:
    """Return the lines of a table from the names of its columns on.

    Lines before these are left out: blank ones, Excel's sep=;, and comments.
    """
    with explained(path, "a table", "expected one of text, such as CSV"):
        content = read_bytes(path, "cells")
        _refuse_sections(path, content)
        if other := other_file(path, content[:512]):  # an image, an archive and so on
            raise UserError(f"{path}: not a table: {other}", exit_code=2)
        text = text_of(content)
        lines = text.rstrip("\n ").split("\n")
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
            if are_same and are_names(named[0][1]) and not are_names(filled[0][1]):
                filled = [*named, *filled]
                remarks.remove(comments[-1])
    notes = []
    if (left_out := filled[0][0] - 1) and (comments or before):
        notes = [f"table: {number_of(left_out, 'line')} before the first one of cells"]
        notes[0] += f": {quoted(remarks)}" if remarks else ""
    if not text.endswith("\n") and _is_shorter(filled):
        notes.append(
            f"careful: the last line, {filled[-1][0]}, has no end, and a shorter number than all "
            f"others, {quoted(filled[-1][1][-1:])}; if it was cut off there, remove it"
        )
    number, first = filled[0]
    if len(first) > _MOST_COLUMNS:
        raise UserError(f"{path}: a line of {len(first)} cells, expected at most {_MOST_COLUMNS}")
    if fault := fault_of(first, len(first)):
        raise UserError(f"{path}: line {number}: {fault}; write the names of the columns there")
    return Lines(separator, filled, notes, remarks, _unknown_encoding(content))


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


def _is_shorter(numbered: Sequence[tuple[int, list[str]]]) -> bool:
    """Return whether the last line ends with a number that is shorter than those of all others."""
    fewest = 10  # lines, of which not just one has less digits by chance
    *others, (_, last) = numbered[1:] or numbered
    longer = [cells[-1] for _, cells in others if len(cells) == len(last)]
    is_number = bool(last) and is_number_cell(last[-1])
    return is_number and len(longer) >= fewest and len(last[-1]) < min(map(len, longer))


def _before_rows(lines: Sequence[str]) -> tuple[int, str, list[str]]:
    """Return the place of the first line that is no comment, the separator that Excel states before
    it, "" for none, and the comments without their marks.
    """
    separator = ""
    comments: list[str] = []
    for place, line in enumerate(lines):
        if stated := _STATED_SEPARATOR.fullmatch(line):
            separator = stated[1].replace("\\t", "\t")
        elif line.strip().startswith(COMMENTS):
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
        of_values = sum(any(is_value(cell.strip()) for cell in cells) for cells in body)
        names = [cell.strip() for cell in bare[before].split(mark)]
        if before <= _MOST_BEFORE and are_names(names) and 2 * of_values > len(body):
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


# ---- cells


def are_names(first: Sequence[str]) -> bool:
    """Return whether the first line of a table names its columns.

    No name is a number or an image, but pandas writes 0, 1, 2 ...
    """
    filled = [cell for cell in first if cell]
    counted = [str(number) for number in range(len(filled))]
    return filled == counted or not any(map(is_value, filled))


def is_value(cell: str) -> bool:
    return is_image(cell) or is_number_cell(cell)


def is_number_cell(cell: str) -> bool:
    is_with_comma = _DECIMAL_COMMA.fullmatch(cell.translate(ASCII_NUMBERS))
    return bool(is_with_comma) or math.isfinite(number_in(cell))


def fault_of(cells: Sequence[str], width: int) -> str:
    """Return why a line is not a row of so many cells, "" if it is one."""
    if nul_count := "".join(cells).count("\0"):
        return nul_characters(nul_count)
    if len(cells) != width:
        return f"{len(cells)} cells, expected {width} as in the first line"
    return ""
