"""Build the scene of a track: everything that its cameras can see, as arrays, and the sunlight on its ground.

Nothing moves, so the light is computed once.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from bcclone.simulator.scene.fields import blur
from bcclone.simulator.scene.ground import Ground, make_ground
from bcclone.simulator.scene.hill_shadows import hide_from_sun
from bcclone.simulator.scene.plants import Cards, Pictures, draw_cards, place_cards
from bcclone.simulator.scene.roadmap import CELL_M, Grid, Shoulders, make_shoulders
from bcclone.simulator.scene.structures import Faces, build_structures
from bcclone.simulator.scene.textures import make_textures
from bcclone.simulator.track import LEVEL_M, Track, load_track
from bcclone.simulator.world_settings import Conditions
from bcclone.system.arrays import Float32Array
from bcclone.system.exact_math import cosine, length, sine

_BETWEEN_DISCS_M = 1.5  # between the discs that make up a tree's shadow
_UNDER_LEAVES = 0.35
_MOST_LIGHT = 1.6
_BETWEEN_SEEDS = 1009  # of two random roads


@dataclass(frozen=True)
class Scene:
    """A track and its surroundings. light: sunlight on every cell, relative to level ground, (side, side)."""

    track: Track
    ground: Ground
    light: Float32Array
    shoulders: Shoulders
    cards: Cards
    pictures: Pictures
    faces: Faces
    textures: Float32Array


def build_scene(track_name: str, conditions: Conditions) -> Scene:
    """Return the scene of a track; it is cached by track, sun and texture seed."""
    sun = (conditions.sun_elevation, conditions.sun_azimuth)
    content = Path(track_name).read_bytes() if track_name.endswith(".json") else b""
    return _build(track_name, *sun, conditions.texture_seed, content)


@lru_cache(maxsize=2)
def _build(track_name: str, sun_elevation: float, sun_azimuth: float, texture_seed: int, content: bytes) -> Scene:
    """Build a scene. content: of the track's file, for the cache, which would not notice that it has changed."""
    sun = towards_sun(sun_elevation, sun_azimuth)
    track = load_track(track_name)
    seed = texture_seed + _BETWEEN_SEEDS * track.road.look.seed
    ground = make_ground(track, seed)
    cards = place_cards(track, ground, seed)
    on_road = ground.road.distance_m < LEVEL_M
    light = bake_light(ground.heights_m, on_road, sun)
    light = add_tree_shadows(light, ground.grid, _tall(cards), sun)
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


def towards_sun(elevation: float, azimuth: float) -> npt.NDArray[np.float64]:
    """Return the unit vector towards the sun: x, y, z. elevation, azimuth: degrees, as in Conditions."""
    up, around = math.radians(elevation), math.radians(azimuth)
    return np.array([cosine(up) * sine(around), sine(up), cosine(up) * cosine(around)])


def _tall(cards: Cards) -> npt.NDArray[np.float32]:
    return cards.placements[: cards.trees, [0, 2, 3]]


def bake_light(heights_m: Float32Array, on_road: npt.NDArray[np.bool_], sun: npt.NDArray[np.float64]) -> Float32Array:
    """Return sunlight relative to level ground, float32 (side, side): by slope and the hills' shadows.

    The road counts as level, also where the ground falls away at the end of a bridge.
    """
    rise_z, rise_x = np.gradient(heights_m, CELL_M)
    facing = (sun[1] - rise_x * sun[0] - rise_z * sun[2]) / np.sqrt(1 + rise_x * rise_x + rise_z * rise_z)
    light = np.clip(facing / sun[1], 0, _MOST_LIGHT).astype(np.float32)
    light[on_road] = 1.0
    return np.asarray(light * _hill_shadow(heights_m, sun), np.float32)


def add_tree_shadows(
    light: Float32Array, grid: Grid, trees: Iterable[tuple[float, float, float]], sun: npt.NDArray[np.float64]
) -> Float32Array:
    """Return the light, float32 (side, side), with the shadows of trees.

    trees: x, z and height of each, in metres; sun: unit vector towards it, (3,).
    """
    shade = np.ones_like(light)
    level = max(length(sun[0], sun[2]), 1e-6)
    reach = level / sun[1]
    x_away, z_away = -sun[0] / level, -sun[2] / level
    for x, z, height in trees:
        discs = round(height * reach / _BETWEEN_DISCS_M) + 1
        for fraction in np.linspace(0.1, 1.0, discs):
            column = round((x + x_away * fraction * height * reach - grid.x) / CELL_M)
            row = round((z + z_away * fraction * height * reach - grid.z) / CELL_M)
            crown = sine(math.pi * min(max((fraction - 0.3) / 0.75, 0.0), 1.0))
            cv2.circle(shade, (column, row), round((0.25 + 0.13 * height * crown) / CELL_M), _UNDER_LEAVES, -1)
    return np.asarray(light * blur(shade, 3), np.float32)


def _hill_shadow(heights_m: Float32Array, sun: npt.NDArray[np.float64]) -> Float32Array:
    """Return sunlight behind hills, 1 for none in the way; softened at its edges."""
    lit = np.ones_like(heights_m)
    if length(sun[0], sun[2]) < 0.05:  # overhead
        return lit
    hide_from_sun(heights_m, sun, lit)
    return blur(lit, 5)
