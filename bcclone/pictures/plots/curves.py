"""Draw the steering of several drivers on the same frames over time, in one set of axes -> a PNG."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bcclone.pictures.plots.style import BLUE, GRAY, GREEN, ORANGE, RED, new_figure, save, tidy
from bcclone.system.arrays import FloatArray

_STYLES = ((BLUE, "-"), (RED, "--"), (ORANGE, "-"), (GREEN, ":"), (GRAY, "-."))
_LINE_LENGTH, _MOST_LINES = 1200, 6  # frames in a line of the picture, if they fit into so many lines
_MOST_POINTS = 12_000  # of all lines; of more frames, every second or third is drawn
_PAUSE = 20  # usual steps of time; a longer one is drawn as a gap


@dataclass(frozen=True)
class Curves:
    """Steering of several drivers over time.

    times: of the frames, ascending, (frames,); unit: of the times; steering: name of the driver -> its steering,
    (frames,), NaN where there is none; fitted: length of time from the first frame on that is shaded, because the
    curves were fitted to each other there.
    """

    times: FloatArray
    unit: str
    steering: Mapping[str, FloatArray]
    fitted: float = 0.0

    def __post_init__(self) -> None:
        sizes = {len(self.times), *map(len, self.steering.values())}
        if not self.steering or len(sizes) > 1 or not len(self.times):
            raise ValueError(f"curves of {sorted(sizes)} frames, expected one or more, of as many frames as times")


def plot_curves(title: str, curves: Curves, path: Path) -> None:
    """Draw curves over time into a PNG, in as many lines as they need."""
    every = slice(None, None, max(1, math.ceil(len(curves.times) / _MOST_POINTS)))
    times = curves.times[every]
    lines = min(max(1, math.ceil(len(times) / _LINE_LENGTH)), _MOST_LINES)
    steps = np.diff(times)
    pauses = np.flatnonzero(steps > _PAUSE * np.median(steps)) + 1 if len(steps) else np.array([], int)
    shown = np.insert(times, pauses, np.nan)
    begin, length = float(times[0]), max(float(times[-1] - times[0]), 1e-9) / lines
    figure = new_figure(11, 1.1 + 1.7 * lines, title)
    column = figure.subplots(lines, 1, sharey=True, squeeze=False)[:, 0]
    for number, axes in enumerate(column):
        for index, (name, steering) in enumerate(curves.steering.items()):
            colour, style = _STYLES[index % len(_STYLES)]
            axes.plot(shown, np.insert(steering[every], pauses, np.nan), style, color=colour, linewidth=1.2, label=name)
        if curves.fitted:
            axes.axvspan(begin, begin + curves.fitted, color="0.9", zorder=0, label="fitted here, not scored")
        axes.set(ylabel="steering", xlim=(begin + number * length, begin + (number + 1) * length))
        tidy(axes)
    column[-1].set_xlabel(curves.unit)
    figure.legend(*column[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    save(figure, path)
