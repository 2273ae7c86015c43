"""Build the scene of a track: everything that its cameras can see, as arrays."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bcclone.arrays import Float32Array
from bcclone.simulator.scene.ground import Ground, Shoulders, make_ground, make_shoulders
from bcclone.simulator.scene.lighting import add_tree_shadows, bake_light
from bcclone.simulator.scene.plants import Cards, Pictures, draw_cards, place_cards
from bcclone.simulator.scene.structures import Faces, build_structures
from bcclone.simulator.scene.textures import make_textures
from bcclone.simulator.settings import Conditions
from bcclone.simulator.track import LEVEL_M, Track, load_track


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
    return _build(track_name, *sun, conditions.texture_seed)


@lru_cache(maxsize=2)
def _build(track_name: str, sun_elevation: float, sun_azimuth: float, seed: int) -> Scene:
    sun = np.array(Conditions(sun_elevation=sun_elevation, sun_azimuth=sun_azimuth).sun)
    track = load_track(track_name)
    ground = make_ground(track, seed)
    cards = place_cards(track, ground, seed)
    on_road = np.abs(ground.road.cross_track_m) < LEVEL_M
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


def _tall(cards: Cards) -> npt.NDArray[np.float32]:
    return cards.placements[: cards.trees, [0, 2, 3]]
