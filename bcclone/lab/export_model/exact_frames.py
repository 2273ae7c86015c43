"""Prepare camera frames in a TensorFlow graph; the bytes are the same as from images.Preprocessing.apply() with OpenCV.

cv2.resize(INTER_LINEAR) and cv2.cvtColor compute 8-bit images in fixed point. The constants are OpenCV's own
(modules/imgproc/src/resize.cpp and color_yuv.simd.hpp); tests compare every colour, and images of all sizes. All values
are below 2**24, and divisors are powers of 2, so float32 is exact; runtimes compute it faster than int32.
"""

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

# divisors of the colour conversions, and weights of red, green and blue
_YUV_DIVISOR, _GRAY_DIVISOR = 1 << 14, 1 << 15
_YUV_LUMA, _GRAY_LUMA = (4899, 9617, 1868), (9798, 19235, 3735)
_U_OF_BLUE, _V_OF_RED = 8061, 14369  # of the difference between the colour and the luma
_CHROMA_OFFSET = 128 * _YUV_DIVISOR + _YUV_DIVISOR // 2


@dataclass(frozen=True)
class _Tap:
    """One of the two source pixels of each pixel of a resized row or column: index int32 (pixels,), and its weight."""

    index: npt.NDArray[np.int32]
    weight: Float32Array


def prepare_frames(frames: Any, preprocessing: Preprocessing) -> Any:
    """Return the network's inputs, float32 (frames, height, width, channels), whole numbers from 0 to 255.

    frames: RGB, uint8 (frames, frame_height, frame_width, 3).
    """
    kept = tf.cast(frames[:, preprocessing.crop_top : preprocessing.crop_bottom], tf.float32)
    return _convert_colors(_resize(kept, preprocessing), preprocessing.color)


def _resize(images: Any, preprocessing: Preprocessing) -> Any:
    taps = _resize_taps(preprocessing)
    if taps is None:
        return images
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
    return _taps(preprocessing.frame_width, preprocessing.width), _taps(kept, preprocessing.height)


def _taps(source: int, target: int) -> tuple[_Tap, _Tap]:
    """Return the taps that resize `source` pixels to `target`; pixels beyond the edge are those at the edge."""
    positions = ((np.arange(target) + 0.5) * (source / target) - 0.5).astype(np.float32)
    first = np.floor(positions).astype(np.int32)
    fraction = positions - first.astype(np.float32)
    return (
        _Tap(np.clip(first, 0, source - 1), np.rint((1 - fraction) * _WEIGHT_ONE).astype(np.float32)),
        _Tap(np.clip(first + 1, 0, source - 1), np.rint(fraction * _WEIGHT_ONE).astype(np.float32)),
    )
