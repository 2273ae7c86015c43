"""Prepare the inputs of the compiled code as tuples of arrays: camera, ground and picture.

A scene becomes a `Surface`, with the `Paint` of its road; a new `Canvas` is the picture to draw on,
with a depth and a label for each pixel.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bcclone.camera.images import Image
from bcclone.simulator.render.bands import RoadBands, bands_of
from bcclone.simulator.render.mountain_road import STAINS_A_METRE
from bcclone.simulator.render.profile import SAMPLES
from bcclone.simulator.render.surface import AMBIENT, CAR, CLIFF, NEAR_ROAD, SUNLIGHT, UNDER_WATER
from bcclone.simulator.road_plan import REACH_M
from bcclone.simulator.scene import Scene
from bcclone.simulator.scene.roadmap import Shoulders
from bcclone.simulator.track import MOUNTAIN_STYLE
from bcclone.system.numbers import Float32Array, FloatArray, IndexArray

CoverArray = npt.NDArray[np.uint32]
CellArray = npt.NDArray[np.int32]


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
    labels: Image  # what each pixel shows, uint8 (rows, columns)


def bonnet_canvas(height: int, width: int) -> Canvas:
    """Return a canvas with the bonnet's depth and label everywhere."""
    shape = height, width
    # the picture needs no values: the ground, the sky and the bonnet's colours fill all of it
    return Canvas(
        picture=np.empty((*shape, 3), np.uint8),
        depths_m=np.zeros(shape, np.float32),
        labels=np.full(shape, CAR, np.uint8),
    )


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


def surface_of(scene: Scene) -> Surface:
    """Return the ground and the road of a scene."""
    ground = scene.ground
    road = scene.track.road
    roadside_m = _ROADSIDE_M
    if road.look.neighbor_m:
        roadside_m = REACH_M
    stains_a_metre = _STAINS_A_METRE
    if road.style == MOUNTAIN_STYLE:
        stains_a_metre = STAINS_A_METRE
    paint = Paint(
        textures=scene.textures.ravel(),
        stains_a_metre=stains_a_metre,
        shoulders=scene.shoulders,
        bridge=road.bridge,
        style=road.style,
        half_widths_m=scene.track.half_widths_m,
        neighbor_m=ground.roadmap.neighbor_m,
        bands=bands_of(road.look),
    )
    return Surface(
        heights_m=ground.heights_m,
        cells=np.stack(
            [ground.roadmap.along_m, ground.roadmap.cross_track_m, scene.light, ground.heights_m],
            axis=-1,
        ).reshape(-1, 4),
        covers=_covers(scene, roadside_m).ravel(),
        paint=paint,
        x=ground.grid.x,
        z=ground.grid.z,
        water_m=ground.water_m,
    )


_CLIFF_M = 0.6  # land is a cliff where the next cell is higher or lower by more than this


def _covers(scene: Scene, roadside_m: float) -> CoverArray:
    """Return the covers of a scene's cells, as in Surface."""
    heights_m = scene.ground.heights_m
    sunlight = np.array(AMBIENT) + np.array(SUNLIGHT) * scene.light[..., None]
    colors = np.clip(scene.ground.cover * sunlight, 0, 255).astype(np.uint32)
    covers = colors[..., 0] | colors[..., 1] << 8 | colors[..., 2] << 16
    covers[np.abs(scene.ground.roadmap.cross_track_m) < roadside_m] |= NEAR_ROAD
    covers[heights_m < scene.ground.water_m] |= UNDER_WATER
    steps_m = np.abs(heights_m[1:, 1:] - heights_m[:-1, :-1])
    covers[:-1, :-1][steps_m > _CLIFF_M] |= CLIFF
    return covers


# Memory


_RIB_PX = 4  # columns from one rib to the next
_MIN_RIBS = 80  # in a narrow picture ribs are closer to each other, to have so many
# At its upper edge, the camera's usual picture is an eighth narrower than what the outermost ribs
# enclose; so even there, there is a cut for each column
_CUTS_A_COLUMN = 9 / 8


class Profiles(NamedTuple):
    """Memory for the ground's profiles; profile.py says what ribs and cuts are.

    The compiled code cannot take any memory itself.
    """

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
