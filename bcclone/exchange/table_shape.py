"""The lines of a table -> lines that have as many cells as the first one, or why they have not.

Numbers that were divided at decimal commas are joined, comments among the rows taken out, and
tables that were joined refused.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from bcclone.exchange.exchanged_rows import ACCIDENTS_SHARE
from bcclone.exchange.questions import Missing, quoted
from bcclone.exchange.source_files import IMAGE_ENDINGS
from bcclone.exchange.table_lines import COMMENTS, are_names, fault_of, is_value
from bcclone.exchange.units import is_unit
from bcclone.system.arrays import runs
from bcclone.system.errors import UserError

_WHOLE = re.compile(r"[-+]?\d+")
_DECIMALS = re.compile(r"\d+(?:[eE][-+]?\d+)?")
_IMAGE_AND_NUMBER = re.compile(
    rf"(.+(?:{'|'.join(map(re.escape, IMAGE_ENDINGS))}))\s+([-+\d.eE]+)", re.IGNORECASE
)
# behind a comma alone: a program that writes an exponent sets the point behind the first digit
_DIVIDED_DECIMALS = re.compile(r"\d{2,}[eE][-+]?\d+")


def has_names(numbered: Sequence[tuple[int, list[str]]]) -> bool:
    """Return whether the first line of a table names its columns, and is not like the next one."""
    first, *others = [cells for _, cells in numbered[:2]]
    shapes = [[re.sub(r"[-+.\d]+", "#", cell) for cell in cells] for cells in (first, *others)]
    is_alike = len(shapes) > 1 and shapes[0] == shapes[1] and "#" in "".join(shapes[0])
    counted = [str(number) for number in range(len(first))]
    return are_names(first) and (not is_alike or first == counted)


# ---- decimal commas between commas


def decimal_commas(numbered: Sequence[tuple[int, list[str]]], are_named: bool) -> Missing | None:
    """Return the question for a table with decimal commas between commas, None for any other.

    Two cells are divided at a decimal comma: -0 before several digits, or a whole number before
    digits with an exponent, as in -0,15 and 2,77e-17. Or lines have more cells than names, and
    become as many if numbers are joined.
    """
    width = len(numbered[0][1])
    body = numbered[are_named:]
    longer = [(line, cells) for line, cells in body if len(cells) > width]
    if len(longer) > ACCIDENTS_SHARE * len(body):
        line, cells = longer[0]
        if _joined(cells, width):
            return Missing("decimal comma", "decimal_comma", facts={"line": line, "cells": cells})
    # a line with as many cells as names is divided nowhere
    for line, cells in longer if are_named else body:
        for whole, decimals in pairwise(cells):
            with_exponent = _WHOLE.fullmatch(whole) and _DIVIDED_DECIMALS.fullmatch(decimals)
            if with_exponent or (whole == "-0" and len(decimals) > 1 and decimals.isdecimal()):
                facts = {"line": line, "cells": cells}
                return Missing("decimal comma", "decimal_comma", facts=facts)
    return None


def with_decimal_commas(
    path: Path,
    body: Sequence[tuple[int, list[str]]],
    width: int,
    are_named: bool,
    separator: str,
) -> Sequence[tuple[int, list[str]]]:
    """Return the lines with the numbers joined that were divided at their decimal commas.

    Raises UserError for lines without a decimal comma.
    """
    if separator == "," and not are_named:
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


def with_blank_behind_image(
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


# ---- what belongs to no row, and joined tables


def refuse_other_names(path: Path, numbered: Sequence[tuple[int, list[str]]]) -> None:
    """Raise UserError where a line below names the columns otherwise than the first one, as in
    joined tables: it holds no value, and most of its cells are among those names.
    """
    (first_line, first), *others = numbered if has_names(numbered) else numbered[:1]
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


def refuse_other_units(
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


def refuse_other_widths(
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


def without_comments(
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
