"""Find the steering, throttle, brake and speed of a LeRobot data set: names of its features -> their places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bcclone.lab.exchange.driven_columns import is_steering, other_numbers
from bcclone.lab.exchange.exchange_settings import ImportSettings
from bcclone.lab.exchange.findings import Findings
from bcclone.lab.exchange.foreign_table import plain
from bcclone.lab.exchange.foreign_units import speed_factor, without_unit
from bcclone.lab.exchange.lerobot import ACTION, RECORDED, STATE
from bcclone.lab.exchange.rows import number
from bcclone.recording.row import NUMBERS, RowError
from bcclone.system.errors import UserError


@dataclass(frozen=True)
class Number:
    """Where a number is: its column, its place in it, and its name there. factor: to the unit of a recording."""

    column: str
    place: int
    name: str
    factor: float = 1.0

    @property
    def full(self) -> str:
        """Return the name with its column, which may be that of one number."""
        return self.name if self.name == self.column else f"{self.column}.{self.name}"

    def of(self, record: Mapping[str, Any]) -> float:
        """Return the value in a row of a file; raises RowError, KeyError for a missing column."""
        value = record[self.column]
        if isinstance(value, list):
            if self.place >= len(value):
                raise RowError(f"{self.column} has {len(value)} values, expected {self.place + 1} or more")
            value = value[self.place]
        return number(self.name, value) * self.factor


def find_numbers(
    path: Path, names: Mapping[str, Sequence[str]], settings: ImportSettings, findings: Findings
) -> Mapping[str, Number]:
    """Return where each number is. names: of the numbers in each column.

    Where several fit, the one in `action` is taken, and of speeds the one in `observation.state`. Raises UserError
    where no steering is found, and where a number that was asked for is not, or several times.
    """
    everything = [Number(column, place, name) for column, each in names.items() for place, name in enumerate(each)]
    numbers: dict[str, Number] = {}
    for column in (STATE, ACTION, RECORDED):  # the last one counts
        numbers |= {each.name: each for each in everything if each.column == column and each.name in NUMBERS}
    for name, asked, fits in (("steering", settings.steering_column, is_steering), *other_numbers(settings)):
        if asked is None and name in numbers:
            continue
        usual = STATE if name == "speed_mph" else ACTION
        found = [each for each in everything if (asked in (each.name, each.full) if asked else fits(plain(each.name)))]
        found = [each for each in found if each.column == usual] or found
        if len(found) != 1:
            if name == "steering" or asked:
                raise _no_number(path, name, found or everything)
        elif name != "speed_mph":
            numbers[name] = found[0]
        elif factor := speed_factor(found[0].name, settings.speed_unit):
            numbers[name] = replace(found[0], factor=factor)
        else:
            findings.notes.append(without_unit(found[0].full))
            numbers.pop(name, None)
    return numbers


def _no_number(path: Path, name: str, candidates: Sequence[Number]) -> UserError:
    listed = ", ".join(repr(each.full[:80])[1:-1] for each in candidates[:20]) or "no names"
    name = name.removesuffix("_mph")
    return UserError(
        f"{path}: which feature is the {name}? Name it with --{name}-column; there are: {listed}", exit_code=2
    )


def flat_names(names: Any) -> list[str]:
    """Return the names of a feature, which older data sets group: {"motors": [...]}."""
    if isinstance(names, Mapping):
        return [str(name) for group in names.values() for name in (group if isinstance(group, list) else [group])]
    return [str(name) for name in names] if isinstance(names, list) else []
