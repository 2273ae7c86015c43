"""Instants -> the samples that are made of each, with the steering that they carry."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from bcclone.augment.on_cpu import CpuAugmenter
from bcclone.feed.selection import augmentation_inputs_of
from bcclone.images import Image
from bcclone.plots.predictions import predict
from bcclone.plots.style import BLUE, GRAY, new_figure, save, show_image
from bcclone.plots.subject import NotDrawn, Positions, Scenes, Subject
from bcclone.recording import CAMERAS

_AUGMENTED = 3
_QUANTILES = (0.02, 0.35, 0.65, 0.98)  # of the steering: a left bend, two that are nearly straight, a right bend


@dataclass(frozen=True)
class Variant:
    """An image, RGB uint8 (height, width, 3), as the network is shown it, and the steering that goes with it."""

    title: str
    image: Image
    steering: float


def spread_instants(scenes: Scenes, positions: Positions) -> list[int]:
    """Return some of the instants, (instants,), from steering to the left to steering to the right."""
    ordered = positions[np.argsort(scenes.samples["steering"][positions], kind="stable")]
    places = np.unique([round(share * (len(ordered) - 1)) for share in _QUANTILES])
    return [int(ordered[place]) for place in places]


def variants_of(scenes: Scenes, position: int) -> list[Variant]:
    """Return the samples of an instant: each camera, earlier frames, the mirrored one, as far as there are such."""
    own = int(scenes.samples["camera"][position])
    most = int(scenes.samples["frame_offset"].max())
    wanted = [(CAMERAS[camera], camera, 0, False) for camera in range(len(CAMERAS))]
    wanted += [(f"{CAMERAS[own]},\n{_earlier(lag)}", own, lag, False) for lag in sorted({1, most}) if 0 < lag <= most]
    wanted += [(f"{CAMERAS[own]}, mirrored", own, 0, True)]
    found = [(title, scenes.variant(position, camera, lag, flipped)) for title, camera, lag, flipped in wanted]
    there = [(title, place) for title, place in found if place is not None]
    images = scenes.inputs(np.array([place for _, place in there]), scenes.data.preprocessing)
    steering = scenes.samples["steering"]
    return [Variant(title, image, float(steering[place])) for (title, place), image in zip(there, images, strict=True)]


def augmented_of(subject: Subject, position: int) -> list[Variant]:
    """Return the sample as on-line augmentation would change it, some times; none where it is off."""
    if not subject.augment.augment:
        return []
    data, sample = subject.scenes.data, subject.scenes.samples[[position] * _AUGMENTED]
    images = subject.scenes.inputs(np.full(_AUGMENTED, position), data.preprocessing)
    into, steering = np.empty_like(images), sample["steering"][:, np.newaxis]
    augmenter, inputs = CpuAugmenter(subject.augment, data.preprocessing), augmentation_inputs_of(data, sample)
    changed = augmenter.augment(images, steering, inputs, (subject.seed, position), into)[:, 0]
    return [Variant("augmented", image, float(value)) for image, value in zip(into, changed, strict=True)]


def _earlier(lag: int) -> str:
    return "1 frame earlier" if lag == 1 else f"{lag} frames earlier"


def plot_samples(subject: Subject, path: Path) -> None:
    """Draw some instants and the samples made of them into a PNG; raises NotDrawn where there are none."""
    scenes = subject.scenes
    instants = scenes.instants(validation=False)
    if not len(instants):
        raise NotDrawn("there are no training samples")
    chosen = spread_instants(scenes, instants)
    plot_variants([variants_of(scenes, position) + augmented_of(subject, position) for position in chosen], path)


def plot_variants(grid: Sequence[Sequence[Variant]], path: Path) -> None:
    """Draw rows of variants into a PNG, each with its steering below: a bar from the middle, and the number."""
    across = max(len(row) for row in grid)
    figure = new_figure(1.6 * across, 2.1 * len(grid) + 0.4, "Samples: a row is an instant; below each its steering")
    panels = figure.subplots(len(grid), across, squeeze=False)
    above: list[str] = []
    for row, of_row in zip(grid, panels, strict=True):
        for axes in of_row[len(row) :]:
            axes.set_axis_off()
        titles = [variant.title for variant in row]
        for variant, axes in zip(row, of_row, strict=False):
            _draw(axes, variant, variant.title if titles != above else "")
        above = titles
    save(figure, path)


def _draw(axes: Axes, variant: Variant, title: str) -> None:
    height, width = variant.image.shape[:2]
    show_image(axes, variant.image, title)
    below = 1.08 * height
    axes.plot([0, width], [below, below], color=GRAY, linewidth=0.8)
    axes.plot([width / 2] * 2, [1.04 * height, 1.12 * height], color=GRAY, linewidth=0.8)
    axes.barh([below], [variant.steering * width / 2], left=width / 2, height=0.06 * height, color=BLUE)
    axes.set_xlabel(f"{variant.steering + 0.0:+.3f}", fontsize=9)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(1.15 * height, -0.5))
    axes.spines[:].set_visible(False)


_MOST_FRAMES = 6


def shown_frames(seq_length: int) -> list[int]:
    """Return which frames of a window are shown: all, or six spread evenly, the first and the last among them."""
    spread = np.linspace(0, seq_length - 1, min(seq_length, _MOST_FRAMES))
    return [int(place) for place in spread.round()]


def spread_windows(subject: Subject) -> Positions:
    """Return windows from a bend to the left to one to the right: positions of samples (windows, seq_length).

    Raises NotDrawn where there are none.
    """
    by_last = {int(window[-1]): window for window in subject.shown_windows()}
    return np.stack([by_last[position] for position in spread_instants(subject.scenes, np.array(list(by_last)))])


def plot_windows(subject: Subject, path: Path) -> None:
    """Draw windows into a PNG, each a row with its newest frame last, and what changed from the first to it."""
    scenes, windows = subject.scenes, spread_windows(subject)
    images = subject.inputs(windows)
    predicted = predict(subject.file.model, images)
    columns = shown_frames(subject.file.seq_length)
    title = "Windows: a row is what the network is shown at once"
    figure = new_figure(1.9 * (len(columns) + 1), 2.3 * len(windows) + 0.4, title)
    panels = figure.subplots(len(windows), len(columns) + 1, squeeze=False)
    for axes, window, frames, steering in zip(panels, windows, images, predicted, strict=True):
        _draw_frames(axes, [frames[column] for column in columns])
        sample = float(scenes.samples["steering"][window[-1]])
        axes[-2].set_xlabel(f"sample {sample:+.3f}\nnetwork {steering:+.3f}", fontsize=9)
    earlier = [f"{subject.file.seq_length - 1 - column} before" for column in columns[:-1]]
    for axes, heading in zip(panels[0], [*earlier, "newest frame", "change, first to last"], strict=True):
        axes.set_title(heading, fontsize=9)
    save(figure, path)


def _draw_frames(axes: Sequence[Axes], frames: Sequence[Image]) -> None:
    for one, frame in zip(axes, [*frames, frames[-1]], strict=True):
        show_image(one, frame)
    change = np.abs(frames[-1].astype(np.int16) - frames[0]).mean(axis=2)
    axes[-1].imshow(change, cmap="inferno", vmin=0)
