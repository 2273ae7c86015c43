"""Draw charts of a training: a Subject -> PNGs of its losses, of the steering of its samples, and of the side cameras'
corrections.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from bcclone.dataset.labels import Correction
from bcclone.dataset.rows import RowTable
from bcclone.dataset.sample_settings import TRAINING
from bcclone.dataset.samples import SampleTable
from bcclone.dataset.vehicle import FULL_LOCK_DEGREES, MPH, SIDE_CAMERA_M, seconds_back, steering_back
from bcclone.feed.order import balanced, has_zero_steering
from bcclone.pictures.plots.style import BLUE, GRAY, GREEN, ORANGE, RED, new_figure, save, tidy
from bcclone.pictures.plots.subject import NotDrawn, Subject
from bcclone.recording.row import CAMERAS
from bcclone.system.arrays import FloatArray, IndexArray
from bcclone.train.training_state import Epoch, best_epoch

EDGES = (np.arange(42) - 20.5) / 20  # bins of 0.05, one of them centred on 0
_CAMERA_STYLES = {"center": (BLUE, "-"), "left": (GREEN, "--"), "right": (RED, "-.")}
_FIRST_EPOCH = 1

_USUAL_MPH = (10.0, 20.0, 30.0)
_APART_MPH = 4.0  # nearer curves would overlap
_LEAST_MPH = 3.0  # slower rows are not driving
_SPEED_STYLES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (RED, ":"))
_SECONDS_SHOWN = np.linspace(0.3, 3.0, 200)


def plot_history(subject: Subject, path: Path) -> None:
    """Draw the training and validation errors over the epochs into a PNG, and the learning rate if it changes.

    Raises NotDrawn without a history.
    """
    history = subject.history
    if not history:
        raise NotDrawn("there is no history: no run folder holds this model; name their folder with --runs")
    rates = [epoch.learning_rate for epoch in history]
    count = 3 if len(set(rates)) > 1 else 2
    figure = new_figure(7, 2.6 * count)
    axes = figure.subplots(count, sharex=True)
    _draw_errors(axes[0], history, "loss", "loss\nof the steering")
    _draw_errors(axes[1], history, "mae", "mean absolute error\nof the steering")
    if count == 3:
        axes[2].step([epoch.epoch for epoch in history], rates, where="mid", color=GRAY)
        axes[2].set(ylabel="learning rate", yscale="log")
        axes[2].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes[2].yaxis.set_major_formatter("{x:g}")  # powers of ten need fonts that may be missing
        axes[2].yaxis.set_minor_formatter(NullFormatter())
        tidy(axes[2])
    axes[0].legend(fontsize=9)
    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    save(figure, path)


def _draw_errors(axes: Axes, history: Sequence[Epoch], name: str, label: str) -> None:
    for key, style, color, of in (
        (name, "o-", BLUE, "training (with dropout)"),
        (f"val_{name}", "s-", RED, "validation"),
    ):
        points = [(epoch.epoch, value) for epoch in history if (value := getattr(epoch, key)) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), style, color=color, label=of)
    best = best_epoch(history).epoch
    axes.axvline(best, color=GRAY, linestyle=":", label=f"best: epoch {best}")
    axes.set(ylabel=label, ylim=(0, None))
    tidy(axes)


@dataclass(frozen=True)
class SteeringCounts:
    """Samples in each bin of EDGES: camera -> (bins,). zero_fraction: of all, recorded with steering 0."""

    counts: Mapping[str, IndexArray]
    zero_fraction: float
    total: int


def plot_steering(subject: Subject, path: Path) -> None:
    """Draw the histogram of the training samples, and of an epoch if balancing changes it, into a PNG.

    Raises NotDrawn if there are none.
    """
    data, most = subject.samples, subject.zero_fraction
    samples = data.samples[data.split_indices(TRAINING)]
    if not len(samples):
        raise NotDrawn("there are no training samples; make the store with a smaller --validation")
    before = steering_counts(samples, data.rows)
    after = steering_counts(balanced_samples(samples, data.rows, most, subject.seed), data.rows)
    drawn = {"as recorded": before, f"an epoch, balanced to {most:.0%} straight on": after}
    if after.total == before.total:
        why = "all are kept" if most >= 1 else f"no more than {most:.0%} go straight on: nothing is left out"
        drawn = {f"as recorded ({why})": before}
    figure = new_figure(7 if len(drawn) == 1 else 11, 4.6, "Steering of the training samples, corrections in it")
    all_axes = figure.subplots(1, len(drawn), sharey=True, squeeze=False)[0]
    for axes, (title, counts) in zip(all_axes, drawn.items(), strict=True):
        _draw_counts(axes, counts, title)
    all_axes[0].set_ylabel("samples in a bin of 0.05 (logarithmic)")
    save(figure, path)


def steering_counts(samples: SampleTable, rows: RowTable) -> SteeringCounts:
    """Count the samples by steering, including corrections; flipped samples count with the recorded sign."""
    recorded = np.where(samples["flipped"], -samples["steering"], samples["steering"])
    by_camera = {camera: recorded[samples["camera"] == number] for number, camera in enumerate(CAMERAS)}
    counts = {camera: np.histogram(values, EDGES)[0] for camera, values in by_camera.items() if len(values)}
    straight = int(has_zero_steering(samples["row"], rows).sum())
    return SteeringCounts(counts, straight / max(len(samples), 1), len(samples))


def balanced_samples(samples: SampleTable, rows: RowTable, zero_fraction: float, seed: int) -> SampleTable:
    """Return the samples of the first epoch, in their order; at most `zero_fraction` of them have zero steering."""
    order = np.arange(len(samples), dtype=np.uint32)
    return samples[balanced(order, has_zero_steering(samples["row"], rows), zero_fraction, seed, _FIRST_EPOCH)]


def _draw_counts(axes: Axes, figures: SteeringCounts, title: str) -> None:
    for camera, counts in figures.counts.items():
        color, style = _CAMERA_STYLES[camera]
        label = f"{camera} camera: {counts.sum():,}"
        axes.stairs(counts, EDGES, color=color, linestyle=style, linewidth=1.8, label=label, baseline=0.5)
    numbers = f"{figures.total:,} samples, {figures.zero_fraction:.1%} of them recorded with steering 0"
    axes.set_title(f"{title}\n{numbers}", fontsize=9)
    axes.set(yscale="log", xlabel="steering, left is negative", xlim=(-1.03, 1.03))
    axes.set_ylim(bottom=0.5)
    axes.yaxis.set_major_formatter("{x:,.0f}")  # powers of ten need fonts that may be missing
    tidy(axes)
    axes.legend(fontsize=9, loc="upper right")


def plot_recovery(subject: Subject, path: Path) -> None:
    """Draw which steering brings a car back to its line in how much time, and the corrections, into a PNG."""
    correction = subject.correction
    title = f"Steering that brings the car back from a side camera's place, {SIDE_CAMERA_M:.2f} m off its line"
    figure = new_figure(8, 4.8, title)
    axes = figure.subplots()
    backs = returns(correction, typical_speeds(np.asarray(subject.samples.rows["speed_mph"], np.float64)))
    for (speed_mph, steering, seconds), (color, style) in zip(backs, _SPEED_STYLES, strict=False):
        needed = [steering_back(SIDE_CAMERA_M, speed_mph * MPH, each) for each in _SECONDS_SHOWN]
        label = f"{speed_mph:g} mph"
        if math.isfinite(seconds):
            label += f": {steering:.3g} takes {seconds:.1f} s, {seconds * speed_mph * MPH:.0f} m"
            axes.plot([seconds], [steering], "o", color=color, zorder=4)
        axes.plot(_SECONDS_SHOWN, needed, style, color=color, linewidth=2, label=label)
    if isinstance(correction.steering, float):
        label = f"correction that the samples carry: {correction.steering:g}"
        axes.axhline(correction.steering, color=GRAY, linestyle=":", label=label)
    else:
        axes.plot([], [], " ", label=f"correction: auto, aiming {correction.lookahead_seconds:g} s ahead")
    axes.set(
        xlabel="seconds until it is back on its line, beginning parallel to it and holding the steering",
        ylabel=f"steering (1 is full lock, {FULL_LOCK_DEGREES:g} degrees)",
        xlim=(0, _SECONDS_SHOWN[-1]),
        ylim=(0, max(0.5, 1.6 * max(steering for _, steering, _ in backs))),
    )
    tidy(axes)
    axes.legend(fontsize=9)
    save(figure, path)


def returns(correction: Correction, speeds_mph: Sequence[float]) -> list[tuple[float, float, float]]:
    """Return how a car at the position of a side camera comes back: speed, steering, and after how many seconds."""
    speeds = np.array(speeds_mph, float)
    sides = (correction.of_camera("left", speeds) - correction.of_camera("right", speeds)) / 2
    return [
        (speed, steering, seconds_back(SIDE_CAMERA_M, speed * MPH, steering))
        for speed, steering in zip(speeds.tolist(), sides.tolist(), strict=True)
    ]


def typical_speeds(recorded_mph: FloatArray) -> list[float]:
    """Return the median of the recorded speeds, (rows,), and 10, 20 and 30 mph where they are not near it, sorted."""
    driven = recorded_mph[recorded_mph >= _LEAST_MPH]
    if not len(driven):
        return list(_USUAL_MPH)
    median = float(round(np.median(driven)))
    return sorted([median, *(speed for speed in _USUAL_MPH if abs(speed - median) >= _APART_MPH)])
