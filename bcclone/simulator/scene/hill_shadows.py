"""Find the ground that lies in the shadow of hills; compiled.

From every cell a line goes towards the sun, in steps; where it meets a hill, the cell is in its shadow. Heights between
cells are interpolated. Every operation is rounded as IEEE 754 defines, so all processors find the same cells.
"""

import math

import numpy as np

from bcclone.simulator.scene.roadmap import CELL_M
from bcclone.system.arrays import Float32Array, FloatArray
from bcclone.system.compiled import compiled
from bcclone.system.exact_math import length

IN_SHADOW = 0.15
_STEP_M, _REACH_M = 2.0, 120.0
_SPARE_M = 0.3  # that a hill must be higher than the line


def hide_from_sun(heights_m: Float32Array, sun: FloatArray, lit: Float32Array) -> None:
    """Set the light of cells behind hills to IN_SHADOW.

    heights_m, lit: float32 (side, side); sun: unit vector towards it, (3,), not overhead.
    """
    level = length(float(sun[0]), float(sun[2]))
    highest = float(heights_m.max()) + 0.01  # more than rounding adds to a height between cells
    for reach in np.arange(_STEP_M, _REACH_M, _STEP_M):
        right, up = sun[0] / level * reach / CELL_M, sun[2] / level * reach / CELL_M
        _hide(heights_m, (right, up, reach * sun[1] / level), highest, lit)


@compiled(cache=True, error_model="numpy")
def _hide(heights: Float32Array, step: tuple[float, float, float], highest: float, lit: Float32Array) -> None:
    """Hide the cells whose lines meet a hill at one step: cells to the right and up, and how much they have risen."""
    side, (right, up, rise) = heights.shape[0], step
    low, left = int(math.floor(up)), int(math.floor(right))
    above, beyond = up - low, right - left
    for row in range(side):
        first, second = min(max(row + low, 0), side - 1), min(max(row + low + 1, 0), side - 1)
        for column in range(side):
            line = heights[row, column] + rise + _SPARE_M
            if line >= highest or lit[row, column] < 1.0:
                continue
            here, there = min(max(column + left, 0), side - 1), min(max(column + left + 1, 0), side - 1)
            near = heights[first, here] * (1 - above) + heights[second, here] * above
            far = heights[first, there] * (1 - above) + heights[second, there] * above
            if np.float32(near * (1 - beyond) + far * beyond) > line:
                lit[row, column] = IN_SHADOW
