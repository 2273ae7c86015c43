"""Find the table of a source, and read steering, throttle, brake and speed from it.

In: the settings of an import, which name the source. Out: a `ControlTable`, which returns these
numbers for each row, in the units of a recording. Other modules call it `labelled`, because it
holds the steering that belongs to each picture.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bcclone.exchange.control_columns import Column, Controls, find_controls, short_name
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_row import ACCIDENTS_SHARE
from bcclone.exchange.foreign_table import ForeignTable, find_table, read_foreign
from bcclone.exchange.table_words import is_steering, number_of_cell, plain
from bcclone.recording.dialect import COLUMNS
from bcclone.recording.row import CAMERAS, RANGES, ROUNDING
from bcclone.system.errors import UserError


@dataclass(frozen=True)
class ControlTable:
    """A table with its controls."""

    table: ForeignTable
    controls: Controls
    # name in NUMBERS -> value of each row; where a cell holds no number, its text
    values: Mapping[str, Sequence[Any]]
    notes: Sequence[str]  # which columns hold the controls, and which were left out

    def numbers(self, row: int) -> dict[str, float]:
        """Return the numbers of a row in the units of a recording; raises ValueError."""
        return self.controls.converted({name: cells[row] for name, cells in self.values.items()})

    def others(self, *read: str) -> tuple[str, ...]:
        """Return the columns that are not read.

        read: columns that are read besides the controls, such as times and images
        """
        used = {self.controls.columns[name].name for name in self.values} | set(read)
        return tuple(name for name in self.table.cells if name not in used)


def read_controls(settings: ImportSettings) -> ControlTable:
    """Return the table of a source with its controls.

    A column of throttle, brake or speed with wrong values is left out, unless the user named it or
    the table is like a log of the simulator; then it is an error.

    Raises UserError as find_table(), read_foreign() and find_controls(), and for a wrong unit.
    """
    table = read_foreign(find_table(settings))
    settings = _with_names(settings, table)
    asked = {settings.steering_column, settings.throttle_column, settings.speed_column} - {None}
    names = [name for name in table.cells if name in asked or table.is_numeric(name)]
    settings = _with_speed_unit(settings, table, names)
    _check_steering_cells(table, names, settings)
    shown = table.examples(names)
    columns = [Column(name, shown=words) for name, words in zip(names, shown, strict=True)]
    controls = find_controls(table.path, columns, settings)

    notes = [*controls.notes]
    values: dict[str, Sequence[Any]] = {}
    for name, column in controls.columns.items():
        cells = table.cells[column.name]
        numbers = [number_of_cell(cell) for cell in cells]
        values[name] = [
            value if math.isfinite(value) else cell
            for value, cell in zip(numbers, cells, strict=True)
        ]
        if name == "steering":
            known = [value for value in numbers if math.isfinite(value)]
            controls.check_steering(known, table.path, settings)
            continue
        words = f"{short_name(name)}: {column.name}"
        problem = _problem(name, numbers)
        if problem and (column.name in asked or _must_be_in_order(table, settings)):
            raise _wrong_column(table, f"{words} {problem}")
        if problem:
            words += f" {problem}; it is left out"
            del values[name]
        elif name == "speed_mph":
            words += f", in {controls.speed_unit}"
        notes.append(words)
    return ControlTable(table, controls, values, notes)


def _with_names(settings: ImportSettings, table: ForeignTable) -> ImportSettings:
    """Return the settings with the names of columns that were named by their number."""
    named: dict[str, Any] = {}
    for name in ("steering", "throttle", "speed"):
        column = getattr(settings, f"{name}_column")
        if column:
            named[f"{name}_column"] = table.find_column(column, f"the {name}", f"--{name}-column")
    return replace(settings, **named)


def _with_speed_unit(
    settings: ImportSettings, table: ForeignTable, names: Sequence[str]
) -> ImportSettings:
    """Return the settings with the unit mph of the speed, for a table like a simulator's log.

    names: the table's columns of numbers
    """
    is_like_log = {plain(name) for name in table.cells} >= {*CAMERAS, "throttle", "speed"}
    if is_like_log and "speed" in map(plain, names) and not settings.speed_unit:
        return replace(settings, speed_unit="mph")
    return settings


def _check_steering_cells(
    table: ForeignTable, names: Sequence[str], settings: ImportSettings
) -> None:
    """Raise UserError if each column that is called steering holds no numbers.

    names: the table's columns of numbers
    """
    called = [name for name in table.cells if is_steering(plain(name))]
    if not called or settings.steering_column or set(called) & set(names):
        return
    example = next(filter(None, table.cells[called[0]]), "")
    raise UserError(
        f"{table.path}: the cells of column {called[0][:60]!r} are no numbers, such as "
        f"{example[:60]!r}; expected numbers such as -0.25; correct them, or name another column "
        "with --steering-column",
        exit_code=2,
    )


def _problem(name: str, values: Sequence[float]) -> str:
    """Return why a column cannot hold throttle, brake or speed, "" if it can.

    name: name in NUMBERS
    values: number in each cell, NaN for a cell without one
    """
    any_unit = (-math.inf, math.inf)
    low, high = any_unit if name == "speed_mph" else RANGES[name]
    beyond = [value for value in values if value < low - ROUNDING or value > high + ROUNDING]
    has_few_numbers = 2 * sum(map(math.isnan, values)) > len(values)
    if len(beyond) <= ACCIDENTS_SHARE * len(values) and not has_few_numbers:
        return ""
    found = f"{beyond[0]:g}" if beyond else "no number in most rows"
    return f"has {found}, expected {low:g} to {high:g}"


def _must_be_in_order(table: ForeignTable, settings: ImportSettings) -> bool:
    """Return whether a wrong value shows that a table without header is no log of the simulator.

    That is so only for a table with all columns of a log: in a shorter one, nobody knows which
    columns are missing.
    """
    is_whole = table.as_in_log and len(table.cells) >= len(COLUMNS.split(","))
    return is_whole and not (settings.throttle_column or settings.speed_column)


def _wrong_column(table: ForeignTable, words: str) -> UserError:
    """Return the error for a column that was named, or has its name from the order of a log."""
    if not table.as_in_log:
        return UserError(f"{table.path}: {words}; name another column", exit_code=2)
    # the examples without the names, which are wrong
    examples = [shown.partition(" ")[2] for shown in table.examples(table.cells)]
    numbered = [f"{number} {values}" for number, values in enumerate(examples, start=1)]
    return UserError(
        f"{table.path}: {words}; it has no header, and its columns are not in the order of a log "
        f"of the simulator: {', '.join(numbered[len(CAMERAS) :])}; name those that you know: "
        "--steering-column N --throttle-column N --speed-column N",
        exit_code=2,
    )
