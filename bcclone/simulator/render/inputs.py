"""Prepare what the compiled code takes, tuples of arrays and numbers: camera, ground, picture."""

from typing import NamedTuple

import numpy as np

from bcclone.camera.images import Image
from bcclone.simulator.render.bands import RoadBands, bands_of
from bcclone.simulator.render.surface import AMBIENT, CAR, SUNLIGHT
from bcclone.simulator.road_plan import REACH_M
from bcclone.simulator.scene import Scene
from bcclone.simulator.scene.roadmap import BLOCK_M, CELL_M, Shoulders
from bcclone.system.arrays import Float32Array, FloatArray, IndexArray


class Eye(NamedTuple):
    """A camera."""

    position: FloatArray  # x, y, z, (3,)
    axes: FloatArray  # right, up and ahead in the world, as columns, (3, 3)
    focal_across_px: float  # focal length in columns
    focal_up_px: float  # focal length in rows
    bottoms: IndexArray  # for each column the first row that the bonnet hides, int64 (columns,)


class Canvas(NamedTuple):
    """What is drawn."""

    picture: Image  # RGB uint8 (rows, columns, 3)
    depths_m: Float32Array  # 0 for the bonnet, float32 (rows, columns)
    labels: Image  # what each pixel shows, uint8 (rows, columns)


def blank_canvas(height: int, width: int) -> Canvas:
    """Return a canvas that shows nothing but bonnet."""
    shape = height, width
    return Canvas(
        picture=np.empty((*shape, 3), np.uint8),
        depths_m=np.zeros(shape, np.float32),
        labels=np.full(shape, CAR, np.uint8),
    )


class Paint(NamedTuple):
    """What the road looks like. Arrays of (metres,) have a value for each metre along the track."""

    textures: Float32Array  # of make_textures(), (4, texels)
    shoulders: Shoulders  # of the lake
    bridge: tuple[float, float]  # of the lake: its start and end in metres along the track
    style: int  # of the track: LAKE_STYLE, MOUNTAIN_STYLE or DESIGNED_STYLE
    half_widths_m: Float32Array  # of the asphalt, (metres,)
    neighbor_m: Float32Array  # as in RoadMap, (metres,)
    roadside_m: float  # largest distance of any road from the centre line
    bands: RoadBands  # of a designed road


class Surface(NamedTuple):
    """The ground and the road on it: fields with a value for each cell, (side, side)."""

    heights_m: Float32Array
    cross_m: Float32Array  # to the right of the centre line
    along_m: Float32Array  # along the centre line
    light: Float32Array  # sunlight, relative to level ground
    colors: Image  # of the land under its sunlight, RGB uint8 (side, side, 3)
    paint: Paint
    x: float  # of the grid's corner
    z: float
    water_m: float  # height of the water
    top_m: float  # greatest height of all
    tops_m: Float32Array  # greatest height in each block and its neighbours, (blocks, blocks)


_ROADSIDE_M = 9.0  # of a road without a neighbor, its shoulders included


def surface_of(scene: Scene) -> Surface:
    """Return the ground and the road of a scene."""
    ground = scene.ground
    road = scene.track.road
    sunlight = np.array(AMBIENT) + np.array(SUNLIGHT) * scene.light[..., None]
    roadside_m = _ROADSIDE_M
    if road.look.neighbor_m:
        roadside_m = REACH_M
    paint = Paint(
        textures=scene.textures,
        shoulders=scene.shoulders,
        bridge=road.bridge,
        style=road.style,
        half_widths_m=scene.track.half_widths_m,
        neighbor_m=ground.road.neighbor_m,
        roadside_m=roadside_m,
        bands=bands_of(road.look),
    )
    return Surface(
        heights_m=ground.heights_m,
        cross_m=ground.road.cross_track_m,
        along_m=ground.road.along_m,
        light=scene.light,
        colors=np.clip(ground.cover * sunlight, 0, 255).astype(np.uint8),
        paint=paint,
        x=ground.grid.x,
        z=ground.grid.z,
        water_m=ground.water_m,
        top_m=float(ground.heights_m.max()) + 0.1,
        tops_m=_tops(ground.heights_m, ground.water_m),
    )


_BLOCK = round(BLOCK_M / CELL_M)  # cells in a row of a block


def _tops(heights_m: Float32Array, water_m: float) -> Float32Array:
    """Return the greatest height of ground or water in each block and its neighbours."""
    # the highest cell of each block; blocks at the far edges may be incomplete
    blocks = -(-len(heights_m) // _BLOCK)
    padded = np.pad(heights_m, (0, blocks * _BLOCK - len(heights_m)), mode="edge")
    highest = padded.reshape(blocks, _BLOCK, blocks, _BLOCK).max((1, 3))

    # the highest of a block and the eight around it
    around = np.pad(highest, 1, mode="edge")
    shifted = [
        around[row : row + blocks, column : column + blocks]
        for row in range(3)
        for column in range(3)
    ]
    return np.maximum(np.max(shifted, axis=0), np.float32(water_m))
