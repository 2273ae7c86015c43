"""Blur some images, with a Gaussian filter."""

from typing import Any

import numpy as np

from bcclone.camera.images import Image
from bcclone.feed.augment import Extent, LensChange, Numbers
from bcclone.system.arrays import Float32Array
from bcclone.system.compiled import compiled

_NARROW_SIGMA = 1.0  # pixels
_INT, _FLOAT = np.int32, np.float32


def _taps(numbers: Numbers, fraction: float, extent: Extent, xp: Any) -> Any:
    """Return the weights of a Gaussian blur along rows and columns, float32 (samples, 3).

    They are those of the pixel itself, its neighbours, and the pixels two away (0 for a narrow
    Gaussian); sharp images have 1, 0, 0.
    """
    sigma = 0.4 + 1.1 * numbers["blur_sigma"]  # pixels
    reach = xp.where(numbers["blur"] < fraction, xp.where(sigma > _NARROW_SIGMA, 2.0, 1.0), 0.0)
    distance = np.arange(3, dtype=np.float32)
    taps = xp.where(distance <= reach, xp.exp(-0.5 * (distance / sigma) ** 2), 0.0)
    return taps / (2.0 * xp.sum(taps, axis=1, keepdims=True) - taps[:, :1])


@compiled(error_model="numpy")
def mirrored(index: int, size: int) -> int:
    """Return the index mirrored at the edges, which are not repeated."""
    return abs(index) if index < size else 2 * size - 2 - index


def _on_cpu(images: Image, extent: Extent, taps: Float32Array) -> None:
    blurred, line = (
        np.empty((extent.rows, 3 * extent.width), np.float32),
        np.empty(3 * (extent.width + 4), np.uint8),
    )
    _blur_images(images, extent.top, taps, blurred, line)


@compiled(error_model="numpy", cache=True)
def _blur_images(images: Any, top: Any, taps: Any, blurred: Any, line: Any) -> None:
    for sample in range(images.shape[0]):
        if taps[sample, 1] > 0:
            for frame in range(images.shape[1]):
                _blur(
                    images[sample, frame, top : top + blurred.shape[0]], taps[sample], blurred, line
                )


@compiled(error_model="numpy")
def _blur(view: Any, taps: Any, blurred: Any, padded: Any) -> None:
    """Blur an image, along rows, then along columns; it is mirrored at its edges. padded: room for
    a wider row.
    """
    rows, width = view.shape[0], view.shape[1]
    center, close, wide = taps[0], taps[1], taps[2]
    flat = view.reshape(rows, 3 * width)
    first, second, third, fourth, fifth = padded, padded[3:], padded[6:], padded[9:], padded[12:]
    for row in range(rows):
        for x in range(3 * width):
            third[x] = flat[row, x]
        for x in (-2, -1, width, width + 1):
            for channel in range(3):
                padded[3 * (x + 2) + channel] = view[row, mirrored(x, width), channel]
        line = blurred[row]
        for index in range(3 * width):
            near, far = (
                _INT(second[index]) + _INT(fourth[index]),
                _INT(first[index]) + _INT(fifth[index]),
            )
            line[index] = (
                center * _FLOAT(_INT(third[index])) + close * _FLOAT(near) + wide * _FLOAT(far)
            )
    for row in range(rows):
        above, over = blurred[mirrored(row - 2, rows)], blurred[mirrored(row - 1, rows)]
        under, below = blurred[mirrored(row + 1, rows)], blurred[mirrored(row + 2, rows)]
        here, result = blurred[row], flat[row]
        for index in range(3 * width):
            one, two = over[index] + under[index], above[index] + below[index]
            result[index] = np.uint8(
                _INT(center * here[index] + close * one + wide * two + _FLOAT(0.5))
            )


def filtered(images: Any, taps: Any, xp: Any) -> Any:
    """Return images, (images, rows, width, channels), filtered along both axes; they are mirrored
    at their edges.

    taps: float32 (images, 3), weights of the pixel itself, of its neighbours, and of the pixels two
    away.
    """
    center, close, wide = (taps[:, n, None, None, None] for n in range(3))
    for axis in (1, 2):
        size = images.shape[axis]
        padded = xp.pad(
            images, [(2, 2) if number == axis else (0, 0) for number in range(4)], mode="reflect"
        )
        first, second, third, fourth, fifth = (
            padded[:, n : n + size] if axis == 1 else padded[:, :, n : n + size] for n in range(5)
        )
        images = center * third + close * (second + fourth) + wide * (first + fifth)
    return images


KIND = LensChange("blur", {"blur": 1, "blur_sigma": 1}, _taps, _on_cpu, filtered)
