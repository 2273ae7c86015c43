"""Samples -> how often each steering is learned, camera by camera, before and after balancing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from bcclone.feed.balance import balanced, goes_straight
from bcclone.plots.figure import BLUE, GREEN, RED, new_figure, save, tidy
from bcclone.plots.subject import NotDrawn, Subject
from bcclone.recording import CAMERAS
from bcclone.samples import RowTable, SampleTable

EDGES = (np.arange(42) - 20.5) / 20  # bins of 0.05, one of them around 0
_STYLES = {"center": (BLUE, "-"), "left": (GREEN, "--"), "right": (RED, "-.")}
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
    samples = subject.scenes.samples[subject.scenes.data.part(validation=False)]
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
        color, style = _STYLES[camera]
        label = f"{camera} camera: {counts.sum():,}"
        axes.stairs(counts, EDGES, color=color, linestyle=style, linewidth=1.8, label=label, baseline=0.5)
    numbers = f"{figures.total:,} samples, {figures.straight_share:.1%} of them recorded with steering 0"
    axes.set_title(f"{title}\n{numbers}", fontsize=9)
    axes.set(yscale="log", xlabel="steering, left is negative", xlim=(-1.03, 1.03))
    axes.set_ylim(bottom=0.5)
    axes.yaxis.set_major_formatter("{x:,.0f}")  # powers of ten would ask for fonts that may be missing
    tidy(axes)
    axes.legend(fontsize=9, loc="upper right")
