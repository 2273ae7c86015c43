"""Paint what a camera sees of a road on smooth ground; compiled.

In: the rays of the pixels, the road's line and its `Surroundings`. Out: the picture, RGB as float64
(height, width, 3), in which 255 is white; values may be higher.
"""

import math
from typing import Any

import numpy as np

from bcclone.research.road_samples.surroundings import Surroundings
from bcclone.simulator.render.surface import COMPILED_MODULES, covered
from bcclone.system.arrays import FloatArray
from bcclone.system.compiled import FINITE, compiled, source_checksum

# Plain numbers of this module, since compiled functions cannot read the fields of a dataclass.
_FAR_M = 400.0  # ground that is farther away is painted as the horizon's haze
_GRAIN_M = 0.12  # half a wavelength of the finest noise
_WIDEST_M = 20.0  # wider pixels on the ground are treated as this wide
_SKY_LIGHT = (0.82, 0.92, 1.18)  # RGB factors in shadows, where the light is the blue sky's
_MEAN_SHADOW = 0.4  # shadow far away, where the noise of shadows is finer than a pixel


@compiled(error_model="numpy")
def _lattice(column: int, row: int, seed: int) -> float:
    """Return a random number, -1 to 1, for a point of a lattice; always the same one for a seed."""
    mixed = (column * 374761393 + row * 668265263 + seed * 1274126177) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 13)) * 1103515245) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 16)) * 668265263) & 0xFFFFFFFF
    return float((mixed ^ (mixed >> 15)) & 0xFFFF) / 32767.5 - 1.0


@compiled(error_model="numpy")
def _noise(x: float, z: float, seed: int) -> float:
    """Return smooth noise of -1 to 1 with a wavelength of about 2."""
    column = int(math.floor(x))
    row = int(math.floor(z))
    across = x - column
    up = z - row
    # the noise has no edges at the lattice's lines: a cubic curve begins and ends level
    across = across * across * (3.0 - 2.0 * across)
    up = up * up * (3.0 - 2.0 * up)
    low_left = _lattice(column, row, seed)
    low_right = _lattice(column + 1, row, seed)
    high_left = _lattice(column, row + 1, seed)
    high_right = _lattice(column + 1, row + 1, seed)
    low = low_left * (1.0 - across) + low_right * across
    high = high_left * (1.0 - across) + high_right * across
    return low * (1.0 - up) + high * up


@compiled(error_model="numpy")
def _resolved(wavelength_m: float, pixel_m: float) -> float:
    """Return half a wavelength, doubled until it spans two pixels: finer noise would flicker."""
    while wavelength_m < 2.0 * pixel_m:
        wavelength_m *= 2.0
    return wavelength_m


@compiled(error_model="numpy")
def _mix(color: Any, other: Any, brightness: float, fraction: float) -> None:
    """Mix another colour, times a brightness, into a colour. fraction: of the other colour."""
    for channel in range(3):
        color[channel] += (other[channel] * brightness - color[channel]) * fraction


@compiled(error_model="numpy")
def _width_across(pixel_m: float, long_m: float, sine: float) -> float:
    """Return the width of a pixel across a line on the ground.

    pixel_m: width of the pixel on the ground
    long_m: length of the pixel on the ground, along the line of sight
    sine: sine of the angle between the line and the line of sight
    """
    squared = pixel_m * pixel_m * (1.0 - sine * sine) + long_m * long_m * sine * sine
    return min(math.sqrt(max(squared, 1e-12)), _WIDEST_M)


# columns of the road's line, see DrawnPlace
_LINE_RIGHT_M = 0  # place of the point, to the right and ahead
_LINE_AHEAD_M = 1
_DIRECTION_RIGHT = 2  # the road's direction there, a unit vector
_DIRECTION_AHEAD = 3
_LINE_ALONG_M = 4  # metres along the road


@compiled(error_model="numpy")
def _nearest(x: float, z: float, line: Any) -> int:
    """Return the number of the line's point that is nearest to a place."""
    nearest = 0
    least = 1e18
    for number in range(line.shape[0]):
        dx = x - line[number, _LINE_RIGHT_M]
        dz = z - line[number, _LINE_AHEAD_M]
        squared = dx * dx + dz * dz
        if squared < least:
            least = squared
            nearest = number
    return nearest


@compiled(error_model="numpy")
def _paint_ground(
    x: float, z: float, pixel_m: float, depth_m: float, line: Any, surroundings: Any, color: Any
) -> None:
    """Set the colour of the ground at a place.

    x, z: the place, in metres to the right and ahead
    pixel_m: width of a pixel at the place
    depth_m: distance of the place from the camera
    line, surroundings: as of paint()
    color: RGB of the pixel, (3,); is set
    """
    bands, marks, _, scenery, seed = surroundings
    # a flat view stretches a pixel along the line of sight
    long_m = pixel_m * max(depth_m / scenery.camera_m, 1.0)
    sight_m = max(math.sqrt(x * x + z * z), 1e-9)

    # the ground itself; its grain gets coarser where pixels are wider, so that it does not flicker
    grain = _noise(x / _resolved(_GRAIN_M, pixel_m), z / _resolved(_GRAIN_M, long_m), seed)
    patch = _noise(x / scenery.patch_m, z / scenery.patch_m, seed + 1)
    brightness = max(1.0 + scenery.grain * grain + scenery.patch * patch, 0.1)
    _mix(color, scenery.ground, brightness, 1.0)

    # where the place is relative to the nearest point of the road's middle: along and across
    nearest = _nearest(x, z, line)
    ahead_x = line[nearest, _DIRECTION_RIGHT]
    ahead_z = line[nearest, _DIRECTION_AHEAD]
    dx = x - line[nearest, _LINE_RIGHT_M]
    dz = z - line[nearest, _LINE_AHEAD_M]
    forward = dx * ahead_x + dz * ahead_z
    cross = dx * ahead_z - dz * ahead_x

    # nothing is painted beyond the ends of the road
    beyond_end = nearest == line.shape[0] - 1 and forward > 1.0
    before_start = nearest == 0 and forward < -1.0
    if not (beyond_end or before_start):
        width_m = _width_across(pixel_m, long_m, (x * ahead_z - z * ahead_x) / sight_m)
        along = line[nearest, _LINE_ALONG_M] + forward
        patch_brightness = 0.5 * scenery.patch * patch
        _paint_bands(cross, along, width_m, grain, patch_brightness, bands, color)
    _paint_marks(x, z, pixel_m, long_m, sight_m, marks, color)
    if scenery.light > 0.0:
        _shade(x, z, long_m, scenery, seed, color)


# columns of surroundings.Band
_BAND_START_M = 0
_BAND_END_M = 1
_BAND_RED = 2  # then green and blue
_BAND_DASH_M = 5
_BAND_PHASE_M = 6
_BAND_GRAIN = 7


@compiled(error_model="numpy")
def _paint_bands(
    cross: float,
    along: float,
    width_m: float,
    grain: float,
    patch_brightness: float,
    bands: Any,
    color: Any,
) -> None:
    """Paint the road's surface, shoulders and lines.

    cross, along: metres to the right of the road's middle, and along the road
    width_m: width of a pixel across the road
    grain: the ground's fine texture at this place, -1 to 1
    patch_brightness: what the ground's coarse texture adds to the brightness
    """
    for number in range(bands.shape[0]):
        part = covered(cross, bands[number, _BAND_START_M], bands[number, _BAND_END_M], width_m)
        dash_m = bands[number, _BAND_DASH_M]
        if part > 0.0 and dash_m > 0.0:
            phase = (along + bands[number, _BAND_PHASE_M]) / dash_m
            if phase - math.floor(phase) >= 0.5:  # a gap
                part = 0.0
        if part > 0.0:
            brightness = max(1.0 + bands[number, _BAND_GRAIN] * grain + patch_brightness, 0.1)
            _mix(color, bands[number, _BAND_RED : _BAND_RED + 3], brightness, part)


# columns of surroundings.Mark
_NORMAL_RIGHT = 0
_NORMAL_AHEAD = 1
_MARK_DISTANCE_M = 2
_MARK_HALF_M = 3
_MARK_RED = 4  # then green and blue


@compiled(error_model="numpy")
def _paint_marks(
    x: float, z: float, pixel_m: float, long_m: float, sight_m: float, marks: Any, color: Any
) -> None:
    """Paint the straight lines on the ground.

    pixel_m, long_m: width and length of a pixel at x, z
    sight_m: distance from the camera, on the ground
    """
    for number in range(marks.shape[0]):
        # the place, projected on the mark's normal
        along_normal_m = marks[number, _NORMAL_RIGHT] * x + marks[number, _NORMAL_AHEAD] * z
        half_m = marks[number, _MARK_HALF_M]
        width_m = _width_across(pixel_m, long_m, along_normal_m / sight_m)
        part = covered(along_normal_m - marks[number, _MARK_DISTANCE_M], -half_m, half_m, width_m)
        if part > 0.0:
            _mix(color, marks[number, _MARK_RED : _MARK_RED + 3], 1.0, part)


@compiled(error_model="numpy")
def _shade(x: float, z: float, long_m: float, scenery: Any, seed: int, color: Any) -> None:
    """Darken the ground by shadows, or lighten it by glare. long_m: a pixel's length at x, z."""
    # shadows, or glare, are where noise of two wavelengths is above a threshold
    x_waves = x / scenery.light_across_m
    z_waves = z / scenery.light_along_m
    # shifted by any number, so that the lattices of the two noises do not coincide at x = 0
    coarse = _noise(x_waves + 31.7, z_waves, seed + 2)
    shadow = coarse + 0.6 * _noise(x_waves * 2.1, z_waves * 2.1, seed + 3)
    shadow = min(max((shadow - scenery.light_from) * scenery.light_slope, 0.0), 1.0)

    # far away, a pixel shows the mean of many shadows
    finest_m = min(scenery.light_across_m, scenery.light_along_m)
    sharp = min(finest_m / max(2.0 * long_m, 1e-9), 1.0)
    shadow = _MEAN_SHADOW + (shadow - _MEAN_SHADOW) * sharp

    for channel in range(3):
        light = scenery.light
        if scenery.light < 1.0:
            light = scenery.light * _SKY_LIGHT[channel]
        color[channel] *= 1.0 + (light - 1.0) * shadow


# columns of surroundings.Box
_BOX_RIGHT_M = 0
_BOX_AHEAD_M = 1
_BOX_HALF_M = 2
_BOX_TOP_M = 3
_BOX_RED = 4  # then green and blue
_BOX_BOTTOM_M = 7
_BOX_TEXTURE_SCALE = 8
_BOX_TEXTURE = 9


@compiled(error_model="numpy")
def _paint_boxes(
    u: float,
    v: float,
    wide: float,
    ground_m: float,
    boxes: Any,
    scenery: Any,
    seed: int,
    color: Any,
) -> None:
    """Paint the boxes nearer than the ground.

    u, v: slopes of the ray, to the right and up
    wide: width of a pixel on a plane one metre ahead
    ground_m: how far ahead the ray meets the ground
    """
    for number in range(boxes.shape[0]):
        right_m = boxes[number, _BOX_RIGHT_M]
        ahead_m = boxes[number, _BOX_AHEAD_M]
        half_m = boxes[number, _BOX_HALF_M]
        if ahead_m > ground_m:
            continue
        part = covered(u * ahead_m, right_m - half_m, right_m + half_m, wide * ahead_m)
        if part > 0.0:
            # heights relative to the camera
            bottom = boxes[number, _BOX_BOTTOM_M] - scenery.camera_m
            top = boxes[number, _BOX_TOP_M] - scenery.camera_m
            part *= covered(v * ahead_m, bottom, top, wide * ahead_m)
        if part > 0.0:
            scale = boxes[number, _BOX_TEXTURE_SCALE]
            texture = _noise(u * ahead_m * scale, v * ahead_m * scale, seed + 5 + number)
            brightness = max(1.0 + boxes[number, _BOX_TEXTURE] * texture, 0.05)
            _mix(color, boxes[number, _BOX_RED : _BOX_RED + 3], brightness, part)


@compiled(
    cache=True,
    sources=source_checksum((*COMPILED_MODULES, __name__)),
    error_model="numpy",
    fastmath=FINITE,
)
def _paint_pixels(rays: Any, pixel: float, line: Any, surroundings: Any, picture: Any) -> None:
    """Paint every pixel of a picture, which begins black; the rest as of paint()."""
    _, _, boxes, scenery, seed = surroundings
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
                _paint_ground(x, z, depth_m * pixel, depth_m, line, surroundings, color)
                haze = min(depth_m / scenery.haze_m, 1.0) * scenery.haze_most
                _mix(color, scenery.haze, 1.0, haze)
            else:
                _mix(color, scenery.haze, 1.0, 1.0)
                _mix(color, scenery.zenith, 1.0, min(max(up, 0.0) * 1.6, 1.0))

            # a fisheye sees to its sides and behind, where slopes have no meaning
            if ahead > 0.05:
                u = right / ahead
                v = up / ahead
                wide = pixel / (ahead * ahead)
                _paint_boxes(u, v, wide, depth_m * ahead, boxes, scenery, seed, color)


def paint(
    surroundings: Surroundings, line: FloatArray, rays: FloatArray, pixel: float
) -> FloatArray:
    """Return the picture, float64 (height, width, 3): RGB, 255 is white, not clipped.

    line: the road's middle, as in DrawnPlace
    rays: the pixels' unit vectors, of AnyCamera.rays(), float64 (height, width, 3)
    pixel: the angle that a pixel shows, in radians
    """
    picture = np.zeros(rays.shape)
    _paint_pixels(rays, pixel, line, surroundings, picture)
    return picture
