"""Draw predictions: a Subject -> PNGs of predicted and recorded steering over time, and of what decided it."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from matplotlib.axes import Axes

from bcclone.dataset.images import Image
from bcclone.model.saliency import Mask, Saliency
from bcclone.pictures.plots.style import BLUE, GRAY, RED, new_figure, save, show_image, tidy
from bcclone.pictures.plots.subject import NotDrawn, SampleFrames, Subject
from bcclone.system.arrays import FloatArray, IndexArray

MOST_ROWS = 3000  # which takes some seconds to compute
_BATCH = 128
_PAUSE_SECONDS = 1.0  # a longer one ends a stretch
_GAP_SECONDS = 1.0  # drawn between two stretches
_LINE_SECONDS, _LINES = 25.0, 4  # of the picture

_STRIP_FRAMES, _STRIP_STEP_SECONDS = 6, 0.5
_STRIP_SECONDS = _STRIP_STEP_SECONDS * (_STRIP_FRAMES - 1)


@dataclass(frozen=True)
class Predictions:
    """Recorded and predicted steering of rows, (rows,) each, -1 to 1. seconds: since 1970."""

    seconds: FloatArray
    recorded: FloatArray
    network: FloatArray

    @property
    def mae(self) -> float:
        """Return the mean absolute error."""
        return float(np.abs(self.network - self.recorded).mean())

    @property
    def correlation(self) -> float:
        """Return Pearson's correlation; NaN if one of the two is constant."""
        if np.ptp(self.network) == 0 or np.ptp(self.recorded) == 0:
            return float("nan")
        return float(np.corrcoef(self.network, self.recorded)[0, 1])


def plot_predictions(subject: Subject, path: Path) -> None:
    """Draw predicted and recorded steering over time, and one against the other, into a PNG."""
    figures = predictions(subject)
    lines = lines_of_stretches(figures.seconds)
    shown = sum(len(stretch) for line in lines for _, stretch in line)
    part = subject.frames.scored_part
    title = f"{part.capitalize()}: {len(figures.recorded):,} samples, mean absolute error {figures.mae:.4f}"
    figure = new_figure(11, max(3.8, 1.7 * len(lines) + 0.6), title)
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[2.2, 1])[0]
    column = left.subplots(len(lines), 1, sharey=True, squeeze=False)[:, 0]
    for axes, line in zip(column, lines, strict=True):
        _draw_line(axes, line, figures)
    column[0].legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2, frameon=False)
    first = "" if shown == len(figures.recorded) else f", the first {shown:,} samples"
    column[-1].set_xlabel(f"seconds of {part} driving{first}; gaps: training blocks and pauses between")
    _draw_scatter(right.subplots(), figures)
    save(figure, path)


def predictions(subject: Subject) -> Predictions:
    """Predict the steering of the test rows, or without them of the validation rows.

    Of very many rows, only stretches spread evenly over them are taken.

    Raises NotDrawn if there are none, or a prediction is not finite.
    """
    frames, model = subject.frames, subject.file.model
    samples = frames.one_per_row(frames.scored_part)
    if not len(samples):
        raise NotDrawn("there are no validation samples; make the store with --validation 0.2")
    samples = samples[spread_evenly(stretches(frames.seconds(samples)), MOST_ROWS)]
    windows = frames.windows(samples, subject.file.seq_length)
    if not len(windows):
        raise NotDrawn(
            f"there are no {subject.file.seq_length} validation frames in a row; make the store with --split blocks"
        )
    newest = windows[:, -1]
    steering = [
        predict(model, subject.inputs(windows[start : start + _BATCH])) for start in range(0, len(windows), _BATCH)
    ]
    network = np.concatenate(steering)
    if not np.isfinite(network).all():
        count = int((~np.isfinite(network)).sum())
        raise NotDrawn(f"the network's steering is not finite at {count} of {len(network)} frames; train it again")
    recorded = frames.data.rows["steering"][frames.table["row"][newest]]
    return Predictions(frames.seconds(newest), np.asarray(recorded, np.float64), network)


def predict(model: keras.Model, images: Image) -> FloatArray:
    """Return the network's steering, (images,), for prepared images, or windows of them, uint8."""
    dtype = model.inputs[0].dtype
    batches = [
        # not compiled, which would take longer than a few batches do
        keras.ops.convert_to_numpy(model(keras.ops.cast(images[start : start + _BATCH], dtype), training=False))
        for start in range(0, len(images), _BATCH)
    ]
    return np.asarray(np.concatenate(batches)[:, 0], np.float64)  # the first output is the steering


def stretches(seconds: FloatArray) -> list[IndexArray]:
    """Split the indices of times, (times,), at pauses and where they go back."""
    steps = np.diff(seconds)
    return np.split(np.arange(len(seconds)), np.flatnonzero((steps > _PAUSE_SECONDS) | (steps < 0)) + 1)


def spread_evenly(parts: list[IndexArray], most: int) -> IndexArray:
    """Join some of the stretches, spread evenly, with about `most` indices in total, but at least one stretch."""
    fraction = min(1.0, most / max(sum(map(len, parts)), 1))
    count = max(1, int(fraction * len(parts)))
    return np.concatenate([parts[number] for number in np.linspace(0, len(parts) - 1, count).round().astype(int)])


def lines_of_stretches(seconds: FloatArray) -> list[list[tuple[float, IndexArray]]]:
    """Arrange the stretches of times, (times,), in the lines of the picture: (seconds from the left, indices) each.

    Stretches that do not fit into the last line are left out.
    """
    lines: list[list[tuple[float, IndexArray]]] = [[]]
    filled = 0.0
    for stretch in stretches(seconds):
        duration = float(seconds[stretch[-1]] - seconds[stretch[0]])
        if lines[-1] and filled + duration > _LINE_SECONDS:
            lines.append([])
            filled = 0.0
        lines[-1].append((filled, stretch))
        filled += duration + _GAP_SECONDS
    return lines[:_LINES]


def _draw_line(axes: Axes, line: list[tuple[float, IndexArray]], figures: Predictions) -> None:
    for number, (begin, stretch) in enumerate(line):
        seconds = begin + figures.seconds[stretch] - figures.seconds[stretch[0]]
        mark = "." if len(stretch) == 1 else ""
        recorded, network = ("recorded", "network") if number == 0 else ("", "")
        axes.plot(seconds, figures.recorded[stretch], color=BLUE, marker=mark, linewidth=1.5, label=recorded)
        axes.plot(seconds, figures.network[stretch], "--", color=RED, marker=mark, linewidth=1.3, label=network)
    axes.set(ylabel="steering", xlim=(-0.3, _LINE_SECONDS + 0.3))
    tidy(axes)


def _draw_scatter(axes: Axes, figures: Predictions) -> None:
    most = max(float(np.abs([figures.recorded, figures.network]).max()), 0.05) * 1.05
    axes.plot([-most, most], [-most, most], color=GRAY, linewidth=1)
    axes.plot(figures.recorded, figures.network, "o", color=BLUE, markersize=3, alpha=0.35, markeredgewidth=0)
    axes.set(xlabel="recorded steering", ylabel="network's steering", aspect="equal", xlim=(-most, most))
    axes.set_ylim(-most, most)
    axes.set_title(f"correlation {figures.correlation:.3f}", fontsize=9)
    tidy(axes)


def plot_saliency(subject: Subject, path: Path) -> None:
    """Draw frames, and below them the pixels that decide the steering (VisualBackProp), into a PNG.

    Raises NotDrawn if there are no samples.
    """
    frames, file = subject.frames, subject.file
    saliency = Saliency(file.model, file.preprocessing)
    windows = subject.shown_windows()
    chosen = strip_of(frames, windows[:, -1])
    predicted = predict(file.model, subject.inputs(windows[np.isin(windows[:, -1], chosen)]))
    seconds = frames.seconds(chosen) - frames.seconds(chosen[:1])
    figure = new_figure(2.3 * len(chosen), 3.3, "Frames, and what in them decided the steering (VisualBackProp)")
    axes = figure.subplots(2, len(chosen), squeeze=False)
    for column, index in enumerate(chosen.tolist()):
        frame = frames.frame(index)
        show_image(axes[0, column], frame, f"{seconds[column]:.1f} s")
        draw_saliency(axes[1, column], frame, saliency.mask(frame))
        recorded = float(frames.table["steering"][index])
        axes[1, column].set_xlabel(f"network {predicted[column]:+.3f}\nrecorded {recorded:+.3f}", fontsize=9)
    save(figure, path)


def draw_saliency(axes: Axes, frame: Image, mask: Mask, title: str = "") -> None:
    """Draw a frame below its saliency, both of the same size."""
    show_image(axes, frame, title)
    axes.imshow(mask, cmap="inferno", alpha=np.sqrt(mask), vmin=0, vmax=1)


def strip_of(frames: SampleFrames, samples: IndexArray) -> IndexArray:
    """Return up to six of the samples, half a second apart, from the stretch in which the steering changes most."""
    seconds = frames.seconds(samples)
    steering = frames.table["steering"][samples]
    best = max(
        stretches(seconds), key=lambda part: (min(np.ptp(seconds[part]), _STRIP_SECONDS), np.ptp(steering[part]))
    )
    begin = seconds[best][int(np.argmax(np.abs(steering[best])))] - _STRIP_SECONDS / 2
    latest = max(seconds[best][-1] - _STRIP_SECONDS, seconds[best][0])
    times = min(max(begin, seconds[best][0]), latest) + _STRIP_STEP_SECONDS * np.arange(_STRIP_FRAMES)
    indices = np.clip(np.searchsorted(seconds[best], times - 1e-3), 0, len(best) - 1)
    return np.asarray(samples[best[np.unique(indices)]])
