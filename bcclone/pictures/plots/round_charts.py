"""Draw the rounds in which a model learns: its interventions on each row of the suite, and on all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bcclone.pictures.plots.style import BLUE, new_figure, save, tidy

_ROW_INCHES, _ROUND_INCHES = 0.24, 0.42
_MOST_TICKS = 30
_MOST_SHOWN = 3  # interventions at which the colour scale ends


@dataclass(frozen=True)
class RoundScore:
    """How a model drove after a round.

    learned_rows: that it learned from; interventions: name of the row of the suite -> number, of the rows driven.
    """

    learned_rows: int
    interventions: Mapping[str, int]


def plot_rounds(rounds: Sequence[RoundScore], path: Path) -> None:
    """Draw the rounds, from round 0, into a PNG: the sum of the interventions, and those of each row of the suite.

    Rows that were not driven, after others had failed again, are grey.
    """
    names = list(rounds[0].interventions)
    counts = np.array([[one.interventions.get(name, np.nan) for one in rounds] for name in names])
    figure = new_figure(3 + max(len(rounds), 8) * _ROUND_INCHES, 3.2 + len(names) * _ROW_INCHES)
    above, below = figure.subplots(2, sharex=True, height_ratios=(2.2, len(names) * _ROW_INCHES))
    above.plot(range(len(rounds)), np.nansum(counts, axis=0), "o-", color=BLUE)
    above.set(ylabel="interventions\non the driven rows", ylim=(0, None))
    tidy(above)
    below.set_facecolor("0.85")
    below.imshow(np.minimum(counts, _MOST_SHOWN), cmap="Oranges", vmin=0, vmax=_MOST_SHOWN, aspect="auto")
    for (row, number), count in np.ndenumerate(counts):
        color = "white" if count > _MOST_SHOWN / 2 else "black"
        below.text(number, row, f"{count:.0f}" if count > 0 else "", ha="center", va="center", fontsize=8, color=color)
    below.set_yticks(range(len(names)), names, fontsize=8)
    shown = range(0, len(rounds), -(-len(rounds) // _MOST_TICKS))
    below.set_xticks(shown, [f"{number}\n{rounds[number].learned_rows}" for number in shown], fontsize=7)
    below.set_xlabel("round, and rows that it learned from")
    save(figure, path)
