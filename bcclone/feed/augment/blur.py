"""Blur some images, with a Gaussian filter.

In: the random numbers of a batch, and its images. The numbers choose the images to blur, and for
each a standard deviation of 0.4 to 1.5 pixels. Out: all images; the ones not chosen are unchanged.
"""

from typing import Any

import numpy as np

from bcclone.camera.images import Image
from bcclone.feed.augment import Extent, LensChange, Numbers
from bcclone.system.compiled import compiled
from bcclone.system.numbers import Float32Array

_INT = np.int32
_FLOAT = np.float32

# a Gaussian of at most this standard deviation, in pixels, does not reach beyond the neighbours
_NARROW_SIGMA = 1.0


def _taps(numbers: Numbers, fraction: float, extent: Extent, xp: Any) -> Any:
    """Return the weights of a Gaussian blur along rows and columns, float32 (samples, 3).

    They are those of the pixel itself, its neighbours, and the pixels two away (0 for a narrow
    Gaussian); sharp images have 1, 0, 0.
    """
    sigma = 0.4 + 1.1 * numbers["blur_sigma"]  # pixels
    reach_if_blurred = xp.where(sigma > _NARROW_SIGMA, 2.0, 1.0)
    reach = xp.where(numbers["blur"] < fraction, reach_if_blurred, 0.0)
    distance = np.arange(3, dtype=np.float32)
    taps = xp.where(distance <= reach, xp.exp(-0.5 * (distance / sigma) ** 2), 0.0)
    # all five weights add up to 1; the pixel itself counts once, the others on both sides
    center = taps[:, :1]
    return taps / (2.0 * xp.sum(taps, axis=1, keepdims=True) - center)


@compiled(error_model="numpy")
def mirrored(index: int, size: int) -> int:
    """Return the index mirrored at the edges, which are not repeated."""
    return abs(index) if index < size else 2 * size - 2 - index


def _on_cpu(images: Image, extent: Extent, taps: Float32Array) -> None:
    # made here, since compiled code allocates nothing
    blurred = np.empty((extent.rows, 3 * extent.width), np.float32)
    padded = np.empty(3 * (extent.width + 4), np.uint8)
    _blur_images(images, extent.top, taps, blurred, padded)


@compiled(error_model="numpy", cache=True)
def _blur_images(images: Any, top: Any, taps: Any, blurred: Any, padded: Any) -> None:
    """Blur the images that are not sharp.

    images: uint8 (samples, frames, height, width, 3); the rows from `top` on that `blurred` has
        room for are changed in place.
    taps: float32 (samples, 3), as _taps() returns them.
    blurred, padded: as _blur() takes them.
    """
    below = top + blurred.shape[0]
    for sample in range(images.shape[0]):
        is_sharp = taps[sample, 1] <= 0
        if is_sharp:
            continue
        for frame in range(images.shape[1]):
            _blur(images[sample, frame, top:below], taps[sample], blurred, padded)


@compiled(error_model="numpy")
def _blur(view: Any, taps: Any, blurred: Any, padded: Any) -> None:
    """Blur an image, along rows, then along columns; it is mirrored at its edges.

    view: uint8 (rows, width, 3), changed in place.
    blurred: room for the image after the first step, float32 (rows, 3 x width).
    padded: room for a row with two more pixels at each end, uint8 (3 x (width + 4),).
    """
    _blur_rows(view, taps, blurred, padded)
    _blur_columns(blurred, taps, view.reshape(blurred.shape))


@compiled(error_model="numpy")
def _blur_rows(view: Any, taps: Any, blurred: Any, padded: Any) -> None:
    rows, width = view.shape[:2]
    flat = view.reshape(rows, 3 * width)
    center = taps[0]
    close = taps[1]
    wide = taps[2]
    # five views of one padded row, each a pixel (3 bytes) further on: the loop that fills `third`
    # fills them all. At the same index they hold the same channel of five neighbours: of two pixels
    # to the left, the pixel itself (in `third`), and two to the right.
    first = padded
    second = padded[3:]
    third = padded[6:]
    fourth = padded[9:]
    fifth = padded[12:]
    for row in range(rows):
        for index in range(3 * width):
            third[index] = flat[row, index]
        for x in (-2, -1, width, width + 1):
            for channel in range(3):
                padded[3 * (x + 2) + channel] = view[row, mirrored(x, width), channel]

        result = blurred[row]
        for index in range(3 * width):
            near = _INT(second[index]) + _INT(fourth[index])
            far = _INT(first[index]) + _INT(fifth[index])
            pixel = _FLOAT(_INT(third[index]))  # by way of an int, like the sums above
            result[index] = center * pixel + close * _FLOAT(near) + wide * _FLOAT(far)


@compiled(error_model="numpy")
def _blur_columns(blurred: Any, taps: Any, result: Any) -> None:
    rows, width = blurred.shape
    center = taps[0]
    close = taps[1]
    wide = taps[2]
    for row in range(rows):
        first = blurred[mirrored(row - 2, rows)]
        second = blurred[mirrored(row - 1, rows)]
        third = blurred[row]
        fourth = blurred[mirrored(row + 1, rows)]
        fifth = blurred[mirrored(row + 2, rows)]
        line = result[row]
        for index in range(width):
            near = second[index] + fourth[index]
            far = first[index] + fifth[index]
            level = center * third[index] + close * near + wide * far
            line[index] = np.uint8(_INT(level + _FLOAT(0.5)))


def filtered(images: Any, taps: Any, xp: Any) -> Any:
    """Return images filtered along rows and columns; they are mirrored at their edges.

    images: (images, rows, width, channels).
    taps: float32 (images, 3), weights of the pixel itself, of its neighbours, and of the pixels two
        away.
    """
    return _filtered_along(_filtered_along(images, taps, 1, xp), taps, 2, xp)


def _filtered_along(images: Any, taps: Any, axis: int, xp: Any) -> Any:
    center, close, wide = (taps[:, tap, None, None, None] for tap in range(3))
    widths = [(0, 0)] * 4
    widths[axis] = (2, 2)
    padded = xp.pad(images, widths, mode="reflect")

    size = images.shape[axis]
    every = [slice(None)] * 4
    shifted = []
    for start in range(5):
        part = [*every]
        part[axis] = slice(start, start + size)
        shifted.append(padded[tuple(part)])
    first, second, third, fourth, fifth = shifted
    return center * third + close * (second + fourth) + wide * (first + fifth)


KIND = LensChange(
    setting="blur",
    uniforms={"blur": 1, "blur_sigma": 1},
    parameters=_taps,
    on_cpu=_on_cpu,
    on_device=filtered,
)
