"""Build a scene: a track and the sun -> everything that cameras can see, as arrays.

The land, the sunlight on it and the road are grids with a value for each cell of half a metre;
trees are a table of cards, walls and houses a table of parallelograms.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from bcclone.camera.images import Image
from bcclone.simulator.roads import read_road_file
from bcclone.simulator.scene.land import Ground, make_ground
from bcclone.simulator.scene.light import add_tree_shadows, bake_light, towards_sun
from bcclone.simulator.scene.plants import Cards, draw_pictures, place_cards
from bcclone.simulator.scene.roadmap import Shoulders, make_shoulders
from bcclone.simulator.scene.structures import build_structures, walls_at
from bcclone.simulator.scene.textures import make_textures
from bcclone.simulator.track import LEVEL_M, Track, TrackPosition, load_track
from bcclone.simulator.world_settings import Conditions
from bcclone.system.arrays import Float32Array, FloatArray


@dataclass(frozen=True)
class Scene:
    """A track and its surroundings."""

    track: Track
    ground: Ground
    light: Float32Array  # sunlight on every cell, relative to level ground, (side, side)
    shoulders: Shoulders
    cards: Cards
    pictures: Image  # a picture for each kind of card, as draw_pictures() returns them
    faces: FloatArray  # walls, decks and houses, as build_structures() returns them, (faces, 12)
    textures: Float32Array  # as make_textures() returns them, (4, texels)


def build_scene(track_name: str, conditions: Conditions) -> Scene:
    """Return the scene of a track; it is cached by track, sun and texture seed."""
    # the content of a track's file is part of the cache's key, since the file may have changed
    # after an earlier call
    content = b""
    if track_name.endswith(".json"):
        content = read_road_file(Path(track_name))
    return _build(
        track_name,
        conditions.sun_elevation,
        conditions.sun_azimuth,
        conditions.texture_seed,
        content,
    )


# the number of a random road counts this much in the world's seed, so that roads with neighbouring
# numbers share no textures
_ROAD_FACTOR = 1009


@lru_cache(maxsize=2)
def _build(
    track_name: str, sun_elevation: float, sun_azimuth: float, texture_seed: int, content: bytes
) -> Scene:
    """Build a scene. content: of the track's file; it is only a part of the cache's key."""
    sun = towards_sun(sun_elevation, sun_azimuth)
    track = load_track(track_name)
    world_seed = texture_seed + _ROAD_FACTOR * track.road.look.seed
    with ThreadPoolExecutor(1, "bcclone-textures") as meanwhile:
        textures = meanwhile.submit(make_textures, world_seed)
        pictures = meanwhile.submit(draw_pictures, world_seed)
        ground = make_ground(track, world_seed)
        cards = place_cards(track, ground, world_seed)

        is_level = ground.roadmap.distance_m < LEVEL_M  # the road and its verge
        light = bake_light(ground.heights_m, is_level, sun)
        trees = cards.placements[: cards.tree_count, [0, 2, 3]]  # x, z and height
        light = add_tree_shadows(light, ground.grid, trees, sun)
        return Scene(
            track=track,
            ground=ground,
            light=light,
            shoulders=make_shoulders(track, sun),
            cards=cards,
            pictures=pictures.result(),
            faces=build_structures(track, ground),
            textures=textures.result(),
        )


_TREE_M = 1.3  # a car whose middle is nearer to a trunk touches it
_HALF_CAR_M = 0.9  # half the width of a car


class Obstacles:
    """The trees and walls of a scene; they tell of a crash, but do not stop the car.

    track: the scene's track in the direction in which the car drives
    """

    def __init__(self, scene: Scene, track: Track) -> None:
        self._track = track
        self._trees = scene.cards.placements[: scene.cards.tree_count, [0, 2]]

    def hit(self, x: float, z: float, position: TrackPosition) -> bool:
        """Return whether a car at x, z touches something.

        position: the car's position on the track
        """
        away = self._trees - (x, z)
        if np.any((away * away).sum(axis=1) < _TREE_M * _TREE_M):
            return True
        wall_m = walls_at(self._track, position.along_m)
        if wall_m is None:
            return False
        return wall_m - _HALF_CAR_M < abs(position.cross_track_m) < wall_m + _HALF_CAR_M
