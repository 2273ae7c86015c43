"""Draw a framing: a picture with the part that its frame shows, the frame, and the steering of network and person."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from bcclone.dataset.framing import FRACTION, Framing, sampling_of
from bcclone.dataset.images import Image
from bcclone.pictures.plots.style import GREEN, ORANGE, draw_steering, new_figure, save, show_image
from bcclone.system.arrays import FloatArray


def plot_framing(
    framing: Framing, picture: Image, seconds: FloatArray, steering: Mapping[str, FloatArray], path: Path
) -> None:
    """Draw the framing of a picture, RGB uint8 (height, width, 3), and curves of steering over time into a PNG."""
    figure = new_figure(11, 6.5, framing.describe())
    grid = figure.add_gridspec(2, 2, height_ratios=(1.5, 1.0))
    before, after, below = (figure.add_subplot(place) for place in (grid[0, 0], grid[0, 1], grid[1, :]))
    show_image(before, picture, "a picture, and what the network's frame shows of it")
    _draw_region(before, framing)
    show_image(after, framing.apply(picture), "the frame")
    draw_steering(below, seconds, steering, (seconds[0], max(seconds[-1], seconds[0] + 1e-9)))
    below.set_xlabel("seconds")
    below.legend(frameon=False)
    save(figure, path)


def _draw_region(axes: Axes, framing: Framing) -> None:
    """Draw the outline of the frame, and with a lens the horizon and the vanishing point."""
    if framing.lens is None:
        (top, bottom), (left, right) = framing.rows or (0, framing.height), framing.columns or (0, framing.width)
        outline = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]) - 0.5
        axes.plot(*outline.T, color=ORANGE, linewidth=1.5)
        return
    sampling, lens = sampling_of(framing), framing.lens
    place = (sampling.corner + sampling.part / FRACTION + 0.5) * (
        framing.width / sampling.width,
        framing.height / sampling.height,
    )
    outline = np.concatenate([place[0], place[:, -1], place[-1, ::-1], place[::-1, 0]]) - 0.5
    axes.plot(*outline.T, color=ORANGE, linewidth=1.5)
    slope = np.tan(np.radians(lens.roll_degrees))
    ends = np.array([-0.5, framing.width - 0.5])
    axes.plot(ends, lens.horizon_row + slope * (ends - lens.vanishing_column), color=GREEN, linewidth=1)
    axes.plot([lens.vanishing_column], [lens.horizon_row], "+", color=GREEN, markersize=12)
    axes.set(xlim=(-0.5, framing.width - 0.5), ylim=(framing.height - 0.5, -0.5))
