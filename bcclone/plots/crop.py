"""Show which part of a frame reaches the first convolution."""

from dataclasses import dataclass
from pathlib import Path

import keras
from matplotlib.patches import Rectangle

from bcclone.images import Image, Preprocessing
from bcclone.plots.style import RED, new_figure, save, show_image
from bcclone.plots.subject import Subject
from bcclone.saliency import cropped_edges, seen_region


@dataclass(frozen=True)
class CropSteps:
    """A camera frame (160, 320, 3), the network's input, and what remains of it after the cropping layers.

    first_row, last_row: of the input that remain; region: the rest of the frame as fractions of its size: left, top,
    right, bottom.
    """

    frame: Image
    prepared: Image
    kept: Image
    first_row: int
    last_row: int
    region: tuple[float, float, float, float]


def crop_steps(model: keras.Model, preprocessing: Preprocessing, frame: Image) -> CropSteps:
    """Apply the preprocessing to a frame, (160, 320, 3), and the cropping before the first convolution."""
    prepared = preprocessing.apply(frame)
    left, first, right, last = cropped_edges(model, preprocessing)
    kept = prepared[first:last, left:right]
    return CropSteps(frame, prepared, kept, first, last - 1, seen_region(model, preprocessing))


def plot_crop(subject: Subject, path: Path) -> None:
    """Draw a frame, the network's input, and the cropped input into a PNG."""
    samples = subject.frames.shown_samples()
    made = subject.file.preprocessing
    frame = subject.frames.frame(int(samples[len(samples) // 2]))
    steps = crop_steps(subject.file.model, made, frame)
    figure = new_figure(10, 3.0, "What the crop leaves of a frame")
    axes = figure.subplots(1, 3, width_ratios=[2, 1, 1])
    (frame_height, frame_width), (height, width) = frame.shape[:2], steps.prepared.shape[:2]
    left, top, right, bottom = steps.region
    show_image(axes[0], frame, f"camera: {frame_width} x {frame_height}")
    corner = (left * frame_width - 0.5, top * frame_height - 0.5)
    size = ((right - left) * frame_width, (bottom - top) * frame_height)
    axes[0].add_patch(Rectangle(corner, *size, fill=False, edgecolor=RED, linewidth=2, linestyle="--"))
    axes[0].set_yticks([0, round(top * frame_height), round(bottom * frame_height) - 1, frame_height - 1])
    each = f"each of {subject.file.seq_length} frames" if subject.file.seq_length > 1 else "network's input"
    show_image(axes[1], steps.prepared, f"{each}: {width} x {height}, {made.color}")
    for row in (steps.first_row, steps.last_row + 1):
        if 0 < row < height:
            axes[1].axhline(row - 0.5, color=RED, linewidth=2, linestyle="--")
    axes[1].set_yticks(sorted({0, steps.first_row, steps.last_row, height - 1}))
    kept_height, kept_width = steps.kept.shape[:2]
    title = f"after the crop: {kept_width} x {kept_height},\nrows {steps.first_row} to {steps.last_row}"
    show_image(axes[2], steps.kept, title)
    axes[2].set_yticks([0, kept_height - 1], [steps.first_row, steps.last_row])
    axes[0].set_ylabel("row")
    save(figure, path)
