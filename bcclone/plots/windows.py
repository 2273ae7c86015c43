"""Network that takes frames in a row -> some of its windows, frame by frame, and what changes within them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from bcclone.images import Image
from bcclone.plots.figure import new_figure, save, show_image
from bcclone.plots.predictions import predict
from bcclone.plots.subject import Positions, Subject
from bcclone.plots.variants import spread_instants

_MOST_FRAMES = 6


def shown_frames(seq_length: int) -> list[int]:
    """Return which frames of a window are shown: all, or six spread evenly, the first and the last among them."""
    spread = np.linspace(0, seq_length - 1, min(seq_length, _MOST_FRAMES))
    return [int(place) for place in spread.round()]


def spread_windows(subject: Subject) -> Positions:
    """Return windows from a bend to the left to one to the right: positions of samples (windows, seq_length).

    Raises NotDrawn where there are none.
    """
    by_last = {int(window[-1]): window for window in subject.shown_windows()}
    return np.stack([by_last[position] for position in spread_instants(subject.scenes, np.array(list(by_last)))])


def plot_windows(subject: Subject, path: Path) -> None:
    """Draw windows into a PNG, each a row with its newest frame last, and what changed from the first to it."""
    scenes, windows = subject.scenes, spread_windows(subject)
    images = subject.inputs(windows)
    predicted = predict(subject.file.model, images)
    columns = shown_frames(subject.file.seq_length)
    title = "Windows: a row is what the network is shown at once"
    figure = new_figure(1.9 * (len(columns) + 1), 2.3 * len(windows) + 0.4, title)
    panels = figure.subplots(len(windows), len(columns) + 1, squeeze=False)
    for axes, window, frames, steering in zip(panels, windows, images, predicted, strict=True):
        _draw_frames(axes, [frames[column] for column in columns])
        sample = float(scenes.samples["steering"][window[-1]])
        axes[-2].set_xlabel(f"sample {sample:+.3f}\nnetwork {steering:+.3f}", fontsize=9)
    earlier = [f"{subject.file.seq_length - 1 - column} before" for column in columns[:-1]]
    for axes, heading in zip(panels[0], [*earlier, "newest frame", "change, first to last"], strict=True):
        axes.set_title(heading, fontsize=9)
    save(figure, path)


def _draw_frames(axes: Sequence[Axes], frames: Sequence[Image]) -> None:
    for one, frame in zip(axes, [*frames, frames[-1]], strict=True):
        show_image(one, frame)
    change = np.abs(frames[-1].astype(np.int16) - frames[0]).mean(axis=2)
    axes[-1].imshow(change, cmap="inferno", vmin=0)
