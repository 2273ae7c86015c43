"""Draw predictions: a Subject -> PNGs of predicted and recorded steering over time, and of what decided it."""

import math
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from bcclone.dataset.images import Image
from bcclone.dataset.sample_settings import VALIDATION
from bcclone.dataset.statistics import correlation, evenly
from bcclone.model.saliency import Saliency
from bcclone.pictures.plots.style import BLUE, GRAY, ShownImage, draw_steering, new_figure, save, save_images, tidy
from bcclone.pictures.plots.subject import NotDrawn, Subject
from bcclone.pictures.video.draw import saliency_overlay
from bcclone.system.arrays import FloatArray, IndexArray
from bcclone.train.training_state import best_epoch

MOST_ROWS = 3000  # which takes some seconds to compute
_BATCH = 128
_PAUSE_SECONDS = 1.0  # a longer one ends a stretch
_GAP_SECONDS = 1.0  # drawn between two stretches
_LINE_SECONDS, _LINES = 25.0, 4  # of the picture

_STRIP_SECONDS = np.arange(6) / 2  # of the frames of a strip


@dataclass(frozen=True)
class Predictions:
    """Steering of rows, (rows,) each, -1 to 1: as recorded, as the label of the sample, and as the network predicts it.

    seconds: since 1970; label: the recorded steering after smoothing, lead and correction, which the network learned.
    """

    seconds: FloatArray
    recorded: FloatArray
    label: FloatArray
    network: FloatArray

    @property
    def mae(self) -> float:
        """The mean absolute error from the labels, as a training reports it."""
        return float(np.abs(self.network - self.label).mean())

    @property
    def recorded_mae(self) -> float:
        return float(np.abs(self.network - self.recorded).mean())

    @property
    def has_labels(self) -> bool:
        """Whether the labels differ from the recorded steering by more than their rounding."""
        return not np.allclose(self.label, self.recorded, atol=1e-6)


def plot_predictions(subject: Subject, path: Path) -> None:
    """Draw predicted and recorded steering and the labels over time, and predictions against labels, into a PNG."""
    figures = predictions(subject)
    pauses = [stretch[0] for stretch in stretches(figures.seconds)[1:]]
    steps = np.diff(figures.seconds, prepend=figures.seconds[:1])
    steps[pauses] = _GAP_SECONDS
    seconds = np.cumsum(steps)
    lines = min(max(math.ceil(seconds[-1] / _LINE_SECONDS), 1), _LINES)
    curves = {"recorded": figures.recorded, "network": figures.network}
    curves |= {"label": figures.label} if figures.has_labels else {}
    figure = new_figure(11, max(3.8, 1.7 * lines + 0.6), "\n".join(describe_errors(subject, figures)))
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[2.2, 1])[0]
    column = left.subplots(lines, 1, sharey=True, squeeze=False)[:, 0]
    for line, axes in enumerate(column):
        draw_steering(axes, seconds, curves, (line * _LINE_SECONDS, (line + 1) * _LINE_SECONDS), pauses)
    column[0].legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.98), ncols=3, frameon=False)
    shown = int(np.searchsorted(seconds, lines * _LINE_SECONDS))
    first = "" if shown == len(seconds) else f", the first {shown:,} samples"
    column[-1].set_xlabel(f"seconds of {subject.scored_part} driving{first}; gaps: training blocks and pauses between")
    axes, most = right.subplots(), max(float(np.abs([figures.label, figures.network]).max()), 0.05) * 1.05
    axes.plot([-most, most], [-most, most], color=GRAY, linewidth=1)
    axes.plot(figures.label, figures.network, "o", color=BLUE, markersize=3, alpha=0.35, markeredgewidth=0)
    axes.set(ylabel="network's steering", aspect="equal", xlim=(-most, most), ylim=(-most, most))
    axes.set_xlabel("label" if figures.has_labels else "recorded steering")
    r = correlation(figures.network, figures.label)
    axes.set_title("correlation not defined" if r is None else f"correlation {r:.3f}", fontsize=9)
    tidy(axes)
    save(figure, path)


def describe_errors(subject: Subject, figures: Predictions) -> list[str]:
    """Return lines that name each error, and what it is measured against: labels, recorded steering, all samples."""
    part, settings = subject.scored_part, subject.samples.sample_settings
    errors, notes = f"mean absolute error {figures.mae:.4f}", []
    if figures.has_labels:
        errors += f" from the labels that were learned, {figures.recorded_mae:.4f} from the recorded steering"
        lead = f" and {settings.lead_seconds:g} s later" if settings.lead_seconds else ""
        notes.append(f"labels: the recorded steering, smoothed by {settings.smooth_seconds:g} s{lead}")
    val_mae = best_epoch(subject.history).val_mae if subject.history else None
    if val_mae is not None and part == VALIDATION:
        samples = len(subject.samples.split_indices(VALIDATION))
        others = ", mirrored ones and other cameras included" if samples > len(figures.network) else ""
        notes.append(f"val_mae {val_mae:.4f} of the training: of all {samples:,} samples{others}")
    return [f"{part.capitalize()}: {len(figures.network):,} samples, {errors}", *filter(None, ["; ".join(notes)])]


def predictions(subject: Subject) -> Predictions:
    """Predict the steering of the test rows, or without them of the validation rows.

    Of very many rows, only stretches spread evenly over them are taken.

    Raises NotDrawn if there are none, or a prediction is not finite.
    """
    samples, length = subject.one_per_row(subject.scored_part), subject.file.seq_length
    if not len(samples):
        raise NotDrawn("there are no validation samples; make the store with --validation 0.2")
    windows = subject.windows(samples[spread_evenly(stretches(subject.seconds(samples)), MOST_ROWS)])
    if not len(windows):
        raise NotDrawn(f"there are no {length} validation frames in a row; make the store with --split blocks")
    batches = np.split(windows, range(_BATCH, len(windows), _BATCH))
    network = np.concatenate([predict(subject.file.model, subject.inputs(batch)) for batch in batches])
    if count := int((~np.isfinite(network)).sum()):
        raise NotDrawn(f"the network's steering is not finite at {count} of {len(network)} frames; train it again")
    newest = subject.table[windows[:, -1]]
    recorded = np.asarray(subject.samples.rows["steering"][newest["row"]], np.float64)
    return Predictions(subject.seconds(windows[:, -1]), recorded, newest["steering"].astype(float), network)


def predict(model: keras.Model, images: Image) -> FloatArray:
    """Return the network's steering, (images,), for prepared images, or windows of them, uint8.

    The model is not compiled, which would take longer than a few batches do.
    """
    outputs = model(keras.ops.cast(images, model.inputs[0].dtype), training=False)
    return np.asarray(keras.ops.convert_to_numpy(outputs)[:, 0], np.float64)  # the first output is the steering


def stretches(seconds: FloatArray) -> list[IndexArray]:
    """Split the indices of times, (times,), at pauses and where they go back."""
    steps = np.diff(seconds)
    return np.split(np.arange(len(seconds)), np.flatnonzero((steps > _PAUSE_SECONDS) | (steps < 0)) + 1)


def spread_evenly(parts: list[IndexArray], most: int) -> IndexArray:
    """Join some of the stretches, spread evenly, with about `most` indices in total, but at least one stretch."""
    fraction = min(1.0, most / max(sum(map(len, parts)), 1))
    count = max(1, int(fraction * len(parts)))
    return np.concatenate([parts[number] for number in evenly(len(parts), count)])


def plot_saliency(subject: Subject, path: Path) -> None:
    """Draw frames, and below them the pixels that decide the steering (VisualBackProp), into a PNG."""
    saliency = Saliency(subject.file.model, subject.file.preprocessing)
    windows = subject.shown_windows()
    chosen = strip_of(subject, windows[:, -1])
    predicted = predict(subject.file.model, subject.inputs(windows[np.isin(windows[:, -1], chosen)]))
    seconds = subject.seconds(chosen) - subject.seconds(chosen[:1])
    above, below = [], []
    for index, second, steering in zip(chosen.tolist(), seconds, predicted, strict=True):
        frame, recorded = subject.frame(index), float(subject.table["steering"][index])
        above.append(ShownImage(frame, f"{second:.1f} s"))
        texts = f"network {steering:+.3f}\nrecorded {recorded:+.3f}"
        below.append(ShownImage(saliency_overlay(frame, np.sqrt(saliency.mask(frame))), below=texts))
    save_images(path, [above, below], (2.3, 1.5), "Frames, and what in them decided the steering (VisualBackProp)")


def strip_of(subject: Subject, samples: IndexArray) -> IndexArray:
    """Return up to six of the samples, half a second apart, from the stretch in which the steering changes most."""
    seconds, steering, length = subject.seconds(samples), subject.table["steering"][samples], _STRIP_SECONDS[-1]
    best = max(stretches(seconds), key=lambda part: (min(np.ptp(seconds[part]), length), np.ptp(steering[part])))
    times = seconds[best]
    begin = times[int(np.argmax(np.abs(steering[best])))] - length / 2
    begin = min(max(begin, times[0]), max(times[-1] - length, times[0]))
    indices = np.clip(np.searchsorted(times, begin + _STRIP_SECONDS - 1e-3), 0, len(best) - 1)
    return np.asarray(samples[best[np.unique(indices)]])
