"""Samples -> how often each steering is learned, camera by camera, before and after balancing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from bcclone.feed.order import balanced, goes_straight
from bcclone.labels import Correction
from bcclone.plots.style import BLUE, GRAY, GREEN, ORANGE, RED, new_figure, save, tidy
from bcclone.plots.subject import NotDrawn, Subject
from bcclone.recording import CAMERAS
from bcclone.samples import RowTable, SampleTable
from bcclone.vehicle import FULL_LOCK_DEGREES, MPH, SIDE_CAMERA_M, seconds_back, steering_back

_USUAL_MPH = (10.0, 20.0, 30.0)
_APART_MPH = 4.0  # nearer curves could not be told apart
_LEAST_MPH = 3.0  # slower is no driving
_STYLES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (RED, ":"))
_SECONDS = np.linspace(0.3, 3.0, 200)


@dataclass(frozen=True)
class Return:
    """A correction at a speed: the car is back on its line after so many seconds and metres."""

    speed_mph: float
    correction: float
    seconds: float
    metres: float


def returns(correction: Correction, speeds_mph: Sequence[float]) -> list[Return]:
    """Return when a car that is where a side camera is has come back, at each speed."""
    speeds = np.array(speeds_mph, float)
    sides = (correction.of_camera("left", speeds) - correction.of_camera("right", speeds)) / 2
    found = []
    for speed, steering in zip(speeds.tolist(), sides.tolist(), strict=True):
        seconds = seconds_back(SIDE_CAMERA_M, speed * MPH, steering)
        found.append(Return(speed, steering, seconds, seconds * speed * MPH))
    return found


def typical_speeds(recorded_mph: npt.NDArray[np.float64]) -> list[float]:
    """Return the median speed of (rows,) and, of 10, 20 and 30 mph, those that are not near it; from slow to fast."""
    driven = recorded_mph[recorded_mph >= _LEAST_MPH]
    if not len(driven):
        return list(_USUAL_MPH)
    median = float(round(np.median(driven)))
    return sorted([median, *(speed for speed in _USUAL_MPH if abs(speed - median) >= _APART_MPH)])


def plot_recovery(subject: Subject, path: Path) -> None:
    """Draw the steering that brings the car back in a time, against the correction, into a PNG."""
    correction = subject.correction
    title = f"Steering that brings the car back from a side camera's place, {SIDE_CAMERA_M:.2f} m beside its line"
    figure = new_figure(8, 4.8, title)
    axes = figure.subplots()
    speeds = typical_speeds(subject.scenes.speeds_mph())
    backs = returns(correction, speeds)
    for back, (color, style) in zip(backs, _STYLES, strict=False):
        needed = [steering_back(SIDE_CAMERA_M, back.speed_mph * MPH, seconds) for seconds in _SECONDS]
        label = f"{back.speed_mph:g} mph"
        if math.isfinite(back.seconds):
            label += f": {back.correction:.3g} takes {back.seconds:.1f} s, {back.metres:.0f} m"
            axes.plot([back.seconds], [back.correction], "o", color=color, zorder=4)
        axes.plot(_SECONDS, needed, style, color=color, linewidth=2, label=label)
    if isinstance(correction.steering, float):
        label = f"correction that the samples carry: {correction.steering:g}"
        axes.axhline(correction.steering, color=GRAY, linestyle=":", label=label)
    else:
        axes.plot([], [], " ", label=f"correction: auto, aiming {correction.lookahead_seconds:g} s ahead")
    axes.set(
        xlabel="seconds until it is back on its line, beginning parallel to it and holding the steering",
        ylabel=f"steering (1 is full lock, {FULL_LOCK_DEGREES:g} degrees)",
        xlim=(0, _SECONDS[-1]),
        ylim=(0, max(0.5, 1.6 * max(back.correction for back in backs))),
    )
    tidy(axes)
    axes.legend(fontsize=9)
    save(figure, path)


EDGES = (np.arange(42) - 20.5) / 20  # bins of 0.05, one of them around 0
_CAMERA_STYLES = {"center": (BLUE, "-"), "left": (GREEN, "--"), "right": (RED, "-.")}
_FIRST_EPOCH = 1


@dataclass(frozen=True)
class SteeringCounts:
    """How many samples lie in each bin of EDGES, (bins,), by camera; which share of all was recorded going straight."""

    counts: dict[str, npt.NDArray[np.int64]]
    straight_share: float
    total: int


def steering_counts(samples: SampleTable, rows: RowTable) -> SteeringCounts:
    """Count the steering of samples, corrections in it; mirrored ones are counted as recorded."""
    recorded = np.where(samples["flipped"], -samples["steering"], samples["steering"])
    counts = {}
    for number, camera in enumerate(CAMERAS):
        of_camera = recorded[samples["camera"] == number]
        if len(of_camera):
            counts[camera] = np.histogram(of_camera, EDGES)[0]
    straight = goes_straight(samples, rows)
    return SteeringCounts(counts, float(straight.mean()) if len(samples) else 0.0, len(samples))


def balanced_samples(samples: SampleTable, rows: RowTable, share: float, seed: int) -> SampleTable:
    """Return the samples of the first epoch, in their order, of which at most `share` go straight on."""
    order = np.arange(len(samples), dtype=np.uint32)
    return samples[balanced(order, goes_straight(samples, rows), share, seed, _FIRST_EPOCH)]


def plot_steering(subject: Subject, path: Path) -> None:
    """Draw the histogram of the training samples into a PNG, and beside it that of an epoch after balancing.

    Raises NotDrawn where there are none.
    """
    samples = subject.scenes.samples[subject.scenes.data.split_indices(validation=False)]
    if not len(samples):
        raise NotDrawn("there are no training samples")
    rows, share = subject.scenes.data.rows, subject.zero_share
    before = steering_counts(samples, rows)
    after = steering_counts(balanced_samples(samples, rows, share, subject.seed), rows)
    alike = after.total == before.total
    why = "all are kept" if share >= 1 else f"no more than {share:.0%} go straight on: nothing is left out"
    figure = new_figure(7 if alike else 11, 4.6, "Steering of the training samples, corrections in it")
    axes = figure.subplots(1, 1 if alike else 2, sharey=True, squeeze=False)[0]
    _draw(axes[0], before, f"as recorded ({why})" if alike else "as recorded")
    if not alike:
        _draw(axes[1], after, f"an epoch, balanced to {share:.0%} straight on")
    axes[0].set_ylabel("samples in a bin of 0.05 (logarithmic)")
    save(figure, path)


def _draw(axes: Axes, figures: SteeringCounts, title: str) -> None:
    for camera, counts in figures.counts.items():
        color, style = _CAMERA_STYLES[camera]
        label = f"{camera} camera: {counts.sum():,}"
        axes.stairs(counts, EDGES, color=color, linestyle=style, linewidth=1.8, label=label, baseline=0.5)
    numbers = f"{figures.total:,} samples, {figures.straight_share:.1%} of them recorded with steering 0"
    axes.set_title(f"{title}\n{numbers}", fontsize=9)
    axes.set(yscale="log", xlabel="steering, left is negative", xlim=(-1.03, 1.03))
    axes.set_ylim(bottom=0.5)
    axes.yaxis.set_major_formatter("{x:,.0f}")  # powers of ten would ask for fonts that may be missing
    tidy(axes)
    axes.legend(fontsize=9, loc="upper right")
