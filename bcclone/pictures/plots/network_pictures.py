"""Draw a network: a Subject -> PNGs of its layers, of the crop of a frame, and of the maps of each
convolution.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from matplotlib.axes import Axes
from matplotlib.patches import Polygon, Rectangle

from bcclone.camera.images import Image
from bcclone.model.layer_kinds import (
    CONVOLUTIONS,
    DROPOUT,
    frame_layers,
    layer_kind,
    random_strength,
)
from bcclone.model.loaded_model import ModelFile
from bcclone.model.saliency import cropped_edges, seen_region
from bcclone.pictures.plots.style import BLUE, GREEN, ORANGE, RED, new_figure, save, show_image
from bcclone.pictures.plots.subject import NotDrawn, Subject
from bcclone.system.arrays import Float32Array

# of the diagram, in its units
_TALLEST, _LONGEST = 3.3, 2.1  # highest box of an image, its depth included, and of a vector
_STEP = 1.35  # between the middles of two boxes
_CHANNEL, _OBLIQUE = 0.05, 0.25  # width of one channel; foreshortening of the depth

CROP_WIDTHS = (2, 1, 1)
SHEET_WIDTH = 10  # inches
SHEETS_TITLE = "Activations of each convolution, each map in its own range (bright: high)"
_ACROSS = 16  # maps in a row
_MAX_MAPS = 64
_GAP = 0.12  # between two maps, as a fraction of their width


@dataclass(frozen=True)
class Stage:
    """A layer with a box of its own.

    shape: of the output, without the batch; detail: kernel and strides, cropped rows, or the
    activation; notes: the layers after it that do not change the shape.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...]
    detail: str
    parameters: int
    notes: tuple[str, ...] = ()

    @property
    def box(self) -> tuple[float, float, float]:
        """Width, height and depth of its box, unscaled: square roots of rows, columns and a
        vector's length.
        """
        extents = [math.sqrt(max(extent or 1, 1)) for extent in self.shape]
        if len(extents) < 3:
            return 2 * _CHANNEL, extents[-1], 0.0
        rows, columns, channels = extents[-3:]
        return _CHANNEL * channels, rows, _OBLIQUE * columns


def stages_of(model: keras.Model) -> list[Stage]:
    """Return the network's input and its layers in order."""
    shape = model.input_shape if isinstance(model.input_shape, tuple) else model.input_shape[0]
    stages = [Stage("input", "", tuple(shape[1:]), str(model.inputs[0].dtype), 0)]
    for layer, shape in _layers_of(model):
        parameters, last = int(layer.count_params()), stages[-1]
        if layer_kind(layer).keeps_pixels and shape == last.shape:
            kind, strength = (
                "dropout" if isinstance(layer, DROPOUT) else "noise",
                random_strength(layer),
            )
            note = layer.name if strength is None else f"{kind} {strength:g}"
            stages[-1] = replace(
                last, parameters=last.parameters + parameters, notes=(*last.notes, note)
            )
        else:
            stages.append(
                Stage(layer.name, type(layer).__name__, shape, _detail(layer), parameters)
            )
    return stages


def _layers_of(model: keras.Model) -> Iterator[tuple[keras.Layer, tuple[int | None, ...]]]:
    """Yield each layer and the shape of its output, including the layers of a network inside
    TimeDistributed.
    """
    for layer in model.layers:
        shape = tuple(layer.output.shape[1:])
        if isinstance(layer, layers.TimeDistributed) and isinstance(layer.layer, keras.Sequential):
            yield from (
                (inner, (shape[0], *inner.output.shape[1:])) for inner in layer.layer.layers
            )
        elif not isinstance(layer, layers.InputLayer):
            yield layer, shape


def _detail(layer: keras.Layer) -> str:
    """Describe the kernel, the cropping and the activation of a layer, a line each."""
    inner: Any = getattr(layer, "layer", layer)  # of a wrapper such as TimeDistributed
    words = []
    if kernel := getattr(inner, "kernel_size", None):
        words.append(f"{_by(kernel)}, stride {inner.strides[0]}")
    elif pool := getattr(inner, "pool_size", None):
        words.append(_by(pool))
    elif isinstance(inner, layers.Cropping2D):
        (top, bottom), (left, right) = inner.cropping
        words.append(
            f"rows -{top} -{bottom}" + (f"\ncolumns -{left} -{right}" if left or right else "")
        )
    activation = getattr(getattr(inner, "activation", None), "__name__", "linear")
    return "\n".join([*words, *([] if activation == "linear" else [activation])])


def _by(extents: Sequence[int | None]) -> str:
    return "x".join("?" if extent is None else str(extent) for extent in extents)


def plot_network(subject: Subject, path: Path) -> None:
    """Draw the layers as boxes to scale, in oblique projection, with their shapes and weights, into
    a PNG.
    """
    model = subject.file.model
    stages = stages_of(model)
    figure = new_figure(max(8.0, 1.1 * len(stages)), 4.9)
    figure.suptitle(f"{model.name}: {model.count_params():,} parameters", fontsize=12)
    figure.supxlabel(
        "outputs in rows x columns x channels; boxes are scaled by the square root of rows, columns and channels, "
        "or of a vector's length",
        fontsize=8,
    )
    axes = figure.subplots()
    pixel = _TALLEST / max(
        (sum(stage.box[1:]) for stage in stages if len(stage.shape) >= 3), default=1.0
    )
    unit = _LONGEST / max((stage.box[1] for stage in stages if len(stage.shape) < 3), default=1.0)
    for number, stage in enumerate(stages):
        middle, scale = number * _STEP, pixel if len(stage.shape) >= 3 else unit
        width, top, depth = stage.box[0], scale * stage.box[1], scale * stage.box[2]
        left, right = middle - (width + depth) / 2, middle + (width - depth) / 2
        color = ORANGE if stage.kind == "" else BLUE if len(stage.shape) >= 3 else GREEN
        front = [(left, 0.0), (right, 0.0), (right, top), (left, top)]
        side = [(right, 0.0), (right + depth, depth), (right + depth, top + depth), (right, top)]
        lid = [(left, top), (right, top), (right + depth, top + depth), (left + depth, top + depth)]
        for corners, alpha in ((front, 0.75), (side, 0.45), (lid, 0.3)):
            axes.add_patch(
                Polygon(corners, facecolor=color, alpha=alpha, edgecolor="black", linewidth=0.6)
            )
        axes.text(middle, -0.12, stage.name, ha="center", va="top", fontsize=9, fontweight="bold")
        parameters = f"{stage.parameters:,} weights" if stage.parameters else ""
        lines = [
            stage.kind,
            _by(stage.shape),
            stage.detail,
            parameters,
            *(f"+ {note}" for note in stage.notes),
        ]
        text = "\n".join(filter(None, lines))
        axes.text(middle, -0.36, text, ha="center", va="top", fontsize=8, linespacing=1.25)
    axes.set(xlim=(-0.65, len(stages) * _STEP - 0.55), ylim=(-1.5, _TALLEST + 0.1), aspect="equal")
    axes.set_axis_off()
    save(figure, path)


def plot_crop(subject: Subject, path: Path) -> None:
    """Draw a frame, the network's input, and the cropped input into a PNG."""
    samples = subject.shown_samples()
    frame = subject.frame(int(samples[len(samples) // 2]))
    figure = new_figure(10, 3.0, "What the crop leaves of a frame")
    draw_crop(figure.subplots(1, 3, width_ratios=CROP_WIDTHS), subject.file, frame)
    save(figure, path)


def draw_crop(axes: Sequence[Axes], file: ModelFile, frame: Image) -> None:
    """Draw a frame, the network's input, and the cropped input into three axes, whose widths are
    CROP_WIDTHS.
    """
    preprocessing = file.preprocessing
    prepared = preprocessing.apply(frame)
    (frame_height, frame_width), (height, width) = frame.shape[:2], prepared.shape[:2]
    left, top, right, bottom = seen_region(
        file.model, preprocessing
    )  # as fractions of the frame's size
    show_image(axes[0], frame, f"camera: {frame_width} x {frame_height}")
    corner = (left * frame_width - 0.5, top * frame_height - 0.5)
    size = ((right - left) * frame_width, (bottom - top) * frame_height)
    axes[0].add_patch(
        Rectangle(corner, *size, fill=False, edgecolor=RED, linewidth=2, linestyle="--")
    )
    axes[0].set_yticks(
        [0, round(top * frame_height), round(bottom * frame_height) - 1, frame_height - 1]
    )
    axes[0].set_ylabel("row")
    each = f"each of {file.seq_length} frames" if file.seq_length > 1 else "network's input"
    show_image(axes[1], prepared, f"{each}: {width} x {height}, {preprocessing.color}")
    first_column, first, end_column, end = cropped_edges(file.model, preprocessing)
    for row in (first, end):
        if 0 < row < height:
            axes[1].axhline(row - 0.5, color=RED, linewidth=2, linestyle="--")
    axes[1].set_yticks(sorted({0, first, end - 1, height - 1}))
    cropped = prepared[first:end, first_column:end_column]
    rows, columns = cropped.shape[:2]
    show_image(axes[2], cropped, f"after the crop: {columns} x {rows},\nrows {first} to {end - 1}")
    axes[2].set_yticks([0, rows - 1], [str(first), str(end - 1)])


def plot_activations(subject: Subject, path: Path) -> None:
    """Draw the frame of the strongest steering, and every convolution's maps for it, into a PNG."""
    preprocessing, windows = subject.file.preprocessing, subject.shown_windows()
    strongest = np.argmax(np.abs(subject.table["steering"][windows[:, -1]]))
    image = subject.inputs(windows[[strongest]])[0]
    sheets = sheets_of(subject.file.model, image)
    heights = sheet_heights(sheets)
    figure = new_figure(SHEET_WIDTH, sum(heights) + 2.4, SHEETS_TITLE)
    axes = figure.subplots(len(sheets) + 1, 1, height_ratios=[1.6, *heights])
    newest = "" if image.ndim == 3 else f", the newest of {len(image)} frames"
    shown = image if image.ndim == 3 else image[-1]
    show_image(
        axes[0], shown, f"network's input, {preprocessing.width} x {preprocessing.height}{newest}"
    )
    draw_sheets(axes[1:], sheets)
    save(figure, path)


def sheets_of(model: keras.Model, image: Image) -> dict[str, Float32Array]:
    """Return title -> the maps of a convolution, drawn together, (rows, columns); takes and raises
    as activations().
    """
    sheets = {}
    for name, maps in activations(model, image).items():
        rows, columns, channels = maps.shape
        part = f", the first {_MAX_MAPS} of them" if channels > _MAX_MAPS else ""
        sheets[f"{name}: {channels} maps of {columns} x {rows}{part}"] = mosaic(maps)
    return sheets


def sheet_heights(sheets: Mapping[str, Float32Array]) -> list[float]:
    """Return the height of the axes of each sheet in a figure of SHEET_WIDTH, in inches."""
    return [9.4 * len(pixels) / pixels.shape[1] + 0.3 for pixels in sheets.values()]


def draw_sheets(all_axes: Sequence[Axes], sheets: Mapping[str, Float32Array]) -> None:
    for axes, (title, pixels) in zip(all_axes, sheets.items(), strict=True):
        axes.imshow(pixels, cmap="viridis", interpolation="nearest")
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_axis_off()


def activations(model: keras.Model, image: Image) -> dict[str, Float32Array]:
    """Return the output of every convolution, float32 (rows, columns, channels), by its name.

    image: the input, uint8 (height, width, channels), or a window of such frames, of which a
    network that takes them one by one is shown the newest. Raises NotDrawn without a convolution.
    """
    each_frame = frame_layers(model)
    values = keras.ops.cast(image[-1:] if each_frame else image[np.newaxis], model.inputs[0].dtype)
    outputs = {}
    for layer in each_frame or model.layers:
        values = layer(values, training=False)
        if isinstance(layer, CONVOLUTIONS):
            outputs[layer.name] = np.asarray(keras.ops.convert_to_numpy(values)[0], np.float32)
    if not outputs:
        raise NotDrawn(
            "the network has no convolution, whose maps could be drawn; leave this picture out with --only"
        )
    return outputs


def mosaic(maps: Float32Array) -> Float32Array:
    """Put maps, (rows, columns, channels), next to each other, each scaled to 0..1, with NaN
    between them.

    A constant map becomes 0.
    """
    maps = maps[..., :_MAX_MAPS]
    gap = max(1, round(_GAP * maps.shape[1]))
    least, most = maps.min(axis=(0, 1)), maps.max(axis=(0, 1))
    scaled = np.divide(maps - least, most - least, out=np.zeros_like(maps), where=most > least)
    whole_lines = (0, -maps.shape[2] % _ACROSS)
    padded = np.pad(scaled, ((0, gap), (0, gap), whole_lines), constant_values=np.nan)
    rows, columns, _ = padded.shape
    sheet = (
        padded.reshape(rows, columns, -1, _ACROSS)
        .transpose(2, 0, 3, 1)
        .reshape(-1, columns * _ACROSS)
    )
    return np.asarray(sheet[:-gap, :-gap], np.float32)
