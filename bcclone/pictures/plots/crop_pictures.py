"""Draw what a network sees of a frame: a Subject -> a PNG of the frame, the input and its crop."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from bcclone.camera.images import Image
from bcclone.model.loaded_model import ModelFile
from bcclone.model.saliency import region_after_crops, seen_region
from bcclone.pictures.plots.style import RED, new_figure, save, show_image
from bcclone.pictures.plots.subject import Subject


def plot_crop(subject: Subject, path: Path) -> None:
    """Draw a frame, the network's input, and the cropped input into a PNG."""
    samples = subject.shown_samples()
    frame = subject.frame(int(samples[len(samples) // 2]))
    figure = new_figure(10, 3.0, "What the crop leaves of a frame")
    draw_crop(figure.subplots(1, 3, width_ratios=CROP_WIDTHS), subject.file, frame)
    save(figure, path)


CROP_WIDTHS = (2, 1, 1)  # of the axes that draw_crop() takes: a frame is twice as wide as high


def draw_crop(axes: Sequence[Axes], file: ModelFile, frame: Image) -> None:
    """Draw a frame, the network's input, and the cropped input into three axes."""
    prepared = file.preprocessing.apply(frame)
    frame_axes, input_axes, cropped_axes = axes
    _draw_frame(frame_axes, file, frame)
    _draw_input(input_axes, file, prepared)

    region = region_after_crops(file.model, file.preprocessing)
    first_column, first_row, end_column, end_row = region
    cropped = prepared[first_row:end_row, first_column:end_column]
    rows, columns = cropped.shape[:2]
    title = f"after the crop: {columns} x {rows},\nrows {first_row} to {end_row - 1}"
    show_image(cropped_axes, cropped, title)
    cropped_axes.set_yticks([0, rows - 1], [str(first_row), str(end_row - 1)])


def _draw_frame(axes: Axes, file: ModelFile, frame: Image) -> None:
    """Draw a frame, and on it a box around the part that the network sees."""
    height, width = frame.shape[:2]
    show_image(axes, frame, f"camera: {width} x {height}")
    # as fractions of the frame's size
    left, top, right, bottom = seen_region(file.model, file.preprocessing)
    corner = (left * width - 0.5, top * height - 0.5)
    seen_width = (right - left) * width
    seen_height = (bottom - top) * height
    outline = Rectangle(
        corner, seen_width, seen_height, fill=False, edgecolor=RED, linewidth=2, linestyle="--"
    )
    axes.add_patch(outline)
    axes.set_yticks([0, round(top * height), round(bottom * height) - 1, height - 1])
    axes.set_ylabel("row")


def _draw_input(axes: Axes, file: ModelFile, prepared: Image) -> None:
    """Draw the network's input, with lines where its cropping layer cuts."""
    height, width = prepared.shape[:2]
    name = "network's input"
    if file.seq_length > 1:
        name = f"each of {file.seq_length} frames"
    show_image(axes, prepared, f"{name}: {width} x {height}, {file.preprocessing.color}")
    _, first_row, _, end_row = region_after_crops(file.model, file.preprocessing)
    for row in (first_row, end_row):
        if 0 < row < height:
            axes.axhline(row - 0.5, color=RED, linewidth=2, linestyle="--")
    axes.set_yticks(sorted({0, first_row, end_row - 1, height - 1}))
