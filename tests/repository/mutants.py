"""Print what `make mutants` found; exit with 1 where the tests miss a mutant that is not known to be equivalent.

It reads mutmut's results after a run. `.venv/bin/mutmut show NAME` prints a mutant that is named here.
"""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bcclone.system.table import Table, TableColumn

LEAST_KILLED = 0.95  # of all mutants of a module, equivalent ones included
_COLUMNS = ("module", "mutants", "killed", "survived", "equivalent")
_KILLED = {"killed", "timeout"}  # a mutant that loops forever is noticed, too


class Known(NamedTuple):
    """Mutants of one function that no test can notice: how many, and why."""

    number: int
    reason: str


EQUIVALENT: dict[str, dict[str, Known]] = {
    "bcclone.dataset.samples": {
        "_blocks": Known(1, "recordings and stores give int64 already, so the dtype asked for changes nothing"),
        "_expand": Known(
            7,
            "the sort key has more room, is an exact float64, or is sorted another way: the keys differ, so the order "
            "is the same; the column take_over is bool already",
        ),
        "_is_in_end": Known(1, "as in _blocks"),
        "indices_of": Known(2, "zeros of another type, which equal the number of a part or do not, as before"),
        "count_split_pairs": Known(1, "offsets beyond the last row, which pair nothing"),
        "sample_chunks": Known(1, "chunks of another default size, which together are the same table"),
        "windows": Known(8, "a longer table, whose end is never read, or another dtype of the same numbers"),
    },
    "bcclone.feed.order": {
        "_shuffled_windows": Known(1, "NumPy takes the kind of a sort in capitals, too"),
        "balanced": Known(2, "a surplus of none leaves none out either way, and None counts as False"),
        "interleaved": Known(
            4, "there are as many lengths as streams, so strict changes nothing, and NumPy takes any negative length"
        ),
        "split_into_windows": Known(2, "longer tables, whose ends are never read"),
        "streamed": Known(3, "counts as exact float64, and an array of integers, which cuts a fraction off"),
    },
    "bcclone.drive.protocol": {
        "SocketIOConnection.__init__": Known(1, "each telemetry comes after a join, which sets it"),
        "SocketIOConnection._message": Known(1, "no packet with another letter gets there"),
    },
    "bcclone.drive.controller": {"SpeedController.__init__": Known(1, "None counts as False")},
}


class Mutant(NamedTuple):
    """One result of mutmut. name: mutmut's; status: killed, survived, timeout, ...; change: the changed line."""

    name: str
    status: str
    change: str = ""

    @property
    def module(self) -> str:
        """Return the module that was changed."""
        return self.name.rpartition(".")[0]

    @property
    def function(self) -> str:
        """Return the function or method that was changed; mutmut writes x_NAME, or xǁCLASSǁMETHOD."""
        name = self.name.rpartition(".")[2].rpartition("__mutmut_")[0]
        return name.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")


def summarize(mutants: Iterable[Mutant], equivalent: Mapping[str, Mapping[str, Known]]) -> tuple[list[Any], list[str]]:
    """Return the rows of the table, and what is wrong, a line each."""
    rows, wrong = [], []
    found = list(mutants)
    for module, known in equivalent.items():
        of_module = [mutant for mutant in found if mutant.module == module]
        survivors = [mutant for mutant in of_module if mutant.status not in _KILLED]
        by_function = Counter(mutant.function for mutant in survivors)
        excused = {name: known[name].number if name in known else 0 for name in {*by_function, *known}}
        missed = [mutant for mutant in survivors if by_function[mutant.function] > excused[mutant.function]]
        killed = len(of_module) - len(survivors)
        equal = sum(min(by_function[name], number) for name, number in excused.items())
        rows.append((module, len(of_module), killed, len(survivors), equal))
        wrong += [f"{one.name} {one.status}, {excused[one.function]} known: {one.change}" for one in missed]
        wrong += [
            f"{module}.{name}: {by_function[name]} survived, {number} are listed in EQUIVALENT; lower that number"
            for name, number in sorted(excused.items())
            if by_function[name] < number
        ]
        if killed < LEAST_KILLED * len(of_module) or not of_module:
            wrong.append(f"{module}: {killed} of {len(of_module)} killed, expected {LEAST_KILLED:.0%} or more")
    return rows, wrong


def _read() -> list[Mutant]:
    listed = re.findall(r"^ +(\S+__mutmut_\d+): (.+)$", _mutmut("results", "--all", "true"), re.MULTILINE)
    return [Mutant(name, status, "" if status in _KILLED else _change(name)) for name, status in listed]


def _change(name: str) -> str:
    added = re.findall(r"^\+(?!\+\+ )(.*)$", _mutmut("show", name), re.MULTILINE)
    return " ".join(line.strip() for line in added)


def _mutmut(*arguments: str) -> str:
    program = Path(sys.executable).with_name("mutmut")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout


def main() -> int:
    """Print the table, then what is wrong; return the exit code."""
    rows, wrong = summarize(_read(), EQUIVALENT)
    print(Table([TableColumn(name) for name in _COLUMNS], rows))
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
