"""Prepare what the compiled code needs, as tuples of numbers and arrays.

Conditions become `Air`, the look of a designed road `RoadBands`, a scene a `Surface` with the
`Paint` of its road, a camera an `Eye`; a new `Canvas` is the picture to draw on, with a depth and a
label for each pixel. The rest is memory, which the compiled code cannot take itself.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bcclone.camera.images import Image
from bcclone.simulator.render.profile import SAMPLES
from bcclone.simulator.render.road import MOUNTAIN_STAINS_A_METRE
from bcclone.simulator.render.surface import (
    AMBIENT,
    CAR,
    CLIFF,
    NEAR_ROAD,
    RGB,
    SUNLIGHT,
    UNDER_WATER,
)
from bcclone.simulator.roads import REACH_M, RoadLook
from bcclone.simulator.scene import Scene
from bcclone.simulator.scene.roadmap import Shoulders
from bcclone.simulator.scene.textures import ASPHALT, COBBLE
from bcclone.simulator.track import MOUNTAIN_STYLE
from bcclone.simulator.world_settings import Conditions
from bcclone.system.arrays import Float32Array, FloatArray, IndexArray
from bcclone.system.compiled import compiled
from bcclone.system.exact_math import cosine, exponentials

CoverArray = npt.NDArray[np.uint32]
CellArray = npt.NDArray[np.int32]


# ---- light and weather


class Air(NamedTuple):
    """Light and weather."""

    daylight: float  # brightness of what daylight lights; 1 is normal
    headlights: float  # brightness that the headlights add close to the car, 0 by day
    wet: float  # how wet the road is, 0 to 1
    snow: float  # how much snow lies, 0 to 1
    fog_from_m: float  # depth at which fog begins
    fog_over_m: float  # from there, the depth over which fog grows until nothing else is seen
    line_visibility: float  # 0 where the lines on the road are painted over, else up to 1
    # RGB from the horizon to the zenith, in equal steps of the sine of the elevation, (steps, 3)
    sky: Float32Array


# The Unity program's fog grows linearly, from 100 m to 600 m: docs/explanation/simulator.md
_FOG_FROM_M = 100.0
_FOG_OVER_M = 500.0
_RAIN_FOG = 1.5  # density of fog that full rain adds; fog has a density of 1 by default
_SNOW_FOG = 3.0  # density of fog that full snow adds
_RAIN_DARK = 0.3  # fraction of the light that full rain takes
_SNOW_DARK = 0.1  # fraction of the light that full snow takes
_MOONLIGHT = 0.06  # fraction of the daylight that a full night leaves
_HEADLIGHTS = 0.9  # brightness that the headlights add close to the car in a full night


def air_of(conditions: Conditions, seconds: float = 0.0) -> Air:
    """Return light and weather under the conditions.

    seconds: time since the drive began, which sets the light in a cycle of day and night
    """
    fog = conditions.fog + _RAIN_FOG * conditions.rain + _SNOW_FOG * conditions.snow
    thickness = max(fog, 1e-6)  # not 0, since distances are divided by it
    overcast = max(_RAIN_DARK * conditions.rain, _SNOW_DARK * conditions.snow)
    night = conditions.night
    if conditions.night_cycle:
        # day at the start, full night after half of the cycle
        night = (1 - cosine(2 * math.pi * seconds / conditions.night_cycle)) / 2
    return Air(
        daylight=conditions.light * (1 - overcast) * (1 - (1 - _MOONLIGHT) * night),
        headlights=_HEADLIGHTS * night,
        wet=float(conditions.rain),
        snow=float(conditions.snow),
        fog_from_m=_FOG_FROM_M / thickness,
        fog_over_m=_FOG_OVER_M / thickness,
        line_visibility=float(conditions.line_visibility),
        sky=_sky_colors(overcast),
    )


# RGB by day
_ZENITH = (88.0, 116.0, 166.0)
_HORIZON = (206.0, 220.0, 238.0)
_CLOUDS = (168.0, 176.0, 188.0)
_SKY_STEPS = 2048  # colours from the horizon to the zenith


@cache
def _sky_colors(overcast: float) -> Float32Array:
    """Return the sky's colours, as in Air, float32 (steps, 3).

    overcast: fraction of the light that clouds take: 0 for a blue sky, a third or more for a grey
        one
    """
    # the fraction of the horizon's colour falls towards the zenith
    haze = exponentials(np.linspace(0, -5.5, _SKY_STEPS, dtype=np.float32))[:, None]
    clouds = min(overcast * 3, 1.0)
    zenith = np.array(_ZENITH) + (np.array(_CLOUDS) - np.array(_ZENITH)) * clouds
    return np.asarray(zenith * (1 - haze) + np.array(_HORIZON) * haze, np.float32)


# ---- camera and picture


class Eye(NamedTuple):
    """A camera: where it is, how it is turned, and what the bonnet hides from it."""

    position: FloatArray  # x, y, z, (3,)
    axes: FloatArray  # right, up and ahead in the world, as columns, (3, 3)
    focal_across_px: float  # focal length in columns
    focal_up_px: float  # focal length in rows
    # in each column the first row that the bonnet hides, the number of rows where it hides none,
    # int64 (columns,)
    bottoms: IndexArray


class Canvas(NamedTuple):
    """The picture that is drawn, with what it shows and how far away."""

    picture: Image  # RGB uint8 (rows, columns, 3)
    depths_m: Float32Array  # along the camera's axis, 0 for the bonnet, float32 (rows, columns)
    labels: Image  # what each pixel shows, a value of LABELS, uint8 (rows, columns)


def bonnet_canvas(height: int, width: int) -> Canvas:
    """Return a canvas with the bonnet's depth and label everywhere."""
    shape = height, width
    # the picture needs no values: the ground, the sky and the bonnet's colours fill all of it
    return Canvas(
        picture=np.empty((*shape, 3), np.uint8),
        depths_m=np.zeros(shape, np.float32),
        labels=np.full(shape, CAR, np.uint8),
    )


# ---- the look of a designed road


class RoadBands(NamedTuple):
    """Colours and widths of a designed road's parts; colours are RGB, 0 to 255."""

    surface: RGB
    texture: int  # number of the surface's texture, from scene/textures.py
    grain: float  # contrast of that texture
    line: RGB  # colour of the lines along both edges
    line_m: float  # width of these lines, 0 for none
    middle: RGB  # colour of the line in the middle
    middle_m: float  # width of the line in the middle, 0 for none
    middle_dash_m: float  # length of a dash and of a gap, 0 for a solid line
    shoulder: RGB  # colour of the band outside each edge
    shoulder_m: float  # width of that band, 0 for none
    stripe_m: float  # length of a stripe of a kerb, along the road; 0 without a kerb


# Colours are RGB under full light, chosen to look like the materials in daylight photographs
_SURFACES = {  # colour, texture and contrast
    "asphalt": ((118.0, 117.0, 112.0), ASPHALT, 0.18),
    "dirt": ((176.0, 132.0, 92.0), ASPHALT, 0.08),
    "paving": ((160.0, 142.0, 130.0), COBBLE, 0.19),
}
_WHITE = (214.0, 212.0, 202.0)
_LINES = {"white": _WHITE, "yellow": (206.0, 184.0, 78.0), "none": (0.0, 0.0, 0.0)}
_EDGES = {
    "grass": (110.0, 138.0, 62.0),
    "sand": (212.0, 190.0, 140.0),
    "gravel": (150.0, 144.0, 134.0),
    "kerb": (226.0, 218.0, 210.0),
    "none": (0.0, 0.0, 0.0),
}
_LINE_M = 0.14  # width of a line
_DASH_M = 3.0  # length of a dash, and of a gap
_STRIPE_M = 0.6  # length of a stripe of a kerb


def _bands_of(look: RoadLook) -> RoadBands:
    (red, green, blue), texture, grain = _SURFACES[look.surface]
    return RoadBands(
        surface=(red * look.shade, green * look.shade, blue * look.shade),
        texture=texture,
        grain=grain,
        line=_LINES[look.lines],
        line_m=_LINE_M if look.lines != "none" else 0.0,
        # the colour of the lines along the edges, white if there are none
        middle=_LINES[look.lines] if look.lines != "none" else _WHITE,
        middle_m=_LINE_M if look.middle != "none" else 0.0,
        middle_dash_m=_DASH_M if look.middle == "dashed" else 0.0,
        shoulder=_EDGES[look.edges],
        shoulder_m=look.edge_m if look.edges != "none" else 0.0,
        stripe_m=_STRIPE_M if look.edges == "kerb" else 0.0,
    )


# ---- ground and road


class Paint(NamedTuple):
    """What the road looks like. Arrays of (metres,) have a value for each metre along the track."""

    textures: Float32Array  # as make_textures() returns them, one after the other, (4 * texels,)
    stains_a_metre: np.float32  # texels of the road's stains for each metre along it
    shoulders: Shoulders  # used on the lake only
    bridge: tuple[float, float]  # start and end in metres along the track; used on the lake only
    style: int  # the track's style: LAKE_STYLE, MOUNTAIN_STYLE or DESIGNED_STYLE
    half_widths_m: Float32Array  # half the width of the asphalt, (metres,)
    neighbor_m: Float32Array  # offset to the right of a second road's middle, 0 for none, (metres,)
    bands: RoadBands  # used on a designed road only


class Surface(NamedTuple):
    """The ground and the road on it: fields with a value for each cell of the scene's grid."""

    heights_m: Float32Array  # (side, side)
    # what is read together lies together, row after row, float32 (cells, 4): metres along the
    # centre line and to the right of it, sunlight relative to level ground, and the height
    cells: Float32Array
    # colours of the land under this sunlight, red in the lowest bits, and above them NEAR_ROAD,
    # UNDER_WATER and CLIFF, uint32 (cells,)
    covers: CoverArray
    paint: Paint
    x: float  # the grid's corner, in metres
    z: float
    water_m: float  # height of the water


# nothing of a road without a neighbor is farther from the centre line, shoulders included
_ROADSIDE_M = 9.0
_STAINS_A_METRE = np.float32(4.0)  # texels of stains for each metre along all other roads
_CLIFF_M = 0.6  # land is a cliff where the next cell is higher or lower by more than this


def surface_of(scene: Scene) -> Surface:
    """Return the ground and the road of a scene."""
    ground = scene.ground
    heights_m = ground.heights_m
    roadmap = ground.roadmap
    road = scene.track.road

    covers = np.empty(heights_m.shape, np.uint32)
    _light_up(ground.cover, scene.light, AMBIENT, SUNLIGHT, covers)
    roadside_m = REACH_M if road.look.neighbor_m else _ROADSIDE_M
    covers[np.abs(roadmap.cross_track_m) < roadside_m] |= NEAR_ROAD
    covers[heights_m < ground.water_m] |= UNDER_WATER
    steps_m = np.abs(heights_m[1:, 1:] - heights_m[:-1, :-1])
    covers[:-1, :-1][steps_m > _CLIFF_M] |= CLIFF

    is_mountain = road.style == MOUNTAIN_STYLE
    fields = [roadmap.along_m, roadmap.cross_track_m, scene.light, heights_m]
    return Surface(
        heights_m=heights_m,
        cells=np.stack(fields, axis=-1).reshape(-1, 4),
        covers=covers.ravel(),
        paint=Paint(
            textures=scene.textures.ravel(),
            stains_a_metre=MOUNTAIN_STAINS_A_METRE if is_mountain else _STAINS_A_METRE,
            shoulders=scene.shoulders,
            bridge=road.bridge,
            style=road.style,
            half_widths_m=(scene.track.widths_m[scene.track.metres] / 2).astype(np.float32),
            neighbor_m=roadmap.neighbor_m,
            bands=_bands_of(road.look),
        ),
        x=ground.grid.x,
        z=ground.grid.z,
        water_m=ground.water_m,
    )


@compiled(cache=True)
def _light_up(
    colors: Float32Array,
    light: Float32Array,
    ambient: tuple[float, float, float],
    sunlight: tuple[float, float, float],
    covers: CoverArray,
) -> None:
    """Write each cell's colour under its light, red in the lowest bits.

    colors: under full light, (side, side, 3)
    light: sunlight on each cell, relative to level ground, (side, side)
    """
    for row in range(light.shape[0]):
        for column in range(light.shape[1]):
            cover = 0
            for channel in range(3):
                there = ambient[channel] + sunlight[channel] * light[row, column]
                color = colors[row, column, channel] * there
                cover |= int(min(max(color, 0.0), 255.0)) << 8 * channel
            covers[row, column] = cover


# ---- memory


_RIB_PX = 4  # columns from one rib to the next
_MIN_RIBS = 80  # in a narrow picture ribs are closer to each other, to have so many
# At its upper edge, the camera's usual picture is an eighth narrower than what the outermost ribs
# enclose; so even there, there is a cut for each column
_CUTS_A_COLUMN = 9 / 8


class Profiles(NamedTuple):
    """Memory for the ground's profiles; profile.py says what ribs and cuts are."""

    slopes: Float32Array  # (ribs, samples)
    # the inverse of the distance that a row of the picture shows in a cut, 0 for the sky
    inverses: Float32Array  # (rows, cuts)
    # row, cut and sample of each place where the ground is steep, int32 (3, places)
    cliffs: CellArray
    # of a single cut
    cut: Float32Array  # slopes, (samples,)
    tops: CellArray  # highest row in which a sample is seen, int32 (samples,)
    steep: Image  # 1 where the ground is steep before a sample, uint8 (samples + 1,)
    lasts: CellArray  # int32 (rows + 1,)
    samples: CellArray  # the sample that a row shows, int32 (rows,)
    column: Float32Array  # inverse distances, (rows,)


def empty_profiles(rows: int, columns: int) -> Profiles:
    """Return memory for a picture."""
    ribs = max(columns // _RIB_PX, _MIN_RIBS) + 2
    cuts = int(columns * _CUTS_A_COLUMN) + 2
    return Profiles(
        slopes=np.empty((ribs, SAMPLES), np.float32),
        inverses=np.empty((rows, cuts), np.float32),
        cliffs=np.empty((3, rows * cuts + 1), np.int32),
        cut=np.empty(SAMPLES, np.float32),
        tops=np.empty(SAMPLES, np.int32),
        steep=np.empty(SAMPLES + 1, np.uint8),
        lasts=np.empty(rows + 1, np.int32),
        samples=np.empty(rows, np.int32),
        column=np.empty(rows, np.float32),
    )


class RowPixels(NamedTuple):
    """Memory for what is known of the pixels of one row.

    All arrays are (columns,). Those from along_m on have a value for each pixel near the road, one
    after the other.
    """

    # where a pixel is: the cell to its lower left, and the way from there, in cells
    cells: CellArray
    rights: Float32Array
    ups: Float32Array
    x: Float32Array  # in metres
    y: Float32Array
    z: Float32Array
    widths_m: Float32Array  # the size of a pixel on the ground, across the line of sight
    lengths_m: Float32Array  # the same along the line of sight
    sizes_m: Float32Array  # the geometric mean of both
    red: Float32Array  # the pixel's colour under full light, before fog and daylight
    green: Float32Array
    blue: Float32Array
    # columns of pixels, as many as ground.py says
    near_road: CellArray
    elsewhere: CellArray
    along_m: Float32Array
    cross_m: Float32Array
    light: Float32Array
    fine: Float32Array  # of asphalt()
    broad: Float32Array  # of stains()


def empty_row(columns: int) -> RowPixels:
    """Return memory for a row of so many columns."""
    # zeros, because the bonnet's pixels have no colour, and what is in any memory may be no number
    whole = np.zeros((3, columns), np.int32)
    floats = np.zeros((16, columns), np.float32)
    return RowPixels(whole[0], *floats[:11], *whole[1:], *floats[11:])
