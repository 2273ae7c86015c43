"""Draw drives and recordings into PNGs: scores, lines on the map, deviations, steering over time,
frames, a diagnosis, and how pictures are framed.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from bcclone.camera.framing import FRACTION, Framing, sampling_of
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.pictures.plots.style import (
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    RED,
    ShownImage,
    draw_steering,
    drawable,
    new_figure,
    save,
    save_images,
    show_image,
    tidy,
)
from bcclone.system.arrays import FloatArray

if TYPE_CHECKING:  # they load the drive server
    from bcclone.evaluation.evaluate import Evaluation
    from bcclone.evaluation.rollout import Rollout
    from bcclone.simulator.track import Track

_COLOURS, _MARKS = (BLUE, ORANGE, GREEN, RED, GRAY), "osD^vPX"
_ROW_INCHES, _MARKS_BAND = (
    0.3,
    0.6,
)  # height of a row of scores; the fraction of it that the models' marks take
_OFF_CENTRE = "distance from the centre line, m"
_OFFSET_LABEL = f"{_OFF_CENTRE}\n(a mark: mean; its line: to the greatest;\nof recordings: rms from the human's path)"
_MAPS_ACROSS, _FRAMES_ACROSS, _TITLE_LETTERS = 3, 4, 42
_SET_BACK_M = (
    2.0  # consecutive points of a driven line are nearer than this, unless the car was set back
)
_WORST_M = 2.0  # distance from the centre line at which the colour scale ends
_LINE_LENGTH, _MAX_LINES = 1200, 6  # frames in a line of curves, if they fit into so many lines
_PAUSE = 20  # usual steps of time; a longer one is drawn as a gap
_STRIP_ACROSS, _ROWS_IN_A_STRIP, _MAX_STRIPS = 8, 240, 12
_FADED, _WAY = 0.35, np.linspace(1.6, 16.0, 40)  # camera heights ahead, where the path is drawn
_NO_IMAGE = np.full((FRAME_HEIGHT, FRAME_WIDTH, 3), 200, np.uint8)
_LINES, _LEAST_SECONDS, _ACROSS = (
    4,
    20.0,
    6,
)  # of a diagnosis: lines of curves, of so many seconds; frames


def plot_scores(
    rows: Sequence[str], models: Mapping[str, Sequence[tuple[float | None, ...]]], path: Path
) -> None:
    """Draw the autonomy and the distance from the centre line of several models into a PNG.

    rows: names of the drives; models: name -> for each drive its autonomy in percent, and its mean
    and greatest distance from the centre line in metres; None is not drawn.
    """
    figure = new_figure(10, 1.6 + _ROW_INCHES * len(rows))
    autonomy, offset = figure.subplots(1, 2, sharey=True)
    middles = np.arange(len(rows))
    apart = _MARKS_BAND * (np.arange(len(models)) - (len(models) - 1) / 2) / len(models)
    for number, (model, scores) in enumerate(models.items()):
        heights = middles + apart[number]
        colour, mark = _COLOURS[number % len(_COLOURS)], _MARKS[number % len(_MARKS)]
        percent, means, greatest = np.array(scores, np.float64).T
        autonomy.plot(
            np.maximum(percent, 0.0), heights, mark, color=colour, markersize=5, label=model
        )
        offset.hlines(heights, means, greatest, color=colour, linewidth=1, alpha=0.6)
        offset.plot(means, heights, mark, color=colour, markersize=5)
    autonomy.set(
        xlabel="autonomy, %\n(values below 0 are drawn at 0)",
        xlim=(-3, 103),
        ylim=(len(rows) - 0.5, -0.5),
    )
    offset.set_xlabel(_OFFSET_LABEL)
    offset.set_xlim(left=0)
    autonomy.set_yticks(middles, map(drawable, rows))  # drawn anew when the figure is saved
    tidy(autonomy, offset)
    figure.legend(loc="outside upper center", ncols=min(len(models), 4), frameon=False)
    save(figure, path)


def plot_drives(title: str, track: "Track", drives: Mapping[str, "Evaluation"], path: Path) -> None:
    """Draw driven lines on the track's map, coloured by their distance from the centre line, into a
    PNG.

    drives: title -> drive, each on a map of its own.
    """
    across = min(len(drives), _MAPS_ACROSS)
    down = -(-len(drives) // across)
    left, right = track.edge(-1), track.edge(1)
    wide_m, high_m = np.ptp(np.vstack([left, right]), axis=0)
    wide = 7.0 if len(drives) == 1 else 5.0
    figure = new_figure(
        wide * across + 1, (np.clip(0.89 * wide * high_m / wide_m, 3, 8) + 0.8) * down, title
    )
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for axes, (name, drive) in zip(grid.flat, drives.items(), strict=False):
        axes.fill(*np.vstack([left, right[::-1]]).T, color="0.85")
        line = _draw_line(axes, drive)
        axes.set_title(name, fontsize=9)
        axes.set(xlabel="x, m", ylabel="z, m")
        axes.label_outer()
    for axes in grid.flat[len(drives) :]:
        axes.set_axis_off()
    figure.colorbar(line, ax=grid, label=_OFF_CENTRE, extend="max")
    grid[0, 0].legend(loc="best", fontsize=8)
    save(figure, path)


def _draw_line(axes: Axes, drive: "Evaluation") -> LineCollection:
    points = np.array([(point.x, point.z) for point in drive.trace])
    segments = np.stack([points[:-1], points[1:]], axis=1)
    connected = np.hypot(*(points[1:] - points[:-1]).T) < _SET_BACK_M
    offset_m = np.abs([point.cross_track_m for point in drive.trace])[1:]
    line = LineCollection(
        list(segments[connected]), array=offset_m[connected], cmap="plasma", clim=(0, _WORST_M)
    )
    line.set(linewidth=2.5, zorder=3)
    axes.add_collection(line)
    for marked, mark, label in (
        (drive.interventions, "rx", "intervention"),
        (drive.trace[:1], "k^", "start"),
    ):
        axes.plot(
            [point.x for point in marked],
            [point.z for point in marked],
            mark,
            label=label,
            zorder=4,
        )
    axes.set_aspect("equal")
    return line


def plot_deviations(
    title: str, seconds: FloatArray, drives: Mapping[str, "Rollout"], limit_m: float, path: Path
) -> None:
    """Draw the deviations of several drives from the recorded path over time, one above the other,
    into a PNG.

    seconds: at the end of each row, (rows,); drives: name of the driver -> drive; limit_m: where a
    person takes over; both in the unit that the title names.
    """
    figure = new_figure(9, 0.8 + 1.5 * len(drives), title)
    column = figure.subplots(len(drives), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, drive) in zip(column, drives.items(), strict=True):
        deviation_m, taken_over = np.array(drive.path), np.array(drive.interventions, int)
        cut = taken_over + 1  # the line starts again after an intervention
        axes.plot(
            np.insert(seconds, cut, np.nan),
            np.insert(deviation_m, cut, np.nan),
            color=BLUE,
            linewidth=1,
        )
        shown = np.clip(deviation_m[taken_over], -limit_m, limit_m)
        axes.plot(seconds[taken_over], shown, "x", color=RED, markersize=4)
        for side in (-limit_m, 0, limit_m):
            axes.axhline(side, color=GRAY, linewidth=0.6, linestyle="-" if side == 0 else "--")
        axes.set_ylim(-1.15 * limit_m, 1.15 * limit_m)
        axes.set_title(f"{name}: {len(taken_over)} interventions", fontsize=9, loc="left")
        axes.set_ylabel("to the right")
    tidy(*column)
    column[-1].set_xlabel("seconds driven")
    save(figure, path)


def plot_frames(frames: Sequence[tuple[str, Image]], path: Path) -> None:
    """Put frames, RGB uint8 (160, 320, 3), with their titles into a PNG, four in a row."""
    shown = [ShownImage(image, fill(title, _TITLE_LETTERS)) for title, image in frames]
    lines = max(one.title.count("\n") + 1 if one.title else 0 for one in shown)
    rows = [shown[start : start + _FRAMES_ACROSS] for start in range(0, len(shown), _FRAMES_ACROSS)]
    save_images(path, rows, (3.3, 1.75 + 0.15 * lines))


def plot_curves(
    title: str, seconds: FloatArray, steering: Mapping[str, FloatArray], path: Path
) -> None:
    """Draw the steering of several drivers on the same frames over time, in as many lines as it
    needs, into a PNG.

    seconds: of the frames, ascending, (frames,); steering: name of the driver -> its steering,
    (frames,), NaN where there is none.
    """
    lines = min(max(1, math.ceil(len(seconds) / _LINE_LENGTH)), _MAX_LINES)
    steps = np.diff(seconds)
    pauses = (
        np.flatnonzero(steps > _PAUSE * np.median(steps)) + 1 if len(steps) else np.array([], int)
    )
    ends = np.linspace(seconds[0], max(seconds[-1], seconds[0] + 1e-9), lines + 1)
    figure = new_figure(11, 1.1 + 1.7 * lines, title)
    column = figure.subplots(lines, 1, sharey=True, squeeze=False)[:, 0]
    draw_steering(column, seconds, steering, ends, pauses)
    column[-1].set_xlabel("seconds")
    figure.legend(
        *column[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False
    )
    save(figure, path)


def plot_framing(
    framing: Framing,
    picture: Image,
    seconds: FloatArray,
    steering: Mapping[str, FloatArray],
    path: Path,
) -> None:
    """Draw a picture, RGB uint8 (height, width, 3), with the part that its frame shows, the frame,
    and curves of steering over time into a PNG.

    The part is outlined, and with a lens the horizon and the vanishing point are marked.
    """
    figure = new_figure(11, 6.5, framing.describe())
    grid = figure.add_gridspec(2, 2, height_ratios=(1.5, 1.0))
    before, after, below = (
        figure.add_subplot(place) for place in (grid[0, 0], grid[0, 1], grid[1, :])
    )
    show_image(before, picture, "a picture, and what the network's frame shows of it")
    if lens := framing.lens:
        sampling = sampling_of(framing)
        scale = framing.width / sampling.width, framing.height / sampling.height
        place = (sampling.corner + sampling.part / FRACTION + 0.5) * scale
        outline = np.concatenate([place[0], place[:, -1], place[-1, ::-1], place[::-1, 0]])
        ends = np.array([-0.5, framing.width - 0.5])
        horizon = lens.horizon_row + np.tan(np.radians(lens.roll_degrees)) * (
            ends - lens.vanishing_column
        )
        before.plot(ends, horizon, color=GREEN, linewidth=1)
        before.plot([lens.vanishing_column], [lens.horizon_row], "+", color=GREEN, markersize=12)
        before.set(xlim=ends, ylim=(framing.height - 0.5, -0.5))
    else:
        (top, bottom), (left, right) = (
            framing.rows or (0, framing.height),
            framing.columns or (0, framing.width),
        )
        outline = np.array(
            [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
        )
    before.plot(*(outline - 0.5).T, color=ORANGE, linewidth=1.5)
    show_image(after, framing.apply(picture), "the frame")
    draw_steering([below], seconds, steering, (seconds[0], max(seconds[-1], seconds[0] + 1e-9)))
    below.set_xlabel("seconds")
    below.legend(frameon=False)
    save(figure, path)
