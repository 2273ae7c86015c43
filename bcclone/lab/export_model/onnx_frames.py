"""Prepare camera frames in an ONNX graph, as images.Preprocessing.apply() does."""

import numpy as np

from bcclone.dataset.images import Preprocessing
from bcclone.lab.export_model import exact_steps as steps
from bcclone.lab.export_model.exact_steps import Tap
from bcclone.lab.export_model.onnx_graph import Graph, Value


def prepare_frames(graph: Graph, frames: str, preprocessing: Preprocessing) -> Value:
    """Add the preparation of frames, uint8 (frames, frame_height, frame_width, 3); return it as float32."""
    images = graph.add_float32(_kept_rows(graph, frames, preprocessing))
    prepared = _convert_colors(graph, _resize(graph, images, preprocessing), preprocessing.color)
    return Value(prepared, (preprocessing.height, preprocessing.width, 3))


def _kept_rows(graph: Graph, frames: str, preprocessing: Preprocessing) -> str:
    top, bottom = preprocessing.crop_top, preprocessing.crop_bottom or preprocessing.frame_height
    if (top, bottom) == (0, preprocessing.frame_height):
        return frames
    first, last, axis = (graph.constant(np.array([number], np.int64)) for number in (top, bottom, 1))
    return graph.add("Slice", frames, first, last, axis)


def _resize(graph: Graph, images: str, preprocessing: Preprocessing) -> str:
    found = steps.resize_taps(preprocessing)
    if found is None:
        return images
    across, down = found
    left, right = (_times_weight(graph, images, tap, axis=2) for tap in across)
    rows = _divided(graph, graph.add("Add", left, right), steps.ACROSS_DIVISOR)
    high = _divided(graph, rows, steps.BYTE)
    low = graph.add("Sub", rows, _times(graph, high, steps.BYTE))
    above, below = (_weighted(graph, high, low, tap) for tap in down)
    return _divided(graph, _plus(graph, graph.add("Add", above, below), steps.LAST_HALF), steps.LAST_DIVISOR)


def _weighted(graph: Graph, high: str, low: str, tap: Tap) -> str:
    """Add the chosen rows times their weights, by 2**16. high, low: the bytes of the rows."""
    carried = _divided(graph, _times_weight(graph, low, tap, axis=1), steps.BYTE)
    return _divided(graph, graph.add("Add", _times_weight(graph, high, tap, axis=1), carried), steps.BYTE)


def _times_weight(graph: Graph, images: str, tap: Tap, axis: int) -> str:
    """Add the chosen rows (axis 1) or columns (axis 2), times their weights."""
    taken = graph.add("Gather", images, graph.constant(tap.index), axis=axis)
    return graph.add("Mul", taken, graph.constant(tap.weight.reshape(-1, *[1] * (3 - axis))))


def _convert_colors(graph: Graph, images: str, color: str) -> str:
    if color == "RGB":
        return images
    planes = [graph.add("Gather", images, graph.constant(np.array([number])), axis=3) for number in range(3)]
    if color == "GRAY":
        gray = _luma(graph, planes, steps.GRAY_LUMA, steps.GRAY_DIVISOR)
        return graph.add("Concat", gray, gray, gray, axis=3)
    red, _, blue = planes = planes[::-1] if color == "BGR-YUV" else planes
    luma = _luma(graph, planes, steps.YUV_LUMA, steps.YUV_DIVISOR)
    u, v = _chroma(graph, blue, luma, steps.U_OF_BLUE), _chroma(graph, red, luma, steps.V_OF_RED)
    return graph.add("Concat", luma, u, v, axis=3)


def _luma(graph: Graph, planes: list[str], weights: tuple[int, ...], divisor: int) -> str:
    red, green, blue = (_times(graph, plane, weight) for plane, weight in zip(planes, weights, strict=True))
    total = graph.add("Add", graph.add("Add", red, green), blue)
    return _divided(graph, _plus(graph, total, divisor // 2), divisor)


def _chroma(graph: Graph, plane: str, luma: str, weight: int) -> str:
    difference = _times(graph, graph.add("Sub", plane, luma), weight)
    chroma = _divided(graph, _plus(graph, difference, steps.CHROMA_OFFSET), steps.YUV_DIVISOR)
    return graph.add("Clip", chroma, *(graph.constant(np.float32(limit)) for limit in (0, 255)))


def _times(graph: Graph, name: str, factor: float) -> str:
    return graph.add("Mul", name, graph.constant(np.float32(factor)))


def _plus(graph: Graph, name: str, number: int) -> str:
    return graph.add("Add", name, graph.constant(np.float32(number)))


def _divided(graph: Graph, name: str, divisor: int) -> str:
    return graph.add("Floor", _times(graph, name, 1 / divisor))
