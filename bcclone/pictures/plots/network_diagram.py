"""Draw a network: a Subject -> a PNG of its layers as boxes, with their shapes and weights."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
from keras import layers
from matplotlib.axes import Axes
from matplotlib.patches import Polygon

from bcclone.model.layer_kinds import DROPOUT, layer_kind, random_strength
from bcclone.pictures.plots.style import BLUE, GREEN, ORANGE, new_figure, save
from bcclone.pictures.plots.subject import Subject

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
