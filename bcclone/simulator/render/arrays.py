"""Scene and conditions -> the plain tuples of arrays that compiled code takes."""

from typing import NamedTuple

import numpy as np

from bcclone.simulator.conditions import Conditions
from bcclone.simulator.scene import Scene
from bcclone.simulator.scene.roadmap import CELL_M, Floats
from bcclone.simulator.scene.textures import OFFSETS

# Ambient and sun, RGB: what a surface gets in the shade, and what full sunlight adds.
AMBIENT, SUNLIGHT = np.array([0.30, 0.36, 0.44]), np.array([0.74, 0.69, 0.58])
_FOG_FROM_M, _FOG_OVER_M = 100.0, 500.0


class Surface(NamedTuple):
    """The ground and what lies on it. lit: RGB of the cover with its light, uint8 (side, side, 3)."""

    height: Floats
    cross: Floats
    along: Floats
    light: Floats
    lit: np.ndarray
    kinds: np.ndarray
    border_light: Floats
    textures: Floats
    offsets: np.ndarray
    x: float
    z: float
    cell: float
    water: float
    top: float
    bridge_start: float
    bridge_end: float
    style: int


class Air(NamedTuple):
    """What lies between a surface and its colour in the picture, and what may be hidden."""

    brightness: float
    fog_from: float
    fog_over: float
    line_visibility: float
    road_visibility: float


def surface_of(scene: Scene) -> Surface:
    """Return the scene's ground for compiled code."""
    ground, road = scene.ground, scene.track.road
    lit = np.clip(ground.cover * (AMBIENT + SUNLIGHT * scene.light[..., None]), 0, 255).astype(np.uint8)
    return Surface(
        ground.heights_m,
        ground.road.cross_track_m,
        ground.road.along_m,
        scene.light,
        lit,
        scene.verge.kinds,
        scene.verge.border_light,
        scene.textures,
        OFFSETS.astype(np.int64),
        float(ground.grid.x),
        float(ground.grid.z),
        CELL_M,
        float(ground.water_m),
        float(ground.heights_m.max()) + 0.1,
        *map(float, road.bridge),
        int(road.style),
    )


def air_of(conditions: Conditions) -> Air:
    """Return the conditions for compiled code."""
    thickness = max(conditions.fog, 1e-6)
    return Air(
        float(conditions.light),
        _FOG_FROM_M / thickness,
        _FOG_OVER_M / thickness,
        float(conditions.line_visibility),
        float(conditions.road_visibility),
    )
