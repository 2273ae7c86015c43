"""Make the world's textures: a seed -> tiling noise and its coarser levels (mipmaps).

Fields are resized and blurred here, too, because the result must be the same to the last bit on
every processor: OpenCV's functions for floating-point images add up in an order that depends on the
processor.
"""

import numpy as np
import numpy.typing as npt

from bcclone.system.arrays import Float32Array, FloatArray, IndexArray
from bcclone.system.compiled import compiled
from bcclone.system.exact_math import exponentials, normals

Field = npt.NDArray[np.floating]  # a value for each cell of a grid

SIZE = 512  # texels of the finest level, in each direction
LEVELS = 10  # each has half the rows and columns of the one before, down to a single texel

# Textures
ASPHALT = 0
GRAIN = 1
COBBLE = 2
ROCK = 3

# Octaves of noise: the width of the lumps in cells (grain), and the weight of each octave
_Octaves = tuple[tuple[int, float], ...]
_EVEN: _Octaves = ((1, 1.0), (2, 0.7), (4, 0.5), (8, 0.35), (16, 0.25))
_FINE: _Octaves = ((1, 1.0), (2, 0.6), (8, 0.25))


def make_textures(seed: int) -> Float32Array:
    """Return the four textures, float32 (4, texels): all levels in a row, the finest first.

    The finest level has mean 0 and a standard deviation of 1.
    """
    asphalt = exponentials(0.5 * tiling_noise(SIZE, seed, _FINE))  # bright grains in a dark ground
    grain = tiling_noise(SIZE, seed + 1, _EVEN)
    cobbles = _cobbles(seed + 2)
    rock = blur(tiling_noise(SIZE, seed + 3, _EVEN), 9, across=False)  # stretched upwards
    return np.stack([_with_levels(texture) for texture in (asphalt, grain, cobbles, rock)])


def tiling_noise(size: int, seed: int, octaves: _Octaves) -> Float32Array:
    """Return tiling noise of standard deviation 1, float32 (size, size)."""
    randomness = np.random.default_rng(seed)
    total = np.zeros((size, size), np.float32)
    for grain, weight in octaves:
        cells = size // grain
        field = normals(randomness, (cells, cells)).astype(np.float32)
        # two more cells on each side, so that the opposite edges fit together
        around = np.pad(field, 2, mode="wrap")
        smooth = resize(around, len(around) * grain, len(around) * grain)
        smooth = smooth[2 * grain : 2 * grain + size, 2 * grain : 2 * grain + size]
        total += weight * smooth / float(smooth.std())
    return np.asarray(total / float(total.std()), np.float32)


_STONES = 32  # stones in a row of cobbles
_BENDS: _Octaves = ((16, 1.0),)  # noise that bends the stones' outlines


def _cobbles(seed: int) -> Float32Array:
    """Return paving stones of varying brightness with bent outlines and light joints."""
    randomness = np.random.default_rng(seed)
    pitch = SIZE // _STONES

    # each texel is moved a little in an even grid of stones, which bends the outlines
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    bent_rows = rows + 3.0 * tiling_noise(SIZE, seed + 50, _BENDS)
    bent_columns = columns + 3.0 * tiling_noise(SIZE, seed + 51, _BENDS)

    # the stones of every second column are shifted by half their length
    stripe = np.floor(bent_columns / pitch).astype(int) % _STONES
    shifted = bent_rows + np.where(stripe % 2 == 1, pitch // 2, 0)
    stone = np.floor(shifted / pitch).astype(int) % _STONES
    brightness = (0.6 * normals(randomness, (_STONES, _STONES)) - 0.5)[stripe, stone]

    joint = np.minimum(bent_columns % pitch, shifted % pitch) < 2.5
    stones = np.where(joint, 2.0, brightness).astype(np.float32)
    return np.asarray(blur(stones, 3) + 0.4 * tiling_noise(SIZE, seed, _EVEN), np.float32)


def _with_levels(texture: Float32Array) -> Float32Array:
    """Return all levels of a texture, the finest first, flattened and joined."""
    texture = (texture - texture.mean()) / texture.std()
    levels = [texture]
    while levels[-1].shape[0] > 1:
        half = levels[-1].shape[0] // 2
        levels.append(levels[-1].reshape(half, 2, half, 2).mean((1, 3)))
    return np.concatenate([level.ravel() for level in levels[:LEVELS]]).astype(np.float32)


# ---- resizing


def resize(
    field: Field, height: int, width: int, kept: tuple[int, int] | None = None
) -> Float32Array:
    """Return a field resized to (height, width), float32, by cubic convolution.

    The cells at the edges repeat outwards.

    kept: how many of the new rows and columns, from the first on, are computed
    """
    rows, columns = kept or (height, width)
    field = np.ascontiguousarray(field)
    with_new_rows = np.empty((rows, field.shape[1]))
    cells, weights = _sources(len(field), height, rows)
    _resize_rows(field, cells, weights, with_new_rows)

    result = np.empty((rows, columns), np.float32)
    cells, weights = _sources(field.shape[1], width, columns)
    _resize_columns(with_new_rows, cells, weights, result)
    return result


_SHARPNESS = -0.75  # parameter of the cubic convolution kernel, as in OpenCV


def _sources(old_size: int, new_size: int, count: int) -> tuple[IndexArray, FloatArray]:
    """Return the four old cells from which a new cell is interpolated, and their weights.

    Both are (count, 4), for the first `count` new cells. The weight of an old cell is the cubic
    convolution kernel (Keys, 1981) at its distance from the new one, up to two cells.
    """
    position = (np.arange(count) + 0.5) * (old_size / new_size) - 0.5
    first = np.floor(position)
    taps = np.arange(-1, 3)
    cells = np.clip(first.astype(np.intp)[:, None] + taps, 0, old_size - 1)

    distance = np.abs((position - first)[:, None] - taps)
    sharp = _SHARPNESS
    near = ((sharp + 2) * distance - (sharp + 3)) * distance * distance + 1
    far = ((sharp * distance - 5 * sharp) * distance + 8 * sharp) * distance - 4 * sharp
    return cells, np.where(distance <= 1, near, far)


@compiled(cache=True)
def _resize_rows(field: Field, cells: IndexArray, weights: FloatArray, result: FloatArray) -> None:
    """Compute each new row from four old ones. cells, weights: (rows, 4)."""
    for row in range(result.shape[0]):
        first = cells[row, 0]
        second = cells[row, 1]
        third = cells[row, 2]
        fourth = cells[row, 3]
        for column in range(result.shape[1]):
            # 0.0 is added as in _resize_columns(): it makes a negative zero positive
            total = 0.0 + weights[row, 0] * field[first, column]
            total += weights[row, 1] * field[second, column]
            total += weights[row, 2] * field[third, column]
            total += weights[row, 3] * field[fourth, column]
            result[row, column] = total


@compiled(cache=True)
def _resize_columns(
    field: FloatArray, cells: IndexArray, weights: FloatArray, result: Float32Array
) -> None:
    """Compute each new column from four old ones. cells, weights: (columns, 4)."""
    for row in range(result.shape[0]):
        for column in range(result.shape[1]):
            total = 0.0
            for tap in range(4):
                total += weights[column, tap] * field[row, cells[column, tap]]
            result[row, column] = total


# ---- blurring


# number of taps -> weights of a bell curve, which add up to 1
_TAPS = {
    3: (0.25, 0.5, 0.25),
    5: (0.0625, 0.25, 0.375, 0.25, 0.0625),
    9: tuple(weight / 256 for weight in (4, 13, 30, 51, 60, 51, 30, 13, 4)),
}


def blur(field: Field, taps: int, across: bool = True) -> Float32Array:
    """Return a field blurred by a bell curve of 3, 5 or 9 taps, float32.

    across: blur along the rows, too; otherwise along the columns only
    """
    blurred = _weighted(field, _TAPS[taps])
    if across:
        blurred = _weighted(blurred.T, _TAPS[taps]).T
    return np.ascontiguousarray(blurred, np.float32)


def _weighted(field: Field, weights: tuple[float, ...]) -> FloatArray:
    """Return for each row the weighted sum of the rows around it.

    The field is mirrored at its edges.
    """
    result = np.zeros(field.shape)
    _add_rows(np.ascontiguousarray(field), np.array(weights, field.dtype), result)
    return result


@compiled(cache=True)
def _add_rows(field: Field, weights: Field, result: FloatArray) -> None:
    """Add the weighted rows around each row to it, as _weighted() describes."""
    last = field.shape[0] - 1
    half = weights.size // 2
    for row in range(field.shape[0]):
        for tap in range(weights.size):
            source = abs(row + tap - half)
            source = min(source, 2 * last - source)
            for column in range(field.shape[1]):
                result[row, column] += weights[tap] * field[source, column]
