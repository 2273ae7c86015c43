"""Scores of models on the same drives, and what those drives look like -> pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import numpy as np

from bcclone.images import Image
from bcclone.plots.figure import BLUE, GRAY, GREEN, ORANGE, RED, new_figure, save, show_image, tidy

_BESIDE = (
    "distance from the centre line, m\n"
    "(a mark: mean; its line: to the greatest;\nof recordings: rms from the human's path)"
)
_COLOURS, _MARKS = (BLUE, ORANGE, GREEN, RED, GRAY), "osD^vPX"
_LOOKS_ACROSS, _TITLE_LETTERS = 4, 42
_ROW_INCHES, _BAND = 0.3, 0.6  # of a row; of it the share in which the models' marks lie


@dataclass(frozen=True)
class Scored:
    """A drive: autonomy in percent, mean and greatest distance from the centre line in metres."""

    autonomy_percent: float
    mean_m: float
    greatest_m: float


def plot_scores(rows: Sequence[str], models: Mapping[str, Sequence[Scored]], path: Path) -> None:
    """Draw each model's autonomy and distance from the centre line, row by row, into a PNG.

    rows: names of the drives; models: as many scores each.
    """
    figure = new_figure(10, 1.6 + _ROW_INCHES * len(rows))
    autonomy, beside = figure.subplots(1, 2, sharey=True)
    places = np.arange(len(rows))
    apart = _BAND * (np.arange(len(models)) - (len(models) - 1) / 2) / len(models)
    for number, (model, scores) in enumerate(models.items()):
        heights = places + apart[number]
        colour, mark = _COLOURS[number % len(_COLOURS)], _MARKS[number % len(_MARKS)]
        shown = [max(score.autonomy_percent, 0.0) for score in scores]
        autonomy.plot(shown, heights, mark, color=colour, markersize=5, label=model)
        means, greatest = ([getattr(score, name) for score in scores] for name in ("mean_m", "greatest_m"))
        beside.hlines(heights, means, greatest, color=colour, linewidth=1, alpha=0.6)
        beside.plot(means, heights, mark, color=colour, markersize=5)
    autonomy.set(xlabel="autonomy, %\n(what is below 0 is at 0)", xlim=(-3, 103), ylim=(len(rows) - 0.5, -0.5))
    beside.set_xlabel(_BESIDE)
    beside.set_xlim(left=0)
    autonomy.set_yticks(places, rows)
    for axes in (autonomy, beside):
        tidy(axes)
    figure.legend(loc="outside upper center", ncols=min(len(models), 4), frameon=False)
    save(figure, path)


def plot_looks(looks: Sequence[tuple[str, Image]], path: Path) -> None:
    """Put frames, RGB uint8 (160, 320, 3), with their titles into a PNG, four in a row."""
    across = min(len(looks), _LOOKS_ACROSS)
    down = -(-len(looks) // across)
    titles = [fill(title, _TITLE_LETTERS) for title, _ in looks]
    most = max(title.count("\n") for title in titles)
    figure = new_figure(3.3 * across, (2.0 + 0.15 * most) * down)
    panels = figure.subplots(down, across, squeeze=False).flat
    for axes, title, (_, image) in zip(panels, titles, looks, strict=False):
        show_image(axes, image, title)
    for axes in figure.axes[len(looks) :]:
        axes.set_axis_off()
    save(figure, path)
