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

    @property
    def box(self) -> tuple[float, float, float]:
        """Width, height and depth of its box, unscaled: square roots of rows, columns and a vector's length."""
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
        if keeps_pixels(layer) and shape == last.shape:
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
    if kernel := getattr(inner, "kernel_size", None):
        words.append(f"{_by(kernel)}, stride {inner.strides[0]}")
    elif pool := getattr(inner, "pool_size", None):
        words.append(_by(pool))
    elif isinstance(inner, layers.Cropping2D):
        (top, bottom), (left, right) = inner.cropping
        words.append(f"rows -{top} -{bottom}" + (f"\ncolumns -{left} -{right}" if left or right else ""))
    activation = getattr(getattr(inner, "activation", None), "__name__", "linear")
    return "\n".join([*words, *([] if activation == "linear" else [activation])])


def _by(extents: Sequence[int | None]) -> str:
    return "x".join("?" if extent is None else str(extent) for extent in extents)


def plot_network(subject: Subject, path: Path) -> None:
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
    pixel = _TALLEST / max((sum(stage.box[1:]) for stage in stages if len(stage.shape) >= 3), default=1.0)
    unit = _LONGEST / max((stage.box[1] for stage in stages if len(stage.shape) < 3), default=1.0)
    for number, stage in enumerate(stages):
        _draw(axes, number * _STEP, stage, pixel if len(stage.shape) >= 3 else unit)
    axes.set(xlim=(-0.65, len(stages) * _STEP - 0.55), ylim=(-1.5, _TALLEST + 0.1), aspect="equal")
    axes.set_axis_off()
    save(figure, path)


def _draw(axes: Axes, middle: float, stage: Stage, scale: float) -> None:
    """Draw a stage's box in oblique projection, and its description below."""
    width, top, depth = stage.box[0], scale * stage.box[1], scale * stage.box[2]
    left, right = middle - (width + depth) / 2, middle + (width - depth) / 2
    color = ORANGE if stage.kind == "" else BLUE if len(stage.shape) >= 3 else GREEN
    front = [(left, 0.0), (right, 0.0), (right, top), (left, top)]
    side = [(right, 0.0), (right + depth, depth), (right + depth, top + depth), (right, top)]
    lid = [(left, top), (right, top), (right + depth, top + depth), (left + depth, top + depth)]
    for corners, alpha in ((front, 0.75), (side, 0.45), (lid, 0.3)):
        axes.add_patch(Polygon(corners, facecolor=color, alpha=alpha, edgecolor="black", linewidth=0.6))
    axes.text(middle, -0.12, stage.name, ha="center", va="top", fontsize=9, fontweight="bold")
    parameters = f"{stage.parameters:,} weights" if stage.parameters else ""
    lines = [stage.kind, _by(stage.shape), stage.detail, parameters, *(f"+ {note}" for note in stage.notes)]
    axes.text(middle, -0.36, "\n".join(filter(None, lines)), ha="center", va="top", fontsize=8, linespacing=1.25)
