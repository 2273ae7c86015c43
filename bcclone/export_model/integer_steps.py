"""Preprocessing as arithmetic with whole numbers, which every runtime computes with the same result as OpenCV.

cv2.resize(INTER_LINEAR) and cv2.cvtColor compute 8-bit images in fixed point. The numbers here are those of OpenCV
(modules/imgproc/src/resize.cpp and color_yuv.simd.hpp); tests compare every colour, and images of all sizes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bcclone.images import Preprocessing

Indices = npt.NDArray[np.int32]

_WEIGHT_ONE = 2048  # a weight of 1: 11 bits after the point
ACROSS_DIVISOR = 16  # after resizing across: 7 bits after the point are left
DOWN_DIVISOR = 1 << 16  # after multiplying with a weight again: 2 are left
LAST_DIVISOR, LAST_HALF = 4, 2  # and the last rounding

# divisors, and half of them to round, of the colour conversions
YUV_DIVISOR, GRAY_DIVISOR = 1 << 14, 1 << 15
YUV_LUMA, GRAY_LUMA = (4899, 9617, 1868), (9798, 19235, 3735)  # of red, green and blue
U_OF_BLUE, V_OF_RED = 8061, 14369  # of the difference between the colour and the luma
CHROMA_OFFSET = 128 * YUV_DIVISOR + YUV_DIVISOR // 2


@dataclass(frozen=True)
class Taps:
    """Which two source pixels make each pixel of a resized row or column, and their weights, int32 (pixels,) each."""

    first: Indices
    second: Indices
    first_weight: Indices
    second_weight: Indices


def taps(source: int, target: int) -> Taps:
    """Return the taps that resize `source` pixels to `target`; the centres of the outermost pixels may lie outside."""
    positions = ((np.arange(target) + 0.5) * (source / target) - 0.5).astype(np.float32)
    first = np.floor(positions).astype(np.int32)
    fraction = positions - first.astype(np.float32)
    return Taps(
        np.clip(first, 0, source - 1),
        np.clip(first + 1, 0, source - 1),
        np.rint((1 - fraction) * _WEIGHT_ONE).astype(np.int32),
        np.rint(fraction * _WEIGHT_ONE).astype(np.int32),
    )


def resize_taps(preprocessing: Preprocessing) -> tuple[Taps, Taps] | None:
    """Return the taps across and down; None if the size of the kept rows stays."""
    kept = (preprocessing.crop_bottom or preprocessing.frame_height) - preprocessing.crop_top
    if (preprocessing.frame_width, kept) == (preprocessing.width, preprocessing.height):
        return None
    return taps(preprocessing.frame_width, preprocessing.width), taps(kept, preprocessing.height)
