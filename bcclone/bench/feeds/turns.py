"""Contestants' names -> their figures: rounds through all of them, each turn in a fresh process."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from bcclone.bench.feeds.alone import alone
from bcclone.bench.feeds.contestant import CannotTakePart, take_turn
from bcclone.bench.feeds.meter import Figures, Turn
from bcclone.bench.feeds.race import Race
from bcclone.errors import UserError


@dataclass
class Results:
    """The figures of every turn that was taken, a round after the other, and why some were not.

    skipped: who lacks what it needs; failed: who broke off, and the parts of the bench that did.
    """

    rounds: dict[str, list[Figures]] = field(default_factory=lambda: defaultdict(list))
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def median(self, name: str) -> Figures:
        """Return the median over the rounds of each figure of a contestant."""
        rounds = [asdict(figures) for figures in self.rounds[name]]
        known = {key: [figures[key] for figures in rounds] for key, value in rounds[0].items() if value is not None}
        return Figures(**{key: float(np.median(values)) for key, values in known.items()})

    def ratio(self, name: str, other: str) -> float:
        """Return how many times another's samples a second: the median over rounds, in which they are neighbours."""
        pairs = zip(self.rounds[name], self.rounds[other], strict=True)
        return float(np.median([mine.samples_per_second / theirs.samples_per_second for mine, theirs in pairs]))


def run_race(
    names: Sequence[str], race: Race, turn: Turn, rounds: int, notify: Callable[[str], None] = lambda text: None
) -> Results:
    """Let each take its turn, and again, `rounds` times; `notify` is told of each, and who fails is out."""
    results = Results()
    for number in range(1, rounds + 1):
        for name in names:
            if name in results.skipped or name in results.failed:
                continue
            try:
                figures = alone(take_turn, name, race, turn)
            except CannotTakePart as reason:
                results.skipped[name] = str(reason)
                notify(f"skipped: {name}: {reason}")
                continue
            except UserError as error:
                results.rounds.pop(name, None)
                results.failed[name] = str(error)
                notify(f"failed: {name}: {error}")
                continue
            results.rounds[name].append(figures)
            notify(f"round {number} of {rounds}: {name}: {figures.samples_per_second:,.0f} samples/s")
    return results
