"""Results of mutmut -> a table; exit code 1 where the tests miss a mutant that is not known to be equivalent.

`make mutants` runs it after mutmut. `.venv/bin/mutmut show NAME` prints a mutant that is named here.
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

LEAST_KILLED = 0.95  # of all mutants of a module, those excused here included
_KILLED = {"killed", "timeout"}  # a loop without end is a timeout

# the changed line, as mutmut shows it -> why no test can tell it from the one that it stands for
_LONGER = "a longer table: nobody looks at its end"
_SAME_NUMBER = "other bytes for the same numbers, which are compared or indexed with"
_SAME_ORDER = (
    "the numbers are all different, so that every way to sort gives one order; this one takes a tenth of the time"
)
_STILL_APART = "more room for a part of the number to order by: the order is the same"
EQUIVALENT = {
    "bcclone.samples": {
        'return rows["time_ms"].to_numpy(None) // length_ms': "recordings and stores give int64 already",
        'place = samples["row"].astype(None)  # one number to order by, several times as fast as four': (
            "float64, exact up to 2 ** 53; the greatest row gives less than 2 ** 42"
        ),
        'for name, count in (("camera", len(CAMERAS)), ("frame_offset", MAX_FRAME_OFFSETS + 2), ("flipped", 2)):': (
            _STILL_APART
        ),
        'for name, count in (("camera", len(CAMERAS)), ("frame_offset", MAX_FRAME_OFFSETS + 1), ("flipped", 3)):': (
            _STILL_APART
        ),
        "return samples[np.argsort(place, kind=None)]": _SAME_ORDER,
        "return samples[np.argsort(place, )]": _SAME_ORDER,
        'return samples[np.argsort(place, kind="STABLE")]': "NumPy reads the first letter, in either case",
        "count = int(row.max(initial=+1)) + 1": _LONGER,
        "count = int(row.max(initial=-1)) + 2": _LONGER,
        "frame_of = np.full((count, len(CAMERAS)), NO_FRAME, None)": "int64 is what NumPy makes of an int",
        "frame_of = np.full((count, len(CAMERAS)), NO_FRAME, )": "int64 is what NumPy makes of an int",
        "episode_of = np.zeros(count, None)": _SAME_NUMBER,
        "episode_of = np.zeros(count, )": _SAME_NUMBER,
    },
    "bcclone.feed.order": {},
    "bcclone.protocol": {},
    "bcclone.drive.controller": {},
}


class Mutant(NamedTuple):
    """name: mutmut's; status: killed, survived, timeout, ...; change: the line that mutmut changed, once killed ''."""

    name: str
    status: str
    change: str = ""

    @property
    def module(self) -> str:
        """Return the module that was changed."""
        return self.name.rpartition(".")[0]


def judge(
    mutants: Iterable[Mutant], equivalent: Mapping[str, Mapping[str, str]]
) -> tuple[list[tuple[str, int, int, int, int]], list[str]]:
    """Return rows of module, mutants, killed, survived, of these equivalent; and what is wrong, a line each."""
    rows, wrong = [], []
    found = list(mutants)
    for module, excused in equivalent.items():
        of_module = [mutant for mutant in found if mutant.module == module]
        lived = [mutant for mutant in of_module if mutant.status not in _KILLED]
        missed = [mutant for mutant in lived if mutant.change not in excused]
        killed = len(of_module) - len(lived)
        rows.append((module, len(of_module), killed, len(lived), len(lived) - len(missed)))
        wrong += [f"{mutant.name} {mutant.status}: {mutant.change}" for mutant in missed]
        stale = set(excused) - {mutant.change for mutant in lived}
        wrong += [f"{module}: take from EQUIVALENT, no such mutant lives: {change}" for change in sorted(stale)]
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
    rows, wrong = judge(_read(), EQUIVALENT)
    print(f"{'module':26}{'mutants':>9}{'killed':>9}{'survived':>10}{'equivalent':>12}")
    for module, count, killed, survived, equivalent in rows:
        print(f"{module:26}{count:9}{killed:9}{survived:10}{equivalent:12}")
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
