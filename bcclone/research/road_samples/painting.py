"""Paint what a camera sees of a road on smooth ground, and of what stands on it; compiled.

In: the rays of the pixels, the road's line and its `Surroundings`. Out: the picture, RGB as float64
(height, width, 3), in which 255 is white; values may be higher.
"""

import math
from typing import Any

import numpy as np

from bcclone.research.road_samples.noise import mix, noise
from bcclone.research.road_samples.painted_ground import paint_ground, parts_of
from bcclone.research.road_samples.surroundings import Surroundings
from bcclone.simulator.render.surface import COMPILED_MODULES, covered
from bcclone.system.compiled import FINITE, compiled, source_checksum
from bcclone.system.numbers import FloatArray

_COMPILED_MODULES = ("noise", "painted_ground", "painting")  # here; the painting depends on them
# a plain number of this module, since compiled functions cannot read the fields of a dataclass
_FAR_M = 400.0  # ground that is farther away is painted as the horizon's haze


# columns of surroundings.Box, and of what _with_edges() adds: the slopes of its edges
_BOX_RIGHT_M = 0
_BOX_AHEAD_M = 1
_BOX_HALF_M = 2
_BOX_TOP_M = 3
_BOX_RED = 4  # then green and blue
_BOX_BOTTOM_M = 7
_BOX_TEXTURE_SCALE = 8
_BOX_TEXTURE = 9
_BOX_LEFT_EDGE = 10
_BOX_RIGHT_EDGE = 11
_BOX_LOWER_EDGE = 12
_BOX_UPPER_EDGE = 13


def _with_edges(boxes: FloatArray, camera_m: float) -> FloatArray:
    """Return boxes with the slopes at which the camera sees their edges."""
    ahead_m = boxes[:, _BOX_AHEAD_M]
    edges_m = (
        boxes[:, _BOX_RIGHT_M] - boxes[:, _BOX_HALF_M],
        boxes[:, _BOX_RIGHT_M] + boxes[:, _BOX_HALF_M],
        boxes[:, _BOX_BOTTOM_M] - camera_m,
        boxes[:, _BOX_TOP_M] - camera_m,
    )
    return np.column_stack([boxes, *(edge_m / ahead_m for edge_m in edges_m)])


@compiled(error_model="numpy")
def _paint_boxes(ray: Any, span_m: Any, boxes: Any, scenery: Any, seed: int, color: Any) -> None:
    """Paint the boxes whose distance is in a span, as they are or as the ground reflects them.

    ray: slopes to the right and up; width of a pixel on a plane one metre ahead; and whether the
        ground reflects the boxes
    span_m: smallest and greatest distance ahead
    """
    u, v, wide, mirrored = ray
    nearest_m, farthest_m = span_m
    for number in range(boxes.shape[0]):
        part = covered(u, boxes[number, _BOX_LEFT_EDGE], boxes[number, _BOX_RIGHT_EDGE], wide)
        ahead_m = boxes[number, _BOX_AHEAD_M]
        if part <= 0.0 or ahead_m > farthest_m or ahead_m < nearest_m:
            continue
        slope = v
        if mirrored:
            slope = -v - 2.0 * scenery.camera_m / ahead_m
        part *= covered(slope, boxes[number, _BOX_LOWER_EDGE], boxes[number, _BOX_UPPER_EDGE], wide)
        if part > 0.0:
            scale = boxes[number, _BOX_TEXTURE_SCALE] * ahead_m
            texture = noise(u * scale, slope * scale, seed + 20 + number)
            brightness = max(1.0 + boxes[number, _BOX_TEXTURE] * texture, 0.05)
            mix(color, boxes[number, _BOX_RED : _BOX_RED + 3], brightness, part)


@compiled(error_model="numpy")
def _paint_sky(up: float, scenery: Any, color: Any) -> None:
    """Set the colour of the sky. up: sine of the angle above the horizon"""
    mix(color, scenery.haze, 1.0, 1.0)
    mix(color, scenery.zenith, 1.0, min(max(up, 0.0) * 1.6, 1.0))


@compiled(error_model="numpy")
def _reflect(
    ray: Any, depth_ahead_m: float, grain: float, surroundings: Any, mirrored: Any, color: Any
) -> None:
    """Mix what the ground reflects into its colour: the flatter the view, the more of it.

    ray: the ray's parts to the right, up and ahead, and the angle of a pixel
    depth_ahead_m: how far ahead the ray meets the ground
    grain: the ground's fine texture there
    mirrored: is overwritten by the reflected colour, (3,)
    """
    _, _, _, _, boxes, scenery, seed = surroundings
    right, up, ahead, pixel = ray
    up = min(up + scenery.ripple * grain, -1e-3)
    flat = 1.0 + up
    part = scenery.mirror * flat * flat * flat
    _paint_sky(-up, scenery, mirrored)
    if ahead > 0.05:
        slopes = (right / ahead, up / ahead, pixel / (ahead * ahead), True)
        _paint_boxes(slopes, (depth_ahead_m, 1e9), boxes, scenery, seed, mirrored)
    mix(color, mirrored, 1.0, part)


@compiled(
    cache=True,
    sources=source_checksum(
        (*COMPILED_MODULES, *(f"{__package__}.{module}" for module in _COMPILED_MODULES))
    ),
    error_model="numpy",
    fastmath=FINITE,
)
def _paint_pixels(
    rays: Any, pixel: float, road: Any, surroundings: Any, mirrored: Any, picture: Any
) -> None:
    """Paint every pixel of a picture, which begins black.

    rays, pixel, surroundings: as of paint(), but boxes with their edges
    road: the road's line, and its parts as of parts_of()
    mirrored: is overwritten by the colours that the ground reflects, (3,)
    """
    _, _, _, _, boxes, scenery, seed = surroundings
    nearest = 0
    for row in range(rays.shape[0]):
        for column in range(rays.shape[1]):
            right = rays[row, column, 0]
            up = rays[row, column, 1]
            ahead = rays[row, column, 2]
            color = picture[row, column]

            # The ground is a parabola: camera_m + depth up = ground_curvature (depth ahead)^2 / 2.
            # This equation is solved for depth as 2 camera_m / (sqrt(radicand) - up), which also
            # holds at ground_curvature = 0.
            radicand = up * up + 2.0 * scenery.ground_curvature * ahead * ahead * scenery.camera_m
            downward = 0.0
            if radicand >= 0.0:
                downward = math.sqrt(radicand) - up

            # ground fades into the horizon's haze, above which the sky begins; the condition means
            # depth < _FAR_M, without dividing by a `downward` of 0
            depth_m = _FAR_M
            if downward * _FAR_M > 2.0 * scenery.camera_m:
                depth_m = 2.0 * scenery.camera_m / downward
                x = depth_m * right
                z = depth_m * ahead
                place = (x, z, depth_m * pixel, depth_m)
                grain, nearest = paint_ground(place, nearest, road, surroundings, color)
                if scenery.mirror > 0.0:
                    ray = (right, up, ahead, pixel)
                    _reflect(ray, z, grain, surroundings, mirrored, color)
                haze = min(depth_m / scenery.haze_m, 1.0) * scenery.haze_most
                mix(color, scenery.haze, 1.0, haze)
            else:
                _paint_sky(up, scenery, color)

            # a fisheye sees to its sides and behind, where slopes have no meaning
            if ahead > 0.05:
                slopes = (right / ahead, up / ahead, pixel / (ahead * ahead), False)
                _paint_boxes(slopes, (0.0, depth_m * ahead), boxes, scenery, seed, color)


def paint(
    surroundings: Surroundings, line: FloatArray, rays: FloatArray, pixel: float
) -> FloatArray:
    """Return the picture, float64 (height, width, 3): RGB, 255 is white, not clipped.

    line: the road's middle, as in DrawnPlace
    rays: the pixels' unit vectors, of AnyCamera.rays(), float64 (height, width, 3)
    pixel: the angle that a pixel shows, in radians
    """
    picture = np.zeros(rays.shape)
    boxes = _with_edges(surroundings.boxes, surroundings.scenery.camera_m)
    road = (line, parts_of(line))
    _paint_pixels(rays, pixel, road, surroundings._replace(boxes=boxes), np.zeros(3), picture)
    return picture
