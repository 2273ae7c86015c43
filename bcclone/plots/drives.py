"""DrivenPoint line, frames on the way -> pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Protocol

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from bcclone.images import Image
from bcclone.plots.style import BLUE, GRAY, GREEN, ORANGE, RED, new_figure, save, save_image, show_image, tidy

_BESIDE = (
    "distance from the centre line, m\n"
    "(a mark: mean; its line: to the greatest;\nof recordings: rms from the human's path)"
)
_COLOURS, _MARKS = (BLUE, ORANGE, GREEN, RED, GRAY), "osD^vPX"
_LOOKS_ACROSS, _TITLE_LETTERS = 4, 42
_ROW_INCHES, _BAND = 0.3, 0.6  # of a row; of it the share in which the models' marks lie


@dataclass(frozen=True)
class DriveScore:
    """A drive: autonomy in percent, mean and greatest distance from the centre line in metres."""

    autonomy_percent: float
    mean_m: float
    greatest_m: float


def plot_scores(rows: Sequence[str], models: Mapping[str, Sequence[DriveScore]], path: Path) -> None:
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


def plot_appearances(looks: Sequence[tuple[str, Image]], path: Path) -> None:
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


Array = npt.NDArray[np.float64]


class Deviation(Protocol):
    """A ride: metres to the right of the human's path at the end of each row, and the rows after which a person took
    over."""

    @property
    def path(self) -> Sequence[float]:
        """Return the deviation at the end of each row, metres, positive to the right."""
        ...

    @property
    def interventions(self) -> Sequence[int]:
        """Return the rows after which a person took over."""
        ...


def plot_deviations(title: str, seconds: Array, rides: Mapping[str, Deviation], limit_m: float, path: Path) -> None:
    """Draw how far each driver strayed over the time driven, one above the other, as a PNG; seconds: (rows,)."""
    figure = new_figure(9, 0.8 + 1.5 * len(rides), title)
    panels = figure.subplots(len(rides), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, ride) in zip(panels, rides.items(), strict=True):
        beside, taken_over = np.array(ride.path), np.array(ride.interventions, int)
        cut = taken_over + 1  # from there the line begins anew
        axes.plot(np.insert(seconds, cut, np.nan), np.insert(beside, cut, np.nan), color=BLUE, linewidth=1)
        axes.plot(seconds[taken_over], np.clip(beside[taken_over], -limit_m, limit_m), "x", color=RED, markersize=4)
        for side in (-limit_m, 0, limit_m):
            axes.axhline(side, color=GRAY, linewidth=0.6, linestyle="-" if side == 0 else "--")
        axes.set_ylim(-1.15 * limit_m, 1.15 * limit_m)
        axes.set_title(f"{name}: {len(taken_over)} interventions", fontsize=9, loc="left")
        axes.set_ylabel("m to the right")
        tidy(axes)
    panels[-1].set_xlabel("seconds driven")
    save(figure, path)


_VIEWS_ACROSS, _MAPS_ACROSS = 4, 3
_SET_BACK_M = 2.0  # farther apart than two points of a driven line can be
_WORST_M = 2.0  # from the centre line: where the colour scale ends
_OFF_CENTRE = "distance from the centre line, m"


class MapPoint(Protocol):
    """A place on the map, metres."""

    @property
    def x(self) -> float:
        """Return the first coordinate, metres."""
        ...

    @property
    def z(self) -> float:
        """Return the second coordinate, metres."""
        ...


class DrivenPoint(MapPoint, Protocol):
    """A point of a driven line, and how far it is to the right of the centre line."""

    @property
    def cross_track_m(self) -> float:
        """Return the distance to the right of the centre line, metres."""
        ...


class DrivenLine(Protocol):
    """A driven line, and where a person would have had to take over."""

    @property
    def trace(self) -> Sequence[DrivenPoint]:
        """Return the points of the line in driving order."""
        ...

    @property
    def interventions(self) -> Sequence[MapPoint]:
        """Return where a person would have taken over."""
        ...


def plot_drive(
    title: str, edges: tuple[Array, Array], trace: Sequence[DrivenPoint], interventions: Sequence[MapPoint], path: Path
) -> None:
    """Draw a driven line on the track's map, coloured by its distance from the centre line, into a PNG.

    edges: x and z of the road's two sides, (points, 2) each, metres.
    """
    figure = new_figure(8, 7)
    axes = figure.add_subplot()
    line = _draw_line(axes, edges, trace, interventions)
    figure.colorbar(line, ax=axes, label=_OFF_CENTRE, extend="max")
    axes.set(title=title, xlabel="x, m", ylabel="z, m")
    axes.legend(loc="best")
    save(figure, path)


def plot_drives(title: str, edges: tuple[Array, Array], drives: Mapping[str, DrivenLine], path: Path) -> None:
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
    figure.colorbar(line, ax=panels, label=_OFF_CENTRE, extend="max")
    panels[0, 0].legend(loc="best", fontsize=8)
    save(figure, path)


def _draw_line(
    axes: Axes, edges: tuple[Array, Array], trace: Sequence[DrivenPoint], interventions: Sequence[MapPoint]
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
