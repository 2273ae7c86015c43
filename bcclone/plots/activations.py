"""Network, frame -> what each convolution makes of it."""

import math
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from bcclone.images import Image
from bcclone.plots.figure import new_figure, save, show_image
from bcclone.plots.subject import NotDrawn, Subject

Maps = npt.NDArray[np.float32]

_ACROSS = 16
_MOST_MAPS = 64
_GAP = 0.12  # of a map's width, between two


@dataclass(frozen=True)
class Activation:
    """What a convolution gave: float32 (rows, columns, channels)."""

    name: str
    maps: Maps


def activations(model: keras.Model, image: Image) -> list[Activation]:
    """Return what every Conv2D of the network gives for an input image, uint8 (height, width, 3).

    Raises NotDrawn where there is none.
    """
    found = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    if not found:
        raise NotDrawn("the network has no convolution (Conv2D)")
    probe = keras.Model(model.inputs, [layer.output for layer in found])
    given = probe(keras.ops.cast(image[np.newaxis], model.inputs[0].dtype), training=False)
    outputs = given if isinstance(given, list) else [given]
    made = [np.asarray(keras.ops.convert_to_numpy(output)[0], np.float32) for output in outputs]
    return [Activation(layer.name, maps) for layer, maps in zip(found, made, strict=True)]


def mosaic(maps: Maps) -> Maps:
    """Lay maps (rows, columns, channels) side by side, each brought to 0..1 of its own range; NaN between them.

    A map that is the same everywhere is 0.
    """
    maps = maps[..., :_MOST_MAPS]
    rows, columns, count = maps.shape
    gap = max(1, round(_GAP * columns))
    down = math.ceil(count / _ACROSS)
    sheet = np.full((down * (rows + gap) - gap, _ACROSS * (columns + gap) - gap), np.nan, np.float32)
    least, most = maps.min(axis=(0, 1)), maps.max(axis=(0, 1))
    scaled = np.divide(maps - least, most - least, out=np.zeros_like(maps), where=most > least)
    for number in range(count):
        top, left = (number // _ACROSS) * (rows + gap), (number % _ACROSS) * (columns + gap)
        sheet[top : top + rows, left : left + columns] = scaled[..., number]
    return sheet


def plot_activations(subject: Subject, path: Path) -> None:
    """Draw a frame and every convolution's maps for it into a PNG."""
    subject.refuse_windows()
    scenes, made = subject.scenes, subject.file.preprocessing
    instants = scenes.shown_instants()
    turning = instants[np.argmax(np.abs(scenes.samples["steering"][instants]))]
    image = scenes.inputs(np.array([turning]), made)[0]
    given = activations(subject.file.model, image)
    sheets = [mosaic(activation.maps) for activation in given]
    heights = [9.4 * sheet.shape[0] / sheet.shape[1] + 0.3 for sheet in sheets]
    title = "Activations of each convolution, each map in its own range (bright: high)"
    figure = new_figure(10, sum(heights) + 2.4, title)
    axes = figure.subplots(len(sheets) + 1, 1, height_ratios=[1.6, *heights])
    show_image(axes[0], image, f"network's input, {made.width} x {made.height}")
    for panel, activation, sheet in zip(axes[1:], given, sheets, strict=True):
        rows, columns, channels = activation.maps.shape
        shown = f", the first {_MOST_MAPS} of them" if channels > _MOST_MAPS else ""
        panel.imshow(sheet, cmap="viridis", interpolation="nearest")
        panel.set_title(f"{activation.name}: {channels} maps of {columns} x {rows}{shown}", fontsize=9, loc="left")
        panel.set_axis_off()
    save(figure, path)
