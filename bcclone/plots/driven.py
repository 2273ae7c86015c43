"""Driven line, frames on the way -> pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from bcclone.images import Image
from bcclone.plots.figure import new_figure, save, save_image

Array = npt.NDArray[np.float64]

_VIEWS_ACROSS, _MAPS_ACROSS = 4, 3
_SET_BACK_M = 2.0  # farther apart than two points of a driven line can be
_WORST_M = 2.0  # from the centre line: where the colour scale ends
_BESIDE = "distance from the centre line, m"


class Spot(Protocol):
    """A place on the map, metres."""

    @property
    def x(self) -> float: ...
    @property
    def z(self) -> float: ...


class Driven(Spot, Protocol):
    """A point of a driven line, and how far it is to the right of the centre line."""

    @property
    def cross_track_m(self) -> float: ...


class Drive(Protocol):
    """A driven line, and where a person would have had to take over."""

    @property
    def trace(self) -> Sequence[Driven]: ...
    @property
    def interventions(self) -> Sequence[Spot]: ...


def plot_drive(
    title: str, edges: tuple[Array, Array], trace: Sequence[Driven], interventions: Sequence[Spot], path: Path
) -> None:
    """Draw a driven line on the track's map, coloured by its distance from the centre line, into a PNG.

    edges: x and z of the road's two sides, (points, 2) each, metres.
    """
    figure = new_figure(8, 7)
    axes = figure.add_subplot()
    line = _draw_line(axes, edges, trace, interventions)
    figure.colorbar(line, ax=axes, label=_BESIDE, extend="max")
    axes.set(title=title, xlabel="x, m", ylabel="z, m")
    axes.legend(loc="best")
    save(figure, path)


def plot_drives(title: str, edges: tuple[Array, Array], drives: Mapping[str, Drive], path: Path) -> None:
    """Draw several drives of one track, each on a map of its own, into a PNG; drives: by their titles.

    edges: as for plot_drive(), (points, 2) each.
    """
    across = min(len(drives), _MAPS_ACROSS)
    down = -(-len(drives) // across)
    figure = new_figure(5 * across + 1, 4.6 * down + 0.4, title)
    panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for axes, (name, drive) in zip(panels.flat, drives.items(), strict=False):
        line = _draw_line(axes, edges, drive.trace, drive.interventions)
        axes.set_title(name, fontsize=9)
        axes.set(xlabel="x, m", ylabel="z, m")
        axes.label_outer()
    for axes in panels.flat[len(drives) :]:
        axes.set_axis_off()
    figure.colorbar(line, ax=panels, label=_BESIDE, extend="max")
    panels[0, 0].legend(loc="best", fontsize=8)
    save(figure, path)


def _draw_line(
    axes: Axes, edges: tuple[Array, Array], trace: Sequence[Driven], interventions: Sequence[Spot]
) -> LineCollection:
    """Draw the road and on it the driven line, which is returned."""
    left, right = (np.vstack([edge, edge[:1]]) for edge in edges)
    axes.fill(*np.vstack([left, right[::-1]]).T, color="0.85")
    points = np.array([(point.x, point.z) for point in trace])
    pieces = np.stack([points[:-1], points[1:]], axis=1)
    together = np.hypot(*(points[1:] - points[:-1]).T) < _SET_BACK_M
    beside = np.abs([point.cross_track_m for point in trace])[1:]
    line = LineCollection(list(pieces[together]), array=beside[together], cmap="plasma", clim=(0, _WORST_M))
    line.set(linewidth=2.5, zorder=3)
    axes.add_collection(line)
    for spots, mark, label in ((interventions, "rx", "intervention"), (trace[:1], "k^", "start")):
        axes.plot([spot.x for spot in spots], [spot.z for spot in spots], mark, label=label, zorder=4)
    axes.set_aspect("equal")
    return line


def plot_views(views: Sequence[Image], path: Path) -> None:
    """Put frames, RGB uint8 (height, width, 3) of one size, side by side into a PNG, four in a row."""
    empty = [np.zeros_like(views[0])] * (-len(views) % _VIEWS_ACROSS)
    shown = [*views, *empty]
    rows = [np.hstack(shown[start : start + _VIEWS_ACROSS]) for start in range(0, len(shown), _VIEWS_ACROSS)]
    save_image(np.vstack(rows), path)
