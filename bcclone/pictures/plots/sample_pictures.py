"""Draw samples: a Subject -> PNGs of the samples of some log rows, or of windows of frames."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps

from bcclone.camera.images import Image
from bcclone.dataset.sample_settings import TRAINING
from bcclone.feed.augment import AugmentationInputs
from bcclone.feed.augment.on_cpu import CpuAugmenter
from bcclone.feed.augment.random_numbers import draw
from bcclone.feed.selection import sample_lookaheads
from bcclone.model.architectures import ARCHITECTURES
from bcclone.pictures.drawing import SKY
from bcclone.pictures.plots.answer_pictures import predict
from bcclone.pictures.plots.style import ShownImage, save_images
from bcclone.pictures.plots.subject import NotDrawn, Subject
from bcclone.recording.row import CAMERAS
from bcclone.system.numbers import IndexArray, evenly


@dataclass(frozen=True)
class ShownSample:
    """A sample's image, as the network takes it, and its steering."""

    title: str
    image: Image  # RGB uint8 (height, width, 3)
    steering: float


def plot_samples(subject: Subject, path: Path) -> None:
    """Draw the samples of some log rows, with their steering, or windows of frames, into a PNG."""
    if subject.file.seq_length > 1:
        _plot_windows(subject, path)
        return
    training_samples = subject.one_per_row(TRAINING)
    if not len(training_samples):
        raise NotDrawn("there are no training samples; make the store with a smaller --validation")
    rows: list[list[ShownImage]] = []
    titles_above: list[str] = []
    for index in spread_by_steering(subject, training_samples):
        samples = samples_of_row(subject, index) + augmented_samples(subject, index)
        # titles that stand above already are not repeated
        titles = [sample.title for sample in samples]
        shown_titles = titles
        if titles == titles_above:
            shown_titles = [""] * len(titles)
        titles_above = titles
        rows.append(
            [
                ShownImage(_with_bar(sample), title, _signed(sample.steering))
                for sample, title in zip(samples, shown_titles, strict=True)
            ]
        )
    title = "Samples of one log row in each row, with their steering"
    save_images(path, rows, inches=(1.6, 2.1), title=title)


def _signed(steering: float) -> str:
    positive_zero = steering + 0.0  # no "-0.000"
    return f"{positive_zero:+.3f}"


def _with_bar(sample: ShownSample) -> Image:
    """Return the image with a bar below it, from the middle to the left or right."""
    height, width, channels = sample.image.shape
    bar = np.full((height // 10, width, channels), 255, np.uint8)
    middle = width // 2
    left, right = sorted((middle, middle + round(sample.steering * middle)))
    # white stays above and below
    bar[2:-2, left : right + 1] = SKY[:channels]
    return np.vstack([sample.image, bar])


def spread_by_steering(subject: Subject, samples: IndexArray) -> IndexArray:
    """Return a few of the samples, ordered from left steering to right steering."""
    # these quantiles of the steering are a left bend, two nearly straight roads, and a right bend
    quantiles = np.array([0.02, 0.35, 0.65, 0.98])
    ordered = samples[np.argsort(subject.table["steering"][samples], kind="stable")]
    places = np.round(quantiles * (len(ordered) - 1)).astype(int)
    return np.asarray(ordered[np.unique(places)])


def samples_of_row(subject: Subject, index: int) -> list[ShownSample]:
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
        kinds[f"{CAMERAS[camera]},\n{earlier} earlier"] = (camera, offset, False)
    kinds[f"{CAMERAS[camera]}, mirrored"] = (camera, 0, True)

    titles = [title for title, kind in kinds.items() if kind in sample_by_kind]
    samples = np.array([sample_by_kind[kinds[title]] for title in titles])
    images = subject.images(samples, subject.samples.preprocessing)
    steering = table["steering"][samples].tolist()
    return [
        ShownSample(title, image, value)
        for title, image, value in zip(titles, images, steering, strict=True)
    ]


_AUGMENTATIONS = 3  # number of augmentations that are shown of a sample


def augmented_samples(subject: Subject, index: int) -> list[ShownSample]:
    """Return a few augmentations of a sample; none if the training did not augment.

    As in training, only the rows that the network sees are changed.
    """
    if not subject.augment.augment:
        return []
    data = subject.samples
    sample = subject.table[[index] * _AUGMENTATIONS]
    images = subject.images(np.full(_AUGMENTATIONS, index), data.preprocessing)
    architecture = ARCHITECTURES.get(subject.file.training.network or "")
    # a published network sees whole images, and one of ours crops them first
    sees_whole_images = architecture is not None and architecture.is_published
    augmenter = CpuAugmenter(subject.augment, data.preprocessing, sees_whole_images)
    random_numbers = draw(_AUGMENTATIONS, (subject.seed, index))
    inputs = AugmentationInputs(
        sample["flipped"], sample_lookaheads(data, sample["row"]), *random_numbers
    )
    augmented = np.empty_like(images)
    steering = augmenter.augment(images, sample["steering"][:, np.newaxis], inputs, augmented)
    return [
        ShownSample("augmented", image, float(value))
        for image, value in zip(augmented, steering[:, 0], strict=True)
    ]


_MAX_FRAMES = 6  # most frames that are shown of a window


def _plot_windows(subject: Subject, path: Path) -> None:
    """Draw windows into a PNG, from a left bend to a right bend, one in each row.

    A row shows frames of the window, oldest first, and the change from its first to its last frame.
    """
    # a window's steering is that of its newest frame
    windows = subject.shown_windows()
    newest = windows[:, -1]
    chosen = [windows[newest == index] for index in spread_by_steering(subject, newest)]
    windows = np.concatenate(chosen)
    images = subject.inputs(windows)
    predicted = predict(subject.file.model, images)

    length = subject.file.seq_length
    shown = evenly(length, _MAX_FRAMES).tolist()
    headings = [f"{length - 1 - number} before" for number in shown[:-1]]
    headings += ["newest frame", "change, first to last"]
    rows = []
    for window, frames, steering in zip(windows, images, predicted, strict=True):
        # the frames of a window look nearly the same: their difference shows what a network of
        # windows knows more than a network of single frames
        change = np.abs(frames[-1].astype(np.int16) - frames[0]).mean(axis=2)
        heat = colormaps["inferno"](change / max(change.max(), 1.0), bytes=True)[..., :3]
        recorded = float(subject.table["steering"][window[-1]])
        texts = [""] * len(headings)  # only the newest frame, the last but one image, has a text
        texts[-2] = f"sample {recorded:+.3f}\nnetwork {steering:+.3f}"
        rows.append(list(map(ShownImage, [*frames[shown], heat], headings, texts)))
        headings = [""] * len(headings)  # they stand above the first row alone
    title = "Windows: each row is one input of the network"
    save_images(path, rows, inches=(1.9, 2.3), title=title)
