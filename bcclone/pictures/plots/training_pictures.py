"""Draw a training, its samples, and the network's answers to them: a Subject -> PNGs.

- history: the losses and errors over the epochs;
- steering: how often each steering occurs, before and after balancing;
- samples: the samples of some log rows, or windows of frames, as the network takes them;
- predictions: the network's steering over time, and against the labels.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bcclone.camera.images import Image
from bcclone.dataset.sample_settings import TRAINING
from bcclone.dataset.samples import SampleTable
from bcclone.feed.augment.changes import AugmentationInputs, draw
from bcclone.feed.augment.on_cpu import CpuAugmenter
from bcclone.feed.order import balanced, has_zero_steering
from bcclone.feed.selection import sample_lookaheads
from bcclone.pictures.overlay import SKY
from bcclone.pictures.plots.style import (
    BLUE,
    GRAY,
    GREEN,
    RED,
    ShownImage,
    draw_steering,
    legend_above,
    new_figure,
    save,
    save_images,
    tidy,
)
from bcclone.pictures.plots.subject import NotDrawn, Subject, predict, stretches
from bcclone.recording.row import CAMERAS
from bcclone.system.arrays import FloatArray, IndexArray, evenly
from bcclone.system.statistics import correlation
from bcclone.training.training_state import best_epoch


def plot_history(subject: Subject, path: Path) -> None:
    """Draw the errors over the epochs into a PNG.

    Raises NotDrawn without a history.
    """
    history = subject.history
    if not history:
        raise NotDrawn(
            "there is no history beside the model; name the one in its run folder, such as "
            "runs/NAME/model.h5"
        )
    epochs = [epoch.epoch for epoch in history]
    figure = new_figure(4.8)
    both_axes = figure.subplots(2, sharex=True)

    best = best_epoch(history).epoch
    kept = subject.file.training.epoch  # without --patience, the last one
    labels = {"loss": "loss", "mae": "mean error"}
    for axes, (name, label) in zip(both_axes, labels.items(), strict=True):
        curves = {}
        for key, style, color, part in (
            (name, "o-", BLUE, "training (with dropout)"),
            (f"val_{name}", "s-", RED, "validation"),
        ):
            errors = np.array([getattr(epoch, key) for epoch in history], np.float64)  # NaN: None
            if np.isfinite(errors).any():
                axes.plot(epochs, errors, style, color=color, label=part)
                curves[color] = errors
        axes.axvline(best, color=GRAY, linestyle=":", label=f"best: epoch {best}")
        if kept and kept != best:
            axes.axvline(kept, color=GREEN, linestyle="--", label=f"the model: epoch {kept}")
        axes.set_ylabel(label)
        _cut_off_first(axes, epochs[0], curves)

    tidy(*both_axes)
    legend_above(both_axes[0])
    both_axes[-1].set_xlabel("epoch")
    both_axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    save(figure, path)


def _cut_off_first(axes: Axes, epoch: int, curves: Mapping[str, FloatArray]) -> None:
    """Limit the axes so that the errors after the first epoch take at least half of the height.

    An error of the first epoch that does not fit in is written at the upper edge.

    epoch: number of the first epoch
    curves: colour of a curve -> its errors, (epochs,)
    """
    errors = np.array(list(curves.values()))
    later = errors[:, 1:]
    if not np.isfinite(later).any():
        return
    least = np.nanmin(errors)
    most = np.nanmax(later)
    cut_off = {}
    for color, (first, *_) in curves.items():
        if first > 2 * most - least:
            cut_off[color] = first
        else:
            most = np.nanmax([most, first])
    margin = 0.08 * (most - least) or 0.1 * most
    axes.set_ylim(
        least - margin, most + margin * (1 + 2 * len(cut_off))
    )  # room for what is written
    for number, (color, first) in enumerate(cut_off.items()):
        axes.annotate(
            f"\N{UPWARDS ARROW} {first:.2g}",
            (epoch, 1),
            (-8, -14 - 14 * number),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            color=color,
            # the curve comes in behind it
            bbox={"facecolor": axes.get_facecolor(), "edgecolor": "none", "pad": 1.0},
            zorder=3,
        )


EDGES = (np.arange(42) - 20.5) / 20  # edges of bins of 0.05; the middle of one is 0
_SEED = 0  # for the random choices of balancing and augmentation
_FIRST_EPOCH = 1  # the epoch whose samples are drawn: each epoch leaves out others
_CAMERA_STYLES = {"center": (BLUE, "-"), "left": (GREEN, "--"), "right": (RED, "-.")}


def plot_steering(subject: Subject, path: Path) -> None:
    """Draw the histogram of the training samples into a PNG.

    A second histogram, of the samples in an epoch, is drawn if balancing leaves some out. Raises
    NotDrawn if there are no training samples.
    """
    data = subject.samples
    samples = data.samples[data.split_indices(TRAINING)]
    if not len(samples):
        raise NotDrawn("there are no training samples; make the store with a smaller --validation")

    # the samples of an epoch, if a part of those that go straight on is left out
    most = subject.zero_fraction
    is_straight = has_zero_steering(samples["row"], data.rows)
    before = np.arange(len(samples), dtype=np.uint32)
    after = balanced(before, is_straight, most, _SEED, _FIRST_EPOCH)
    drawn = {"as recorded": before}
    if len(after) < len(before):
        drawn[f"an epoch, balanced to {most:.0%} straight on"] = after

    # a curve for each camera
    figure = new_figure(0.4 + 3.2 * len(drawn))
    all_axes = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, chosen) in zip(all_axes, drawn.items(), strict=True):
        share = is_straight[chosen].mean()
        numbers = f"{len(chosen):,} samples, {share:.1%} at steering 0"
        axes.set_title(f"{title}:\n{numbers}")
        for camera, counts in steering_counts(samples[chosen]).items():
            color, style = _CAMERA_STYLES[camera]
            axes.stairs(
                counts,
                EDGES,
                color=color,
                linestyle=style,
                linewidth=1.8,
                label=camera,
                baseline=0.5,
            )
        axes.set(yscale="log", ylabel="samples in a bin of 0.05", xlim=(-1.03, 1.03))
        axes.set_ylim(bottom=0.5)
        axes.yaxis.set_major_formatter("{x:,.0f}")  # powers of ten need fonts that may be missing
        axes.legend(loc="upper right", frameon=False, title="camera", handlelength=1.2)
    tidy(*all_axes)
    all_axes[-1].set_xlabel("steering with corrections, left is negative")
    save(figure, path)


def steering_counts(samples: SampleTable) -> dict[str, IndexArray]:
    """Count each camera's samples by steering, corrections included, in the bins of EDGES, (bins,).

    A flipped sample counts with the sign of the recorded steering.
    """
    recorded = np.where(samples["flipped"], -samples["steering"], samples["steering"])
    counts = {}
    for number, camera in enumerate(CAMERAS):
        steering = recorded[samples["camera"] == number]
        if len(steering):
            counts[camera], _ = np.histogram(steering, EDGES)
    return counts


# ---- samples


# title, image as the network takes it, RGB uint8 (height, width, 3), and steering
_Sample = tuple[str, Image, float]


_ACROSS = 4  # images in a row: more could not be read


def plot_samples(subject: Subject, path: Path) -> None:
    """Draw the samples of some log rows, with their steering, or windows of frames, into a PNG."""
    if subject.file.seq_length > 1:
        _plot_windows(subject, path)
        return
    training_samples = subject.one_per_row(TRAINING)
    if not len(training_samples):
        raise NotDrawn("there are no training samples; make the store with a smaller --validation")
    rows: list[list[ShownImage]] = []
    for index in subject.spread_by_steering(training_samples):
        samples = samples_of_row(subject, index) + augmented_samples(subject, index)
        shown = [
            # the 0.0 avoids "-0.00"
            (_with_bar(image, steering), title, f"{round(steering, 2) + 0.0:+.2f}")
            for title, image, steering in samples
        ]
        rows += [shown[start : start + _ACROSS] for start in range(0, len(shown), _ACROSS)]
    save_images(path, rows, row_inches=1.65)


def _with_bar(image: Image, steering: float) -> Image:
    """Return the image with a bar below it, from the middle to the left or right."""
    height, width, channels = image.shape
    bar = np.full((height // 10, width, channels), 255, np.uint8)
    middle = width // 2
    left, right = sorted((middle, middle + round(steering * middle)))
    # white stays above and below
    bar[2:-2, left : right + 1] = SKY[:channels]
    return np.vstack([image, bar])


def samples_of_row(subject: Subject, index: int) -> list[_Sample]:
    """Return the samples of one log row: of each camera, with an earlier frame, and mirrored.

    Samples that do not exist are left out.

    index: one of the row's samples
    """
    table = subject.table
    in_row = np.flatnonzero(table["row"] == table["row"][index])
    sample_by_kind: dict[tuple[int, ...], int] = {}
    for sample in in_row.tolist():
        kind = tuple(table[sample][["camera", "frame_offset", "flipped"]])
        sample_by_kind.setdefault(kind, sample)

    # the samples that a row may have, title -> (camera, how many frames earlier, mirrored)
    camera = int(table["camera"][index])
    kinds = {name: (number, 0, False) for number, name in enumerate(CAMERAS)}
    for offset in sorted({1, int(table["frame_offset"].max())} - {0}):
        earlier = "1 frame" if offset == 1 else f"{offset} frames"
        kinds[f"{earlier}\nearlier"] = (camera, offset, False)
    kinds["mirrored"] = (camera, 0, True)

    titles = [title for title, kind in kinds.items() if kind in sample_by_kind]
    samples = np.array([sample_by_kind[kinds[title]] for title in titles])
    images = subject.images(samples, subject.samples.preprocessing)
    steering = table["steering"][samples].tolist()
    return list(zip(titles, images, steering, strict=True))


_AUGMENTATIONS = 3  # number of augmentations that are shown of a sample


def augmented_samples(subject: Subject, index: int) -> list[_Sample]:
    """Return a few augmentations of a sample; none if the training did not augment.

    As in training, only the rows that the network sees are changed.
    """
    if not subject.augment.augment:
        return []
    data = subject.samples
    sample = subject.table[[index] * _AUGMENTATIONS]
    images = subject.images(np.full(_AUGMENTATIONS, index), data.preprocessing)
    augmenter = CpuAugmenter(subject.augment, data.preprocessing)
    random_numbers = draw(_AUGMENTATIONS, (_SEED, index))
    inputs = AugmentationInputs(
        sample["flipped"], sample_lookaheads(data, sample["row"]), *random_numbers
    )
    augmented = np.empty_like(images)
    steering = augmenter.augment(images, sample["steering"][:, np.newaxis], inputs, augmented)
    return [
        ("augmented", image, value)
        for image, value in zip(augmented, steering[:, 0].tolist(), strict=True)
    ]


_MAX_FRAMES = 3  # most frames that are shown of a window


def _plot_windows(subject: Subject, path: Path) -> None:
    """Draw windows into a PNG, from a left bend to a right bend, one in each row.

    A row shows frames of the window, oldest first, and the change from its first to its last frame.
    """
    windows = subject.spread_windows()
    images = subject.inputs(windows)
    predicted = predict(subject.file.model, images)

    length = subject.file.seq_length
    shown = evenly(length, _MAX_FRAMES).tolist()
    headings = [f"{length - 1 - number} before" for number in shown[:-1]]
    headings += ["newest", "change, first\nto last"]
    rows = []
    for window, frames, steering in zip(windows, images, predicted, strict=True):
        # the frames of a window look nearly the same: their difference shows what a network of
        # windows knows more than a network of single frames
        change = np.abs(frames[-1].astype(np.int16) - frames[0]).mean(axis=2)
        heat = colormaps["inferno"](change / max(change.max(), 1.0), bytes=True)[..., :3]
        recorded = float(subject.table["steering"][window[-1]])
        texts = [""] * len(headings)  # only the newest frame, the last but one image, has a text
        texts[-2] = f"sample {recorded:+z.2f}\nnetwork {steering:+z.2f}"  # z: no "-0.00"
        rows.append(list(zip([*frames[shown], heat], headings, texts, strict=True)))
        headings = [""] * len(headings)  # they stand above the first row alone
    save_images(path, rows, row_inches=1.75)


# ---- the network's answers


_LINE_SECONDS = 25.0  # seconds of driving in a line of curves
_MAX_LINES = 3  # later driving is not drawn over time
_GAP_SECONDS = 1.0  # width of the gap that is drawn between two stretches of driving


def plot_predictions(subject: Subject, path: Path) -> None:
    """Draw predicted and recorded steering over time, and against the labels, into a PNG."""
    times, recorded, label, network = predictions(subject)

    # the time between two stretches is shortened: only driving counts
    begins = [stretch[0] for stretch in stretches(times)[1:]]
    steps = np.diff(times, prepend=times[:1])
    steps[begins] = _GAP_SECONDS
    seconds = np.cumsum(steps)
    lines = min(max(math.ceil(seconds[-1] / _LINE_SECONDS), 1), _MAX_LINES)

    # the curves over the seconds of driving, in lines
    title = describe_errors(subject.scored_part, recorded, label, network)
    heights = [0.9 + 1.35 * lines, 3.4]
    figure = new_figure(sum(heights) + 0.6, title)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
    curves = {"recorded": recorded, "network": network}
    if not _are_equal(label, recorded):
        curves["label"] = label
    column = above.subplots(lines, 1, sharey=True, squeeze=False)[:, 0]
    ends = [_LINE_SECONDS * number for number in range(lines + 1)]
    draw_steering(column, seconds, curves, ends, begins)
    legend_above(column[0], columns=3)
    shown = int(np.searchsorted(seconds, lines * _LINE_SECONDS))
    first = "" if shown == len(seconds) else f"the first {shown:,} samples; "
    column[-1].set_xlabel(
        f"seconds of {subject.scored_part} driving;\n{first}gaps: pauses, blocks of training"
    )

    # a point for each row; where the network is right, it lies on the diagonal
    axes = below.subplots()
    largest = float(np.abs([label, network]).max())
    limit = max(largest, 0.05) * 1.05
    axes.plot([-limit, limit], [-limit, limit], color=GRAY, linewidth=1)
    axes.plot(label, network, "o", color=BLUE, markersize=3, alpha=0.35, markeredgewidth=0)
    axes.set(
        ylabel="network's steering", aspect="equal", xlim=(-limit, limit), ylim=(-limit, limit)
    )
    axes.set_xlabel("label" if "label" in curves else "recorded steering")
    r = correlation(network, label)
    axes.set_title("correlation not defined" if r is None else f"correlation {r:.3f}")
    tidy(axes)
    save(figure, path)


def _are_equal(label: FloatArray, recorded: FloatArray) -> bool:
    """Return whether the labels are the recorded steering, up to their rounding.

    A label is what the network learned: the recorded steering, smoothed, moved in time, corrected.
    """
    return np.allclose(label, recorded, atol=1e-6)


def describe_errors(part: str, recorded: FloatArray, label: FloatArray, network: FloatArray) -> str:
    """Return the network's error, and what it is measured against."""
    text = f"{part.capitalize()}: {len(network):,} samples, mean absolute error "
    text += f"{np.abs(network - label).mean():.4f}"
    if not _are_equal(label, recorded):
        text += " from the labels that were learned, "
        text += f"{np.abs(network - recorded).mean():.4f} from the recorded steering"
    return text


_MAX_ROWS = 3000  # most rows to predict, which takes some seconds
_BATCH_SIZE = 128


def predictions(subject: Subject) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Predict the steering of the test rows, or without them of the validation rows.

    Returns the seconds since 1970, the recorded steering, the label and the network's steering of
    these rows, (rows,) each. Of more than _MAX_ROWS rows, only some stretches are taken, spread
    evenly. Raises NotDrawn if there are no rows, or if a prediction is not finite.
    """
    samples = subject.one_per_row(subject.scored_part)
    if not len(samples):
        raise NotDrawn("there are no validation samples; make the store with --validation 0.2")
    some = spread_evenly(stretches(subject.seconds(samples)), _MAX_ROWS)
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
    return subject.seconds(windows[:, -1]), recorded, newest["steering"].astype(float), network


def spread_evenly(parts: list[IndexArray], most: int) -> IndexArray:
    """Join some of the stretches, spread evenly; at least one.

    parts: indices of each stretch
    most: about how many indices to return
    """
    fraction = min(1.0, most / max(sum(map(len, parts)), 1))
    count = max(1, int(fraction * len(parts)))
    return np.concatenate([parts[number] for number in evenly(len(parts), count)])
