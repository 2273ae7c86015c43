"""Run benchmarks: measures, each with an optional bar (a value to reach), as a table and as JSON."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

_Result = TypeVar("_Result")


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

    def as_json(self) -> dict[str, Any]:
        """Return the measure as JSON values."""
        return asdict(self) | {"reached": self.reached}

    def as_row(self) -> str:
        """Return the measure as a line of a table."""
        bar = "" if self.bar is None else f"{'at least' if self.least else 'at most'} {self.bar:g}"
        mark = {True: "reached", False: "MISSED", None: ""}[self.reached]
        return f"{self.name:<50}{self.value:>10.2f} {self.unit:<14}{bar:<16}{mark}".rstrip()


@dataclass(frozen=True)
class Report:
    """The result of a benchmark that has measures alone; larger benchmarks have reports of their own, used alike."""

    measures: Sequence[Measure]

    @property
    def is_good(self) -> bool:
        """Return whether no bar was missed."""
        return all(measure.reached is not False for measure in self.measures)

    @property
    def has_failures(self) -> bool:
        """Return whether something could not be measured."""
        return False

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {"measures": [measure.as_json() for measure in self.measures]}

    def to_rows(self) -> list[str]:
        """Return the report as lines of a table."""
        return [measure.as_row() for measure in self.measures]


def measure_in_rounds(functions: Mapping[str, Callable[[], _Result]], rounds: int) -> dict[str, list[_Result]]:
    """Call all functions in each of several rounds, so that a slow moment of the machine affects all alike.

    Return the results of each, in order of the rounds; a first round, in which caches fill, is not counted.
    """
    results: dict[str, list[_Result]] = {name: [] for name in functions}
    for number in range(rounds + 1):
        for name, measure in functions.items():
            result = measure()
            if number:
                results[name].append(result)
    return results


def milliseconds(answer: Callable[[Any], object], given: Any) -> float:
    """Return how long an answer takes."""
    begun = time.perf_counter()
    answer(given)
    return (time.perf_counter() - begun) * 1000


@contextmanager
def given_or_untrained_model(path: Path | None) -> Iterator[Path]:
    """Yield a model file: the given one, or an untrained network in a temporary folder."""
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow(threads=1)  # as drive.py does
    from bcclone.dataset.images import Preprocessing
    from bcclone.model.model_file import save_model
    from bcclone.model.network import build_network

    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        untrained = Path(folder) / "untrained.h5"
        save_model(untrained, build_network(), Preprocessing(), {})
        yield untrained
