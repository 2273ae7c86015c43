"""Report a benchmark: measured values with their bars -> a table and JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Measure:
    """A measured value. bar: the value that it must reach, if any; least: the bar is a lower bound."""

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

    def as_row(self) -> str:
        """Return the measure as a line of a table."""
        bar = "" if self.bar is None else f"{'at least' if self.least else 'at most'} {self.bar:g}"
        mark = {True: "reached", False: "MISSED", None: ""}[self.reached]
        return f"{self.name:<50}{self.value:>10.2f} {self.unit:<14}{bar:<16}{mark}".rstrip()


@dataclass(frozen=True)
class Report:
    """The result of a benchmark.

    tables: lines to print before the measures; values: further values of the JSON; failed: what
    could not be measured -> the reason.
    """

    measures: Sequence[Measure] = ()
    tables: Sequence[str] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
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
        failed = [f"FAILED: {name}: {reason}" for name, reason in self.failed.items()]
        return [*self.tables, *(measure.as_row() for measure in self.measures), *failed]


def rounded(values: Any) -> Any:
    """Return JSON values with numbers of four decimals."""
    return json.loads(json.dumps(values), parse_float=lambda text: round(float(text), 4))


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table, the first column to the left, the others to the right."""
    first, *others = ([len(cell) + 2 for cell in column] for column in zip(*rows, strict=True))
    form = f"{{:<{max(first)}}}" + "".join(f"{{:>{max(lengths)}}}" for lengths in others)
    return [form.format(*row).rstrip() for row in rows]
