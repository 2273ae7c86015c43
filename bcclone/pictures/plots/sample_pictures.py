"""Draw training samples: a Subject -> PNGs of all samples of a log row, of windows of frames, and of a recovery."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps

from bcclone.dataset.images import Image
from bcclone.dataset.preprocessing import seen_rows
from bcclone.dataset.sample_settings import PARTS, TRAINING
from bcclone.feed.augment.kinds import draw
from bcclone.feed.augment.on_cpu import CpuAugmenter
from bcclone.feed.selection import augmentation_inputs_of
from bcclone.model.architectures import ARCHITECTURES
from bcclone.pictures.plots.predictions import predict, stretches
from bcclone.pictures.plots.style import ShownImage, save_images
from bcclone.pictures.plots.subject import NotDrawn, SampleFrames, Subject
from bcclone.pictures.video.draw import SKY
from bcclone.recording.row import CAMERAS
from bcclone.recording.run_tables import TracePoint, read_trace
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


def plot_samples(subject: Subject, path: Path) -> None:
    """Draw the samples of some log rows, or windows of frames, into a PNG; raises NotDrawn if there are none."""
    if subject.file.seq_length > 1:
        _plot_windows(subject, path)
        return
    frames = subject.frames
    samples = frames.one_per_row(TRAINING)
    if not len(samples):
        raise NotDrawn("there are no training samples; make the store with a smaller --validation")
    chosen = spread_by_steering(frames, samples)
    rows = _grid([samples_of_row(frames, index) + augmented_samples(subject, index) for index in chosen])
    save_images(path, list(rows), (1.6, 2.1), "Samples of one log row in each row, with their steering")


def spread_by_steering(frames: SampleFrames, samples: IndexArray) -> list[int]:
    """Return a few of the samples, ordered from left steering to right steering."""
    ordered = samples[np.argsort(frames.table["steering"][samples], kind="stable")]
    ranks = np.unique([round(quantile * (len(ordered) - 1)) for quantile in _QUANTILES])
    return [int(ordered[rank]) for rank in ranks]


def samples_of_row(frames: SampleFrames, index: int) -> list[ShownSample]:
    """Return the samples of one log row that exist: each camera, earlier frames, mirrored. index: any of them."""
    table = frames.table
    sample_camera = int(table["camera"][index])
    largest_offset = int(table["frame_offset"].max())
    parts = [(CAMERAS[camera], camera, 0, False) for camera in range(len(CAMERAS))]
    parts += [
        (f"{CAMERAS[sample_camera]},\n{_earlier(offset)}", sample_camera, offset, False)
        for offset in sorted({1, largest_offset})
        if 0 < offset <= largest_offset
    ]
    parts += [(f"{CAMERAS[sample_camera]}, mirrored", sample_camera, 0, True)]
    samples = [(title, frames.find(index, camera, offset, flipped)) for title, camera, offset, flipped in parts]
    existing = [(title, sample) for title, sample in samples if sample is not None]
    images = frames.inputs(np.array([sample for _, sample in existing]), frames.data.preprocessing)
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
    data, sample = subject.frames.data, subject.frames.table[[index] * _AUGMENTED]
    images = subject.frames.inputs(np.full(_AUGMENTED, index), data.preprocessing)
    into, steering = np.empty_like(images), sample["steering"][:, np.newaxis]
    architecture = ARCHITECTURES.get(subject.file.training.network or "")
    rows = slice(None) if architecture and architecture.preset else seen_rows(data.preprocessing.height)
    augmenter = CpuAugmenter(subject.augment, data.preprocessing, rows)
    inputs = augmentation_inputs_of(data, sample["row"], sample["flipped"])
    draws = draw(_AUGMENTED, (subject.seed, index))
    changed = augmenter.augment(images, steering, inputs, draws, into)[:, 0]
    return [ShownSample("augmented", image, float(value)) for image, value in zip(into, changed, strict=True)]


def _earlier(frame_offset: int) -> str:
    return "1 frame earlier" if frame_offset == 1 else f"{frame_offset} frames earlier"


def _grid(grid: Sequence[Sequence[ShownSample]]) -> Iterator[list[ShownImage]]:
    """Yield rows of images, with the steering below each as a bar and a number; the same titles stand only once."""
    above: list[str] = []
    for row in grid:
        titles = [sample.title for sample in row]
        yield [
            ShownImage(_with_bar(sample), "" if titles == above else sample.title, f"{sample.steering + 0.0:+.3f}")
            for sample in row
        ]
        above = titles


def _with_bar(sample: ShownSample) -> Image:
    """Return the image of a sample with a bar below it, from the middle to the side of the steering."""
    height, width = sample.image.shape[:2]
    bar, middle = np.full((height // 10, *sample.image.shape[1:]), 255, np.uint8), width // 2
    left, right = sorted((middle, middle + round(sample.steering * middle)))
    bar[2:-2, left : right + 1] = SKY[: bar.shape[2]]
    return np.vstack([sample.image, bar])


def _plot_windows(subject: Subject, path: Path) -> None:
    """Draw windows into a PNG, one in each row: its frames, oldest first, and the change from first to last."""
    frames, windows = subject.frames, spread_windows(subject)
    images = subject.inputs(windows)
    predicted = predict(subject.file.model, images)
    shown = shown_frames(subject.file.seq_length)
    headings = [f"{subject.file.seq_length - 1 - number} before" for number in shown[:-1]]
    headings += ["newest frame", "change, first to last"]
    rows = []
    for window, of_window, steering in zip(windows, images, predicted, strict=True):
        sample = float(frames.table["steering"][window[-1]])
        texts = [*[""] * (len(shown) - 1), f"sample {sample:+.3f}\nnetwork {steering:+.3f}", ""]
        change = np.abs(of_window[-1].astype(np.int16) - of_window[0]).mean(axis=2)
        heat = colormaps["inferno"](change / max(change.max(), 1.0), bytes=True)[..., :3]
        pictures = [*(of_window[number] for number in shown), heat]
        rows.append([ShownImage(*each) for each in zip(pictures, headings, texts, strict=True)])
        headings = [""] * len(headings)
    save_images(path, rows, (1.9, 2.3), "Windows: each row is one input of the network")


def spread_windows(subject: Subject) -> IndexArray:
    """Return windows from a left bend to a right bend, (windows, seq_length); raises NotDrawn if there are none."""
    by_newest = {int(window[-1]): window for window in subject.shown_windows()}
    return np.stack([by_newest[index] for index in spread_by_steering(subject.frames, np.array(list(by_newest)))])


def shown_frames(seq_length: int) -> list[int]:
    """Return which frames of a window are drawn: all, or six spread evenly, including the first and the last."""
    spread = np.linspace(0, seq_length - 1, min(seq_length, _MOST_FRAMES))
    return [int(number) for number in spread.round()]


@dataclass(frozen=True)
class LocatedSamples:
    """Samples of the centre camera in the order of time; each array is (samples,).

    indices: in the table of samples; seconds: since 1970; offset_m: metres to the right of the centre line.
    """

    indices: IndexArray
    seconds: FloatArray
    offset_m: FloatArray


def find_recoveries(seconds: FloatArray, offset_m: FloatArray) -> list[IndexArray]:
    """Return three indices of each recovery, (3,): its first frame, half-way back, and the first on the centre line.

    Recoveries begin after a pause of the recording. seconds, offset_m: (samples,), as in LocatedSamples.
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


def locate_samples(frames: SampleFrames) -> LocatedSamples:
    """Return the samples whose position on the track is in the trace.csv of their recording.

    Raises NotDrawn if there is no trace, and UserError for a trace that cannot be read.
    """
    samples = np.concatenate([frames.one_per_row(part) for part in PARTS])
    samples = samples[np.argsort(frames.table["row"][samples], kind="stable")]
    traces: dict[Path, dict[str, TracePoint]] = {}
    offsets = np.full(len(samples), np.nan)
    for number, path in enumerate(map(frames.image_path, samples.tolist())):
        if path is None:
            continue
        image = Path(path)
        folder = image.parent.parent if image.parent.name == "IMG" else image.parent
        if folder not in traces:
            traces[folder] = read_trace(folder)
        if image.name in traces[folder]:
            offsets[number] = traces[folder][image.name].cross_track_m
    located = np.isfinite(offsets)
    if not located.any():
        raise NotDrawn("the positions of the car are unknown: only `bcclone simulate record` writes a trace.csv")
    return LocatedSamples(samples[located], frames.seconds(samples[located]), offsets[located])


def farthest_of_each_side(recoveries: Sequence[IndexArray], offset_m: FloatArray) -> list[IndexArray]:
    """Return the recovery that begins farthest to the left, and the one farthest to the right, if there are any."""
    ordered = sorted(recoveries, key=lambda recovery: float(offset_m[recovery[0]]))
    left = [recovery for recovery in ordered[:1] if offset_m[recovery[0]] < 0]
    return left + [recovery for recovery in ordered[-1:] if offset_m[recovery[0]] > 0]


def plot_recovery_frames(subject: Subject, path: Path) -> None:
    """Draw the recovery from farthest to the left, and from the right, into a PNG; raises NotDrawn if there is none."""
    located = locate_samples(subject.frames)
    chosen = farthest_of_each_side(find_recoveries(located.seconds, located.offset_m), located.offset_m)
    if not chosen:
        raise NotDrawn(
            f"there is no recovery from {_START_M:g} m or more off the centre line; record some, such as with: bcclone "
            "simulate record DIR --recoveries 8"
        )
    row = subject.frames.table["row"][located.indices]
    steering = subject.frames.data.rows["steering"][row]
    rows = [
        [
            ShownImage(
                subject.frames.frame(int(located.indices[number])),
                f"{located.seconds[number] - located.seconds[recovery[0]]:.1f} s",
                f"{_describe(located.offset_m[number])}\nsteering {steering[number]:+.2f}",
            )
            for number in recovery.tolist()
        ]
        for recovery in chosen
    ]
    title = "Recoveries: the recording begins when the car is off the middle, on its way back"
    save_images(path, rows, (3.3, 2.3), title)


def _describe(offset_m: float) -> str:
    return f"{abs(offset_m):.2f} m {'right' if offset_m > 0 else 'left'} of the middle"
