"""Prepare camera frames in a TensorFlow graph; the bytes are the same as from OpenCV.

`prepare_frames` is images.Preprocessing.apply(), and `fit_frames` is images.fit_frame(). cv2.resize and cv2.cvtColor
compute 8-bit images in fixed point, but for INTER_AREA to fewer pixels, which is float32. The constants are OpenCV's
own (modules/imgproc/src/resize.cpp and color_yuv.simd.hpp); tests compare every colour, and images of all sizes. All
values in fixed point are below 2**24, and divisors are powers of 2, so float32 is exact; runtimes compute it faster
than int32.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from bcclone.dataset.images import Preprocessing
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


def prepare_frames(frames: Any, preprocessing: Preprocessing) -> Any:
    """Return the network's inputs, float32 (frames, height, width, channels), whole numbers from 0 to 255.

    frames: RGB, uint8 (frames, frame_height, frame_width, 3).
    """
    kept = tf.cast(frames[:, preprocessing.crop_top : preprocessing.crop_bottom], tf.float32)
    taps = _resize_taps(preprocessing)
    return _convert_colors(_resize(kept, taps) if taps else kept, preprocessing.color)


def fit_frames(pictures: Any, width: int, height: int) -> Any:
    """Return pictures of another camera as frames of this size, all of each picture, stretched.

    pictures: RGB, whole numbers from 0 to 255, float32 (pictures, rows, columns, 3).
    """
    _, rows, columns, _ = pictures.shape
    if (columns, rows) == (width, height):
        return pictures
    if columns < width or rows < height:
        return _resize(pictures, (_taps(columns, width, _area_positions), _taps(rows, height, _area_positions)))
    across, down = (_area_taps(*sizes) for sizes in ((columns, width), (rows, height)))
    narrow = sum(tf.gather(pictures, tap.index, axis=2) * tap.weight[:, np.newaxis] for tap in across)
    total = sum(tf.gather(narrow, tap.index, axis=1) * tap.weight[:, np.newaxis, np.newaxis] for tap in down)
    if columns % width or rows % height:
        return tf.round(total)
    area = (columns // width) * (rows // height)
    return tf.floor(total * 0.25 + 0.5) if (columns, rows) == (2 * width, 2 * height) else tf.round(total * (1 / area))


def _resize(images: Any, taps: tuple[tuple[_Tap, _Tap], tuple[_Tap, _Tap]]) -> Any:
    (left, right), (above, below) = taps
    across = [tf.gather(images, tap.index, axis=2) * tap.weight[:, np.newaxis] for tap in (left, right)]
    rows = _divided(across[0] + across[1], _ACROSS_DIVISOR)
    high = _divided(rows, _BYTE)
    low = rows - high * _BYTE
    total = _weighted(high, low, above) + _weighted(high, low, below)
    return _divided(total + _LAST_HALF, _LAST_DIVISOR)


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


def _resize_taps(preprocessing: Preprocessing) -> tuple[tuple[_Tap, _Tap], tuple[_Tap, _Tap]] | None:
    """Return the taps across and down; None if the kept rows have the size of the prepared image."""
    kept = (preprocessing.crop_bottom or preprocessing.frame_height) - preprocessing.crop_top
    if (preprocessing.frame_width, kept) == (preprocessing.width, preprocessing.height):
        return None
    across, down = (preprocessing.frame_width, preprocessing.width), (kept, preprocessing.height)
    return _taps(*across, _linear_positions), _taps(*down, _linear_positions)


Positions = tuple[npt.NDArray[np.int32], Float32Array]  # of target pixels: the source pixel, and how far it lies behind


def _linear_positions(source: int, target: int) -> Positions:
    """Return the positions of INTER_LINEAR."""
    positions = ((np.arange(target) + 0.5) * (source / target) - 0.5).astype(np.float32)
    first = np.floor(positions).astype(np.int32)
    return first, positions - first.astype(np.float32)


def _area_positions(source: int, target: int) -> Positions:
    """Return the positions of INTER_AREA, where the image grows along one of its axes."""
    pixels = np.arange(target)
    first = np.floor(pixels * (source / target)).astype(np.int32)
    fraction = ((pixels + 1) - (first + 1) * (target / source)).astype(np.float32)
    fraction = np.where(fraction <= 0, 0, fraction - np.floor(fraction)).astype(np.float32)
    return first, np.where(first >= source - 1, 0, fraction).astype(np.float32)


def _taps(source: int, target: int, positions: Callable[[int, int], Positions]) -> tuple[_Tap, _Tap]:
    """Return the taps that resize `source` pixels to `target`; pixels beyond the edge are those at the edge."""
    first, fraction = positions(source, target)
    return (
        _Tap(np.clip(first, 0, source - 1), np.rint((1 - fraction) * _WEIGHT_ONE).astype(np.float32)),
        _Tap(np.clip(first + 1, 0, source - 1), np.rint(fraction * _WEIGHT_ONE).astype(np.float32)),
    )


def _area_taps(source: int, target: int) -> list[_Tap]:
    """Return the taps of INTER_AREA to fewer pixels; of a whole factor, their weights are 1, to be divided later."""
    scale = source / target
    starts = np.arange(target) * scale
    first = np.floor(starts + _THIN).astype(np.int32)
    taps = []
    for number in range(math.ceil(scale) + 1):
        pixels = first + number
        share = np.minimum(pixels + 1, starts + scale) - np.maximum(pixels, starts)
        weight = np.where((share > _THIN) & (pixels < source), share, 0) / (scale if source % target else 1)
        if weight.any():
            taps.append(_Tap(np.clip(pixels, 0, source - 1), weight.astype(np.float32)))
    return taps
