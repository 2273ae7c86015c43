"""Draw what a network is and sees: a Subject -> PNGs.

- crop: a frame, the network's input, and what its cropping layer leaves of it;
- activations: what its convolutions find in a frame;
- saliency-straight, -bend, -shadow: the pixels that decide its steering;
- network: its layers.

The first three are drawn of one picture of a camera, too.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bcclone.camera.images import Image, cv2, resized
from bcclone.camera.vehicle import FULL_LOCK_DEGREES
from bcclone.model.layer_kinds import CONVOLUTIONS, frame_layers
from bcclone.model.saliency import region_after_crops, seen_region
from bcclone.pictures.overlay import saliency_overlay
from bcclone.pictures.plots.style import (
    BLUE,
    GRAY,
    GREEN,
    RED,
    WIDTH,
    new_figure,
    save,
    show_image,
)
from bcclone.pictures.plots.subject import NotDrawn, Subject, predict
from bcclone.system.arrays import Float32Array, evenly

# ---- what it sees of a frame


def plot_crop(subject: Subject, path: Path) -> None:
    """Draw a frame, the network's input, and what its cropping layer leaves of it, into a PNG."""
    samples = subject.shown_samples()
    draw_crop(subject, subject.frame(int(samples[len(samples) // 2])), path)


def draw_crop(subject: Subject, frame: Image, path: Path) -> Figure:
    """Draw a frame as plot_crop() does, and return the figure."""
    file = subject.file
    prepared = file.preprocessing.apply(frame)
    figure = new_figure(4.4)
    grid = figure.add_gridspec(2, 2)
    frame_axes = figure.add_subplot(grid[0, :])
    input_axes = figure.add_subplot(grid[1, 0])
    cropped_axes = figure.add_subplot(grid[1, 1])

    # the frame, with a box around the part that the network sees
    height, width = frame.shape[:2]
    show_image(frame_axes, frame, f"camera: {width} x {height}")
    left, top, right, bottom = seen_region(file.model, file.preprocessing)  # fractions
    corner = (left * width - 0.5, top * height - 0.5)
    seen_width = (right - left) * width
    seen_height = (bottom - top) * height
    outline = Rectangle(
        corner, seen_width, seen_height, fill=False, edgecolor=RED, linewidth=2, linestyle="--"
    )
    frame_axes.add_patch(outline)
    frame_axes.set_yticks([0, round(top * height), round(bottom * height) - 1, height - 1])
    frame_axes.set_ylabel("row")

    # the network's input, with lines where its cropping layer cuts
    height, width = prepared.shape[:2]
    name = f"each of {file.seq_length} frames" if file.seq_length > 1 else "network's input"
    title = f"{name}:\n{width} x {height}, {file.preprocessing.color}"
    show_image(input_axes, prepared, title)
    region = region_after_crops(file.model, file.preprocessing)
    first_column, first_row, end_column, end_row = region
    for row in (first_row, end_row):
        if 0 < row < height:
            input_axes.axhline(row - 0.5, color=RED, linewidth=2, linestyle="--")
    input_axes.set_yticks(sorted({0, first_row, end_row - 1, height - 1}))

    # what is left
    cropped = prepared[first_row:end_row, first_column:end_column]
    rows, columns = cropped.shape[:2]
    title = f"cropped: {columns} x {rows},\nrows {first_row} to {end_row - 1}"
    show_image(cropped_axes, cropped, title)
    cropped_axes.set_yticks([0, rows - 1], [str(first_row), str(end_row - 1)])
    save(figure, path)
    return figure


# ---- its convolutions


_MAX_MAPS = 64  # most maps that are drawn of a convolution
_MAPS_ACROSS = 8  # maps in a row
_GAP = 0.12  # between two maps, as a fraction of their width
_AXES_WIDTH = 4.1  # inches that the margins leave of a figure
_SHEET_TITLE = 0.3  # inches


def plot_activations(subject: Subject, path: Path) -> None:
    """Draw the frame of the strongest steering, and every convolution's maps for it, into a PNG."""
    windows = subject.shown_windows()
    strongest = np.argmax(np.abs(subject.table["steering"][windows[:, -1]]))
    draw_activations(subject, subject.inputs(windows[[strongest]])[0], path)


def draw_activations(subject: Subject, image: Image, path: Path) -> None:
    """Draw every convolution's maps for an input of the network into a PNG.

    image: uint8 (height, width, channels), or a window of such images
    """
    # a sheet for each convolution, as high as its maps need
    sheets = {}
    for name, maps in activations(subject.file.model, image).items():
        rows, columns, channels = maps.shape
        title = f"{name}: {channels} maps of {columns} x {rows}"
        if channels > _MAX_MAPS:
            title += f", {_MAX_MAPS} of them here"
        sheets[title] = mosaic(maps)
    heights = [
        _AXES_WIDTH * len(sheet) / sheet.shape[1] + _SHEET_TITLE for sheet in sheets.values()
    ]
    # the input's axes and the figure's title need 2.4 inches more
    heading = "What each convolution finds, each map in its own range (bright: high)"
    figure = new_figure(sum(heights) + 2.4, heading)
    first_axes, *all_axes = figure.subplots(len(sheets) + 1, 1, height_ratios=[1.6, *heights])

    preprocessing = subject.file.preprocessing
    title = f"network's input, {preprocessing.width} x {preprocessing.height}"
    shown = image
    if image.ndim > 3:  # a window of frames
        title += f", the newest of {len(image)} frames"
        shown = image[-1]
    show_image(first_axes, shown, title)
    for axes, (title, sheet) in zip(all_axes, sheets.items(), strict=True):
        axes.imshow(sheet, cmap="viridis", interpolation="nearest")
        axes.set_title(title, loc="left")
        axes.set_axis_off()
    save(figure, path)


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


# ---- what decides its answers


_MAX_SEARCHED = 500  # most frames of which the darkest one is chosen
_GRID_PX = 5
_LIT_SIZE = (840, 420)  # width and height of a lit frame, in pixels


def plot_saliency(situation: str, subject: Subject, path: Path) -> None:
    """Draw a frame with the pixels lit that decide the steering (VisualBackProp), into a PNG.

    The words of the picture say what was recorded and what the network answers.

    situation: "straight" for the frame with the least steering, "bend" for the one with the most,
        "shadow" for the one in which the part that the network sees is darkest
    """
    windows = subject.shown_windows()
    newest = windows[:, -1]
    steering = np.abs(subject.table["steering"][newest])
    if situation == "straight":
        chosen = int(np.argmin(steering))
    elif situation == "bend":
        chosen = int(np.argmax(steering))
    else:
        searched = evenly(len(windows), _MAX_SEARCHED)
        chosen = int(searched[np.argmin([_brightness(subject, newest[at]) for at in searched])])

    recorded = _to_side(subject.table["steering"][newest[chosen]])
    answer = _to_side(predict(subject.file.model, subject.inputs(windows[[chosen]]))[0])
    where = {
        "straight": "On a straight",
        "bend": "In the sharpest bend",
        "shadow": "Where it is darkest",
    }
    words = f"{where[situation]}: the driver steers {recorded}, the network {answer}"
    draw_saliency(subject, subject.frame(int(newest[chosen])), words, path)


def draw_saliency(subject: Subject, frame: Image, words: str, path: Path) -> None:
    """Draw a camera frame with the pixels lit that decide the steering into a PNG.

    words: describe the picture, in its file
    """
    # without the grid that the strides of the convolutions leave in it
    saliency = cv2.GaussianBlur(subject.saliency.of_frame(frame), (0, 0), _GRID_PX)
    # the square root makes weak pixels visible
    lit = saliency_overlay(frame, np.sqrt(saliency / max(saliency.max(), 1e-9)))
    figure = new_figure(WIDTH * _LIT_SIZE[1] / _LIT_SIZE[0])
    figure.set_layout_engine("none")  # the frame takes all of it
    axes = figure.add_axes((0, 0, 1, 1))
    show_image(axes, resized(lit, _LIT_SIZE, cv2.INTER_CUBIC))
    axes.set_axis_off()
    save(figure, path, words)


def _brightness(subject: Subject, sample: int) -> float:
    """Return the mean of the pixels of a sample's frame that the network sees, 0 to 255."""
    frame = subject.frame(int(sample))
    height, width = frame.shape[:2]
    left, top, right, bottom = seen_region(subject.file.model, subject.file.preprocessing)
    seen = frame[round(top * height) : round(bottom * height), :]
    return float(seen[:, round(left * width) : round(right * width)].mean())


def _to_side(steering: float) -> str:
    """Return the angle of the front wheels in words."""
    degrees = f"{abs(steering) * FULL_LOCK_DEGREES:.1f}"
    if degrees == "0.0":
        return "0.0 degrees"
    return f"{degrees} degrees to the {'left' if steering < 0 else 'right'}"


# ---- one picture of a camera


def draw_camera_picture(name: str, subject: Subject, frame: Image, path: Path) -> None:
    """Draw what the network sees of one camera frame into a PNG.

    A network of windows is given one that holds this frame only, as at the begin of a drive.

    name: "crop", "activations" or "saliency"
    """
    file = subject.file
    if name == "crop":
        draw_crop(subject, frame, path)
        return
    prepared = file.preprocessing.apply(frame)
    image = np.stack([prepared] * file.seq_length).reshape(file.input_shape)
    if name == "activations":
        draw_activations(subject, image, path)
        return
    answer = _to_side(predict(file.model, image[np.newaxis])[0])
    draw_saliency(subject, frame, f"The network steers {answer}", path)


# ---- its layers


def plot_network(subject: Subject, path: Path) -> None:
    """Draw the layers as bars as long as their output is large, with shapes and weights."""
    model = subject.file.model
    rows = layer_rows(model)
    figure = new_figure(
        1.0 + 0.55 * len(rows), f"{model.name}: {model.count_params():,} parameters"
    )
    axes = figure.subplots()
    for number, (name, shape, words) in enumerate(rows):
        length = math.sqrt(math.prod(extent or 1 for extent in shape))
        axes.barh(number, length, color=BLUE if len(shape) >= 3 else GREEN, height=0.15)
        # name and output above the bar, all else below it
        output, _, others = words.partition(", ")
        axes.text(0, number - 0.11, f"{name}: {output}", va="bottom")
        axes.text(0, number + 0.13, others, va="top", color=GRAY)
    axes.set(ylim=(len(rows) - 0.4, -0.6), xticks=[], yticks=[])
    axes.set_xlabel(
        "output: rows x columns x channels, or length;\n"
        "a bar is as long as the square root of its numbers"
    )
    axes.spines[:].set_visible(False)
    save(figure, path)


Shape = tuple[int | None, ...]  # shape of an output, without the batch


def layer_rows(model: keras.Model) -> list[tuple[str, Shape, str]]:
    """Return name, shape and description of the input and of each layer.

    Of a TimeDistributed network, these are the layers of that network.
    """
    source = model.inputs[0]
    input_shape = tuple(source.shape[1:])
    rows = [("input", input_shape, f"{_by(input_shape)}, {source.dtype}")]
    for layer in model.layers:
        shape = tuple(layer.output.shape[1:])
        if isinstance(layer, layers.TimeDistributed) and isinstance(layer.layer, keras.Sequential):
            parts = [(part, (shape[0], *part.output.shape[1:])) for part in layer.layer.layers]
        elif isinstance(layer, layers.InputLayer):
            parts = []
        else:
            parts = [(layer, shape)]
        for part, part_shape in parts:
            name = f"{part.name}  ({type(part).__name__})"
            rows.append((name, part_shape, _describe_layer(part, part_shape)))
    return rows


def _describe_layer(layer: keras.Layer, shape: Shape) -> str:
    """Return shape, kernel, cropping or rate, activation and weights of a layer, in one line."""
    inner: Any = getattr(layer, "layer", layer)  # of a wrapper such as TimeDistributed
    words = [_by(shape)]
    if kernel := getattr(inner, "kernel_size", None):
        words.append(f"kernel {_by(kernel)}, stride {inner.strides[0]}")
    elif pool := getattr(inner, "pool_size", None):
        words.append(f"of {_by(pool)}")
    elif isinstance(inner, layers.Cropping2D):
        (top, bottom), (left, right) = inner.cropping
        words.append(f"rows -{top} -{bottom}")
        if left or right:
            words.append(f"columns -{left} -{right}")
    elif rate := getattr(inner, "rate", None):
        words.append(f"rate {rate:g}")
    activation = getattr(getattr(inner, "activation", None), "__name__", "linear")
    if activation != "linear":
        words.append(activation)
    if weights := layer.count_params():
        words.append(f"{weights:,} weights")
    return ", ".join(words)


def _by(extents: Sequence[int | None]) -> str:
    return "x".join("?" if extent is None else str(extent) for extent in extents)
