"""Preprocessing as arithmetic with whole numbers, which every runtime computes with the same result as OpenCV.

cv2.resize(INTER_LINEAR) and cv2.cvtColor compute 8-bit images in fixed point. The numbers here are those of OpenCV
(modules/imgproc/src/resize.cpp and color_yuv.simd.hpp); tests compare every colour, and images of all sizes. All values
are below 2**24, and divisors are powers of 2: so float32 holds them exactly, and runtimes compute it faster than int32.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bcclone.dataset.images import Preprocessing
from bcclone.system.arrays import Float32Array

_WEIGHT_ONE = 2048  # a weight of 1: 11 bits after the point
ACROSS_DIVISOR = 16  # after resizing across: 7 bits after the point are left
# after multiplying with a weight again, OpenCV divides by 2**16; the product would exceed 2**24, so it is made of the
# products with the value's high and low bytes: floor((high * weight + floor(low * weight / 256)) / 256)
BYTE = 256
LAST_DIVISOR, LAST_HALF = 4, 2  # of the sum of both rows: the last rounding

# divisors of the colour conversions, and weights of red, green and blue
YUV_DIVISOR, GRAY_DIVISOR = 1 << 14, 1 << 15
YUV_LUMA, GRAY_LUMA = (4899, 9617, 1868), (9798, 19235, 3735)
U_OF_BLUE, V_OF_RED = 8061, 14369  # of the difference between the colour and the luma
CHROMA_OFFSET = 128 * YUV_DIVISOR + YUV_DIVISOR // 2


@dataclass(frozen=True)
class Tap:
    """One of the two source pixels of each pixel of a resized row or column: index int32 (pixels,), and its weight."""

    index: npt.NDArray[np.int32]
    weight: Float32Array


def resize_taps(preprocessing: Preprocessing) -> tuple[tuple[Tap, Tap], tuple[Tap, Tap]] | None:
    """Return the taps across and down; None if the kept rows have the size of the prepared image."""
    kept = (preprocessing.crop_bottom or preprocessing.frame_height) - preprocessing.crop_top
    if (preprocessing.frame_width, kept) == (preprocessing.width, preprocessing.height):
        return None
    return _taps(preprocessing.frame_width, preprocessing.width), _taps(kept, preprocessing.height)


def _taps(source: int, target: int) -> tuple[Tap, Tap]:
    """Return the taps that resize `source` pixels to `target`; pixels beyond the edge are those at the edge."""
    positions = ((np.arange(target) + 0.5) * (source / target) - 0.5).astype(np.float32)
    first = np.floor(positions).astype(np.int32)
    fraction = positions - first.astype(np.float32)
    return (
        Tap(np.clip(first, 0, source - 1), np.rint((1 - fraction) * _WEIGHT_ONE).astype(np.float32)),
        Tap(np.clip(first + 1, 0, source - 1), np.rint(fraction * _WEIGHT_ONE).astype(np.float32)),
    )
