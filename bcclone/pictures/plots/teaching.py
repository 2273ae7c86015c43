"""Draw how fast a model learns from an expert that teaches it, next to one that cloned as many rows of its drives."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.ticker import MaxNLocator

from bcclone.pictures.plots.style import BLUE, GREEN, ORANGE, new_figure, save, tidy

_COLORS = (BLUE, ORANGE, GREEN)
_MARKERS = ("o", "s", "^", "v", "P")


@dataclass(frozen=True)
class Lesson:
    """What a model learned from, and how it then drove. rows: that it saw; failed: rows of the suite with a failure."""

    rows: int
    failed: int


@dataclass(frozen=True)
class Teaching:
    """Both ways of learning with one seed: round by round from an expert, and by cloning the expert's own drives."""

    seed: int
    taught: Sequence[Lesson]
    cloned: Lesson


def plot_teaching(teachings: Sequence[Teaching], suite_rows: int, path: Path) -> None:
    """Draw the failed rows of the suite over the rows learned from, into a PNG.

    suite_rows: how many rows of the suite were to be driven.
    """
    figure = new_figure(7, 3.6)
    axes = figure.subplots()
    for number, one in enumerate(teachings):
        color, marker = _COLORS[number % len(_COLORS)], _MARKERS[number % len(_MARKERS)]
        rows, failed = ([getattr(lesson, name) for lesson in one.taught] for name in ("rows", "failed"))
        axes.plot(rows, failed, color=color, marker=marker, label=f"taught, seed {one.seed}")
        axes.plot(
            one.cloned.rows,
            one.cloned.failed,
            linestyle="",
            color=color,
            marker=marker,
            markersize=11,
            markerfacecolor="none",
            label=f"cloned, seed {one.seed}",
        )
    axes.set(xlabel="rows learned from", ylabel=f"rows of the suite that fail, of {suite_rows}")
    axes.set(xlim=(0, None), ylim=(-0.5, suite_rows + 0.5))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=8, ncols=len(teachings))
    tidy(axes)
    save(figure, path)
