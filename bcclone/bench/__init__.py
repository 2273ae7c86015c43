"""Measurements that print a table and JSON; each row says what was measured and what it must reach."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Measure:
    """One figure. bar: what it must reach, None where nothing is asked; least: the bar is a lower bound."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    least: bool = True

    @property
    def reached(self) -> bool | None:
        """Return whether the bar is reached, None without one."""
        if self.bar is None:
            return None
        return self.value >= self.bar if self.least else self.value <= self.bar

    def to_json(self) -> dict[str, Any]:
        """Return the measure as JSON values."""
        return asdict(self) | {"reached": self.reached}

    def to_row(self) -> str:
        """Return the measure as a line of a table."""
        bar = "" if self.bar is None else f"{'at least' if self.least else 'at most'} {self.bar:g}"
        mark = {True: "reached", False: "MISSED", None: ""}[self.reached]
        return f"{self.name:<42}{self.value:>10.2f} {self.unit:<14}{bar:<16}{mark}".rstrip()


def in_turns(contestants: Mapping[str, Callable[[], _Result]], turns: int) -> dict[str, list[_Result]]:
    """Call one after the other, again and again, so that a slow moment of the machine hits them alike.

    Return what each gave, a turn after the other; a first turn, in which caches fill, does not count.
    """
    results: dict[str, list[_Result]] = {name: [] for name in contestants}
    for number in range(turns + 1):
        for name, measure in contestants.items():
            result = measure()
            if number:
                results[name].append(result)
    return results
