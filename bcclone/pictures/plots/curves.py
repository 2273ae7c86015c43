"""Draw the steering of several drivers on the same frames over time, in as many lines as it needs -> a PNG."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bcclone.pictures.plots.style import draw_steering, new_figure, save
from bcclone.system.arrays import FloatArray

_LINE_LENGTH, _MOST_LINES = 1200, 6  # frames in a line of the picture, if they fit into so many lines
_MOST_POINTS = 12_000  # of all lines; of more frames, every second or third is drawn
_PAUSE = 20  # usual steps of time; a longer one is drawn as a gap


def plot_curves(
    title: str, axis: tuple[str, FloatArray], steering: Mapping[str, FloatArray], path: Path, fitted: float = 0.0
) -> None:
    """Draw curves of steering over time into a PNG.

    axis: unit of time, and the times of the frames, ascending, (frames,); steering: name of the driver -> its steering,
    (frames,), NaN where there is none; fitted: length of time from the first frame on that is shaded, because the
    curves were fitted to each other there.
    """
    unit, times = axis
    every = slice(None, None, max(1, math.ceil(len(times) / _MOST_POINTS)))
    times, steering = times[every], {name: values[every] for name, values in steering.items()}
    lines = min(max(1, math.ceil(len(times) / _LINE_LENGTH)), _MOST_LINES)
    steps = np.diff(times)
    pauses = np.flatnonzero(steps > _PAUSE * np.median(steps)) + 1 if len(steps) else np.array([], int)
    ends = np.linspace(times[0], max(times[-1], times[0] + 1e-9), lines + 1)
    figure = new_figure(11, 1.1 + 1.7 * lines, title)
    column = figure.subplots(lines, 1, sharey=True, squeeze=False)[:, 0]
    for axes, begin, end in zip(column, ends, ends[1:], strict=False):
        draw_steering(axes, times, steering, (begin, end), pauses)
        if fitted:
            axes.axvspan(times[0], times[0] + fitted, color="0.9", zorder=0, label="fitted here, not scored")
    column[-1].set_xlabel(unit)
    figure.legend(*column[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    save(figure, path)
