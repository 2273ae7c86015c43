"""Draw training samples: a Subject -> PNGs of all samples of a log row, of windows of frames, and of a recovery."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib import colormaps

from bcclone.dataset.images import Image
from bcclone.dataset.preprocessing import seen_rows
from bcclone.dataset.sample_settings import PARTS, TRAINING
from bcclone.dataset.statistics import evenly
from bcclone.feed.augment import AugmentationInputs
from bcclone.feed.augment.on_cpu import CpuAugmenter, draw
from bcclone.feed.selection import lookahead_of
from bcclone.model.architectures import ARCHITECTURES
from bcclone.pictures.plots.predictions import predict, stretches
from bcclone.pictures.plots.style import ShownImage, save_images
from bcclone.pictures.plots.subject import NotDrawn, Subject
from bcclone.pictures.video.draw import SKY
from bcclone.recording.row import CAMERAS
from bcclone.recording.run_tables import read_trace
from bcclone.system.arrays import FloatArray, IndexArray

_AUGMENTED = 3
_QUANTILES = (0.02, 0.35, 0.65, 0.98)  # of the steering: a left bend, two nearly straight roads, a right bend
_MOST_FRAMES = 6  # of a window
_START_M, _END_M = 1.0, 0.1  # distance of a recovery from the centre line: at least at its start, at most at its end
_LONGEST_SECONDS = 4.0


@dataclass(frozen=True)
class ShownSample:
    """A sample's image, RGB uint8 (height, width, 3), as the network takes it, and its steering."""

    title: str
    image: Image
    steering: float

    def with_bar(self) -> Image:
        """Return the image with a bar below it, from the middle to the side of the steering."""
        height, width = self.image.shape[:2]
        bar, middle = np.full((height // 10, *self.image.shape[1:]), 255, np.uint8), width // 2
        left, right = sorted((middle, middle + round(self.steering * middle)))
        bar[2:-2, left : right + 1] = SKY[: bar.shape[2]]
        return np.vstack([self.image, bar])


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
        rows.append(list(map(ShownImage, map(ShownSample.with_bar, row), shown, steering)))
        above = titles
    save_images(path, rows, (1.6, 2.1), "Samples of one log row in each row, with their steering")


def spread_by_steering(subject: Subject, samples: IndexArray) -> list[int]:
    """Return a few of the samples, ordered from left steering to right steering."""
    ordered = samples[np.argsort(subject.table["steering"][samples], kind="stable")]
    ranks = np.unique([round(quantile * (len(ordered) - 1)) for quantile in _QUANTILES])
    return [int(ordered[rank]) for rank in ranks]


def samples_of_row(subject: Subject, index: int) -> list[ShownSample]:
    """Return the samples of one log row that exist: each camera, earlier frames, mirrored. index: any of them."""
    table, own = subject.table, int(subject.table["camera"][index])
    parts = [(name, (camera, 0, False)) for camera, name in enumerate(CAMERAS)]
    for offset in sorted({1, int(table["frame_offset"].max())} - {0}):
        earlier = "1 frame" if offset == 1 else f"{offset} frames"
        parts.append((f"{CAMERAS[own]},\n{earlier} earlier", (own, offset, False)))
    parts.append((f"{CAMERAS[own]}, mirrored", (own, 0, True)))
    of_row = np.flatnonzero(table["row"] == table["row"][index])
    found = {tuple(table[sample][["camera", "frame_offset", "flipped"]]): sample for sample in of_row[::-1]}
    existing = [(title, found[kind]) for title, kind in parts if kind in found]
    images = subject.images(np.array([sample for _, sample in existing]), subject.samples.preprocessing)
    return [
        ShownSample(title, image, float(table["steering"][sample]))
        for (title, sample), image in zip(existing, images, strict=True)
    ]


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
    rows = slice(None) if architecture and architecture.preset else seen_rows(data.preprocessing.height)
    augmenter = CpuAugmenter(subject.augment, data.preprocessing, rows)
    draws = draw(_AUGMENTED, (subject.seed, index))
    inputs = AugmentationInputs(sample["flipped"], lookahead_of(data, sample["row"]), *draws)
    changed = augmenter.augment(images, steering, inputs, into)[:, 0]
    return [ShownSample("augmented", image, float(value)) for image, value in zip(into, changed, strict=True)]


def _plot_windows(subject: Subject, path: Path) -> None:
    """Draw windows into a PNG, one in each row: its frames, oldest first, and the change from first to last."""
    windows, length = spread_windows(subject), subject.file.seq_length
    images = subject.inputs(windows)
    predicted = predict(subject.file.model, images)
    shown = evenly(length, _MOST_FRAMES).tolist()
    headings = [f"{length - 1 - number} before" for number in shown[:-1]] + ["newest frame", "change, first to last"]
    rows = []
    for window, of_window, steering in zip(windows, images, predicted, strict=True):
        sample = float(subject.table["steering"][window[-1]])
        texts = [*[""] * (len(shown) - 1), f"sample {sample:+.3f}\nnetwork {steering:+.3f}", ""]
        change = np.abs(of_window[-1].astype(np.int16) - of_window[0]).mean(axis=2)
        heat = colormaps["inferno"](change / max(change.max(), 1.0), bytes=True)[..., :3]
        rows.append(list(map(ShownImage, [*of_window[shown], heat], headings, texts)))
        headings = [""] * len(headings)
    save_images(path, rows, (1.9, 2.3), "Windows: each row is one input of the network")


def spread_windows(subject: Subject) -> IndexArray:
    """Return windows from a left bend to a right bend, (windows, seq_length); raises NotDrawn if there are none."""
    windows = subject.shown_windows()
    newest = windows[:, -1]
    return np.concatenate([windows[newest == index] for index in spread_by_steering(subject, newest)])


def find_recoveries(seconds: FloatArray, offset_m: FloatArray) -> list[IndexArray]:
    """Return three indices of each recovery, (3,): its first frame, half-way back, and the first on the centre line.

    Recoveries begin after a pause of the recording. seconds, offset_m: (samples,), as of located_samples().
    """
    recoveries = []
    for stretch in stretches(seconds):
        distance_m = np.abs(offset_m[stretch])
        soon = seconds[stretch] - seconds[stretch[0]] <= _LONGEST_SECONDS
        half = np.flatnonzero(soon & (distance_m <= distance_m[0] / 2))
        middle = np.flatnonzero(soon & (distance_m <= _END_M))
        if distance_m[0] >= _START_M and len(middle):
            recoveries.append(stretch[[0, half[0], middle[0]]])
    return recoveries


def located_samples(subject: Subject) -> tuple[IndexArray, FloatArray]:
    """Return samples of the centre camera, in the order of time, and how many metres right of the centre line they are.

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
        raise NotDrawn("the positions of the car are unknown: only `bcclone simulate record` writes a trace.csv")
    return samples[located], offset_m[located]


def plot_recovery_frames(subject: Subject, path: Path) -> None:
    """Draw the recovery from farthest to the left, and from the right, into a PNG; raises NotDrawn if there is none."""
    samples, offset_m = located_samples(subject)
    seconds, steering = subject.seconds(samples), subject.samples.rows["steering"][subject.table["row"][samples]]
    recoveries = sorted(find_recoveries(seconds, offset_m), key=lambda recovery: float(offset_m[recovery[0]]))
    chosen = [recovery for recovery in recoveries[:1] if offset_m[recovery[0]] < 0]
    chosen += [recovery for recovery in recoveries[-1:] if offset_m[recovery[0]] > 0]
    if not chosen:
        raise NotDrawn(
            f"there is no recovery from {_START_M:g} m or more off the centre line; record some, such as with: bcclone "
            "simulate record DIR --recoveries 8"
        )

    def shown(number: int, first: int) -> ShownImage:
        side = "right" if offset_m[number] > 0 else "left"
        texts = f"{abs(offset_m[number]):.2f} m {side} of the middle\nsteering {steering[number]:+.2f}"
        return ShownImage(subject.frame(int(samples[number])), f"{seconds[number] - seconds[first]:.1f} s", texts)

    rows = [[shown(number, recovery[0]) for number in recovery.tolist()] for recovery in chosen]
    title = "Recoveries: the recording begins when the car is off the middle, on its way back"
    save_images(path, rows, (3.3, 2.3), title)
