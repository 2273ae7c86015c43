"""Make the land's relief and colours: a seed -> noise and patches, heights -> slopes of stone."""

import math

import numpy as np

from bcclone.simulator.scene.roadmap import CELL_M, Grid
from bcclone.simulator.scene.textures import Field, resize, tiling_noise
from bcclone.system.exact_math import exponentials
from bcclone.system.numbers import Float32Array

Color = tuple[int, int, int]  # RGB under full light
Colors = tuple[Color, ...]

# Colours of the ground, RGB under full light: estimated from recordings
GRASS = (192, 164, 84)
DRY = (200, 176, 118)
DIRT = (182, 132, 92)
SCRUB = (140, 126, 68)
STONE = (142, 140, 128)
MEADOW = (128, 146, 46)
LEAVES = (96, 118, 40)
CLIFF = (146, 130, 100)
DARK_CLIFF = (96, 88, 72)


def noise(grid: Grid, seed: int, grain: int) -> Float32Array:
    """Return smooth noise of standard deviation 1 with lumps about `grain` cells wide."""
    # an even number of cells, since the second octave of the noise has lumps of two cells
    cells = 2 ** math.ceil(math.log2(grid.side / grain)) + 2
    field = tiling_noise(cells + cells % 2, 1000 + seed * 31 + grain, ((1, 1.0), (2, 1.0)))
    size = len(field) * grain
    return resize(field, size, size, kept=(grid.side, grid.side))


def mixed_patches(grid: Grid, seed: int, covers: Colors) -> Float32Array:
    """Return patches of colours that blend into each other, (side, side, 3).

    The first colour covers most of the ground.
    """
    # how much of each colour a cell has; the weights of a cell add up to 1
    weights = [
        exponentials(2.2 * noise(grid, seed + 11 + number, 64)) for number in range(len(covers))
    ]
    weights[0] *= 2.5
    total = sum(weights)
    for weight in weights:
        weight /= total

    channels = []
    for channel in range(3):
        parts = (weight * cover[channel] for weight, cover in zip(weights, covers, strict=True))
        channels.append(sum(parts))
    return np.stack(channels, -1, dtype=np.float32)


def stone_on_slopes(
    cover: Float32Array, heights: Field, stone: Color, steep: float
) -> Float32Array:
    """Return a cover with stone on steep slopes.

    cover: colour of each cell, (side, side, 3)
    steep: slope from which stone begins to show, in metres up for each metre
    """
    fraction = np.clip((slope_of(heights) - steep) / 0.5, 0, 1)
    channels = [
        cover[..., channel] * (1 - fraction) + stone[channel] * fraction for channel in range(3)
    ]
    return np.stack(channels, -1, dtype=np.float32, casting="same_kind")


def slope_of(heights: Field) -> Field:
    """Return how steep the ground is: metres up for each metre."""
    rise_z, rise_x = np.gradient(heights, CELL_M)
    return np.asarray(np.sqrt(rise_x * rise_x + rise_z * rise_z))


def smooth_step(values: Field, start: float, end: float) -> Field:
    """Return for each value 0 up to the start, 1 from the end on, and a smooth rise between."""
    fraction = np.clip((values - start) / (end - start), 0, 1)
    return np.asarray(fraction * fraction * (3 - 2 * fraction))
