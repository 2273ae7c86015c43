"""Draw a frame on its way through a network: a Subject -> PNGs of its crop and of the maps of each convolution."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from bcclone.dataset.images import Image
from bcclone.model.layer_kinds import CONVOLUTIONS, frame_layers
from bcclone.model.model_file import ModelFile
from bcclone.model.saliency import cropped_edges, seen_region
from bcclone.pictures.plots.style import RED, new_figure, save, show_image
from bcclone.pictures.plots.subject import NotDrawn, Subject
from bcclone.system.arrays import Float32Array

CROP_WIDTHS = (2, 1, 1)
SHEET_WIDTH = 10  # inches
SHEETS_TITLE = "Activations of each convolution, each map in its own range (bright: high)"
_ACROSS = 16  # maps in a row
_MOST_MAPS = 64
_GAP = 0.12  # between two maps, as a fraction of their width


def plot_crop(subject: Subject, path: Path) -> None:
    """Draw a frame, the network's input, and the cropped input into a PNG."""
    samples = subject.shown_samples()
    frame = subject.frame(int(samples[len(samples) // 2]))
    figure = new_figure(10, 3.0, "What the crop leaves of a frame")
    draw_crop(figure.subplots(1, 3, width_ratios=CROP_WIDTHS), subject.file, frame)
    save(figure, path)


def draw_crop(axes: Sequence[Axes], file: ModelFile, frame: Image) -> None:
    """Draw a frame, the network's input, and the cropped input into three axes, whose widths are CROP_WIDTHS."""
    preprocessing = file.preprocessing
    prepared = preprocessing.apply(frame)
    (frame_height, frame_width), (height, width) = frame.shape[:2], prepared.shape[:2]
    left, top, right, bottom = seen_region(file.model, preprocessing)  # as fractions of the frame's size
    show_image(axes[0], frame, f"camera: {frame_width} x {frame_height}")
    corner = (left * frame_width - 0.5, top * frame_height - 0.5)
    size = ((right - left) * frame_width, (bottom - top) * frame_height)
    axes[0].add_patch(Rectangle(corner, *size, fill=False, edgecolor=RED, linewidth=2, linestyle="--"))
    axes[0].set_yticks([0, round(top * frame_height), round(bottom * frame_height) - 1, frame_height - 1])
    axes[0].set_ylabel("row")
    each = f"each of {file.seq_length} frames" if file.seq_length > 1 else "network's input"
    show_image(axes[1], prepared, f"{each}: {width} x {height}, {preprocessing.color}")
    first_column, first, end_column, end = cropped_edges(file.model, preprocessing)
    for row in (first, end):
        if 0 < row < height:
            axes[1].axhline(row - 0.5, color=RED, linewidth=2, linestyle="--")
    axes[1].set_yticks(sorted({0, first, end - 1, height - 1}))
    kept = prepared[first:end, first_column:end_column]
    kept_height, kept_width = kept.shape[:2]
    show_image(axes[2], kept, f"after the crop: {kept_width} x {kept_height},\nrows {first} to {end - 1}")
    axes[2].set_yticks([0, kept_height - 1], [str(first), str(end - 1)])


def plot_activations(subject: Subject, path: Path) -> None:
    """Draw the frame of the strongest steering, and every convolution's maps for it, into a PNG."""
    preprocessing, windows = subject.file.preprocessing, subject.shown_windows()
    strongest = np.argmax(np.abs(subject.table["steering"][windows[:, -1]]))
    image = subject.inputs(windows[[strongest]])[0]
    sheets = sheets_of(subject.file.model, image)
    heights = [sheet.height for sheet in sheets]
    figure = new_figure(SHEET_WIDTH, sum(heights) + 2.4, SHEETS_TITLE)
    axes = figure.subplots(len(sheets) + 1, 1, height_ratios=[1.6, *heights])
    newest = "" if image.ndim == 3 else f", the newest of {len(image)} frames"
    shown = image if image.ndim == 3 else image[-1]
    show_image(axes[0], shown, f"network's input, {preprocessing.width} x {preprocessing.height}{newest}")
    draw_sheets(axes[1:], sheets)
    save(figure, path)


@dataclass(frozen=True)
class Sheet:
    """The maps of a convolution, drawn together: float32 (rows, columns)."""

    title: str
    pixels: Float32Array

    @property
    def height(self) -> float:
        """The height of its axes in a figure of SHEET_WIDTH, in inches."""
        rows, columns = self.pixels.shape
        return float(9.4 * rows / columns + 0.3)


def sheets_of(model: keras.Model, image: Image) -> list[Sheet]:
    """Return a sheet of each convolution; takes and raises what activations() does."""
    sheets = []
    for name, maps in activations(model, image).items():
        rows, columns, channels = maps.shape
        part = f", the first {_MOST_MAPS} of them" if channels > _MOST_MAPS else ""
        sheets.append(Sheet(f"{name}: {channels} maps of {columns} x {rows}{part}", mosaic(maps)))
    return sheets


def draw_sheets(all_axes: Sequence[Axes], sheets: Sequence[Sheet]) -> None:
    for axes, sheet in zip(all_axes, sheets, strict=True):
        axes.imshow(sheet.pixels, cmap="viridis", interpolation="nearest")
        axes.set_title(sheet.title, fontsize=9, loc="left")
        axes.set_axis_off()


def activations(model: keras.Model, image: Image) -> dict[str, Float32Array]:
    """Return the output of every convolution, float32 (rows, columns, channels), by its name.

    image: the input, uint8 (height, width, channels), or a window of such frames, of which a network that takes them
    one by one is shown the newest. Raises NotDrawn without a convolution.
    """
    each_frame = frame_layers(model)
    values = keras.ops.cast(image[-1:] if each_frame else image[np.newaxis], model.inputs[0].dtype)
    outputs = {}
    for layer in each_frame or model.layers:
        values = layer(values, training=False)
        if isinstance(layer, CONVOLUTIONS):
            outputs[layer.name] = np.asarray(keras.ops.convert_to_numpy(values)[0], np.float32)
    if not outputs:
        raise NotDrawn("the network has no convolution, whose maps could be drawn; leave this picture out with --only")
    return outputs


def mosaic(maps: Float32Array) -> Float32Array:
    """Put maps, (rows, columns, channels), next to each other, each scaled to 0..1, with NaN between them.

    A constant map becomes 0.
    """
    maps = maps[..., :_MOST_MAPS]
    gap = max(1, round(_GAP * maps.shape[1]))
    least, most = maps.min(axis=(0, 1)), maps.max(axis=(0, 1))
    scaled = np.divide(maps - least, most - least, out=np.zeros_like(maps), where=most > least)
    whole_lines = (0, -maps.shape[2] % _ACROSS)
    padded = np.pad(scaled, ((0, gap), (0, gap), whole_lines), constant_values=np.nan)
    rows, columns, _ = padded.shape
    sheet = padded.reshape(rows, columns, -1, _ACROSS).transpose(2, 0, 3, 1).reshape(-1, columns * _ACROSS)
    return np.asarray(sheet[:-gap, :-gap], np.float32)
