"""Resize and blur fields of numbers, with the same result to the last bit on every processor.

OpenCV's functions for floating-point images add up in an order that depends on the processor.
"""

import numpy as np
import numpy.typing as npt

from bcclone.arrays import Float32Array, FloatArray

_SHARPNESS = -0.75  # of the cubic convolution kernel, as in OpenCV
_TAPS = {
    3: (0.25, 0.5, 0.25),
    5: (0.0625, 0.25, 0.375, 0.25, 0.0625),
    9: tuple(weight / 256 for weight in (4, 13, 30, 51, 60, 51, 30, 13, 4)),
}


def resize(field: npt.NDArray[np.floating], height: int, width: int) -> Float32Array:
    """Return a field of another size, float32 (height, width), by cubic convolution; its edges are continued."""
    return np.ascontiguousarray(_resized_rows(_resized_rows(field, height).T, width).T, np.float32)


def blur(field: npt.NDArray[np.floating], taps: int, across: bool = True) -> Float32Array:
    """Return a field blurred by a bell curve of 3, 5 or 9 taps, float32. across: along the rows, too."""
    blurred = _weighted(field, _TAPS[taps])
    return np.ascontiguousarray(_weighted(blurred.T, _TAPS[taps]).T if across else blurred, np.float32)


def _resized_rows(field: npt.NDArray[np.floating], rows: int) -> FloatArray:
    place = (np.arange(rows) + 0.5) * (len(field) / rows) - 0.5
    first = np.floor(place)
    beyond = place - first
    result = np.zeros((rows, field.shape[1]))
    for tap in range(-1, 3):
        source = np.clip(first.astype(int) + tap, 0, len(field) - 1)
        result += _cubic(np.abs(beyond - tap))[:, None] * field[source]
    return result


def _cubic(away: FloatArray) -> FloatArray:
    """Return the weight of a cell at a distance of up to two cells (Keys, 1981)."""
    sharp = _SHARPNESS
    near = ((sharp + 2) * away - (sharp + 3)) * away * away + 1
    far = ((sharp * away - 5 * sharp) * away + 8 * sharp) * away - 4 * sharp
    return np.where(away <= 1, near, far)


def _weighted(field: npt.NDArray[np.floating], weights: tuple[float, ...]) -> FloatArray:
    """Return the weighted sum of neighbouring rows; the field is mirrored at its edges."""
    half = len(weights) // 2
    padded = np.pad(field, ((half, half), (0, 0)), mode="reflect")
    result = np.zeros(field.shape)
    for number, weight in enumerate(weights):
        result += weight * padded[number : number + len(field)]
    return result
