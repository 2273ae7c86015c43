"""Draw charts of a training: a Subject -> PNGs of its losses, its steering and its recoveries."""

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from bcclone.camera.vehicle import (
    FULL_LOCK_DEGREES,
    MPH,
    SIDE_CAMERA_M,
    seconds_back,
    steering_back,
)
from bcclone.dataset.labels import camera_correction
from bcclone.dataset.sample_settings import PARTS, TRAINING, SampleSettings
from bcclone.dataset.samples import SampleTable
from bcclone.feed.order import balanced, has_zero_steering
from bcclone.pictures.plots.style import (
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    RED,
    ShownImage,
    new_figure,
    save,
    save_images,
    tidy,
)
from bcclone.pictures.plots.subject import NotDrawn, Subject, stretches
from bcclone.recording.row import CAMERAS
from bcclone.recording.run_tables import read_trace
from bcclone.system.numbers import FloatArray, IndexArray
from bcclone.training.training_state import Epoch, best_epoch


def plot_history(subject: Subject, path: Path) -> None:
    """Draw the errors over the epochs into a PNG, and the learning rate if it changes.

    Raises NotDrawn without a history.
    """
    history = subject.history
    if not history:
        raise NotDrawn(
            "there is no history: no run folder holds this model; name their folder with --runs"
        )
    rates = [epoch.learning_rate for epoch in history]
    shows_rate = len(set(rates)) > 1
    count = 3 if shows_rate else 2
    figure = new_figure(7, 2.6 * count)
    all_axes = figure.subplots(count, sharex=True)
    _draw_errors(all_axes[0], history, "loss", "loss")
    _draw_errors(all_axes[1], history, "mae", "mean absolute error")
    if shows_rate:
        _draw_rates(all_axes[2], [epoch.epoch for epoch in history], rates)
    tidy(*all_axes)
    all_axes[0].legend(fontsize=9)
    all_axes[-1].set_xlabel("epoch")
    all_axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    save(figure, path)


def _draw_errors(axes: Axes, history: Sequence[Epoch], name: str, label: str) -> None:
    """Draw an error of training and validation, with a line at the best epoch."""
    epochs = [epoch.epoch for epoch in history]
    for key, style, color, part in (
        (name, "o-", BLUE, "training (with dropout)"),
        (f"val_{name}", "s-", RED, "validation"),
    ):
        errors = np.array([getattr(epoch, key) for epoch in history], np.float64)  # NaN for None
        if np.isfinite(errors).any():
            axes.plot(epochs, errors, style, color=color, label=part)
    best = best_epoch(history).epoch
    axes.axvline(best, color=GRAY, linestyle=":", label=f"best: epoch {best}")
    axes.set(ylabel=f"{label}\nof the steering", ylim=(0, None))


def _draw_rates(axes: Axes, epochs: Sequence[int], rates: Sequence[float]) -> None:
    axes.step(epochs, rates, where="mid", color=GRAY)
    axes.set(ylabel="learning rate", yscale="log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")  # powers of ten need fonts that may be missing
    axes.yaxis.set_minor_formatter(NullFormatter())


EDGES = (np.arange(42) - 20.5) / 20  # edges of bins of 0.05; the middle of one is 0
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
    after = balanced(before, is_straight, most, subject.seed, _FIRST_EPOCH)
    if len(after) < len(before):
        drawn = {
            "as recorded": before,
            f"an epoch, balanced to {most:.0%} straight on": after,
        }
    elif most >= 1:
        drawn = {"as recorded (all are kept)": before}
    else:
        why = f"no more than {most:.0%} go straight on: nothing is left out"
        drawn = {f"as recorded ({why})": before}

    width = 7 if len(drawn) == 1 else 11
    figure = new_figure(width, 4.6, "Steering of the training samples, corrections in it")
    all_axes = figure.subplots(1, len(drawn), sharey=True, squeeze=False)[0]
    for axes, (title, chosen) in zip(all_axes, drawn.items(), strict=True):
        share = is_straight[chosen].mean()
        numbers = f"{len(chosen):,} samples, {share:.1%} of them recorded with steering 0"
        axes.set_title(f"{title}\n{numbers}", fontsize=9)
        _draw_histogram(axes, samples[chosen])
    tidy(*all_axes)
    all_axes[0].set_ylabel("samples in a bin of 0.05 (logarithmic)")
    save(figure, path)


def _draw_histogram(axes: Axes, samples: SampleTable) -> None:
    """Draw how often each steering occurs, a curve for each camera."""
    for camera, counts in steering_counts(samples).items():
        color, style = _CAMERA_STYLES[camera]
        label = f"{camera} camera: {counts.sum():,}"
        axes.stairs(
            counts, EDGES, color=color, linestyle=style, linewidth=1.8, label=label, baseline=0.5
        )
    axes.set(yscale="log", xlabel="steering, left is negative", xlim=(-1.03, 1.03))
    axes.set_ylim(bottom=0.5)
    axes.yaxis.set_major_formatter("{x:,.0f}")  # powers of ten need fonts that may be missing
    axes.legend(fontsize=9, loc="upper right")


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


_SECONDS_SHOWN = np.linspace(0.3, 3.0, 200)  # times to return to the line, along the curves
_SPEED_STYLES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (RED, ":"))


def plot_recovery(subject: Subject, path: Path) -> None:
    """Draw which steering brings a car back to its line in how much time, and the corrections."""
    settings = subject.correction_settings
    title = (
        "Steering that brings the car back from a side camera's place, "
        f"{SIDE_CAMERA_M:.2f} m off its line"
    )
    figure = new_figure(8, 4.8, title)
    axes = figure.subplots()

    # a curve for each speed, and on it the point that the samples' correction reaches
    speeds_mph = typical_speeds(np.asarray(subject.samples.rows["speed_mph"], np.float64))
    ways_back = find_ways_back(settings, speeds_mph)
    for (speed_mph, steering, seconds), (color, style) in zip(
        ways_back, _SPEED_STYLES, strict=False
    ):
        needed = [
            steering_back(SIDE_CAMERA_M, speed_mph * MPH, after_seconds)
            for after_seconds in _SECONDS_SHOWN
        ]
        label = f"{speed_mph:g} mph"
        if math.isfinite(seconds):
            way_m = seconds * speed_mph * MPH
            label += f": {steering:.3g} takes {seconds:.1f} s, {way_m:.0f} m"
            axes.plot([seconds], [steering], "o", color=color, zorder=4)
        axes.plot(_SECONDS_SHOWN, needed, style, color=color, linewidth=2, label=label)

    # the correction itself: a line, or words on how it is computed
    if isinstance(settings.correction, float):
        label = f"correction that the samples carry: {settings.correction:g}"
        axes.axhline(settings.correction, color=GRAY, linestyle=":", label=label)
    else:
        label = f"correction: auto, aiming {settings.lookahead_seconds:g} s ahead"
        axes.plot([], [], " ", label=label)
    strongest = max(steering for _, steering, _ in ways_back)
    axes.set(
        xlabel="seconds until it is back on its line, "
        "beginning parallel to it and holding the steering",
        ylabel=f"steering (1 is full lock, {FULL_LOCK_DEGREES:g} degrees)",
        xlim=(0, _SECONDS_SHOWN[-1]),
        ylim=(0, max(0.5, 1.6 * strongest)),
    )
    tidy(axes)
    axes.legend(fontsize=9)
    save(figure, path)


def find_ways_back(
    settings: SampleSettings, speeds_mph: Sequence[float]
) -> list[tuple[float, float, float]]:
    """Return how a car at the position of a side camera comes back at each speed.

    A tuple holds the speed, the steering, and after how many seconds the car is back.
    """
    speeds = np.array(speeds_mph, float)
    left = camera_correction(settings, "left", speeds)
    right = camera_correction(settings, "right", speeds)
    # their mean size: the right camera's correction steers to the left, so it is negative
    corrections = ((left - right) / 2).tolist()
    return [
        (speed_mph, steering, seconds_back(SIDE_CAMERA_M, speed_mph * MPH, steering))
        for speed_mph, steering in zip(speeds.tolist(), corrections, strict=True)
    ]


_USUAL_MPH = (10.0, 20.0, 30.0)
_APART_MPH = 4.0  # smallest difference of two speeds: curves of nearer ones would overlap
_LEAST_MPH = 3.0  # rows that are slower do not count as driving


def typical_speeds(recorded_mph: FloatArray) -> list[float]:
    """Return the median of the recorded speeds, (rows,), and 10, 20 and 30 mph, sorted.

    Of the three, the ones near the median are left out.
    """
    driven = recorded_mph[recorded_mph >= _LEAST_MPH]
    if not len(driven):
        return list(_USUAL_MPH)
    median = float(round(np.median(driven)))
    others = [speed for speed in _USUAL_MPH if abs(speed - median) >= _APART_MPH]
    return sorted([median, *others])


# a recovery is a short drive from beside the centre line back onto it
_START_M = 1.0  # smallest distance from the centre line at its start
_END_M = 0.1  # largest distance from the centre line at its end
_MAX_SECONDS = 4.0  # longest time from start to end


def find_recoveries(seconds: FloatArray, offset_m: FloatArray) -> list[IndexArray]:
    """Return three indices of each recovery, (3,).

    They are its first frame, the first half-way back, and the first on the centre line. A recovery
    begins after a pause of the recording.

    seconds: when each sample was recorded, (samples,)
    offset_m: as located_samples() returns them, (samples,)
    """
    recoveries = []
    for stretch in stretches(seconds):
        distance_m = np.abs(offset_m[stretch])
        soon = seconds[stretch] - seconds[stretch[0]] <= _MAX_SECONDS
        half = np.flatnonzero(soon & (distance_m <= distance_m[0] / 2))
        middle = np.flatnonzero(soon & (distance_m <= _END_M))
        if distance_m[0] >= _START_M and len(middle):
            recoveries.append(stretch[[0, half[0], middle[0]]])
    return recoveries


def located_samples(subject: Subject) -> tuple[IndexArray, FloatArray]:
    """Return samples of the centre camera, in the order of time, and their offsets.

    An offset is in metres, to the right of the centre line. Raises NotDrawn if no recording has a
    trace.csv, and UserError for one that cannot be read.
    """
    samples = np.concatenate([subject.one_per_row(part) for part in PARTS])
    samples = samples[np.argsort(subject.table["row"][samples], kind="stable")]
    trace_of = cache(read_trace)
    offset_m = np.full(len(samples), np.nan)
    for number, sample in enumerate(samples.tolist()):
        path = subject.image_path(sample)
        if path:
            folder = Path(path).parent
            recording = folder.parent if folder.name == "IMG" else folder
            point = trace_of(recording).get(Path(path).name)
            if point:
                offset_m[number] = point.cross_track_m
    located = np.isfinite(offset_m)
    if not located.any():
        raise NotDrawn(
            "the positions of the car are unknown: "
            "only `bcclone simulate record` writes a trace.csv"
        )
    return samples[located], offset_m[located]


def plot_recovery_frames(subject: Subject, path: Path) -> None:
    """Draw the recovery from farthest to the left, and that from farthest to the right, into a PNG.

    Raises NotDrawn if there are no recoveries.
    """
    samples, offset_m = located_samples(subject)
    seconds = subject.seconds(samples)
    steering = subject.samples.rows["steering"][subject.table["row"][samples]]

    # sorted from left to right: the ends are the farthest, if they are on their side at all
    recoveries = sorted(
        find_recoveries(seconds, offset_m), key=lambda recovery: float(offset_m[recovery[0]])
    )
    chosen = [recovery for recovery in recoveries[:1] if offset_m[recovery[0]] < 0]
    chosen += [recovery for recovery in recoveries[-1:] if offset_m[recovery[0]] > 0]
    if not chosen:
        raise NotDrawn(
            f"there is no recovery from {_START_M:g} m or more off the centre line; "
            "record some, such as with: bcclone simulate record DIR --recoveries 8"
        )

    def shown(number: int, first: int) -> ShownImage:
        side = "right" if offset_m[number] > 0 else "left"
        place = f"{abs(offset_m[number]):.2f} m {side} of the middle"
        text = f"{place}\nsteering {steering[number]:+.2f}"
        title = f"{seconds[number] - seconds[first]:.1f} s"
        return ShownImage(subject.frame(int(samples[number])), title, text)

    rows = [[shown(number, recovery[0]) for number in recovery.tolist()] for recovery in chosen]
    title = "Recoveries: the recording begins when the car is off the middle, on its way back"
    save_images(path, rows, inches=(3.3, 2.3), title=title)
