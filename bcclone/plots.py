"""History, driven line, frames -> picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import PIL.Image
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bcclone.atomic import replacing
from bcclone.images import Image

Array = npt.NDArray[np.float64]

_VIEWS_ACROSS = 4
_WORST_M = 2.0  # from the centre line: where the colour scale ends


class Losses(Protocol):
    """What a plotted epoch must tell."""

    @property
    def epoch(self) -> int: ...
    @property
    def loss(self) -> float: ...
    @property
    def val_loss(self) -> float | None: ...


def plot_history(history: Sequence[Losses], path: Path) -> None:
    """Draw training and validation loss over the epochs into a PNG."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    epochs = [figures.epoch for figures in history]
    axes.plot(epochs, [figures.loss for figures in history], "o-", label="training (with dropout)")
    validated = [(figures.epoch, figures.val_loss) for figures in history if figures.val_loss is not None]
    if validated:
        axes.plot(*zip(*validated, strict=True), "s-", label="validation")
    axes.set(xlabel="epoch", ylabel="mean squared error of the steering", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    _save(figure, path)


class Driven(Protocol):
    """What a point of a driven line must tell, in metres."""

    @property
    def x(self) -> float: ...
    @property
    def z(self) -> float: ...
    @property
    def cross_track_m(self) -> float: ...


def plot_drive(title: str, centre_line: Array, half_width_m: float, trace: Sequence[Driven], path: Path) -> None:
    """Draw a driven line on the track's map, coloured by its distance from the centre line, into a PNG.

    centre_line: x and z, (points, 2), metres.
    """
    figure = Figure(figsize=(8, 7), layout="constrained")
    axes = figure.add_subplot()
    closed = np.vstack([centre_line, centre_line[:1]])
    axes.plot(*closed.T, color="0.85", linewidth=2 * half_width_m, solid_joinstyle="round", zorder=1)
    axes.plot(*closed.T, color="0.6", linewidth=0.7, linestyle="--", zorder=2)
    points = np.array([(point.x, point.z) for point in trace])
    pieces = np.stack([points[:-1], points[1:]], axis=1)
    jumps = np.hypot(*(points[1:] - points[:-1]).T) > 3.0  # set back on the centre line
    beside = np.abs([point.cross_track_m for point in trace])[1:]
    line = LineCollection(
        list(pieces[~jumps]), array=beside[~jumps], cmap="plasma", clim=(0, _WORST_M), linewidth=2.5, zorder=3
    )
    axes.add_collection(line)
    axes.plot(*points[1:][jumps].T, "rx", label="intervention", zorder=4)
    axes.plot(*closed[0], "k^", label="start", zorder=4)
    figure.colorbar(line, ax=axes, label="distance from the centre line, m", extend="max")
    axes.set(title=title, xlabel="x, m", ylabel="z, m", aspect="equal")
    axes.legend(loc="best")
    _save(figure, path)


def plot_views(views: Sequence[Image], path: Path) -> None:
    """Put frames, RGB uint8 of one size, side by side into a PNG, four in a row."""
    empty = [np.zeros_like(views[0])] * (-len(views) % _VIEWS_ACROSS)
    shown = [*views, *empty]
    rows = [np.hstack(shown[start : start + _VIEWS_ACROSS]) for start in range(0, len(shown), _VIEWS_ACROSS)]
    with replacing(path) as temporary:
        PIL.Image.fromarray(np.vstack(rows)).save(temporary)


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)
