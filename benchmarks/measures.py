"""Report a benchmark: measured values with their bars -> a table and JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Measure:
    """A measured value."""

    name: str
    value: float
    unit: str
    bar: float | None = None  # the value that it must reach, if any
    least: bool = True  # whether the bar is a lower bound

    @property
    def reached(self) -> bool | None:
        """Return whether the bar is reached, None without one."""
        if self.bar is None:
            return None
        return self.value >= self.bar if self.least else self.value <= self.bar

    def as_row(self) -> str:
        """Return the measure as a line of a table."""
        mark = {True: "reached", False: "MISSED", None: ""}[self.reached]
        value = f"{self.value:>10.2f} {self.unit:<14}"
        return f"{self.name:<50}{value}{self._bar_text():<16}{mark}".rstrip()

    def _bar_text(self) -> str:
        if self.bar is None:
            return ""
        bound = "at least" if self.least else "at most"
        return f"{bound} {self.bar:g}"


@dataclass(frozen=True)
class Report:
    """The result of a benchmark."""

    measures: Sequence[Measure] = ()
    tables: Sequence[str] = ()  # lines to print before the measures
    values: Mapping[str, Any] = field(default_factory=dict)  # further values of the JSON
    # what could not be measured -> the reason
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Return whether everything was measured and no bar was missed."""
        return not self.failed and all(measure.reached is not False for measure in self.measures)

    def as_json(self) -> dict[str, Any]:
        measures = [asdict(measure) | {"reached": measure.reached} for measure in self.measures]
        return {**self.values, "measures": measures, "failed": dict(self.failed)}

    def to_rows(self) -> list[str]:
        """Return the report as lines of tables."""
        measured = [measure.as_row() for measure in self.measures]
        failed = [f"FAILED: {name}: {reason}" for name, reason in self.failed.items()]
        return [*self.tables, *measured, *failed]


def rounded(values: Any) -> Any:
    """Return JSON values with numbers of four decimals."""
    return json.loads(json.dumps(values), parse_float=lambda text: round(float(text), 4))


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table, the first column to the left, the others to the right."""
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        line = row[0].ljust(widths[0])
        for cell, width in zip(row[1:], widths[1:], strict=True):
            line += cell.rjust(width)
        lines.append(line.rstrip())
    return lines
