"""Prepare the compiled code's input: scene, conditions and camera -> plain tuples of arrays and
numbers.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from bcclone.camera.images import Image
from bcclone.simulator.render.surface import AMBIENT, CAR, RGB, SUNLIGHT
from bcclone.simulator.road_plan import REACH_M, RoadLook
from bcclone.simulator.scene import Scene
from bcclone.simulator.scene.roadmap import BLOCK_M, CELL_M, Shoulders
from bcclone.simulator.scene.textures import ASPHALT, COBBLE
from bcclone.simulator.world_settings import Conditions
from bcclone.system.arrays import Float32Array, FloatArray, IndexArray
from bcclone.system.exact_math import cosine, exponentials

_BLOCK = round(BLOCK_M / CELL_M)  # cells in a row of a block
_FOG_FROM_M, _FOG_OVER_M = 100.0, 500.0
_ZENITH, _HORIZON, _CLOUDS, _SKY_STEPS = (
    (88.0, 116.0, 166.0),
    (206.0, 220.0, 238.0),
    (168.0, 176.0, 188.0),
    2048,
)
# What full rain and snow add to the fog and take from the light, and the light at night
_RAIN_FOG, _SNOW_FOG, _RAIN_DARK, _SNOW_DARK = 1.5, 3.0, 0.3, 0.1
_MOONLIGHT, _HEADLIGHTS = 0.06, 0.9
_ROADSIDE_M = 9.0  # largest distance of a road's shoulders from its centre line

# RGB under full light: chosen to look like the materials in daylight photographs
_SURFACES: dict[str, tuple[RGB, int, float]] = {  # colour, texture, contrast of its grain
    "asphalt": ((118.0, 117.0, 112.0), ASPHALT, 0.18),
    "dirt": ((176.0, 132.0, 92.0), ASPHALT, 0.08),
    "paving": ((160.0, 142.0, 130.0), COBBLE, 0.19),
}
_LINES: dict[str, RGB] = {
    "white": (214.0, 212.0, 202.0),
    "yellow": (206.0, 184.0, 78.0),
    "none": (0.0, 0.0, 0.0),
}
_EDGES: dict[str, RGB] = {
    "grass": (110.0, 138.0, 62.0),
    "sand": (212.0, 190.0, 140.0),
    "gravel": (150.0, 144.0, 134.0),
    "kerb": (226.0, 218.0, 210.0),
    "none": (0.0, 0.0, 0.0),
}
_LINE_M, _DASH_M, _STRIPE_M = 0.14, 3.0, 0.6


class Eye(NamedTuple):
    """A camera.

    position: (3,); axes: (3, 3) with right, up and ahead as columns; across_px, up_px: focal length
    in columns and in rows; bottoms: for each column the first row that the bonnet hides, int64
    (columns,).
    """

    position: FloatArray
    axes: FloatArray
    across_px: float
    up_px: float
    bottoms: IndexArray


class Canvas(NamedTuple):
    """What is drawn, and scratch memory, float64 (8, 4), since compiled code allocates no arrays.

    picture: uint8 (rows, columns, 3); depths: in metres, 0 for the bonnet, float32 (rows, columns);
    labels: what each pixel shows, uint8 (rows, columns).
    """

    picture: Image
    depths: Float32Array
    labels: Image
    room: FloatArray


def blank_canvas(height: int, width: int) -> Canvas:
    """Return a canvas that shows nothing but bonnet."""
    shape = height, width
    return Canvas(
        np.empty((*shape, 3), np.uint8),
        np.zeros(shape, np.float32),
        np.full(shape, CAR, np.uint8),
        np.empty((8, 4)),
    )


class RoadBands(NamedTuple):
    """Colours are RGB, 0 to 255; lengths are metres.

    surface, texture, grain: of the road, its texture's number and contrast; line: of the lines
    along both edges, line_m wide; middle: of the line in the middle; middle_dash_m: length of a
    dash and of a gap, 0 for a solid line; shoulder: the band along each edge; stripe_m: length of a
    kerb's stripes, 0 for none.
    """

    surface: RGB
    texture: int
    grain: float
    line: RGB
    line_m: float
    middle: RGB
    middle_m: float
    middle_dash_m: float
    shoulder: RGB
    shoulder_m: float
    stripe_m: float


class Paint(NamedTuple):
    """Textures and properties of the road.

    textures: of make_textures(), (4, texels); bridge: its start and end in metres along the track;
    style: of the track; half_widths_m: of the asphalt, (metres,); neighbor_m: as in RoadMap;
    roadside_m: largest distance of any road from the centre line; bands: of a road that is neither
    the lake's nor the mountain's.
    """

    textures: Float32Array
    shoulders: Shoulders
    bridge: tuple[float, float]
    style: int
    half_widths_m: Float32Array
    neighbor_m: Float32Array
    roadside_m: float
    bands: RoadBands


class Surface(NamedTuple):
    """The ground and the road on it.

    lit: RGB of the cover under its light, uint8 (side, side, 3); tops: greatest height within one
    block's side around each block, (blocks, blocks).
    """

    height: Float32Array
    cross: Float32Array
    along: Float32Array
    light: Float32Array
    lit: Image
    paint: Paint
    x: float
    z: float
    water: float
    top: float
    tops: Float32Array


class Air(NamedTuple):
    """Light and weather.

    sky: RGB from the horizon to the zenith, float32 (steps, 3); headlights: light that they add;
    wet, snow: 0 to 1.
    """

    daylight: float
    headlights: float
    wet: float
    snow: float
    fog_from: float
    fog_over: float
    line_visibility: float
    road_visibility: float
    sky: Float32Array


def surface_of(scene: Scene) -> Surface:
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
            shoulders=scene.shoulders,
            bridge=road.bridge,
            style=road.style,
            half_widths_m=scene.track.half_widths_m,
            neighbor_m=ground.road.neighbor_m,
            roadside_m=REACH_M if road.look.neighbor_m else _ROADSIDE_M,
            bands=_bands_of(road.look),
        ),
        x=ground.grid.x,
        z=ground.grid.z,
        water=ground.water_m,
        top=float(ground.heights_m.max()) + 0.1,
        tops=_tops(ground.heights_m, ground.water_m),
    )


def _bands_of(look: RoadLook) -> RoadBands:
    (red, green, blue), texture, grain = _SURFACES[look.surface]
    return RoadBands(
        surface=(red * look.shade, green * look.shade, blue * look.shade),
        texture=texture,
        grain=grain,
        line=_LINES[look.lines],
        line_m=_LINE_M if look.lines != "none" else 0.0,
        middle=_LINES["white" if look.lines == "none" else look.lines],
        middle_m=_LINE_M if look.middle != "none" else 0.0,
        middle_dash_m=_DASH_M if look.middle == "dashed" else 0.0,
        shoulder=_EDGES[look.edges],
        shoulder_m=look.edge_m if look.edges != "none" else 0.0,
        stripe_m=_STRIPE_M if look.edges == "kerb" else 0.0,
    )


def _tops(heights_m: Float32Array, water_m: float) -> Float32Array:
    """Return the greatest height of ground or water in each block and its neighbours."""
    blocks = -(-len(heights_m) // _BLOCK)
    padded = np.pad(heights_m, (0, blocks * _BLOCK - len(heights_m)), mode="edge")
    own = padded.reshape(blocks, _BLOCK, blocks, _BLOCK).max((1, 3))
    around = np.pad(own, 1, mode="edge")
    near = [
        around[row : row + blocks, column : column + blocks]
        for row in range(3)
        for column in range(3)
    ]
    return np.maximum(np.max(near, axis=0), np.float32(water_m))


def air_of(conditions: Conditions, seconds: float = 0.0) -> Air:
    """Return light and weather under the conditions. seconds: since the drive began, for the cycle
    of day and night.
    """
    thickness = max(
        conditions.fog + _RAIN_FOG * conditions.rain + _SNOW_FOG * conditions.snow, 1e-6
    )
    overcast = max(_RAIN_DARK * conditions.rain, _SNOW_DARK * conditions.snow)
    night = conditions.night
    if conditions.night_cycle:
        night = (1 - cosine(2 * math.pi * seconds / conditions.night_cycle)) / 2
    return Air(
        daylight=conditions.light * (1 - overcast) * (1 - (1 - _MOONLIGHT) * night),
        headlights=_HEADLIGHTS * night,
        wet=float(conditions.rain),
        snow=float(conditions.snow),
        fog_from=_FOG_FROM_M / thickness,
        fog_over=_FOG_OVER_M / thickness,
        line_visibility=float(conditions.line_visibility),
        road_visibility=float(conditions.road_visibility),
        sky=_sky_colors(overcast),
    )


@cache
def _sky_colors(overcast: float) -> Float32Array:
    """Return the sky's colours by the sine of the elevation, 0 to 1, float32 (steps, 3); overcast:
    0 to 1.
    """
    haze = exponentials(np.linspace(0, -5.5, _SKY_STEPS, dtype=np.float32))[:, None]
    zenith = np.array(_ZENITH) + (np.array(_CLOUDS) - np.array(_ZENITH)) * min(overcast * 3, 1.0)
    return np.asarray(zenith * (1 - haze) + np.array(_HORIZON) * haze, np.float32)
