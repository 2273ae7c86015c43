"""Draw drives: driven lines, deviations, steering over time, frames, framing -> PNGs."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill, wrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap

from bcclone.camera.framing import STEPS_PER_PIXEL, Framing, Lens, sampling_of
from bcclone.camera.images import Image
from bcclone.pictures.plots.style import (
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    RED,
    WIDTH,
    draw_steering,
    legend_above,
    new_figure,
    save,
    save_images,
    show_image,
    tidy,
)
from bcclone.system.arrays import FloatArray

if TYPE_CHECKING:  # they load the drive server
    from bcclone.evaluation.evaluate import Evaluation
    from bcclone.evaluation.recorded_drive import Rollout
    from bcclone.simulator.track import Track

_TITLE_LETTERS = 40  # in a line of the title of axes
_OFF_CENTRE = "distance from the centre line, m"

_AXES_INCHES = 3.5  # width of a map's axes; the labels take the rest of the figure
_MAP_TEXT_INCHES = 0.7  # height of a map's title and of the labels below it
_SCALE_INCHES = 1.2  # height of the scale of colours, the legend and the figure's title
# lowest and highest axes of a map, for roads that reach far in one direction
_LOWEST_INCHES = 2
_HIGHEST_INCHES = 6


def plot_drives(title: str, track: "Track", drives: Mapping[str, "Evaluation"], path: Path) -> None:
    """Draw driven lines on the track's map, coloured by their distance from the centre line.

    drives: title -> drive, each on a map of its own, one below the other
    """
    # the figure has the shape of the road, within limits
    left_edge = track.edge(-1)
    right_edge = track.edge(1)
    extent_x_m, extent_z_m = np.ptp(np.vstack([left_edge, right_edge]), axis=0)
    axes_inches = np.clip(_AXES_INCHES * extent_z_m / extent_x_m, _LOWEST_INCHES, _HIGHEST_INCHES)
    height_inches = (axes_inches + _MAP_TEXT_INCHES) * len(drives) + _SCALE_INCHES
    names = list(drives)
    if len(drives) == 1:  # its name stands above all, where there is more room
        title = "\n".join(filter(None, (title, *names)))
        names = [""]
    figure = new_figure(height_inches, title)
    column = figure.subplots(len(drives), 1, squeeze=False, sharex=True, sharey=True)[:, 0]

    for axes, name, drive in zip(column, names, drives.values(), strict=True):
        axes.fill(*np.vstack([left_edge, right_edge[::-1]]).T, color="0.85")
        line = _draw_line(axes, drive)
        axes.set_title(fill(name, _TITLE_LETTERS))
        axes.set(xlabel="x, m", ylabel="z, m")
        axes.label_outer()
    # all lines have one scale
    figure.colorbar(line, ax=column, label=_OFF_CENTRE, extend="max", location="bottom", aspect=30)
    figure.legend(
        *column[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False
    )
    save(figure, path)


# consecutive points of a driven line are nearer than this, unless the car was set back
_SET_BACK_M = 2.0
_WORST_M = 2.0  # distance from the centre line at which the colour scale ends
# without the palest colours, which are hardly seen on white
_SCALE = ListedColormap(colormaps["plasma"](np.linspace(0.0, 0.75, 256)))


def _draw_line(axes: Axes, drive: "Evaluation") -> LineCollection:
    points = np.array([(point.x, point.z) for point in drive.trace])
    segments = np.stack([points[:-1], points[1:]], axis=1)
    connected = np.hypot(*(points[1:] - points[:-1]).T) < _SET_BACK_M
    offset_m = np.abs([point.cross_track_m for point in drive.trace])[1:]
    line = LineCollection(
        list(segments[connected]), array=offset_m[connected], cmap=_SCALE, clim=(0, _WORST_M)
    )
    line.set(linewidth=2.5, zorder=3)
    axes.add_collection(line)
    interventions_x = [place.x for place in drive.interventions]
    interventions_z = [place.z for place in drive.interventions]
    axes.plot(interventions_x, interventions_z, "rx", label="intervention", zorder=4)
    start = drive.trace[0]
    axes.plot([start.x], [start.z], "k^", label="start", zorder=4)
    axes.set_aspect("equal")
    return line


def plot_deviation(
    seconds: FloatArray, drive: "Rollout", limit: float, unit: str, path: Path
) -> None:
    """Draw the deviation of a drive from the recorded path over time into a PNG.

    seconds: time at the end of each row since the start, (rows,)
    limit: deviation at which the car is set back
    unit: of the deviations
    """
    figure = new_figure(2.4)
    axes = figure.subplots()
    deviations = np.array(drive.deviations_m)
    set_back = np.array(drive.intervention_rows, int)

    # the line has a gap after each row at whose end the car was set back
    breaks = set_back + 1
    shown_seconds = np.insert(seconds, breaks, np.nan)
    shown_deviations = np.insert(deviations, breaks, np.nan)
    axes.plot(shown_seconds, shown_deviations, color=BLUE, linewidth=1)

    crosses = np.clip(deviations[set_back], -limit, limit)
    axes.plot(seconds[set_back], crosses, "x", color=RED, markersize=4)
    for side in (-limit, 0, limit):
        style = "-" if side == 0 else "--"
        axes.axhline(side, color=GRAY, linewidth=0.6, linestyle=style)
    axes.set_ylim(-1.15 * limit, 1.15 * limit)
    axes.set_ylabel(fill(f"to the right, {unit}", _LABEL_LETTERS))
    tidy(axes)
    axes.set_xlabel("seconds driven")
    save(figure, path)


_LABEL_LETTERS = 20  # in a line beside an axis


_FRAMES_ACROSS = 2  # frames in a row
_FRAME_LETTERS = 22  # in a line of a frame's title


def plot_frames(frames: Sequence[tuple[str, Image]], path: Path) -> None:
    """Put frames, RGB uint8 (160, 320, 3), with their titles into a PNG, two in a row."""
    shown = [(image, fill(title, _FRAME_LETTERS), "") for title, image in frames]
    title_lines = max(len(wrap(title, _FRAME_LETTERS)) for title, _ in frames)
    rows = [shown[start : start + _FRAMES_ACROSS] for start in range(0, len(shown), _FRAMES_ACROSS)]
    save_images(path, rows, row_inches=1.05 + 0.18 * title_lines)


_LINE_LENGTH = 500  # frames in a line of curves; more if _MAX_LINES do not suffice
_MAX_LINES = 6
_PAUSE_STEPS = 20  # a time of more than so many usual steps between two frames is drawn as a gap


def plot_curves(
    title: str, seconds: FloatArray, steering: Mapping[str, FloatArray], path: Path
) -> None:
    """Draw the steering of several drivers on the same frames over time, in lines, into a PNG.

    seconds: of the frames, ascending, (frames,)
    steering: name of the driver -> its steering, (frames,), NaN where there is none
    """
    steps = np.diff(seconds)
    pauses = np.array([], int)
    if len(steps):
        pauses = np.flatnonzero(steps > _PAUSE_STEPS * np.median(steps)) + 1
    lines = min(max(1, math.ceil(len(seconds) / _LINE_LENGTH)), _MAX_LINES)
    ends = np.linspace(seconds[0], _end_of(seconds), lines + 1)
    figure = new_figure(0.8 + 0.2 * len(steering) + 1.4 * lines, title)
    column = figure.subplots(lines, 1, sharey=True, squeeze=False)[:, 0]
    draw_steering(column, seconds, steering, ends, pauses)
    column[-1].set_xlabel("seconds")
    legend_above(column[0], columns=1)  # the names of models may be long
    save(figure, path)


def _end_of(seconds: FloatArray) -> float:
    """Return where an axis of these times ends.

    For a single frame, that is just after its time: an axis needs two different ends.
    """
    return float(max(seconds[-1], seconds[0] + 1e-9))


def plot_framing(
    framing: Framing,
    picture: Image,
    seconds: FloatArray,
    steering: Mapping[str, FloatArray],
    path: Path,
) -> None:
    """Draw a picture, its frame, and curves of steering over time into a PNG.

    The part of the picture that the frame shows is outlined, and with a lens the horizon and the
    vanishing point are marked.

    picture: RGB uint8 (height, width, 3)
    """
    heights = [WIDTH * framing.height / framing.width, WIDTH / 2, 2.6]
    figure = new_figure(sum(heights) + 1.0, framing.describe())
    before, after, below = figure.subplots(3, 1, height_ratios=heights)

    show_image(before, picture, "a picture, and what the frame shows of it")
    if framing.lens:
        _mark_horizon(before, framing, framing.lens)
        outline = _outline_with_lens(framing)
    else:
        outline = _outline_of_cuts(framing)
    # in the axes, the middle of the first pixel is 0, and its edge -0.5
    before.plot(*(outline - 0.5).T, color=ORANGE, linewidth=1.5)
    show_image(after, framing.apply(picture), "the frame")

    draw_steering([below], seconds, steering, (seconds[0], _end_of(seconds)))
    below.set_xlabel("seconds")
    legend_above(below, columns=1)
    save(figure, path)


def _mark_horizon(axes: Axes, framing: Framing, lens: Lens) -> None:
    """Draw the horizon and the vanishing point of a framing's lens."""
    ends = np.array([-0.5, framing.width - 0.5])
    slope = np.tan(np.radians(lens.roll_degrees))
    horizon = lens.horizon_row + slope * (ends - lens.vanishing_column)
    axes.plot(ends, horizon, color=GREEN, linewidth=1)
    axes.plot([lens.vanishing_column], [lens.horizon_row], "+", color=GREEN, markersize=12)
    axes.set(xlim=ends, ylim=(framing.height - 0.5, -0.5))


def _outline_with_lens(framing: Framing) -> FloatArray:
    """Return the line around the part that the frame shows, x and y, (points, 2)."""
    # for each pixel of the frame, its place in the picture, x and y, (160, 320, 2)
    sampling = sampling_of(framing)
    scale = framing.width / sampling.width, framing.height / sampling.height
    places = (sampling.corner + sampling.fraction / STEPS_PER_PIXEL + 0.5) * scale
    top = places[0]
    right = places[:, -1]
    bottom = places[-1, ::-1]
    left = places[::-1, 0]
    return np.concatenate([top, right, bottom, left])


def _outline_of_cuts(framing: Framing) -> FloatArray:
    """Return the rectangle that the framing's cuts leave, x and y, (5, 2)."""
    top, bottom = framing.rows or (0, framing.height)
    left, right = framing.columns or (0, framing.width)
    corners = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    return np.array(corners)
