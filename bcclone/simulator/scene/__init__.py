"""Build a scene: a track and the sun -> everything that cameras can see, as arrays, and the sunlight on its ground.

Nothing moves, so the light is computed once.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from scipy.spatial import cKDTree

from bcclone.simulator.scene.ground import Ground, make_ground
from bcclone.simulator.scene.light import add_tree_shadows, bake_light, towards_sun
from bcclone.simulator.scene.plants import Cards, Pictures, draw_cards, place_cards
from bcclone.simulator.scene.roadmap import Shoulders, make_shoulders
from bcclone.simulator.scene.structures import build_structures, walls_at
from bcclone.simulator.scene.textures import make_textures
from bcclone.simulator.track import LEVEL_M, Track, TrackPosition, load_track
from bcclone.simulator.world_settings import Conditions
from bcclone.system.arrays import Float32Array, FloatArray
from bcclone.system.codec import read_bytes

_BETWEEN_SEEDS = 1009  # of two random roads
_TREE_M = 1.3  # distance of the car's middle from a trunk at which they touch
_HALF_CAR_M = 0.9


@dataclass(frozen=True)
class Scene:
    """A track and its surroundings. light: sunlight on every cell, relative to level ground, (side, side); faces: as of
    build_structures(); textures: as of make_textures()."""

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
def _build(track_name: str, sun_elevation: float, sun_azimuth: float, texture_seed: int, content: bytes) -> Scene:
    """Build a scene. content: of the track's file, for the cache, which would not notice that it has changed."""
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
        """Return whether a car at x, z touches something. position: the same on the track, driven in any direction."""
        if self._trees is not None and self._trees.query((x, z))[0] < _TREE_M:
            return True
        wall_m = walls_at(self._track, position.along_m)
        return wall_m is not None and wall_m - _HALF_CAR_M < abs(position.cross_track_m) < wall_m + _HALF_CAR_M
