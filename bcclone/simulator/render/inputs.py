"""Prepare the inputs of the compiled code as tuples of arrays: camera, ground and picture.

A scene becomes a `Surface`, with the `Paint` of its road; a new `Canvas` is the picture to draw on,
with a depth and a label for each pixel.
"""

from typing import NamedTuple

import numpy as np

from bcclone.camera.images import Image
from bcclone.simulator.render.bands import RoadBands, bands_of
from bcclone.simulator.render.surface import AMBIENT, CAR, SUNLIGHT
from bcclone.simulator.road_plan import REACH_M
from bcclone.simulator.scene import Scene
from bcclone.simulator.scene.roadmap import Shoulders
from bcclone.system.arrays import Float32Array, FloatArray, IndexArray


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

    textures: Float32Array  # as make_textures() returns them, (4, texels)
    shoulders: Shoulders  # used on the lake only
    bridge: tuple[float, float]  # start and end in metres along the track; used on the lake only
    style: int  # the track's style: LAKE_STYLE, MOUNTAIN_STYLE or DESIGNED_STYLE
    half_widths_m: Float32Array  # half the width of the asphalt, (metres,)
    neighbor_m: Float32Array  # offset to the right of a second road's middle, 0 for none, (metres,)
    roadside_m: float  # nothing of the road or its neighbor is farther from the centre line
    bands: RoadBands  # used on a designed road only


class Surface(NamedTuple):
    """The ground and the road on it: fields with a value for each cell, (side, side)."""

    heights_m: Float32Array
    cross_m: Float32Array  # to the right of the centre line
    along_m: Float32Array  # along the centre line
    light: Float32Array  # sunlight, relative to level ground
    colors: Image  # colours of the land under this sunlight, RGB uint8 (side, side, 3)
    paint: Paint
    x: float  # the grid's corner, in metres
    z: float
    water_m: float  # height of the water


_ROADSIDE_M = 9.0  # roadside_m of a road without a neighbor, shoulders included


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
        neighbor_m=ground.roadmap.neighbor_m,
        roadside_m=roadside_m,
        bands=bands_of(road.look),
    )
    return Surface(
        heights_m=ground.heights_m,
        cross_m=ground.roadmap.cross_track_m,
        along_m=ground.roadmap.along_m,
        light=scene.light,
        colors=np.clip(ground.cover * sunlight, 0, 255).astype(np.uint8),
        paint=paint,
        x=ground.grid.x,
        z=ground.grid.z,
        water_m=ground.water_m,
    )
