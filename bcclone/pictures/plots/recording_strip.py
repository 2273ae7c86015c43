"""Draw a recording: rows of a log -> a PNG of strips, pictures of the centre camera above the steering of each row.

Deleted rows are shaded, and their pictures are faded.
"""

from collections.abc import Hashable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from bcclone.dataset.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, Image, read_frame
from bcclone.pictures.plots.style import GRAY, RED, draw_steering, new_figure, save, show_image
from bcclone.recording.files import ImageIndex

_ACROSS = 8  # pictures
_ROWS_IN_A_STRIP, _MOST_STRIPS = 240, 12
_FADED = 0.35


def plot_recording(log: Path, rows: pd.DataFrame, path: Path) -> None:
    """Draw rows of a log into a PNG.

    rows: with the columns of a log, and `seconds`, and `deleted`, bool; their index is the number of the row, from 0.
    """
    length = max(_ROWS_IN_A_STRIP, -(-len(rows) // _MOST_STRIPS))
    strips = [rows[start : start + length] for start in range(0, len(rows), length)]
    figure = new_figure(14, 2.3 * len(strips) + 0.4, f"{log.parent.name}/{log.name}")
    images = ImageIndex(log)
    parts = figure.subfigures(len(strips), 1, squeeze=False)[:, 0]
    for part, strip in zip(parts, strips, strict=True):
        _draw_strip(part, strip, images)
    save(figure, path)


def _draw_strip(part: SubFigure, rows: pd.DataFrame, images: ImageIndex) -> None:
    across = min(_ACROSS, len(rows))
    grid = part.add_gridspec(2, across, height_ratios=(1.0, 0.9))
    for place, index in enumerate(np.linspace(0, len(rows) - 1, across).round().astype(int)):
        row = rows.iloc[index].to_dict()
        title = f"row {rows.index[index] + 1}, {row['seconds']:.1f} s"
        show_image(part.add_subplot(grid[0, place]), _picture(row, images), title)
    _draw_steering(part.add_subplot(grid[1, :]), rows)


def _draw_steering(axes: Axes, rows: pd.DataFrame) -> None:
    numbers = rows.index.to_numpy(np.float64) + 1
    axes.axhline(0, color=GRAY, linewidth=0.6)
    pauses = np.flatnonzero(rows["episode"].diff().to_numpy() > 0)
    limits = (numbers[0], max(numbers[-1], numbers[0] + 1))
    draw_steering(axes, numbers, {"": rows["steering"].to_numpy(np.float64)}, limits, pauses)
    deleted = rows["deleted"].to_numpy()
    axes.fill_between(numbers, -1.05, 1.05, where=deleted, step="mid", color=RED, alpha=0.25, linewidth=0)
    axes.set_ylim(-1.05, 1.05)


def _picture(row: Mapping[Hashable, Any], images: ImageIndex) -> Image:
    """Return the centre image of a row, faded if the row is deleted, or grey if the image cannot be read."""
    frame = np.full((FRAME_HEIGHT, FRAME_WIDTH, 3), 200, np.uint8)
    if path := images.find(str(row["center"])):
        with suppress(BadImage):
            frame = read_frame(path)
    return (255 - (255 - frame) * _FADED).astype(np.uint8) if row["deleted"] else frame
