"""Resize and blur fields of numbers, with the same result to the last bit on every processor.

OpenCV's functions for floating-point images add up in an order that depends on the processor.
"""

import numpy as np
import numpy.typing as npt

from bcclone.system.arrays import Float32Array, FloatArray
from bcclone.system.compiled import compiled

_SHARPNESS = -0.75  # of the cubic convolution kernel, as in OpenCV
_TAPS = {
    3: (0.25, 0.5, 0.25),
    5: (0.0625, 0.25, 0.375, 0.25, 0.0625),
    9: tuple(weight / 256 for weight in (4, 13, 30, 51, 60, 51, 30, 13, 4)),
}


def resize(
    field: npt.NDArray[np.floating], height: int, width: int, kept: tuple[int, int] | None = None
) -> Float32Array:
    """Return a field of another size, float32 (height, width), by cubic convolution; its edges are continued.

    kept: how many of the first rows and columns are computed and returned, by default all.
    """
    rows, columns = kept or (height, width)
    field = np.ascontiguousarray(field)
    higher = np.empty((rows, field.shape[1]))
    result = np.empty((rows, columns), np.float32)
    _resize_rows(field, *_sources(len(field), height, rows), higher)
    _resize_columns(higher, *_sources(field.shape[1], width, columns), result)
    return result


def blur(field: npt.NDArray[np.floating], taps: int, across: bool = True) -> Float32Array:
    """Return a field blurred by a bell curve of 3, 5 or 9 taps, float32. across: along the rows, too."""
    blurred = _weighted(field, _TAPS[taps])
    return np.ascontiguousarray(_weighted(blurred.T, _TAPS[taps]).T if across else blurred, np.float32)


def _sources(before: int, after: int, count: int) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Return the four cells of before that each of the first cells of after comes from, and their weights."""
    place = (np.arange(count) + 0.5) * (before / after) - 0.5
    first = np.floor(place)
    taps = np.arange(-1, 3)
    cells = np.clip(first.astype(np.intp)[:, None] + taps, 0, before - 1)
    return cells, _cubic(np.abs((place - first)[:, None] - taps))


@compiled(cache=True)
def _resize_rows(
    field: npt.NDArray[np.floating], cells: npt.NDArray[np.intp], weights: FloatArray, result: FloatArray
) -> None:
    for row in range(result.shape[0]):
        one, two, three, four = cells[row, 0], cells[row, 1], cells[row, 2], cells[row, 3]
        for column in range(result.shape[1]):
            total = 0.0 + weights[row, 0] * field[one, column]
            total += weights[row, 1] * field[two, column]
            total += weights[row, 2] * field[three, column]
            total += weights[row, 3] * field[four, column]
            result[row, column] = total


@compiled(cache=True)
def _resize_columns(field: FloatArray, cells: npt.NDArray[np.intp], weights: FloatArray, result: Float32Array) -> None:
    for row in range(result.shape[0]):
        for column in range(result.shape[1]):
            total = 0.0
            for tap in range(4):
                total += weights[column, tap] * field[row, cells[column, tap]]
            result[row, column] = total


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
    result = np.empty(field.shape)
    _add_weighted(padded, np.array(weights, field.dtype), result)
    return result


@compiled(cache=True)
def _add_weighted(padded: npt.NDArray[np.floating], weights: npt.NDArray[np.floating], result: FloatArray) -> None:
    for row in range(result.shape[0]):
        for column in range(result.shape[1]):
            result[row, column] = 0.0
        for tap in range(weights.size):
            for column in range(result.shape[1]):
                result[row, column] += weights[tap] * padded[row + tap, column]
