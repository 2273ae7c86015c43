"""Network, validation samples -> its steering beside that of the human, over time."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from bcclone.images import Image
from bcclone.plots.style import BLUE, GRAY, RED, new_figure, save, show_image, tidy
from bcclone.plots.subject import NotDrawn, Positions, Scenes, Subject
from bcclone.saliency import Saliency

Array = npt.NDArray[np.float64]

MOST_INSTANTS = 3000  # some seconds of computing
_BATCH = 128
_PAUSE_SECONDS = 1.0  # a longer one is the end of a stretch
_GAP_SECONDS = 1.0  # drawn between two stretches
_ROW_SECONDS, _ROWS = 25.0, 4


@dataclass(frozen=True)
class Predictions:
    """Each of (instants,): when, seconds since 1970; the human's steering as recorded and the network's, -1 to 1."""

    seconds: Array
    human: Array
    network: Array

    @property
    def mae(self) -> float:
        """Return the mean absolute error."""
        return float(np.abs(self.network - self.human).mean())

    @property
    def correlation(self) -> float:
        """Return Pearson's; NaN where one of the two is the same all the time."""
        if np.ptp(self.network) == 0 or np.ptp(self.human) == 0:
            return float("nan")
        return float(np.corrcoef(self.network, self.human)[0, 1])


def predict(model: keras.Model, images: Image) -> Array:
    """Return the network's steering, (images,), for its input images, uint8, images or windows of them."""
    dtype = model.inputs[0].dtype
    parts = [
        # called as it is: to compile it would take longer than a few batches do
        keras.ops.convert_to_numpy(model(keras.ops.cast(images[start : start + _BATCH], dtype), training=False))
        for start in range(0, len(images), _BATCH)
    ]
    return np.asarray(np.concatenate(parts).reshape(len(images)), np.float64)


def stretches(seconds: Array) -> list[Positions]:
    """Return the places, (instants,), of those of rising times, (instants,), between which there is no pause."""
    places = np.arange(len(seconds))
    steps = np.diff(seconds)
    return np.split(places, np.flatnonzero((steps > _PAUSE_SECONDS) | (steps < 0)) + 1)


def evenly(parts: list[Positions], most: int) -> Positions:
    """Return whole parts in one, (places,), spread evenly, that are about `most` places together, one at least."""
    share = min(1.0, most / max(sum(map(len, parts)), 1))
    count = max(1, int(share * len(parts)))
    return np.concatenate([parts[number] for number in np.linspace(0, len(parts) - 1, count).round().astype(int)])


def predictions(subject: Subject) -> Predictions:
    """Let the network steer at the validation instants; of very many, at stretches spread evenly over them.

    Raises NotDrawn where there are none, or the steering is no number.
    """
    scenes, model = subject.scenes, subject.file.model
    instants = scenes.instants(validation=True)
    if not len(instants):
        raise NotDrawn("there are no validation samples")
    instants = instants[evenly(stretches(scenes.seconds(instants)), MOST_INSTANTS)]
    windows = scenes.windows(instants, subject.file.seq_length)
    if not len(windows):
        raise NotDrawn(f"there are no {subject.file.seq_length} validation frames in a row")
    chosen = windows[:, -1]
    steering = [
        predict(model, subject.inputs(windows[start : start + _BATCH])) for start in range(0, len(windows), _BATCH)
    ]
    network = np.concatenate(steering)
    if not np.isfinite(network).all():
        raise NotDrawn(f"the network's steering is no number at {int((~np.isfinite(network)).sum())} instants")
    human = scenes.data.rows["steering"][scenes.samples["row"][chosen]]
    return Predictions(scenes.seconds(chosen), np.asarray(human, np.float64), network)


def rows_of_stretches(seconds: Array) -> list[list[tuple[float, Positions]]]:
    """Return for each row of the picture its stretches of times, (instants,), and the seconds from the left at each.

    Only as many stretches as the rows have room for, the first ones.
    """
    rows: list[list[tuple[float, Positions]]] = [[]]
    filled = 0.0
    for part in stretches(seconds):
        long = float(seconds[part[-1]] - seconds[part[0]])
        if rows[-1] and filled + long > _ROW_SECONDS:
            rows.append([])
            filled = 0.0
        rows[-1].append((filled, part))
        filled += long + _GAP_SECONDS
    return rows[:_ROWS]


def plot_predictions(subject: Subject, path: Path) -> None:
    """Draw predicted against human steering over time, and one against the other, into a PNG."""
    figures = predictions(subject)
    rows = rows_of_stretches(figures.seconds)
    shown = sum(len(part) for row in rows for _, part in row)
    title = f"Validation: {len(figures.human):,} instants, mean absolute error {figures.mae:.4f}"
    figure = new_figure(11, max(3.8, 1.7 * len(rows) + 0.6), title)
    beside, across = figure.subfigures(1, 2, squeeze=False, width_ratios=[2.2, 1])[0]
    panels = beside.subplots(len(rows), 1, sharey=True, squeeze=False)[:, 0]
    for axes, row in zip(panels, rows, strict=True):
        _draw_row(axes, row, figures)
    panels[0].legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2, frameon=False)
    part = "" if shown == len(figures.human) else f", the first {shown:,} instants"
    panels[-1].set_xlabel(f"seconds of validation driving{part}; gaps: training blocks and pauses between")
    _draw_scatter(across.subplots(), figures)
    save(figure, path)


def _draw_row(axes: Axes, row: list[tuple[float, Positions]], figures: Predictions) -> None:
    for number, (begin, part) in enumerate(row):
        seconds = begin + figures.seconds[part] - figures.seconds[part[0]]
        mark = "." if len(part) == 1 else ""
        human, network = ("human", "network") if number == 0 else ("", "")
        axes.plot(seconds, figures.human[part], color=BLUE, marker=mark, linewidth=1.5, label=human)
        axes.plot(seconds, figures.network[part], "--", color=RED, marker=mark, linewidth=1.3, label=network)
    axes.set(ylabel="steering", xlim=(-0.3, _ROW_SECONDS + 0.3))
    tidy(axes)


def _draw_scatter(axes: Axes, figures: Predictions) -> None:
    most = max(float(np.abs([figures.human, figures.network]).max()), 0.05) * 1.05
    axes.plot([-most, most], [-most, most], color=GRAY, linewidth=1)
    axes.plot(figures.human, figures.network, "o", color=BLUE, markersize=3, alpha=0.35, markeredgewidth=0)
    axes.set(xlabel="human steering", ylabel="network's steering", aspect="equal", xlim=(-most, most))
    axes.set_ylim(-most, most)
    axes.set_title(f"correlation {figures.correlation:.3f}", fontsize=9)
    tidy(axes)


_FRAMES = 6
_APART_SECONDS = 0.5
_LONG_SECONDS = _APART_SECONDS * (_FRAMES - 1)


def strip_of(scenes: Scenes, positions: Positions) -> Positions:
    """Return six of (instants,), half a second apart, or what there is, of where the steering changes most."""
    seconds = scenes.seconds(positions)
    steering = scenes.samples["steering"][positions]
    best = max(stretches(seconds), key=lambda part: (min(np.ptp(seconds[part]), _LONG_SECONDS), np.ptp(steering[part])))
    begin = seconds[best][int(np.argmax(np.abs(steering[best])))] - _LONG_SECONDS / 2
    latest = max(seconds[best][-1] - _LONG_SECONDS, seconds[best][0])
    wanted = min(max(begin, seconds[best][0]), latest) + _APART_SECONDS * np.arange(_FRAMES)
    places = np.clip(np.searchsorted(seconds[best], wanted - 1e-3), 0, len(best) - 1)
    return np.asarray(positions[best[np.unique(places)]])


def plot_saliency(subject: Subject, path: Path) -> None:
    """Draw frames and, below, the same with what decided lit up (VisualBackProp) into a PNG; raises NotDrawn."""
    scenes, file = subject.scenes, subject.file
    saliency = Saliency(file.model, file.preprocessing)
    windows = subject.shown_windows()
    chosen = strip_of(scenes, windows[:, -1])
    predicted = predict(file.model, subject.inputs(windows[np.isin(windows[:, -1], chosen)]))
    seconds = scenes.seconds(chosen) - scenes.seconds(chosen[:1])
    figure = new_figure(2.3 * len(chosen), 3.3, "Frames, and what in them decided the steering (VisualBackProp)")
    axes = figure.subplots(2, len(chosen), squeeze=False)
    for column, position in enumerate(chosen.tolist()):
        frame = scenes.frame(position)
        show_image(axes[0, column], frame, f"{seconds[column]:.1f} s")
        show_image(axes[1, column], frame)
        mask = saliency.mask(frame)
        axes[1, column].imshow(mask, cmap="inferno", alpha=np.sqrt(mask), vmin=0, vmax=1)
        human = float(scenes.samples["steering"][position])
        axes[1, column].set_xlabel(f"network {predicted[column]:+.3f}\nhuman {human:+.3f}", fontsize=9)
    save(figure, path)
