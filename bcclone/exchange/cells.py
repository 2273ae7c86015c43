"""The cells of a column, as programs and languages write numbers -> as Python writes them.

A column is read as a whole: where a number has its decimal mark, whether marks stand between
thousands, how a minus is written and which unit stands behind a number is one for all of its cells.
A column that may be read in two ways is not read.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bcclone.exchange.exchanged_rows import ACCIDENTS_SHARE
from bcclone.exchange.plain_names import plain
from bcclone.exchange.units import is_unit
from bcclone.recording.dialect import ASCII_NUMBERS

_BLANKS = " \u00a0\u2009\u202f"
_QUOTES = "'\"\u2018\u2019\u201c\u201d\u201e"
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")  # as Python reads it
_CELL = re.compile(
    # *+ gives nothing back, so that the time is proportional to the text
    rf"(?P<bracket>\()?[{_BLANKS}]*+(?P<sign>[-+]?)[{_BLANKS}]*+"
    rf"(?:(?P<hex>0[xX][0-9a-fA-F]+)|(?P<digits>[.,]?\d(?:[\d.,'\u2019{_BLANKS}]*\d)?[.,]?)"
    r"(?:[eEdD](?P<exponent>[-+]?\d+))?)"
    rf"[{_BLANKS}]*+(?(bracket)\))(?P<behind>[-+]?)[{_BLANKS}]*+(?P<unit>[^\d\s.,+-][^\d]*)?"
)
# decimal mark, and what may stand between thousands
_MARKS = ((".", ""), (",", ""), (".", ","), (",", "."), (".", " "), (",", " "), (".", "'"))
LONGEST_CELL = 100  # characters; a number or a time has fewer
# what stands for no number, besides words without a digit that say so to pandas
_NO_NUMBER = re.compile(
    r"|[-\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}.?]+|[-+]?nan|n/?a|<na>|null|none|nil|missing|"
    r"[-+]?inf(?:inity)?|#.*",
    re.IGNORECASE,
)
_THOUSANDS = re.compile(r"[-+]?(?:0|[1-9]\d{0,2}(?:[.,]\d{3})*)")
_HEXADECIMAL = re.compile(r"(?:0[xX])?[0-9a-fA-F]{2,16}")
_WITH_SIDE = re.compile(r"(?P<number>[-+]?[\d.]+)\s*(?P<side>[^\W\d_]+|[<>\u2190\u2192])")
_SAMPLE = 200  # cells that show whether a column may hold numbers


@dataclass(frozen=True)
class Numbers:
    """The cells of a column as they are read."""

    cells: Sequence[str]  # numbers as Python writes them; other cells as they are
    unit: str = ""  # that stands behind each number, "" for none
    has_decimal_comma: bool = False


def number_in(cell: Any) -> float:
    """Return the number in a cell as Python writes numbers, NaN if it holds none."""
    if isinstance(cell, str):
        if "_" in cell:  # Python would ignore it within a number
            return math.nan
        cell = cell.translate(ASCII_NUMBERS)
    try:
        return math.nan if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def is_empty(cell: Any) -> bool:
    """Return whether a cell says that it holds no number, such as NaN, #N/A or a dash."""
    if isinstance(cell, str):
        return bool(_NO_NUMBER.fullmatch(cell.strip())) or math.isinf(number_in(cell))
    return cell is None or (isinstance(cell, float) and not math.isfinite(cell))


def read_numbers(cells: Sequence[str], decimal_comma: bool) -> Numbers:
    """Return the cells of a column as they are read; unchanged where it holds no numbers, or may be
    read in two ways.

    decimal_comma: whether a comma in a number of this table is its decimal mark
    """
    filled = [cell for cell in cells if cell and not is_empty(cell)]
    if all(_NUMBER.fullmatch(cell) for cell in filled):
        return Numbers(cells)
    if not any(map(_parts_of, filled[:_SAMPLE])):
        return Numbers(cells)
    matches = {cell: _parts_of(cell) for cell in set(filled)}
    known = [match for match in map(matches.__getitem__, filled) if match]
    most_others = ACCIDENTS_SHARE * len(filled)
    if not known or len(filled) - len(known) > most_others:
        return Numbers(cells)
    units = {plain(match["unit"] or "") for match in known}
    is_one_unit = len(units) == 1 and all(not unit or is_unit(unit) for unit in units)
    if not is_one_unit or not _are_signs_clear(known):
        return Numbers(cells)
    has_comma = any("," in (match["digits"] or "") for match in known)
    readings: dict[str, dict[str, str]] = {}  # decimal mark -> cell as written -> as Python does
    for decimal, between in _MARKS:
        read = {cell: _read(match, decimal, between) for cell, match in matches.items() if match}
        if sum(not read.get(cell) for cell in filled) <= most_others:
            readings.setdefault(decimal, read)
            if decimal == "," and decimal_comma and has_comma:  # not between thousands
                readings = {decimal: read}
                break
    different = {tuple(map(float, filter(None, read.values()))) for read in readings.values()}
    if len(different) != 1:
        return Numbers(cells)
    decimal, read = next(iter(readings.items()))
    written = [read.get(cell) or cell for cell in cells]
    return Numbers(written, units.pop(), has_comma and decimal == ",")


def may_be_thousands(cells: Sequence[str]) -> bool:
    """Return whether points or commas in the numbers of a column may all stand between thousands,
    or be decimal, as those of 1.234 and 5.678.
    """
    filled = [cell for cell in cells if not is_empty(cell)]
    return any(map(has_mark, filled)) and all(map(_THOUSANDS.fullmatch, filled))


def has_mark(cell: str) -> bool:
    return "." in cell or "," in cell


@dataclass(frozen=True)
class Look:
    """As what cells look that are not read."""

    kind: str = ""  # "thousands", "hexadecimal", "sides" behind numbers, or "" for anything else
    sides: Sequence[str] = ()  # what stands behind the numbers
    numbers: Sequence[float] = ()  # what the cells will hold, once the user has written them


def look_of(cells: Sequence[str]) -> Look:
    """Return as what cells look that are not read."""
    filled = [cell for cell in cells if not is_empty(cell)]
    matches = [_WITH_SIDE.fullmatch(cell) for cell in filled]
    sides = sorted({match["side"] for match in matches if match})
    if all(matches) and len(sides) == 2:
        signs = {sides[0]: -1, sides[1]: 1}
        numbers = [signs[match["side"]] * number_in(match["number"]) for match in matches if match]
        return Look("sides", sides, numbers)
    if may_be_thousands(filled):
        without_marks = [number_in(cell.replace(".", "").replace(",", "")) for cell in filled]
        return Look("thousands", numbers=without_marks)
    if all(map(_HEXADECIMAL.fullmatch, filled)) and len(set(map(len, filled))) == 1:
        return Look("hexadecimal", numbers=[float(int(cell, 16)) for cell in filled])
    return Look()


def _parts_of(cell: str) -> re.Match[str] | None:
    """Return the parts of a cell with a number, None for any other."""
    if len(cell) > LONGEST_CELL:
        return None
    text = cell.translate(ASCII_NUMBERS).strip(_BLANKS + _QUOTES)
    return _CELL.fullmatch("".join(map(_with_hyphen, text)))


def _with_hyphen(character: str) -> str:
    """Return - for a sign that Unicode calls a dash or a minus; any other character as it is."""
    if character.isascii():
        return character
    is_dash = unicodedata.category(character) == "Pd" or character == "\N{SOFT HYPHEN}"
    is_minus = unicodedata.name(character, "").endswith("MINUS SIGN")
    return "-" if is_dash or is_minus else character


def _are_signs_clear(known: Sequence[re.Match[str]]) -> bool:
    """Return whether minus is written in one way: before numbers, behind them, or as brackets."""
    behind = sum(match["behind"] != "" for match in known)
    brackets = sum(match["bracket"] is not None for match in known)
    before = sum(match["sign"] == "-" for match in known)
    ways = (behind > 0) + (brackets > 0) + (before > 0)
    return ways <= 1 and brackets < len(known)


def _read(match: re.Match[str], decimal: str, between: str) -> str:
    """Return a number as Python writes it; "" where it is not written with these marks."""
    minus = "-" if "-" in (match["sign"], match["behind"]) or match["bracket"] else ""
    if match["hex"]:
        return f"{minus}{int(match['hex'], 16)}"
    digits = re.sub(f"[{_BLANKS}]", " ", match["digits"]).replace(
        "\N{RIGHT SINGLE QUOTATION MARK}", "'"
    )
    whole, mark, part = digits.partition(decimal)
    if between and between in whole:
        first, *groups = whole.split(between)
        if not 1 <= len(first) <= 3 or any(len(group) != 3 for group in groups):
            return ""
        if first == "0":  # as no program writes a thousand
            return ""
        whole = first + "".join(groups)
    if not all(each.isdecimal() or not each for each in (whole, part)):
        return ""
    exponent = f"e{match['exponent']}" if match["exponent"] else ""
    return f"{minus}{whole or 0}{'.' if mark else ''}{part}{exponent}"
