"""Network, frame -> what each convolution makes of it."""

import math
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from bcclone.images import Image
from bcclone.plots.style import new_figure, save, show_image
from bcclone.plots.subject import NotDrawn, Subject
from bcclone.recurrent import frame_layers

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
    """Return what every Conv2D of the network gives for an input, uint8 (height, width, 3) or a window of such frames.

    Of a network that sees a window frame by frame: for the newest frame. Raises NotDrawn where there is no Conv2D.
    """
    each_frame = frame_layers(model)
    values = keras.ops.cast(image[-1:] if each_frame else image[np.newaxis], model.inputs[0].dtype)
    found = []
    for layer in each_frame or model.layers:
        values = layer(values, training=False)
        if isinstance(layer, layers.Conv2D):
            found.append(Activation(layer.name, np.asarray(keras.ops.convert_to_numpy(values)[0], np.float32)))
    if not found:
        raise NotDrawn("the network has no convolution (Conv2D)")
    return found


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
    made, windows = subject.file.preprocessing, subject.shown_windows()
    turning = np.argmax(np.abs(subject.scenes.samples["steering"][windows[:, -1]]))
    image = subject.inputs(windows[[turning]])[0]
    given = activations(subject.file.model, image)
    sheets = [mosaic(activation.maps) for activation in given]
    heights = [9.4 * sheet.shape[0] / sheet.shape[1] + 0.3 for sheet in sheets]
    title = "Activations of each convolution, each map in its own range (bright: high)"
    figure = new_figure(10, sum(heights) + 2.4, title)
    axes = figure.subplots(len(sheets) + 1, 1, height_ratios=[1.6, *heights])
    newest = "" if image.ndim == 3 else f", the newest of {len(image)} frames"
    shown = image if image.ndim == 3 else image[-1]
    show_image(axes[0], shown, f"network's input, {made.width} x {made.height}{newest}")
    for panel, activation, sheet in zip(axes[1:], given, sheets, strict=True):
        rows, columns, channels = activation.maps.shape
        part = f", the first {_MOST_MAPS} of them" if channels > _MOST_MAPS else ""
        panel.imshow(sheet, cmap="viridis", interpolation="nearest")
        panel.set_title(f"{activation.name}: {channels} maps of {columns} x {rows}{part}", fontsize=9, loc="left")
        panel.set_axis_off()
    save(figure, path)
