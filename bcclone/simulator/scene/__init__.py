"""Build a scene: a track and the sun -> everything that cameras can see, as arrays, and the
sunlight on its ground.

Nothing moves, so the light is computed once: by slope, and in the shadows of trees and hills. For
those of hills, a line goes from every cell towards the sun, in steps; where it meets a hill, the
cell is in its shadow. Heights between cells are interpolated. Every operation is rounded as IEEE
754 defines, so all processors find the same cells.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from bcclone.simulator.scene.ground import Ground, make_ground
from bcclone.simulator.scene.plants import Cards, Pictures, draw_cards, place_cards
from bcclone.simulator.scene.roadmap import CELL_M, FULL_LIGHT, Grid, Shoulders, make_shoulders
from bcclone.simulator.scene.structures import build_structures, walls_at
from bcclone.simulator.scene.textures import blur, make_textures
from bcclone.simulator.track import LEVEL_M, Track, TrackPosition, load_track
from bcclone.simulator.world_settings import Conditions
from bcclone.system.arrays import BoolArray, Float32Array, FloatArray
from bcclone.system.codec import read_bytes
from bcclone.system.compiled import compiled
from bcclone.system.exact_math import cosine, length, sine
from bcclone.system.opencv import cv2

_BETWEEN_SEEDS = 1009  # of two random roads
_TREE_M = 1.3  # distance of the car's middle from a trunk at which they touch
_HALF_CAR_M = 0.9
IN_SHADOW = 0.15  # sunlight behind a hill
_STEP_M, _REACH_M = 2.0, 120.0  # along the line towards the sun
_MARGIN_M = 0.3  # a hill casts a shadow where it is at least this much higher than the line
_BETWEEN_DISCS_M = 1.5  # between the discs that make up a tree's shadow
_UNDER_LEAVES = 0.35  # sunlight in a tree's shadow


@dataclass(frozen=True)
class Scene:
    """A track and its surroundings. light: sunlight on every cell, relative to level ground, (side,
    side); faces: as of build_structures(); textures: as of make_textures().
    """

    track: Track
    ground: Ground
    light: Float32Array
    shoulders: Shoulders
    cards: Cards
    pictures: Pictures
    faces: FloatArray
    textures: Float32Array


def build_scene(track_name: str, conditions: Conditions) -> Scene:
    """Return the scene of a track; it is cached by track, sun and texture seed."""
    sun = (conditions.sun_elevation, conditions.sun_azimuth)
    content = read_bytes(Path(track_name), "json") if track_name.endswith(".json") else b""
    return _build(track_name, *sun, conditions.texture_seed, content)


@lru_cache(maxsize=2)
def _build(
    track_name: str, sun_elevation: float, sun_azimuth: float, texture_seed: int, content: bytes
) -> Scene:
    """Build a scene. content: of the track's file, for the cache, which would not notice that it
    has changed.
    """
    sun = towards_sun(sun_elevation, sun_azimuth)
    track = load_track(track_name)
    seed = texture_seed + _BETWEEN_SEEDS * track.road.look.seed
    ground = make_ground(track, seed)
    cards = place_cards(track, ground, seed)
    on_road = ground.road.distance_m < LEVEL_M
    light = bake_light(ground.heights_m, on_road, sun)
    light = add_tree_shadows(light, ground.grid, cards.placements[: cards.trees, [0, 2, 3]], sun)
    return Scene(
        track,
        ground,
        light,
        make_shoulders(track, sun),
        cards,
        draw_cards(seed),
        build_structures(track, ground),
        make_textures(seed),
    )


class Obstacles:
    """The trees and walls of a scene. The car drives through them; only crashes are counted."""

    def __init__(self, scene: Scene) -> None:
        trees = scene.cards.placements[: scene.cards.trees, [0, 2]]
        self._track, self._trees = scene.track, cKDTree(trees) if len(trees) else None

    def hit(self, x: float, z: float, position: TrackPosition) -> bool:
        """Return whether a car at x, z touches something. position: the same on the track, driven
        in any direction.
        """
        if self._trees is not None and self._trees.query((x, z))[0] < _TREE_M:
            return True
        wall_m = walls_at(self._track, position.along_m)
        return (
            wall_m is not None
            and wall_m - _HALF_CAR_M < abs(position.cross_track_m) < wall_m + _HALF_CAR_M
        )


def towards_sun(elevation: float, azimuth: float) -> FloatArray:
    """Return the unit vector towards the sun: x, y, z. elevation, azimuth: degrees, as in
    Conditions.
    """
    up, around = math.radians(elevation), math.radians(azimuth)
    return np.array([cosine(up) * sine(around), sine(up), cosine(up) * cosine(around)])


def bake_light(heights_m: Float32Array, on_road: BoolArray, sun: FloatArray) -> Float32Array:
    """Return sunlight relative to level ground, float32 (side, side): by slope and the hills'
    shadows.

    The road counts as level, also where the ground falls away at the end of a bridge.
    """
    rise_z, rise_x = np.gradient(heights_m, CELL_M)
    facing = (sun[1] - rise_x * sun[0] - rise_z * sun[2]) / np.sqrt(
        1 + rise_x * rise_x + rise_z * rise_z
    )
    light = np.clip(facing / sun[1], 0, FULL_LIGHT).astype(np.float32)
    light[on_road] = 1.0
    return np.asarray(light * blur(hide_from_sun(heights_m, sun), 5), np.float32)


def add_tree_shadows(
    light: Float32Array, grid: Grid, trees: Iterable[tuple[float, float, float]], sun: FloatArray
) -> Float32Array:
    """Return the light, float32 (side, side), with the shadows of trees.

    trees: x, z and height of each, in metres; sun: unit vector towards the sun, (3,).
    """
    shade = np.ones_like(light)
    horizontal = max(length(sun[0], sun[2]), 1e-6)
    shadow_per_m = horizontal / sun[1]
    x_away, z_away = -sun[0] / horizontal, -sun[2] / horizontal
    for x, z, height in trees:
        discs = round(height * shadow_per_m / _BETWEEN_DISCS_M) + 1
        for fraction in np.linspace(0.1, 1.0, discs):
            column = round((x + x_away * fraction * height * shadow_per_m - grid.x) / CELL_M)
            row = round((z + z_away * fraction * height * shadow_per_m - grid.z) / CELL_M)
            crown = sine(math.pi * min(max((fraction - 0.3) / 0.75, 0.0), 1.0))
            cv2.circle(
                shade,
                (column, row),
                round((0.25 + 0.13 * height * crown) / CELL_M),
                _UNDER_LEAVES,
                -1,
            )
    return np.asarray(light * blur(shade, 3), np.float32)


def hide_from_sun(heights_m: Float32Array, sun: FloatArray) -> Float32Array:
    """Return the sunlight that hills let through, float32 (side, side): IN_SHADOW behind them, 1
    elsewhere.

    heights_m: float32 (side, side); sun: unit vector towards the sun, (3,).
    """
    lit, horizontal = np.ones_like(heights_m), length(float(sun[0]), float(sun[2]))
    if horizontal < 0.05:  # overhead
        return lit
    highest = float(heights_m.max()) + 0.01  # more than rounding adds to a height between cells
    for reach in np.arange(_STEP_M, _REACH_M, _STEP_M):
        right, up = sun[0] / horizontal * reach / CELL_M, sun[2] / horizontal * reach / CELL_M
        _hide(heights_m, (right, up, reach * sun[1] / horizontal), highest, lit)
    return lit


@compiled(cache=True, error_model="numpy")
def _hide(
    heights: Float32Array, step: tuple[float, float, float], highest: float, lit: Float32Array
) -> None:
    """Shade the cells whose line to the sun meets a hill at one step: cells to the right, cells up,
    metres risen.
    """
    side, (right, up, rise) = heights.shape[0], step
    low, left = int(math.floor(up)), int(math.floor(right))
    row_fraction, column_fraction = up - low, right - left
    for row in range(side):
        first, second = min(max(row + low, 0), side - 1), min(max(row + low + 1, 0), side - 1)
        for column in range(side):
            line = heights[row, column] + rise + _MARGIN_M
            if line >= highest or lit[row, column] < 1.0:
                continue
            here, there = (
                min(max(column + left, 0), side - 1),
                min(max(column + left + 1, 0), side - 1),
            )
            at_left = (
                heights[first, here] * (1 - row_fraction) + heights[second, here] * row_fraction
            )
            at_right = (
                heights[first, there] * (1 - row_fraction) + heights[second, there] * row_fraction
            )
            if np.float32(at_left * (1 - column_fraction) + at_right * column_fraction) > line:
                lit[row, column] = IN_SHADOW
