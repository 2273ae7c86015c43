"""Draw samples and what a network answers: a Subject -> PNGs of the samples of a log row or windows
of frames, of predicted and recorded steering over time, and of the pixels that decided it.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from matplotlib import colormaps

from bcclone.camera.images import Image
from bcclone.dataset.sample_settings import TRAINING, VALIDATION
from bcclone.feed.augment import AugmentationInputs
from bcclone.feed.augment.on_cpu import CpuAugmenter
from bcclone.feed.augment.random_numbers import draw
from bcclone.feed.selection import lookahead_of
from bcclone.model.architectures import ARCHITECTURES
from bcclone.model.saliency import Saliency
from bcclone.pictures.drawing import SKY
from bcclone.pictures.overlay import saliency_overlay
from bcclone.pictures.plots.style import (
    BLUE,
    GRAY,
    ShownImage,
    draw_steering,
    new_figure,
    save,
    save_images,
    tidy,
)
from bcclone.pictures.plots.subject import NotDrawn, Subject, stretches
from bcclone.recording.row import CAMERAS
from bcclone.system.arrays import FloatArray, IndexArray
from bcclone.system.statistics import correlation, evenly
from bcclone.training.training_state import best_epoch

_AUGMENTED = 3
_QUANTILES = (
    0.02,
    0.35,
    0.65,
    0.98,
)  # of the steering: a left bend, two nearly straight roads, a right bend
_MAX_FRAMES = 6  # of a window

MAX_ROWS = 3000  # which takes some seconds to compute
_BATCH = 128
_GAP_SECONDS = 1.0  # drawn between two stretches
_LINE_SECONDS, _LINES = 25.0, 4  # of the picture
_STRIP_SECONDS = np.arange(6) / 2  # of the frames of a strip


@dataclass(frozen=True)
class ShownSample:
    """A sample's image, RGB uint8 (height, width, 3), as the network takes it, and its steering."""

    title: str
    image: Image
    steering: float


def plot_samples(subject: Subject, path: Path) -> None:
    """Draw the samples of some log rows, with their steering, or windows of frames, into a PNG."""
    if subject.file.seq_length > 1:
        _plot_windows(subject, path)
        return
    samples = subject.one_per_row(TRAINING)
    if not len(samples):
        raise NotDrawn("there are no training samples; make the store with a smaller --validation")
    rows: list[list[ShownImage]] = []
    above: list[str] = []
    for index in spread_by_steering(subject, samples):
        row = samples_of_row(subject, index) + augmented_samples(subject, index)
        titles = [sample.title for sample in row]
        shown = [""] * len(row) if titles == above else titles
        steering = [f"{sample.steering + 0.0:+.3f}" for sample in row]
        rows.append(list(map(ShownImage, map(_with_bar, row), shown, steering)))
        above = titles
    save_images(path, rows, (1.6, 2.1), "Samples of one log row in each row, with their steering")


def _with_bar(sample: ShownSample) -> Image:
    """Return the image with a bar below it, from the middle to the side of the steering."""
    height, width, channels = sample.image.shape
    bar, middle = np.full((height // 10, width, channels), 255, np.uint8), width // 2
    left, right = sorted((middle, middle + round(sample.steering * middle)))
    bar[2:-2, left : right + 1] = SKY[:channels]
    return np.vstack([sample.image, bar])


def spread_by_steering(subject: Subject, samples: IndexArray) -> IndexArray:
    """Return a few of the samples, ordered from left steering to right steering."""
    ordered = samples[np.argsort(subject.table["steering"][samples], kind="stable")]
    return np.asarray(
        ordered[np.unique(np.round(np.array(_QUANTILES) * (len(ordered) - 1)).astype(int))]
    )


def samples_of_row(subject: Subject, index: int) -> list[ShownSample]:
    """Return the samples of one log row that exist: each camera, earlier frames, mirrored. index:
    any of them.
    """
    table, own = subject.table, int(subject.table["camera"][index])
    parts = [(name, (camera, 0, False)) for camera, name in enumerate(CAMERAS)]
    for offset in sorted({1, int(table["frame_offset"].max())} - {0}):
        earlier = "1 frame" if offset == 1 else f"{offset} frames"
        parts.append((f"{CAMERAS[own]},\n{earlier} earlier", (own, offset, False)))
    parts.append((f"{CAMERAS[own]}, mirrored", (own, 0, True)))
    of_row = np.flatnonzero(table["row"] == table["row"][index])
    by_kind = {
        tuple(table[sample][["camera", "frame_offset", "flipped"]]): sample
        for sample in of_row[::-1]
    }
    existing = {title: by_kind[kind] for title, kind in parts if kind in by_kind}
    images = subject.images(np.array([*existing.values()]), subject.samples.preprocessing)
    steering = map(float, table["steering"][[*existing.values()]])
    return list(map(ShownSample, existing, images, steering))


def augmented_samples(subject: Subject, index: int) -> list[ShownSample]:
    """Return a few augmentations of a sample; none if the training did not augment.

    As in training, only the rows that the network sees are changed.
    """
    if not subject.augment.augment:
        return []
    data, sample = subject.samples, subject.table[[index] * _AUGMENTED]
    images = subject.images(np.full(_AUGMENTED, index), data.preprocessing)
    into, steering = np.empty_like(images), sample["steering"][:, np.newaxis]
    architecture = ARCHITECTURES.get(subject.file.training.network or "")
    augmenter = CpuAugmenter(
        subject.augment, data.preprocessing, bool(architecture and architecture.preset)
    )
    draws = draw(_AUGMENTED, (subject.seed, index))
    inputs = AugmentationInputs(sample["flipped"], lookahead_of(data, sample["row"]), *draws)
    changed = augmenter.augment(images, steering, inputs, into)[:, 0]
    return [
        ShownSample("augmented", image, float(value))
        for image, value in zip(into, changed, strict=True)
    ]


def _plot_windows(subject: Subject, path: Path) -> None:
    """Draw windows into a PNG, one in each row: its frames, oldest first, and the change from first
    to last.

    They go from a left bend to a right bend.
    """
    windows, length = subject.shown_windows(), subject.file.seq_length
    newest = windows[:, -1]
    windows = np.concatenate(
        [windows[newest == index] for index in spread_by_steering(subject, newest)]
    )
    images = subject.inputs(windows)
    predicted = predict(subject.file.model, images)
    shown = evenly(length, _MAX_FRAMES).tolist()
    headings = [f"{length - 1 - number} before" for number in shown[:-1]] + [
        "newest frame",
        "change, first to last",
    ]
    rows = []
    for window, of_window, steering in zip(windows, images, predicted, strict=True):
        sample = float(subject.table["steering"][window[-1]])
        texts = [*[""] * (len(shown) - 1), f"sample {sample:+.3f}\nnetwork {steering:+.3f}", ""]
        change = np.abs(of_window[-1].astype(np.int16) - of_window[0]).mean(axis=2)
        heat = colormaps["inferno"](change / max(change.max(), 1.0), bytes=True)[..., :3]
        rows.append(list(map(ShownImage, [*of_window[shown], heat], headings, texts)))
        headings = [""] * len(headings)
    save_images(path, rows, (1.9, 2.3), "Windows: each row is one input of the network")


@dataclass(frozen=True)
class Predictions:
    """Steering of rows, (rows,) each, -1 to 1: as recorded, as the label of the sample, and as the
    network predicts it.

    seconds: since 1970; label: the recorded steering after smoothing, lead and correction, which
    the network learned.
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
    def has_labels(self) -> bool:
        """Whether the labels differ from the recorded steering by more than their rounding."""
        return not np.allclose(self.label, self.recorded, atol=1e-6)


def plot_predictions(subject: Subject, path: Path) -> None:
    """Draw predicted and recorded steering and the labels over time, and predictions against
    labels, into a PNG.
    """
    figures = predictions(subject)
    pauses = [stretch[0] for stretch in stretches(figures.seconds)[1:]]
    steps = np.diff(figures.seconds, prepend=figures.seconds[:1])
    steps[pauses] = _GAP_SECONDS
    seconds = np.cumsum(steps)
    lines = min(max(math.ceil(seconds[-1] / _LINE_SECONDS), 1), _LINES)
    curves = {"recorded": figures.recorded, "network": figures.network}
    curves |= {"label": figures.label} if figures.has_labels else {}
    figure = new_figure(
        11, max(3.8, 1.7 * lines + 0.6), "\n".join(describe_errors(subject, figures))
    )
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[2.2, 1])[0]
    column = left.subplots(lines, 1, sharey=True, squeeze=False)[:, 0]
    draw_steering(column, seconds, curves, np.arange(lines + 1) * _LINE_SECONDS, pauses)
    column[0].legend(
        fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.98), ncols=3, frameon=False
    )
    shown = int(np.searchsorted(seconds, lines * _LINE_SECONDS))
    first = "" if shown == len(seconds) else f", the first {shown:,} samples"
    column[-1].set_xlabel(
        f"seconds of {subject.scored_part} driving{first}; gaps: training blocks and pauses between"
    )
    axes, most = (
        right.subplots(),
        max(float(np.abs([figures.label, figures.network]).max()), 0.05) * 1.05,
    )
    axes.plot([-most, most], [-most, most], color=GRAY, linewidth=1)
    axes.plot(
        figures.label, figures.network, "o", color=BLUE, markersize=3, alpha=0.35, markeredgewidth=0
    )
    axes.set(ylabel="network's steering", aspect="equal", xlim=(-most, most), ylim=(-most, most))
    axes.set_xlabel("label" if figures.has_labels else "recorded steering")
    r = correlation(figures.network, figures.label)
    axes.set_title("correlation not defined" if r is None else f"correlation {r:.3f}", fontsize=9)
    tidy(axes)
    save(figure, path)


def describe_errors(subject: Subject, figures: Predictions) -> list[str]:
    """Return lines that name each error, and what it is measured against: labels, recorded
    steering, all samples.
    """
    part, settings = subject.scored_part, subject.samples.sample_settings
    errors, notes = f"mean absolute error {figures.mae:.4f}", []
    if figures.has_labels:
        from_recorded = np.abs(figures.network - figures.recorded).mean()
        errors += (
            f" from the labels that were learned, {from_recorded:.4f} from the recorded steering"
        )
        lead = f" and {settings.lead_seconds:g} s later" if settings.lead_seconds else ""
        notes.append(
            f"labels: the recorded steering, smoothed by {settings.smooth_seconds:g} s{lead}"
        )
    val_mae = best_epoch(subject.history).val_mae if subject.history else None
    if val_mae is not None and part == VALIDATION:
        samples = len(subject.samples.split_indices(VALIDATION))
        others = (
            ", mirrored ones and other cameras included" if samples > len(figures.network) else ""
        )
        notes.append(f"val_mae {val_mae:.4f} of the training: of all {samples:,} samples{others}")
    return [
        f"{part.capitalize()}: {len(figures.network):,} samples, {errors}",
        *filter(None, ["; ".join(notes)]),
    ]


def predictions(subject: Subject) -> Predictions:
    """Predict the steering of the test rows, or without them of the validation rows.

    Of very many rows, only stretches spread evenly over them are taken. Raises NotDrawn if there
    are none, or a prediction is not finite.
    """
    samples, length = subject.one_per_row(subject.scored_part), subject.file.seq_length
    if not len(samples):
        raise NotDrawn("there are no validation samples; make the store with --validation 0.2")
    windows = subject.windows(samples[spread_evenly(stretches(subject.seconds(samples)), MAX_ROWS)])
    if not len(windows):
        raise NotDrawn(
            f"there are no {length} validation frames in a row; make the store with --split blocks"
        )
    batches = np.split(windows, range(_BATCH, len(windows), _BATCH))
    network = np.concatenate(
        [predict(subject.file.model, subject.inputs(batch)) for batch in batches]
    )
    if count := int((~np.isfinite(network)).sum()):
        raise NotDrawn(
            f"the network's steering is not finite at {count} of {len(network)} frames; train it again"
        )
    newest = subject.table[windows[:, -1]]
    recorded = np.asarray(subject.samples.rows["steering"][newest["row"]], np.float64)
    return Predictions(
        subject.seconds(windows[:, -1]), recorded, newest["steering"].astype(float), network
    )


def predict(model: keras.Model, images: Image) -> FloatArray:
    """Return the network's steering, (images,), for prepared images, or windows of them, uint8.

    The model is not compiled, which would take longer than a few batches do.
    """
    outputs = model(keras.ops.cast(images, model.inputs[0].dtype), training=False)
    return np.asarray(
        keras.ops.convert_to_numpy(outputs)[:, 0], np.float64
    )  # the first output is the steering


def spread_evenly(parts: list[IndexArray], most: int) -> IndexArray:
    """Join some of the stretches, spread evenly, with about `most` indices in total, but at least
    one stretch.
    """
    fraction = min(1.0, most / max(sum(map(len, parts)), 1))
    count = max(1, int(fraction * len(parts)))
    return np.concatenate([parts[number] for number in evenly(len(parts), count)])


def plot_saliency(subject: Subject, path: Path) -> None:
    """Draw frames, and below them the pixels that decide the steering (VisualBackProp), into a PNG.

    The frames are half a second apart, from the stretch in which the steering changes most.
    """
    saliency = Saliency(subject.file.model, subject.file.preprocessing)
    windows, length = subject.shown_windows(), _STRIP_SECONDS[-1]
    samples = windows[:, -1]
    times, labels = subject.seconds(samples), subject.table["steering"][samples]
    best = max(
        stretches(times), key=lambda part: (min(np.ptp(times[part]), length), np.ptp(labels[part]))
    )
    within = times[best]
    begin = within[int(np.argmax(np.abs(labels[best])))] - length / 2
    begin = min(max(begin, within[0]), max(within[-1] - length, within[0]))
    indices = np.clip(np.searchsorted(within, begin + _STRIP_SECONDS - 1e-3), 0, len(best) - 1)
    chosen = best[np.unique(indices)]
    predicted = predict(subject.file.model, subject.inputs(windows[chosen]))
    above, below = [], []
    for at, steering in zip(chosen, predicted, strict=True):
        frame, recorded = subject.frame(int(samples[at])), labels[at]
        above.append(ShownImage(frame, f"{times[at] - times[chosen[0]]:.1f} s"))
        texts = f"network {steering:+.3f}\nrecorded {recorded:+.3f}"
        below.append(
            ShownImage(saliency_overlay(frame, np.sqrt(saliency.mask(frame))), below=texts)
        )
    save_images(
        path,
        [above, below],
        (2.3, 1.5),
        "Frames, and what in them decided the steering (VisualBackProp)",
    )
