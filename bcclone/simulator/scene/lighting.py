"""Compute the sunlight on every cell of the ground; nothing moves, so it is computed once."""

import math
from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from bcclone.arrays import Float32Array
from bcclone.simulator.scene.roadmap import CELL_M, Grid

_SHADOW_STEP_M, _SHADOW_REACH_M = 2.0, 120.0
_BETWEEN_DISCS_M = 1.5  # between the discs that make up a tree's shadow
_IN_SHADOW, _UNDER_LEAVES = 0.15, 0.35
_MOST = 1.6


def bake_light(heights_m: Float32Array, on_road: npt.NDArray[np.bool_], sun: npt.NDArray[np.float64]) -> Float32Array:
    """Return sunlight relative to level ground, float32 (side, side): by slope and the hills' shadows.

    The road counts as level, also where the ground falls away at the end of a bridge.
    """
    rise_z, rise_x = np.gradient(heights_m, CELL_M)
    facing = (sun[1] - rise_x * sun[0] - rise_z * sun[2]) / np.sqrt(1 + rise_x**2 + rise_z**2)
    light = np.clip(facing / sun[1], 0, _MOST).astype(np.float32)
    light[on_road] = 1.0
    return np.asarray(light * _hill_shadow(heights_m, sun), np.float32)


def add_tree_shadows(
    light: Float32Array, grid: Grid, trees: Iterable[tuple[float, float, float]], sun: npt.NDArray[np.float64]
) -> Float32Array:
    """Return the light, float32 (side, side), with the shadows of trees.

    trees: x, z and height of each, in metres; sun: unit vector towards it, (3,).
    """
    shade = np.ones_like(light)
    level = max(math.hypot(sun[0], sun[2]), 1e-6)
    reach = level / sun[1]
    x_away, z_away = -sun[0] / level, -sun[2] / level
    for x, z, height in trees:
        discs = round(height * reach / _BETWEEN_DISCS_M) + 1
        for fraction in np.linspace(0.1, 1.0, discs):
            column = round((x + x_away * fraction * height * reach - grid.x) / CELL_M)
            row = round((z + z_away * fraction * height * reach - grid.z) / CELL_M)
            crown = math.sin(math.pi * min(max((fraction - 0.3) / 0.75, 0.0), 1.0))
            cv2.circle(shade, (column, row), round((0.25 + 0.13 * height * crown) / CELL_M), _UNDER_LEAVES, -1)
    return np.asarray(light * cv2.GaussianBlur(shade, (3, 3), 0), np.float32)


def _hill_shadow(heights_m: Float32Array, sun: npt.NDArray[np.float64]) -> Float32Array:
    """March from every cell towards the sun; a cell whose path meets a hill is in its shadow."""
    lit = np.ones_like(heights_m)
    level = math.hypot(sun[0], sun[2])
    if level < 0.05:  # overhead
        return lit
    for reach in np.arange(_SHADOW_STEP_M, _SHADOW_REACH_M, _SHADOW_STEP_M):
        shift = np.array([[1, 0, sun[0] / level * reach / CELL_M], [0, 1, sun[2] / level * reach / CELL_M]])
        ahead = cv2.warpAffine(
            heights_m,
            shift.astype(np.float32),
            heights_m.shape[::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        lit[ahead > heights_m + reach * sun[1] / level + 0.3] = _IN_SHADOW
    return np.asarray(cv2.GaussianBlur(lit, (5, 5), 0), np.float32)
