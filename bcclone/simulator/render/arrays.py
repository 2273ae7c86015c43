"""Convert scene, conditions and camera to the plain tuples that compiled code takes."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bcclone.arrays import Float32Array
from bcclone.simulator.render.surface import AMBIENT, SUNLIGHT
from bcclone.simulator.scene import Scene
from bcclone.simulator.scene.roadmap import CELL_M
from bcclone.simulator.settings import Conditions

_FOG_FROM_M, _FOG_OVER_M = 100.0, 500.0


class Eye(NamedTuple):
    """A camera: its position (3,), its axes (3, 3) with right, up and ahead as columns, its focal length in pixels."""

    position: npt.NDArray[np.float64]
    axes: npt.NDArray[np.float64]
    focal: float


class Canvas(NamedTuple):
    """The picture, uint8 (rows, columns, 3), the depth of each pixel, and scratch memory, float64 (8, 4), since
    compiled code allocates no arrays."""

    picture: npt.NDArray[np.uint8]
    depths: Float32Array
    room: npt.NDArray[np.float64]


def blank_canvas(height: int, width: int) -> Canvas:
    """Return an empty canvas."""
    return Canvas(np.empty((height, width, 3), np.uint8), np.empty((height, width), np.float32), np.empty((8, 4)))


class Paint(NamedTuple):
    """Textures and properties of the road. textures: of make_textures(), (4, texels); kinds, border_light: of the
    shoulders, (2, metres); bridge_start, bridge_end: metres along the track; style: of the track."""

    textures: Float32Array
    kinds: npt.NDArray[np.int64]
    border_light: Float32Array
    bridge_start: float
    bridge_end: float
    style: int


class Surface(NamedTuple):
    """The ground and the road on it. lit: RGB of the cover under its light, uint8 (side, side, 3)."""

    height: Float32Array
    cross: Float32Array
    along: Float32Array
    light: Float32Array
    lit: npt.NDArray[np.uint8]
    paint: Paint
    x: float
    z: float
    cell: float
    water: float
    top: float


class Air(NamedTuple):
    """Brightness, fog, and the visibility of lines and road."""

    brightness: float
    fog_from: float
    fog_over: float
    line_visibility: float
    road_visibility: float


def surface_of(scene: Scene) -> Surface:
    """Return the scene's ground and road."""
    ground, road = scene.ground, scene.track.road
    sunlight = np.array(AMBIENT) + np.array(SUNLIGHT) * scene.light[..., None]
    return Surface(
        height=ground.heights_m,
        cross=ground.road.cross_track_m,
        along=ground.road.along_m,
        light=scene.light,
        lit=np.clip(ground.cover * sunlight, 0, 255).astype(np.uint8),
        paint=Paint(
            textures=scene.textures,
            kinds=scene.shoulders.kinds,
            border_light=scene.shoulders.border_light,
            bridge_start=float(road.bridge[0]),
            bridge_end=float(road.bridge[1]),
            style=int(road.style),
        ),
        x=float(ground.grid.x),
        z=float(ground.grid.z),
        cell=CELL_M,
        water=float(ground.water_m),
        top=float(ground.heights_m.max()) + 0.1,
    )


def air_of(conditions: Conditions) -> Air:
    """Return brightness, fog and visibility under the conditions."""
    thickness = max(conditions.fog, 1e-6)
    return Air(
        brightness=float(conditions.light),
        fog_from=_FOG_FROM_M / thickness,
        fog_over=_FOG_OVER_M / thickness,
        line_visibility=float(conditions.line_visibility),
        road_visibility=float(conditions.road_visibility),
    )
