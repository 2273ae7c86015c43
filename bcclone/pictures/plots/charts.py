"""Draw charts of a training: a Subject -> PNGs of its losses, of the steering of its samples, of
the side cameras' corrections, and of the recoveries in its recordings.
"""

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
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
from bcclone.system.arrays import FloatArray, IndexArray
from bcclone.training.training_state import best_epoch

EDGES = (np.arange(42) - 20.5) / 20  # bins of 0.05, one of them centred on 0
_CAMERA_STYLES = {"center": (BLUE, "-"), "left": (GREEN, "--"), "right": (RED, "-.")}
_FIRST_EPOCH = 1

_USUAL_MPH = (10.0, 20.0, 30.0)
_APART_MPH = 4.0  # nearer curves would overlap
_LEAST_MPH = 3.0  # slower rows are not driving
_SPEED_STYLES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (RED, ":"))
_START_M, _END_M = (
    1.0,
    0.1,
)  # distance of a recovery from the centre line: at least at its start, at most at its end
_MAX_SECONDS = 4.0
_SECONDS_SHOWN = np.linspace(0.3, 3.0, 200)


def plot_history(subject: Subject, path: Path) -> None:
    """Draw the training and validation errors over the epochs into a PNG, and the learning rate if
    it changes.

    Raises NotDrawn without a history.
    """
    history = subject.history
    if not history:
        raise NotDrawn(
            "there is no history: no run folder holds this model; name their folder with --runs"
        )
    epochs, rates = (
        [getattr(epoch, name) for epoch in history] for name in ("epoch", "learning_rate")
    )
    best, count = best_epoch(history).epoch, 3 if len(set(rates)) > 1 else 2
    figure = new_figure(7, 2.6 * count)
    all_axes = figure.subplots(count, sharex=True)
    for axes, name, label in zip(
        all_axes, ("loss", "mae"), ("loss", "mean absolute error"), strict=False
    ):
        for key, style, color, of in (
            (name, "o-", BLUE, "training (with dropout)"),
            (f"val_{name}", "s-", RED, "validation"),
        ):
            values = np.array(
                [getattr(epoch, key) for epoch in history], np.float64
            )  # NaN for None
            if np.isfinite(values).any():
                axes.plot(epochs, values, style, color=color, label=of)
        axes.axvline(best, color=GRAY, linestyle=":", label=f"best: epoch {best}")
        axes.set(ylabel=f"{label}\nof the steering", ylim=(0, None))
    if count == 3:
        rate = all_axes[2]
        rate.step(epochs, rates, where="mid", color=GRAY)
        rate.set(ylabel="learning rate", yscale="log")
        rate.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        rate.yaxis.set_major_formatter("{x:g}")  # powers of ten need fonts that may be missing
        rate.yaxis.set_minor_formatter(NullFormatter())
    tidy(*all_axes)
    all_axes[0].legend(fontsize=9)
    all_axes[-1].set_xlabel("epoch")
    all_axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    save(figure, path)


def plot_steering(subject: Subject, path: Path) -> None:
    """Draw the histogram of the training samples, and of an epoch if balancing changes it, into a
    PNG.

    Raises NotDrawn if there are none.
    """
    data, most = subject.samples, subject.zero_fraction
    samples = data.samples[data.split_indices(TRAINING)]
    if not len(samples):
        raise NotDrawn("there are no training samples; make the store with a smaller --validation")
    straight, before = (
        has_zero_steering(samples["row"], data.rows),
        np.arange(len(samples), dtype=np.uint32),
    )
    after = balanced(before, straight, most, subject.seed, _FIRST_EPOCH)
    drawn = {"as recorded": before, f"an epoch, balanced to {most:.0%} straight on": after}
    if len(after) == len(before):
        why = (
            "all are kept"
            if most >= 1
            else f"no more than {most:.0%} go straight on: nothing is left out"
        )
        drawn = {f"as recorded ({why})": before}
    figure = new_figure(
        7 if len(drawn) == 1 else 11, 4.6, "Steering of the training samples, corrections in it"
    )
    all_axes = figure.subplots(1, len(drawn), sharey=True, squeeze=False)[0]
    for axes, (title, chosen) in zip(all_axes, drawn.items(), strict=True):
        for camera, counts in steering_counts(samples[chosen]).items():
            color, style = _CAMERA_STYLES[camera]
            label = f"{camera} camera: {counts.sum():,}"
            axes.stairs(
                counts,
                EDGES,
                color=color,
                linestyle=style,
                linewidth=1.8,
                label=label,
                baseline=0.5,
            )
        numbers = f"{len(chosen):,} samples, {straight[chosen].mean():.1%} of them recorded with steering 0"
        axes.set_title(f"{title}\n{numbers}", fontsize=9)
        axes.set(yscale="log", xlabel="steering, left is negative", xlim=(-1.03, 1.03))
        axes.set_ylim(bottom=0.5)
        axes.yaxis.set_major_formatter("{x:,.0f}")  # powers of ten need fonts that may be missing
        axes.legend(fontsize=9, loc="upper right")
    tidy(*all_axes)
    all_axes[0].set_ylabel("samples in a bin of 0.05 (logarithmic)")
    save(figure, path)


def steering_counts(samples: SampleTable) -> dict[str, IndexArray]:
    """Count the samples by camera and steering, corrections included, in the bins of EDGES,
    (bins,).

    Flipped samples count with the recorded sign.
    """
    recorded = np.where(samples["flipped"], -samples["steering"], samples["steering"])
    by_camera = {
        camera: recorded[samples["camera"] == number] for number, camera in enumerate(CAMERAS)
    }
    return {
        camera: np.histogram(values, EDGES)[0]
        for camera, values in by_camera.items()
        if len(values)
    }


def plot_recovery(subject: Subject, path: Path) -> None:
    """Draw which steering brings a car back to its line in how much time, and the corrections, into
    a PNG.
    """
    settings = subject.corrected
    title = f"Steering that brings the car back from a side camera's place, {SIDE_CAMERA_M:.2f} m off its line"
    figure = new_figure(8, 4.8, title)
    axes = figure.subplots()
    backs = returns(
        settings, typical_speeds(np.asarray(subject.samples.rows["speed_mph"], np.float64))
    )
    for (speed_mph, steering, seconds), (color, style) in zip(backs, _SPEED_STYLES, strict=False):
        needed = [steering_back(SIDE_CAMERA_M, speed_mph * MPH, each) for each in _SECONDS_SHOWN]
        label = f"{speed_mph:g} mph"
        if math.isfinite(seconds):
            label += f": {steering:.3g} takes {seconds:.1f} s, {seconds * speed_mph * MPH:.0f} m"
            axes.plot([seconds], [steering], "o", color=color, zorder=4)
        axes.plot(_SECONDS_SHOWN, needed, style, color=color, linewidth=2, label=label)
    if isinstance(settings.correction, float):
        label = f"correction that the samples carry: {settings.correction:g}"
        axes.axhline(settings.correction, color=GRAY, linestyle=":", label=label)
    else:
        axes.plot(
            [], [], " ", label=f"correction: auto, aiming {settings.lookahead_seconds:g} s ahead"
        )
    axes.set(
        xlabel="seconds until it is back on its line, beginning parallel to it and holding the steering",
        ylabel=f"steering (1 is full lock, {FULL_LOCK_DEGREES:g} degrees)",
        xlim=(0, _SECONDS_SHOWN[-1]),
        ylim=(0, max(0.5, 1.6 * max(steering for _, steering, _ in backs))),
    )
    tidy(axes)
    axes.legend(fontsize=9)
    save(figure, path)


def returns(
    settings: SampleSettings, speeds_mph: Sequence[float]
) -> list[tuple[float, float, float]]:
    """Return how a car at the position of a side camera comes back: speed, steering, and after how
    many seconds.
    """
    speeds = np.array(speeds_mph, float)
    left, right = (camera_correction(settings, side, speeds) for side in ("left", "right"))
    return [
        (speed, steering, seconds_back(SIDE_CAMERA_M, speed * MPH, steering))
        for speed, steering in zip(speeds.tolist(), ((left - right) / 2).tolist(), strict=True)
    ]


def typical_speeds(recorded_mph: FloatArray) -> list[float]:
    """Return the median of the recorded speeds, (rows,), and 10, 20 and 30 mph where they are not
    near it, sorted.
    """
    driven = recorded_mph[recorded_mph >= _LEAST_MPH]
    if not len(driven):
        return list(_USUAL_MPH)
    median = float(round(np.median(driven)))
    return sorted([median, *(speed for speed in _USUAL_MPH if abs(speed - median) >= _APART_MPH)])


def find_recoveries(seconds: FloatArray, offset_m: FloatArray) -> list[IndexArray]:
    """Return three indices of each recovery, (3,): its first frame, half-way back, and the first on
    the centre line.

    Recoveries begin after a pause of the recording. seconds, offset_m: (samples,), as of
    located_samples().
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
    """Return samples of the centre camera, in the order of time, and how many metres right of the
    centre line they are.

    Raises NotDrawn if no recording has a trace.csv, and UserError for one that cannot be read.
    """
    samples = np.concatenate([subject.one_per_row(part) for part in PARTS])
    samples = samples[np.argsort(subject.table["row"][samples], kind="stable")]
    trace_of, offset_m = cache(read_trace), np.full(len(samples), np.nan)
    for number, path in enumerate(map(subject.image_path, samples.tolist())):
        if path:
            folder, name = Path(path).parent, Path(path).name
            point = trace_of(folder.parent if folder.name == "IMG" else folder).get(name)
            offset_m[number] = point.cross_track_m if point else np.nan
    located = np.isfinite(offset_m)
    if not located.any():
        raise NotDrawn(
            "the positions of the car are unknown: only `bcclone simulate record` writes a trace.csv"
        )
    return samples[located], offset_m[located]


def plot_recovery_frames(subject: Subject, path: Path) -> None:
    """Draw the recovery from farthest to the left, and from the right, into a PNG; raises NotDrawn
    if there is none.
    """
    samples, offset_m = located_samples(subject)
    seconds, steering = (
        subject.seconds(samples),
        subject.samples.rows["steering"][subject.table["row"][samples]],
    )
    recoveries = sorted(
        find_recoveries(seconds, offset_m), key=lambda recovery: float(offset_m[recovery[0]])
    )
    chosen = [recovery for recovery in recoveries[:1] if offset_m[recovery[0]] < 0]
    chosen += [recovery for recovery in recoveries[-1:] if offset_m[recovery[0]] > 0]
    if not chosen:
        raise NotDrawn(
            f"there is no recovery from {_START_M:g} m or more off the centre line; record some, such as with: bcclone "
            "simulate record DIR --recoveries 8"
        )

    def shown(number: int, first: int) -> ShownImage:
        side = "right" if offset_m[number] > 0 else "left"
        texts = (
            f"{abs(offset_m[number]):.2f} m {side} of the middle\nsteering {steering[number]:+.2f}"
        )
        return ShownImage(
            subject.frame(int(samples[number])), f"{seconds[number] - seconds[first]:.1f} s", texts
        )

    rows = [[shown(number, recovery[0]) for number in recovery.tolist()] for recovery in chosen]
    title = "Recoveries: the recording begins when the car is off the middle, on its way back"
    save_images(path, rows, (3.3, 2.3), title)
