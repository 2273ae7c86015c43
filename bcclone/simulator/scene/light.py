"""Compute the sunlight on the ground: heights, trees and the sun -> a value for each cell.

Nothing moves, so the light is computed once: by slope, and in the shadows of trees and hills. Every
operation is rounded as IEEE 754 defines, so all processors find the same cells.
"""

import math
from collections.abc import Iterable

import numpy as np

from bcclone.camera.images import cv2
from bcclone.simulator.scene.roadmap import CELL_M, MOST_LIGHT, Grid
from bcclone.simulator.scene.textures import blur
from bcclone.system.arrays import BoolArray, Float32Array, FloatArray
from bcclone.system.compiled import compiled
from bcclone.system.exact_math import cosine, length, sine


def towards_sun(elevation: float, azimuth: float) -> FloatArray:
    """Return the unit vector towards the sun: x, y, z.

    elevation, azimuth: degrees, as in Conditions
    """
    up = math.radians(elevation)
    around = math.radians(azimuth)
    return np.array([cosine(up) * sine(around), sine(up), cosine(up) * cosine(around)])


def bake_light(heights_m: Float32Array, is_level: BoolArray, sun: FloatArray) -> Float32Array:
    """Return the sunlight on each cell, by its slope and the hills' shadows, (side, side).

    Level ground without shadow has 1. The road counts as level, also where the ground falls away at
    the end of a bridge.

    is_level: whether a cell belongs to the road or its verge
    """
    rise_z, rise_x = np.gradient(heights_m, CELL_M)
    steepness = np.sqrt(1 + rise_x * rise_x + rise_z * rise_z)
    facing = (sun[1] - rise_x * sun[0] - rise_z * sun[2]) / steepness
    light = np.clip(facing / sun[1], 0, MOST_LIGHT).astype(np.float32)
    light[is_level] = 1.0
    return np.asarray(light * blur(sunlight_past_hills(heights_m, sun), 5), np.float32)


_BETWEEN_DISCS_M = 1.5  # distance between the discs that make up a tree's shadow
_UNDER_LEAVES = 0.35  # fraction of the sunlight that reaches a tree's shadow


def add_tree_shadows(
    light: Float32Array, grid: Grid, trees: Iterable[tuple[float, float, float]], sun: FloatArray
) -> Float32Array:
    """Return the light with the shadows of trees. trees: x, z and height of each, in metres"""
    shade = np.ones_like(light)
    horizontal = max(length(sun[0], sun[2]), 1e-6)
    shadow_per_m = horizontal / sun[1]  # length of a shadow for each metre of height
    x_away = -sun[0] / horizontal
    z_away = -sun[2] / horizontal
    for x, z, height_m in trees:
        # a row of discs from the foot to the shadow of the top; a disc is as wide as the tree is at
        # that part of its height
        discs = round(height_m * shadow_per_m / _BETWEEN_DISCS_M) + 1
        for fraction in np.linspace(0.1, 1.0, discs):
            column = round((x + x_away * fraction * height_m * shadow_per_m - grid.x) / CELL_M)
            row = round((z + z_away * fraction * height_m * shadow_per_m - grid.z) / CELL_M)
            # the trunk is bare up to 0.3 of the height, with a half width of 0.25 m; above, the
            # crown adds up to 0.13 of the height to that
            crown = sine(math.pi * min(max((fraction - 0.3) / 0.75, 0.0), 1.0))
            radius = round((0.25 + 0.13 * height_m * crown) / CELL_M)
            cv2.circle(shade, (column, row), radius, _UNDER_LEAVES, -1)
    return np.asarray(light * blur(shade, 3), np.float32)


IN_SHADOW = 0.15  # fraction of the sunlight that reaches a cell behind a hill
_STEP_M = 2.0  # distance on the ground between two points of the line towards the sun
_REACH_M = 120.0  # greatest length of a hill's shadow


def sunlight_past_hills(heights_m: Float32Array, sun: FloatArray) -> Float32Array:
    """Return the fraction of sunlight on each cell: IN_SHADOW behind hills, 1 elsewhere.

    A line goes from every cell towards the sun, in steps. If it meets a hill, the cell is in the
    hill's shadow.
    """
    lit = np.ones_like(heights_m)
    horizontal = length(float(sun[0]), float(sun[2]))
    if horizontal < 0.05:  # overhead
        return lit
    # a height between cells is interpolated: by rounding it may be above that of any cell
    highest = float(heights_m.max()) + 0.01
    for reach_m in np.arange(_STEP_M, _REACH_M, _STEP_M):
        columns = sun[0] / horizontal * reach_m / CELL_M
        rows = sun[2] / horizontal * reach_m / CELL_M
        rise_m = reach_m * sun[1] / horizontal
        _hide(heights_m, (columns, rows, rise_m), highest, lit)
    return lit


_MARGIN_M = 0.3  # a hill casts a shadow where it is more than this higher than the line


@compiled(cache=True, error_model="numpy")
def _hide(
    heights: Float32Array, to_point: tuple[float, float, float], highest: float, lit: Float32Array
) -> None:
    """Shade the cells whose line to the sun is inside a hill at one point of the line.

    to_point: columns and rows from the cell to the point, and the line's rise up to it in metres
    """
    side = heights.shape[0]
    columns, rows, rise_m = to_point
    # the point lies between four cells; its place between these is the same for all cells
    low = int(math.floor(rows))
    left = int(math.floor(columns))
    row_fraction = rows - low
    column_fraction = columns - left
    for row in range(side):
        first = min(max(row + low, 0), side - 1)
        second = min(max(row + low + 1, 0), side - 1)
        for column in range(side):
            line = heights[row, column] + rise_m + _MARGIN_M
            # no ground is as high as the line, or the line met a hill at an earlier point
            if line >= highest or lit[row, column] < 1.0:
                continue
            # the ground's height below the point, interpolated
            here = min(max(column + left, 0), side - 1)
            there = min(max(column + left + 1, 0), side - 1)
            at_left = (
                heights[first, here] * (1 - row_fraction) + heights[second, here] * row_fraction
            )
            at_right = (
                heights[first, there] * (1 - row_fraction) + heights[second, there] * row_fraction
            )
            ground = at_left * (1 - column_fraction) + at_right * column_fraction
            # rounded as the heights of cells are; otherwise the light of some cells might change
            if np.float32(ground) > line:
                lit[row, column] = IN_SHADOW
