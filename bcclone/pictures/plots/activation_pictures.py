"""Draw what a network's convolutions find in a frame: a Subject -> a PNG of their maps."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
from matplotlib.axes import Axes

from bcclone.camera.images import Image
from bcclone.model.layer_kinds import CONVOLUTIONS, frame_layers
from bcclone.pictures.plots.style import new_figure, save, show_image
from bcclone.pictures.plots.subject import NotDrawn, Subject
from bcclone.system.numbers import Float32Array

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
