"""Draw a network: a Keras model -> a PNG of its layers as boxes to scale, with their shapes and parameters."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
from keras import layers
from matplotlib.axes import Axes
from matplotlib.patches import Polygon

from bcclone.model.layer_kinds import DROPOUT, keeps_pixels, random_strength
from bcclone.pictures.plots.style import BLUE, GREEN, ORANGE, new_figure, save
from bcclone.pictures.plots.subject import Subject

# units of the picture
_TALLEST, _LONGEST = 3.3, 2.1  # highest box of an image, its depth included, and of a vector
_STEP = 1.35  # between the middles of two boxes
_CHANNEL, _OBLIQUE = 0.05, 0.25  # width of one channel; foreshortening of the depth


@dataclass(frozen=True)
class Stage:
    """A layer with a box of its own.

    shape: of the output, without the batch; detail: kernel and strides, cropped rows, or the activation; notes: the
    layers after it that do not change the shape.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...]
    detail: str
    parameters: int
    notes: tuple[str, ...] = ()


def stages_of(model: keras.Model) -> list[Stage]:
    """Return the network's input and its layers in order."""
    shape = model.input_shape if isinstance(model.input_shape, tuple) else model.input_shape[0]
    stages = [Stage("input", "", tuple(shape[1:]), str(model.inputs[0].dtype), 0)]
    for layer, shape in _layers_of(model):
        parameters = int(layer.count_params())
        if keeps_pixels(layer) and shape == stages[-1].shape:
            last = stages[-1]
            stages[-1] = replace(last, parameters=last.parameters + parameters, notes=(*last.notes, _note(layer)))
        else:
            stages.append(Stage(layer.name, type(layer).__name__, shape, _detail(layer), parameters))
    return stages


def _layers_of(model: keras.Model) -> Iterator[tuple[keras.Layer, tuple[int | None, ...]]]:
    """Yield each layer and the shape of its output, including the layers of a network inside TimeDistributed."""
    for layer in model.layers:
        shape = tuple(layer.output.shape[1:])
        if isinstance(layer, layers.TimeDistributed) and isinstance(layer.layer, keras.Sequential):
            yield from ((inner, (shape[0], *inner.output.shape[1:])) for inner in layer.layer.layers)
        elif not isinstance(layer, layers.InputLayer):
            yield layer, shape


def _note(layer: keras.Layer) -> str:
    strength = random_strength(layer)
    return layer.name if strength is None else f"{'dropout' if isinstance(layer, DROPOUT) else 'noise'} {strength:g}"


def _detail(layer: keras.Layer) -> str:
    """Describe the kernel, the cropping and the activation of a layer, a line each."""
    inner: Any = getattr(layer, "layer", layer)  # of a wrapper such as TimeDistributed
    words = []
    if hasattr(inner, "kernel_size"):
        words.append(f"{_by(inner.kernel_size)}, stride {inner.strides[0]}")
    if hasattr(inner, "pool_size"):
        words.append(f"{_by(inner.pool_size)}")
    if isinstance(inner, layers.Cropping2D):
        (top, bottom), (left, right) = inner.cropping
        words.append(f"rows -{top} -{bottom}" + (f"\ncolumns -{left} -{right}" if left or right else ""))
    activation = getattr(inner, "activation", None)
    name = getattr(activation, "__name__", "")
    return "\n".join([*words, *([name] if name and name != "linear" else [])])


def _by(extents: Sequence[int]) -> str:
    return "x".join(map(str, extents))


@dataclass(frozen=True)
class _Scale:
    """Units of the picture for the square root of an image's rows or columns, and of a vector's length."""

    pixel: float
    unit: float

    @classmethod
    def of(cls, stages: Sequence[Stage]) -> "_Scale":
        unscaled = cls(1.0, 1.0)
        boxes = [(len(stage.shape) >= 3, unscaled.box(stage)) for stage in stages]
        tallest = max((height + depth for is_image, (_, height, depth) in boxes if is_image), default=1.0)
        longest = max((height for is_image, (_, height, _) in boxes if not is_image), default=1.0)
        return cls(_TALLEST / tallest, _LONGEST / longest)

    def box(self, stage: Stage) -> tuple[float, float, float]:
        """Return width, height and depth of a stage's box."""
        if len(stage.shape) < 3:
            return 2 * _CHANNEL, self.unit * math.sqrt(_positive(stage.shape[-1])), 0.0
        rows, columns, channels = (math.sqrt(_positive(extent)) for extent in stage.shape[-3:])
        return _CHANNEL * channels, self.pixel * rows, _OBLIQUE * self.pixel * columns


def _positive(extent: int | None) -> int:
    return max(extent or 1, 1)


def plot_network(subject: Subject, path: Path) -> None:
    """Draw the layers of a model into a PNG."""
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
    scale = _Scale.of(stages)
    for number, stage in enumerate(stages):
        _draw(axes, number * _STEP, stage, scale.box(stage))
    axes.set(xlim=(-0.65, len(stages) * _STEP - 0.55), ylim=(-1.5, _TALLEST + 0.1), aspect="equal")
    axes.set_axis_off()
    save(figure, path)


def _draw(axes: Axes, middle: float, stage: Stage, box: tuple[float, float, float]) -> None:
    """Draw a stage's box in oblique projection, and its description below."""
    width, height, depth = box
    left, right, floor = middle - (width + depth) / 2, middle + (width - depth) / 2, 0.0
    color = ORANGE if stage.kind == "" else BLUE if len(stage.shape) >= 3 else GREEN
    top = floor + height
    front = [(left, floor), (right, floor), (right, top), (left, top)]
    side = [(right, floor), (right + depth, floor + depth), (right + depth, top + depth), (right, top)]
    lid = [(left, top), (right, top), (right + depth, top + depth), (left + depth, top + depth)]
    for corners, alpha in ((front, 0.75), (side, 0.45), (lid, 0.3)):
        axes.add_patch(Polygon(corners, facecolor=color, alpha=alpha, edgecolor="black", linewidth=0.6))
    axes.text(middle, -0.12, stage.name, ha="center", va="top", fontsize=9, fontweight="bold")
    shape = "x".join("?" if extent is None else str(extent) for extent in stage.shape)
    parameters = f"{stage.parameters:,} weights" if stage.parameters else ""
    lines = [stage.kind, shape, stage.detail, parameters]
    lines += [f"+ {note}" for note in stage.notes]
    axes.text(middle, -0.36, "\n".join(filter(None, lines)), ha="center", va="top", fontsize=8, linespacing=1.25)
