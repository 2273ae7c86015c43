"""Prepare camera frames in a TensorFlow graph; the bytes are the same as from OpenCV.

`prepare_frames` is Preprocessing.apply(); `prepare_pictures` is Framing.apply() before it. cv2.resize, cv2.remap and
cv2.cvtColor compute 8-bit images in fixed point, but for INTER_AREA to fewer pixels, which is float32. The constants
are OpenCV's own (modules/imgproc/src/resize.cpp and color_yuv.simd.hpp); tests compare every colour, and images of all
sizes. All values in fixed point are below 2**24, and divisors are powers of 2, so float32 is exact; runtimes compute
it faster than int32.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from bcclone.dataset.framing import FRACTION, Framing, Sampling, sampling_of
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.system.arrays import Float32Array

_WEIGHT_ONE = 2048  # a weight of 1: 11 bits after the point
_ACROSS_DIVISOR = 16  # after resizing across: 7 bits after the point are left
# Then OpenCV multiplies with a second weight and divides by 2**16. That product would exceed 2**24, so the value's high
# and low bytes are multiplied one by one: floor((high * weight + floor(low * weight / 256)) / 256)
_BYTE = 256
_LAST_DIVISOR, _LAST_HALF = 4, 2  # of the sum of both rows: the last rounding
_THIN = 1e-3  # OpenCV leaves out a smaller part of a pixel

# divisors of the colour conversions, and weights of red, green and blue
_YUV_DIVISOR, _GRAY_DIVISOR = 1 << 14, 1 << 15
_YUV_LUMA, _GRAY_LUMA = (4899, 9617, 1868), (9798, 19235, 3735)
_U_OF_BLUE, _V_OF_RED = 8061, 14369  # of the difference between the colour and the luma
_CHROMA_OFFSET = 128 * _YUV_DIVISOR + _YUV_DIVISOR // 2


@dataclass(frozen=True)
class _Tap:
    """One of the source pixels of each pixel of a resized row or column: index int32 (pixels,), and its weight."""

    index: npt.NDArray[np.int32]
    weight: Float32Array


_Taps = Sequence[_Tap]  # of rows or columns; those that weigh nothing are left out
Pixels = npt.NDArray[np.int32]


def prepare_frames(frames: Any, preprocessing: Preprocessing) -> Any:
    """Return the network's inputs, float32 (frames, height, width, channels), whole numbers from 0 to 255.

    frames: RGB, uint8 (frames, frame_height, frame_width, 3).
    """
    columns, rows, taps = _seen(preprocessing)
    if len(rows) < frames.shape[1]:
        frames = tf.gather(frames, rows, axis=1)
    if len(columns) < frames.shape[2]:
        frames = tf.gather(frames, columns, axis=2)
    frames = tf.cast(frames, tf.float32)  # the slowest operation of LiteRT, so after the others
    return _convert_colors(_resize(frames, *taps) if taps else frames, preprocessing.color)


def prepare_pictures(pictures: Any, preprocessing: Preprocessing, framing: Framing) -> Any:
    """Return the network's inputs for pictures of another camera, each made a frame as by Framing.apply().

    pictures: RGB, whole numbers from 0 to 255, float32 (pictures, rows, columns, 3), of the framing's size. Of the
    frame, only the pixels are computed that the network's input is made of.
    """
    size = preprocessing.frame_width, preprocessing.frame_height
    if not framing.lens:
        if framing.rows or framing.columns:
            pictures = pictures[:, slice(*(framing.rows or (None,))), slice(*(framing.columns or (None,)))]
        if tuple(pictures.shape[2:0:-1]) == size:
            return prepare_frames(pictures, preprocessing)
    columns, rows, taps = _seen(preprocessing)
    if framing.lens:
        frames = _warp(pictures, sampling_of(framing), (columns, rows))
    else:
        frames = _fit(pictures, size, (columns, rows))
    return _convert_colors(_resize(frames, *taps) if taps else frames, preprocessing.color)


def _seen(preprocessing: Preprocessing) -> tuple[Pixels, Pixels, tuple[_Taps, _Taps] | None]:
    """Return the columns and rows of a frame that the network's input is made of, and the taps that resize them."""
    kept = np.arange(preprocessing.frame_height, dtype=np.int32)[preprocessing.crop_top : preprocessing.crop_bottom]
    if (preprocessing.frame_width, len(kept)) == (preprocessing.width, preprocessing.height):
        return np.arange(preprocessing.frame_width, dtype=np.int32), kept, None
    across, columns = _compacted(_taps(preprocessing.frame_width, preprocessing.width, _linear_positions))
    down, rows = _compacted(_taps(len(kept), preprocessing.height, _linear_positions))
    return columns, kept[rows], (across, down)


def _warp(pictures: Any, sampling: Sampling, seen: tuple[Pixels, Pixels]) -> Any:
    """Return the pixels of frames that are in the seen columns and rows, each interpolated from four of a picture."""
    width, height = sampling.width, sampling.height
    if tuple(pictures.shape[2:0:-1]) != (width, height):
        whole = np.arange(width, dtype=np.int32), np.arange(height, dtype=np.int32)
        pictures = _fit(pictures, (width, height), whole)
    columns, rows = seen
    corner = sampling.corner[np.ix_(rows, columns)].astype(np.int32)
    part = sampling.part[np.ix_(rows, columns)].astype(np.float32)
    flat = tf.reshape(pictures, (-1, height * width, 3))
    total: Any = 0.0
    for down, across in ((0, 0), (0, 1), (1, 0), (1, 1)):
        index = np.minimum(corner[..., 1] + down, height - 1) * width + np.minimum(corner[..., 0] + across, width - 1)
        weight = np.abs(1 - across - part[..., 0] / FRACTION) * np.abs(1 - down - part[..., 1] / FRACTION)
        pixels = tf.reshape(tf.gather(flat, index.ravel(), axis=1), (-1, len(rows), len(columns), 3))
        total = total + pixels * weight[..., np.newaxis].astype(np.float32)
    return tf.floor(total + 0.5)


def _fit(pictures: Any, size: tuple[int, int], seen: tuple[Pixels, Pixels]) -> Any:
    """Return the pixels of frames of this width and height that are in the seen columns and rows."""
    sources = tuple(pictures.shape[2:0:-1])
    grows = any(source < target for source, target in zip(sources, size, strict=True))
    whole = not any(source % target for source, target in zip(sources, size, strict=True))
    taps_of = partial(_taps, positions=_area_positions) if grows else partial(_area_taps, whole=whole)
    across, down = (
        [_Tap(tap.index[pixels], tap.weight[pixels]) for tap in taps_of(source, target)]
        for source, target, pixels in zip(sources, size, seen, strict=True)
    )
    if grows:
        return _resize(pictures, across, down)
    narrow = sum(tf.gather(pictures, tap.index, axis=2) * tap.weight[:, np.newaxis] for tap in across)
    total = sum(tf.gather(narrow, tap.index, axis=1) * tap.weight[:, np.newaxis, np.newaxis] for tap in down)
    if not whole:
        return tf.round(total)
    area = (sources[0] // size[0]) * (sources[1] // size[1])
    halves = sources == (2 * size[0], 2 * size[1])  # which OpenCV rounds up, where its other areas round to even
    return tf.floor(total * 0.25 + 0.5) if halves else tf.round(total * (1 / area))


def _resize(images: Any, across: _Taps, down: _Taps) -> Any:
    weighed = [tf.gather(images, tap.index, axis=2) * tap.weight[:, np.newaxis] for tap in across]
    rows = _divided(sum(weighed[1:], weighed[0]), _ACROSS_DIVISOR)
    high = _divided(rows, _BYTE)
    low = rows - high * _BYTE
    total = [_weighted(high, low, tap) for tap in down]
    return _divided(sum(total[1:], total[0]) + _LAST_HALF, _LAST_DIVISOR)


def _compacted(taps: _Taps) -> tuple[_Taps, Pixels]:
    """Return the taps of an image that has only the pixels that they need, and these pixels."""
    needed = np.unique(np.concatenate([tap.index[tap.weight > 0] for tap in taps]))
    # a tap that weighs nothing may take any pixel
    places = [np.minimum(np.searchsorted(needed, tap.index), len(needed) - 1).astype(np.int32) for tap in taps]
    return [_Tap(place, tap.weight) for place, tap in zip(places, taps, strict=True)], needed


def _weighted(high: Any, low: Any, tap: _Tap) -> Any:
    """Return the chosen rows times their weights, by 2**16. high, low: the bytes of the rows."""
    weight = tap.weight[:, np.newaxis, np.newaxis]
    carried = _divided(tf.gather(low, tap.index, axis=1) * weight, _BYTE)
    return _divided(tf.gather(high, tap.index, axis=1) * weight + carried, _BYTE)


def _convert_colors(images: Any, color: str) -> Any:
    if color == "RGB":
        return images
    planes = [images[..., number : number + 1] for number in range(3)]
    if color == "GRAY":
        return _luma(planes, _GRAY_LUMA, _GRAY_DIVISOR)
    red, _, blue = planes = planes[::-1] if color == "BGR-YUV" else planes
    luma = _luma(planes, _YUV_LUMA, _YUV_DIVISOR)
    u, v = (
        tf.clip_by_value(_divided((plane - luma) * weight + _CHROMA_OFFSET, _YUV_DIVISOR), 0.0, 255.0)
        for plane, weight in ((blue, _U_OF_BLUE), (red, _V_OF_RED))
    )
    return tf.concat([luma, u, v], -1)


def _luma(planes: list[Any], weights: tuple[int, ...], divisor: int) -> Any:
    red, green, blue = (plane * weight for plane, weight in zip(planes, weights, strict=True))
    return _divided(red + green + blue + divisor // 2, divisor)


def _divided(values: Any, divisor: int) -> Any:
    return tf.floor(values * (1 / divisor))


Positions = tuple[npt.NDArray[np.int32], Float32Array]  # of target pixels: the source pixel, and how far it lies behind


def _scale(source: int, target: int) -> float:
    """Return source / target as OpenCV computes it, whose last bit decides at the edges of pixels."""
    return 1 / (target / source)


def _linear_positions(source: int, target: int) -> Positions:
    positions = ((np.arange(target) + 0.5) * _scale(source, target) - 0.5).astype(np.float32)
    first = np.floor(positions).astype(np.int32)
    return first, positions - first.astype(np.float32)


def _area_positions(source: int, target: int) -> Positions:
    """Return the positions of INTER_AREA, where the image grows along one of its axes."""
    pixels = np.arange(target)
    first = np.floor(pixels * _scale(source, target)).astype(np.int32)
    fraction = ((pixels + 1) - (first + 1) * (target / source)).astype(np.float32)
    fraction = np.where(fraction <= 0, 0, fraction - np.floor(fraction)).astype(np.float32)
    return first, np.where(first >= source - 1, 0, fraction).astype(np.float32)


def _taps(source: int, target: int, positions: Callable[[int, int], Positions]) -> _Taps:
    """Return the taps that resize `source` pixels to `target`; pixels beyond the edge are those at the edge."""
    first, fraction = positions(source, target)
    taps = (
        _Tap(np.clip(first, 0, source - 1), np.rint((1 - fraction) * _WEIGHT_ONE).astype(np.float32)),
        _Tap(np.clip(first + 1, 0, source - 1), np.rint(fraction * _WEIGHT_ONE).astype(np.float32)),
    )
    return [tap for tap in taps if tap.weight.any()]


def _area_taps(source: int, target: int, whole: bool) -> _Taps:
    """Return the taps of INTER_AREA to fewer pixels.

    whole: both factors of a picture are whole numbers; then the weights are 1, to be divided later.
    """
    scale = _scale(source, target)
    starts = np.arange(target) * scale
    first = np.floor(starts + _THIN).astype(np.int32)
    taps = []
    for number in range(math.ceil(scale) + 1):
        pixels = first + number
        share = np.minimum(pixels + 1, starts + scale) - np.maximum(pixels, starts)
        weight = np.where((share > _THIN) & (pixels < source), share, 0) / (1 if whole else scale)
        if weight.any():
            taps.append(_Tap(np.clip(pixels, 0, source - 1), weight.astype(np.float32)))
    return taps
