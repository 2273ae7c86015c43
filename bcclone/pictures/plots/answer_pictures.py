"""Draw what a network answers: a Subject -> PNGs of its steering over time, and of the pixels that
decided it.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from bcclone.camera.images import Image
from bcclone.dataset.sample_settings import VALIDATION
from bcclone.model.saliency import Saliency
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
from bcclone.system.numbers import FloatArray, IndexArray, correlation, evenly
from bcclone.training.training_state import best_epoch


@dataclass(frozen=True)
class Predictions:
    """The steering of some rows: recorded, learned and predicted; each (rows,), -1 to 1."""

    seconds: FloatArray  # since 1970
    recorded: FloatArray
    # what the network learned: the recorded steering, smoothed, moved in time and corrected
    label: FloatArray
    network: FloatArray

    @property
    def mae(self) -> float:
        """The mean absolute error from the labels, as a training reports it."""
        return float(np.abs(self.network - self.label).mean())

    @property
    def labels_differ(self) -> bool:
        """Whether the labels differ from the recorded steering by more than their rounding."""
        return not np.allclose(self.label, self.recorded, atol=1e-6)


_LINE_SECONDS = 25.0  # seconds of driving in a line of curves
_MAX_LINES = 4  # later driving is not drawn over time
_GAP_SECONDS = 1.0  # width of the gap that is drawn between two stretches of driving


def plot_predictions(subject: Subject, path: Path) -> None:
    """Draw predicted and recorded steering over time, and against each other, into a PNG."""
    answers = predictions(subject)

    # the time between two stretches is shortened: only driving counts
    begins = [stretch[0] for stretch in stretches(answers.seconds)[1:]]
    steps = np.diff(answers.seconds, prepend=answers.seconds[:1])
    steps[begins] = _GAP_SECONDS
    seconds = np.cumsum(steps)
    lines = min(max(math.ceil(seconds[-1] / _LINE_SECONDS), 1), _MAX_LINES)

    title = "\n".join(describe_errors(subject, answers))
    figure = new_figure(11, max(3.8, 1.7 * lines + 0.6), title)
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[2.2, 1])[0]
    bottom = _draw_over_time(left, answers, seconds, begins, lines)
    shown = int(np.searchsorted(seconds, lines * _LINE_SECONDS))
    first = "" if shown == len(seconds) else f", the first {shown:,} samples"
    bottom.set_xlabel(
        f"seconds of {subject.scored_part} driving{first}; gaps: pauses, and blocks of training"
    )
    _draw_against_labels(right.subplots(), answers)
    save(figure, path)


def _draw_over_time(
    figure: SubFigure,
    answers: Predictions,
    seconds: FloatArray,
    begins: list[int],
    lines: int,
) -> Axes:
    """Draw the curves over the seconds of driving, in lines; return the axes of the last.

    begins: index of the first row after each pause
    """
    curves = {"recorded": answers.recorded, "network": answers.network}
    if answers.labels_differ:
        curves["label"] = answers.label
    column = figure.subplots(lines, 1, sharey=True, squeeze=False)[:, 0]
    ends = [_LINE_SECONDS * number for number in range(lines + 1)]
    draw_steering(column, seconds, curves, ends, begins)
    column[0].legend(
        fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.98), ncols=3, frameon=False
    )
    bottom: Axes = column[-1]
    return bottom


def _draw_against_labels(axes: Axes, answers: Predictions) -> None:
    """Draw a point for each row; where the network is right, it lies on the diagonal."""
    largest = float(np.abs([answers.label, answers.network]).max())
    limit = max(largest, 0.05) * 1.05
    axes.plot([-limit, limit], [-limit, limit], color=GRAY, linewidth=1)
    axes.plot(
        answers.label, answers.network, "o", color=BLUE, markersize=3, alpha=0.35, markeredgewidth=0
    )
    axes.set(
        ylabel="network's steering", aspect="equal", xlim=(-limit, limit), ylim=(-limit, limit)
    )
    axes.set_xlabel("label" if answers.labels_differ else "recorded steering")
    r = correlation(answers.network, answers.label)
    title = "correlation not defined" if r is None else f"correlation {r:.3f}"
    axes.set_title(title, fontsize=9)
    tidy(axes)


def describe_errors(subject: Subject, answers: Predictions) -> list[str]:
    """Return lines that name each error, and what it is measured against."""
    # the error of this picture
    part = subject.scored_part
    errors = f"mean absolute error {answers.mae:.4f}"
    if answers.labels_differ:
        from_recorded = np.abs(answers.network - answers.recorded).mean()
        errors += (
            f" from the labels that were learned, {from_recorded:.4f} from the recorded steering"
        )
    lines = [f"{part.capitalize()}: {len(answers.network):,} samples, {errors}"]

    # what explains why other figures of the same model differ from this error
    notes = []
    if answers.labels_differ:
        settings = subject.samples.sample_settings
        lead = f" and {settings.lead_seconds:g} s later" if settings.lead_seconds else ""
        notes.append(
            f"labels: the recorded steering, smoothed by {settings.smooth_seconds:g} s{lead}"
        )
    val_mae = best_epoch(subject.history).val_mae if subject.history else None
    if val_mae is not None and part == VALIDATION:
        samples = len(subject.samples.split_indices(VALIDATION))
        others = ""
        if samples > len(subject.one_per_row(VALIDATION)):
            others = ", mirrored ones and other cameras included"
        notes.append(f"val_mae {val_mae:.4f} of the training: of all {samples:,} samples{others}")
    if notes:
        lines.append("; ".join(notes))
    return lines


MAX_ROWS = 3000  # most rows to predict, which takes some seconds
_BATCH_SIZE = 128


def predictions(subject: Subject) -> Predictions:
    """Predict the steering of the test rows, or without them of the validation rows.

    Of more than MAX_ROWS rows, only some stretches are taken, spread evenly. Raises NotDrawn if
    there are no rows, or if a prediction is not finite.
    """
    samples = subject.one_per_row(subject.scored_part)
    if not len(samples):
        raise NotDrawn("there are no validation samples; make the store with --validation 0.2")
    some = spread_evenly(stretches(subject.seconds(samples)), MAX_ROWS)
    windows = subject.windows(samples[some])
    if not len(windows):
        raise NotDrawn(
            f"there are no {subject.file.seq_length} validation frames in a row; "
            "make the store with --split blocks"
        )

    batches = np.split(windows, range(_BATCH_SIZE, len(windows), _BATCH_SIZE))
    network = np.concatenate(
        [predict(subject.file.model, subject.inputs(batch)) for batch in batches]
    )
    not_finite = int((~np.isfinite(network)).sum())
    if not_finite:
        raise NotDrawn(
            f"the network's steering is not finite at {not_finite} of {len(network)} frames; "
            "train it again"
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
    steering = keras.ops.convert_to_numpy(outputs)[:, 0]  # a throttle may be the second number
    return np.asarray(steering, np.float64)


def spread_evenly(parts: list[IndexArray], most: int) -> IndexArray:
    """Join some of the stretches, spread evenly; at least one.

    parts: indices of each stretch
    most: about how many indices to return
    """
    fraction = min(1.0, most / max(sum(map(len, parts)), 1))
    count = max(1, int(fraction * len(parts)))
    return np.concatenate([parts[number] for number in evenly(len(parts), count)])


# a strip is a row of frames: the seconds of each frame since the strip's first frame
_STRIP_SECONDS = np.arange(6) / 2
_STRIP_LENGTH = _STRIP_SECONDS[-1]  # seconds


def plot_saliency(subject: Subject, path: Path) -> None:
    """Draw frames, and below them the pixels that decide the steering (VisualBackProp), into a PNG.

    The frames are half a second apart, from the stretch in which the steering changes most.
    """
    saliency = Saliency(subject.file.model, subject.file.preprocessing)
    windows = subject.shown_windows()
    samples = windows[:, -1]
    times = subject.seconds(samples)
    labels = subject.table["steering"][samples]
    chosen = _strip(times, labels)
    predicted = predict(subject.file.model, subject.inputs(windows[chosen]))

    frames = []
    lit_frames = []
    for index, steering in zip(chosen, predicted, strict=True):
        frame = subject.frame(int(samples[index]))
        frames.append(ShownImage(frame, f"{times[index] - times[chosen[0]]:.1f} s"))
        text = f"network {steering:+.3f}\nlabel {labels[index]:+.3f}"
        # the square root makes weak pixels visible
        lit = saliency_overlay(frame, np.sqrt(saliency.of_frame(frame)))
        lit_frames.append(ShownImage(lit, below=text))
    title = "Frames, and what in them decided the steering (VisualBackProp)"
    save_images(path, [frames, lit_frames], inches=(2.3, 1.5), title=title)


def _strip(times: FloatArray, labels: FloatArray) -> IndexArray:
    """Return the indices of a strip of frames around the strongest steering of one stretch.

    times, labels: seconds and steering of each frame, (frames,)
    """

    def rank(stretch: IndexArray) -> tuple[float, float]:
        """Prefer a stretch that fills the strip, then the one with the most steering in it."""
        return min(np.ptp(times[stretch]), _STRIP_LENGTH), np.ptp(labels[stretch])

    best = max(stretches(times), key=rank)
    seconds = times[best]

    # the strongest steering is in the middle, unless the stretch ends before
    strongest = int(np.argmax(np.abs(labels[best])))
    begin = seconds[strongest] - _STRIP_LENGTH / 2
    latest = max(seconds[-1] - _STRIP_LENGTH, seconds[0])
    begin = min(max(begin, seconds[0]), latest)
    # the frame at each of these times or after it; recorded times are rounded to milliseconds
    places = np.searchsorted(seconds, begin + _STRIP_SECONDS - 1e-3)
    places = np.clip(places, 0, len(best) - 1)
    return np.asarray(best[np.unique(places)])
