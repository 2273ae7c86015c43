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
    boxes = [_box_of(stage) for stage in stages]
    tallest = {True: 1.0, False: 1.0}
    for stage, (_, height, depth) in zip(stages, boxes, strict=True):
        tallest[stage.is_image] = max(tallest[stage.is_image], height + depth)

    for number, (stage, (width, height, depth)) in enumerate(zip(stages, boxes, strict=True)):
        middle = number * _STEP
        scale = (_TALLEST if stage.is_image else _LONGEST) / tallest[stage.is_image]
        color = BLUE if stage.is_image else GREEN
        _draw_box(axes, middle, width, scale * height, scale * depth, color if number else ORANGE)
        axes.text(middle, -0.12, stage.name, ha="center", va="top", fontsize=9, fontweight="bold")
        lines = [stage.kind, _by(stage.shape), stage.detail]
        if stage.parameters:
            lines.append(f"{stage.parameters:,} weights")
        lines += [f"+ {note}" for note in stage.notes]
        text = "\n".join(filter(None, lines))
        axes.text(middle, -0.36, text, ha="center", va="top", fontsize=8, linespacing=1.25)
    axes.set(xlim=(-0.65, len(stages) * _STEP - 0.55), ylim=(-1.5, _TALLEST + 0.1), aspect="equal")
    axes.set_axis_off()
    save(figure, path)


def _box_of(stage: Stage) -> tuple[float, float, float]:
    """Return width, height and depth of a stage's box, not scaled yet.

    They are square roots of channels, rows and columns; a vector's box is as high as the square
    root of its length.
    """
    extents = [math.sqrt(max(extent or 1, 1)) for extent in stage.shape]
    if not stage.is_image:
        return 2 * _CHANNEL, extents[-1], 0.0
    rows, columns, channels = extents[-3:]
    return _CHANNEL * channels, rows, _OBLIQUE * columns


def _draw_box(
    axes: Axes, middle: float, width: float, height: float, depth: float, color: str
) -> None:
    """Draw a box whose front stands on the line y = 0.

    depth: the back is drawn so far to the right of the front, and so far above it
    """
    left = middle - (width + depth) / 2
    right = left + width
    front = [(left, 0.0), (right, 0.0), (right, height), (left, height)]
    side = [front[1], (right + depth, depth), (right + depth, height + depth), front[2]]
    lid = [front[3], front[2], side[2], (left + depth, height + depth)]
    for corners, alpha in ((front, 0.75), (side, 0.45), (lid, 0.3)):
        face = Polygon(corners, facecolor=color, alpha=alpha, edgecolor="black", linewidth=0.6)
        axes.add_patch(face)
