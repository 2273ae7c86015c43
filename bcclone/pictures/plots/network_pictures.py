"""Draw a network: a Subject -> PNGs of its layers, its crop, and the maps of its convolutions."""

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
from bcclone.model.saliency import region_after_crops, seen_region
from bcclone.pictures.plots.style import BLUE, GREEN, ORANGE, RED, new_figure, save, show_image
from bcclone.pictures.plots.subject import NotDrawn, Subject
from bcclone.system.arrays import Float32Array

Shape = tuple[int | None, ...]  # shape of a layer's output, without the batch


@dataclass(frozen=True)
class Stage:
    """A layer with a box of its own, together with the layers after it that keep its shape."""

    name: str
    kind: str  # class of the layer, "" for the network's input
    shape: Shape
    detail: str  # lines: kernel and strides, or cropped rows; the activation
    parameters: int
    notes: tuple[str, ...] = ()  # a name for each of the layers after it that keep its shape

    @property
    def is_image(self) -> bool:
        """Whether its output has rows, columns and channels; otherwise it is a vector."""
        return len(self.shape) >= 3


def stages_of(model: keras.Model) -> list[Stage]:
    """Return the network's input and its layers in order."""
    input_shape = model.input_shape
    if not isinstance(input_shape, tuple):  # a list of the shapes of all inputs
        input_shape = input_shape[0]
    dtype = str(model.inputs[0].dtype)
    stages = [Stage("input", kind="", shape=tuple(input_shape[1:]), detail=dtype, parameters=0)]
    for layer, shape in _layers_of(model):
        parameters = int(layer.count_params())
        last = stages[-1]
        if layer_kind(layer).keeps_pixels and shape == last.shape:
            stages[-1] = replace(
                last,
                parameters=last.parameters + parameters,
                notes=(*last.notes, _note_on(layer)),
            )
        else:
            kind = type(layer).__name__
            stages.append(Stage(layer.name, kind, shape, _detail(layer), parameters))
    return stages


def _layers_of(model: keras.Model) -> Iterator[tuple[keras.Layer, Shape]]:
    """Yield each layer and the shape of its output.

    Of a TimeDistributed network, yield the layers of that network.
    """
    for layer in model.layers:
        shape = tuple(layer.output.shape[1:])
        if isinstance(layer, layers.TimeDistributed) and isinstance(layer.layer, keras.Sequential):
            frames = shape[0]
            for inner in layer.layer.layers:
                yield inner, (frames, *inner.output.shape[1:])
        elif not isinstance(layer, layers.InputLayer):
            yield layer, shape


def _note_on(layer: keras.Layer) -> str:
    """Name a layer that keeps the shape, by its strength if it is random."""
    strength = random_strength(layer)
    if strength is None:
        return str(layer.name)
    kind = "dropout" if isinstance(layer, DROPOUT) else "noise"
    return f"{kind} {strength:g}"


def _detail(layer: keras.Layer) -> str:
    """Describe the kernel, the cropping and the activation of a layer, a line each."""
    inner: Any = getattr(layer, "layer", layer)  # of a wrapper such as TimeDistributed
    lines = []
    if kernel := getattr(inner, "kernel_size", None):
        lines.append(f"{_by(kernel)}, stride {inner.strides[0]}")
    elif pool := getattr(inner, "pool_size", None):
        lines.append(_by(pool))
    elif isinstance(inner, layers.Cropping2D):
        (top, bottom), (left, right) = inner.cropping
        lines.append(f"rows -{top} -{bottom}")
        if left or right:
            lines.append(f"columns -{left} -{right}")
    activation = getattr(getattr(inner, "activation", None), "__name__", "linear")
    if activation != "linear":
        lines.append(activation)
    return "\n".join(lines)


def _by(extents: Sequence[int | None]) -> str:
    return "x".join("?" if extent is None else str(extent) for extent in extents)


# lengths in the diagram, in units of its axes
_TALLEST = 3.3  # highest box of an image, its depth included
_LONGEST = 2.1  # highest box of a vector
_STEP = 1.35  # between the middles of two boxes
_CHANNEL = 0.05  # width of one channel
_OBLIQUE = 0.25  # the columns of an image are drawn as depth, shortened by this factor


@dataclass(frozen=True)
class _Box:
    """The box of a stage, in the diagram's units; its front stands on the line y = 0."""

    width: float
    height: float
    depth: float  # the back is drawn so far to the right of the front, and so far above it

    @classmethod
    def unscaled(cls, stage: Stage) -> "_Box":
        """Return a box whose sides are square roots of rows, columns and channels.

        A vector's box is as high as the square root of its length.
        """
        extents = [math.sqrt(max(extent or 1, 1)) for extent in stage.shape]
        if not stage.is_image:
            return cls(2 * _CHANNEL, extents[-1], 0.0)
        rows, columns, channels = extents[-3:]
        return cls(_CHANNEL * channels, rows, _OBLIQUE * columns)

    def scaled(self, scale: float) -> "_Box":
        """Return the box with another height and depth; all channels have the same width."""
        return _Box(self.width, scale * self.height, scale * self.depth)

    def draw(self, axes: Axes, middle: float, color: str) -> None:
        left = middle - (self.width + self.depth) / 2
        right = middle + (self.width - self.depth) / 2
        top = self.height
        back_right = right + self.depth
        back_top = top + self.depth
        front = [(left, 0.0), (right, 0.0), (right, top), (left, top)]
        side = [(right, 0.0), (back_right, self.depth), (back_right, back_top), (right, top)]
        lid = [(left, top), (right, top), (back_right, back_top), (left + self.depth, back_top)]
        for corners, alpha in ((front, 0.75), (side, 0.45), (lid, 0.3)):
            face = Polygon(corners, facecolor=color, alpha=alpha, edgecolor="black", linewidth=0.6)
            axes.add_patch(face)


def plot_network(subject: Subject, path: Path) -> None:
    """Draw the layers as boxes to scale, with their shapes and weights, into a PNG."""
    model = subject.file.model
    stages = stages_of(model)
    figure = new_figure(max(8.0, 1.1 * len(stages)), 4.9)
    figure.suptitle(f"{model.name}: {model.count_params():,} parameters", fontsize=12)
    figure.supxlabel(
        "outputs in rows x columns x channels; boxes are scaled by the square root of rows, "
        "columns and channels, or of a vector's length",
        fontsize=8,
    )
    axes = figure.subplots()

    # images and vectors have a scale each: in one scale, most vectors would be a dot
    boxes = [_Box.unscaled(stage) for stage in stages]
    of_images = [
        box.height + box.depth for stage, box in zip(stages, boxes, strict=True) if stage.is_image
    ]
    of_vectors = [
        box.height for stage, box in zip(stages, boxes, strict=True) if not stage.is_image
    ]
    image_scale = _TALLEST / max(of_images, default=1.0)
    vector_scale = _LONGEST / max(of_vectors, default=1.0)

    for number, (stage, box) in enumerate(zip(stages, boxes, strict=True)):
        middle = number * _STEP
        scale = image_scale if stage.is_image else vector_scale
        box.scaled(scale).draw(axes, middle, _color_of(stage))
        axes.text(middle, -0.12, stage.name, ha="center", va="top", fontsize=9, fontweight="bold")
        text = _text_below(stage)
        axes.text(middle, -0.36, text, ha="center", va="top", fontsize=8, linespacing=1.25)
    axes.set(xlim=(-0.65, len(stages) * _STEP - 0.55), ylim=(-1.5, _TALLEST + 0.1), aspect="equal")
    axes.set_axis_off()
    save(figure, path)


def _color_of(stage: Stage) -> str:
    if not stage.kind:
        return ORANGE
    return BLUE if stage.is_image else GREEN


def _text_below(stage: Stage) -> str:
    lines = [stage.kind, _by(stage.shape), stage.detail]
    if stage.parameters:
        lines.append(f"{stage.parameters:,} weights")
    lines += [f"+ {note}" for note in stage.notes]
    return "\n".join(line for line in lines if line)


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


SHEET_WIDTH = 10  # inches
_AXES_WIDTH = 9.4  # inches that the margins leave of it
_SHEET_TITLE = 0.3  # inches
SHEETS_TITLE = "Activations of each convolution, each map in its own range (bright: high)"


def plot_activations(subject: Subject, path: Path) -> None:
    """Draw the frame of the strongest steering, and every convolution's maps for it, into a PNG."""
    windows = subject.shown_windows()
    strongest = np.argmax(np.abs(subject.table["steering"][windows[:, -1]]))
    image = subject.inputs(windows[[strongest]])[0]
    sheets = sheets_of(subject.file.model, image)
    heights = sheet_heights(sheets)
    # the input's axes and the figure's title need 2.4 inches more
    figure = new_figure(SHEET_WIDTH, sum(heights) + 2.4, SHEETS_TITLE)
    axes = figure.subplots(len(sheets) + 1, 1, height_ratios=[1.6, *heights])

    preprocessing = subject.file.preprocessing
    title = f"network's input, {preprocessing.width} x {preprocessing.height}"
    shown = image
    if image.ndim > 3:  # a window of frames
        title += f", the newest of {len(image)} frames"
        shown = image[-1]
    show_image(axes[0], shown, title)
    draw_sheets(axes[1:], sheets)
    save(figure, path)


_MAX_MAPS = 64  # most maps that are drawn of a convolution


def sheets_of(model: keras.Model, image: Image) -> dict[str, Float32Array]:
    """Return title -> the maps of a convolution in one image, (rows, columns).

    A map is one channel of a convolution's output. Takes an image, and raises NotDrawn, as
    activations() does.
    """
    sheets = {}
    for name, maps in activations(model, image).items():
        rows, columns, channels = maps.shape
        title = f"{name}: {channels} maps of {columns} x {rows}"
        if channels > _MAX_MAPS:
            title += f", the first {_MAX_MAPS} of them"
        sheets[title] = mosaic(maps)
    return sheets


def sheet_heights(sheets: Mapping[str, Float32Array]) -> list[float]:
    """Return the height of the axes of each sheet in a figure of SHEET_WIDTH, in inches."""
    return [
        _AXES_WIDTH * len(pixels) / pixels.shape[1] + _SHEET_TITLE for pixels in sheets.values()
    ]


def draw_sheets(all_axes: Sequence[Axes], sheets: Mapping[str, Float32Array]) -> None:
    for axes, (title, pixels) in zip(all_axes, sheets.items(), strict=True):
        axes.imshow(pixels, cmap="viridis", interpolation="nearest")
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_axis_off()


def activations(model: keras.Model, image: Image) -> dict[str, Float32Array]:
    """Return the output of every convolution, float32 (rows, columns, channels), by its name.

    Raises NotDrawn without a convolution.

    image: the input, uint8 (height, width, channels), or a window of such frames; a network that
        processes frames one by one is given the newest frame of the window alone
    """
    layers_of_frame = frame_layers(model)  # none if the network takes the image as a whole
    batch = image[-1:] if layers_of_frame else image[np.newaxis]
    values = keras.ops.cast(batch, model.inputs[0].dtype)
    outputs = {}
    for layer in layers_of_frame or model.layers:
        values = layer(values, training=False)
        if isinstance(layer, CONVOLUTIONS):
            outputs[layer.name] = np.asarray(keras.ops.convert_to_numpy(values)[0], np.float32)
    if not outputs:
        raise NotDrawn(
            "the network has no convolution, whose maps could be drawn; "
            "leave this picture out with --only"
        )
    return outputs


_MAPS_ACROSS = 16  # maps in a row
_GAP = 0.12  # between two maps, as a fraction of their width


def mosaic(maps: Float32Array) -> Float32Array:
    """Put maps, (rows, columns, channels), next to each other, with NaN between them.

    Each map is scaled to 0..1; a constant map becomes 0.
    """
    # a map in its own range shows its pattern, however weak it is
    maps = maps[..., :_MAX_MAPS]
    least = maps.min(axis=(0, 1))
    most = maps.max(axis=(0, 1))
    scaled = np.divide(maps - least, most - least, out=np.zeros_like(maps), where=most > least)

    # each map gets its gap to the right and below; empty maps fill the last line
    gap = max(1, round(_GAP * maps.shape[1]))
    missing_maps = -maps.shape[2] % _MAPS_ACROSS  # up to the next multiple
    padding = ((0, gap), (0, gap), (0, missing_maps))
    padded = np.pad(scaled, padding, constant_values=np.nan)

    # (rows, columns, lines, maps) -> (lines, rows, maps, columns): a line of maps, row by row
    rows, columns, _ = padded.shape
    grid = padded.reshape(rows, columns, -1, _MAPS_ACROSS).transpose(2, 0, 3, 1)
    sheet = grid.reshape(-1, columns * _MAPS_ACROSS)
    return np.asarray(sheet[:-gap, :-gap], np.float32)
