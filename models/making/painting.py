"""Paint what a camera sees of a road on smooth ground, and of what stands on it; compiled.

In: the rays of the pixels, the road's line and its `Surroundings`. Out: the picture, RGB as float64
(height, width, 3), in which 255 is white; values may be higher.
"""

import math
from typing import Any

import numpy as np

from bcclone.simulator.render.surface import COMPILED_MODULES, covered
from bcclone.system.arrays import FloatArray
from bcclone.system.compiled import FINITE, compiled, source_checksum
from models.making.looks import Surroundings

# ---- noise, the width of a pixel on the ground, mixed colours


WIDEST_M = 20.0  # wider pixels on the ground are treated as this wide


@compiled(error_model="numpy")
def _lattice(column: int, row: int, seed: int) -> float:
    """Return a random number, -1 to 1, for a point of a lattice; always the same one for a seed."""
    mixed = (column * 374761393 + row * 668265263 + seed * 1274126177) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 13)) * 1103515245) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 16)) * 668265263) & 0xFFFFFFFF
    return float((mixed ^ (mixed >> 15)) & 0xFFFF) / 32767.5 - 1.0


@compiled(error_model="numpy")
def noise(x: float, z: float, seed: int) -> float:
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
def resolved(wavelength_m: float, pixel_m: float) -> float:
    """Return half a wavelength, doubled until it spans two pixels: finer noise would flicker."""
    while wavelength_m < 2.0 * pixel_m:
        wavelength_m *= 2.0
    return wavelength_m


@compiled(error_model="numpy")
def mix(color: Any, other: Any, brightness: float, fraction: float) -> None:
    """Mix another colour, times a brightness, into a colour. fraction: of the other colour."""
    for channel in range(3):
        color[channel] += (other[channel] * brightness - color[channel]) * fraction


@compiled(error_model="numpy")
def width_across(pixel_m: float, long_m: float, sine: float) -> float:
    """Return the width of a pixel across a line on the ground.

    pixel_m: width of the pixel on the ground
    long_m: length of the pixel on the ground, along the line of sight
    sine: sine of the angle between the line and the line of sight
    """
    squared = pixel_m * pixel_m * (1.0 - sine * sine) + long_m * long_m * sine * sine
    return min(math.sqrt(max(squared, 1e-12)), WIDEST_M)


# ---- the ground


# Plain numbers of this module, since compiled functions cannot read the fields of a dataclass.
_GRAIN_M = 0.12  # half a wavelength of the finest noise
_SKY_LIGHT = (0.82, 0.92, 1.18)  # RGB factors in shadows, where the light is the blue sky's
_MEAN_SHADOW = 0.4  # shadow far away, where the noise of shadows is finer than a pixel


# columns of the road's line, see DrawnPlace
_LINE_RIGHT_M = 0  # place of the point, to the right and ahead
_LINE_AHEAD_M = 1
_DIRECTION_RIGHT = 2  # the road's direction there, a unit vector
_DIRECTION_AHEAD = 3
_LINE_ALONG_M = 4  # metres along the road


_PART = 8  # points of the road's line in a part of it


def parts_of(line: FloatArray) -> FloatArray:
    """Return a circle around each part of a line: its middle and radius, (parts, 3).

    The last part is filled up by its last point.
    """
    count = -(-len(line) // _PART)
    points = np.pad(line[:, :2], ((0, count * _PART - len(line)), (0, 0)), mode="edge")
    points = points.reshape(count, _PART, 2)
    middles = points.mean(axis=1)
    squared = ((points - middles[:, None]) ** 2).sum(axis=2)
    return np.column_stack([middles, np.sqrt(squared.max(axis=1))])


@compiled(error_model="numpy")
def _nearest(x: float, z: float, road: Any, guess: int) -> int:
    """Return the number of the line's point that is nearest to a place.

    road: the road's line, and its parts as of parts_of()
    guess: a point that may be near
    """
    line, parts = road
    nearest = guess
    dx = x - line[guess, _LINE_RIGHT_M]
    dz = z - line[guess, _LINE_AHEAD_M]
    least = dx * dx + dz * dz
    for part in range(parts.shape[0]):
        # a part whose circle is farther away has no nearer point
        dx = x - parts[part, 0]
        dz = z - parts[part, 1]
        away = math.sqrt(dx * dx + dz * dz) - parts[part, 2]
        if away > 0.0 and away * away >= least:
            continue
        first = part * _PART
        for number in range(first, min(first + _PART, line.shape[0])):
            dx = x - line[number, _LINE_RIGHT_M]
            dz = z - line[number, _LINE_AHEAD_M]
            squared = dx * dx + dz * dz
            if squared < least:
                least = squared
                nearest = number
    return nearest


@compiled(error_model="numpy")
def paint_ground(
    place: Any, guess: int, road: Any, surroundings: Any, color: Any
) -> tuple[float, int]:
    """Set the colour of the ground at a place.

    Return the fine texture there, -1 to 1, and the number of the line's nearest point.

    place: metres to the right and ahead, the width of a pixel there in metres, and the distance
        from the camera
    guess: number of a point of the line that may be near
    road: the road's line, and its parts as of parts_of()
    surroundings: as of paint()
    color: RGB of the pixel, (3,); is set
    """
    x, z, pixel_m, depth_m = place
    line, _ = road
    bands, below, above, rings, _, scenery, seed = surroundings
    # a flat view stretches a pixel along the line of sight
    long_m = pixel_m * max(depth_m / scenery.camera_m, 1.0)
    sight_m = max(math.sqrt(x * x + z * z), 1e-9)

    # the ground itself; its grain gets coarser where pixels are wider, so that it does not flicker
    grain = noise(x / resolved(_GRAIN_M, pixel_m), z / resolved(_GRAIN_M, long_m), seed)
    patch = noise(x / scenery.patch_m, z / scenery.patch_m, seed + 1)
    brightness = max(1.0 + scenery.grain * grain + scenery.patch * patch, 0.1)
    mix(color, scenery.ground, brightness, 1.0)
    _paint_patches(x, z, pixel_m, long_m, grain, below, color)

    # where the place is relative to the nearest point of the road's middle: along and across
    nearest = _nearest(x, z, road, guess)
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
        width_m = width_across(pixel_m, long_m, (x * ahead_z - z * ahead_x) / sight_m)
        along = line[nearest, _LINE_ALONG_M] + forward
        textures = (grain, 0.5 * scenery.patch * patch)
        _paint_bands(cross, along, width_m, textures, seed, bands, color)
    _paint_patches(x, z, pixel_m, long_m, grain, above, color)
    _paint_rings(x, z, pixel_m, long_m, sight_m, rings, color)
    if scenery.light > 0.0:
        _shade(x, z, long_m, scenery, seed, color)
    return grain, nearest


# columns of looks.Band
_BAND_START_M = 0
_BAND_END_M = 1
_BAND_RED = 2  # then green and blue
_BAND_DASH_M = 5
_BAND_PHASE_M = 6
_BAND_GRAIN = 7
_BAND_RAGGED_M = 8
_BAND_WORN = 9


@compiled(error_model="numpy")
def _paint_bands(
    cross: float, along: float, width_m: float, textures: Any, seed: int, bands: Any, color: Any
) -> None:
    """Paint the road's surface, shoulders and lines.

    cross, along: metres to the right of the road's middle, and along the road
    width_m: width of a pixel across the road
    textures: the ground's fine texture at this place, -1 to 1, and what the coarse one adds to the
        brightness
    """
    grain, patch_brightness = textures
    for number in range(bands.shape[0]):
        start_m = bands[number, _BAND_START_M]
        end_m = bands[number, _BAND_END_M]
        ragged_m = bands[number, _BAND_RAGGED_M]
        if ragged_m > 0.0:
            # each edge strays in its own way, in waves of two metres
            start_m += ragged_m * noise(along, start_m, seed + 11)
            end_m += ragged_m * noise(along, end_m, seed + 11)
        part = covered(cross, start_m, end_m, width_m)
        dash_m = bands[number, _BAND_DASH_M]
        if part > 0.0 and dash_m > 0.0:
            phase = (along + bands[number, _BAND_PHASE_M]) / dash_m
            if phase - math.floor(phase) >= 0.5:  # a gap
                part = 0.0
        if part > 0.0:
            worn = bands[number, _BAND_WORN]
            if worn > 0.0:
                # spots of half a metre; most of the noise lies in -0.6 to 0.6
                spots = 0.6 + 0.5 * noise(along * 2.0, cross * 4.0, seed + 12)
                part *= min(max((spots - worn) * 5.0 + 0.5, 0.1), 1.0)
            brightness = max(1.0 + bands[number, _BAND_GRAIN] * grain + patch_brightness, 0.1)
            mix(color, bands[number, _BAND_RED : _BAND_RED + 3], brightness, part)


# columns of looks.Patch
_PATCH_RIGHT_M = 0
_PATCH_AHEAD_M = 1
_PATCH_DIRECTION_RIGHT = 2
_PATCH_DIRECTION_AHEAD = 3
_PATCH_HALF_LENGTH_M = 4
_PATCH_HALF_WIDTH_M = 5
_PATCH_OVAL = 6
_PATCH_OPAQUE = 7
_PATCH_RED = 8  # then green and blue


@compiled(error_model="numpy")
def _paint_patches(
    x: float, z: float, pixel_m: float, long_m: float, grain: float, patches: Any, color: Any
) -> None:
    """Paint the rectangles and ellipses on the ground.

    pixel_m, long_m: width and length of a pixel at x, z
    grain: the ground's fine texture at this place, -1 to 1
    """
    size_m = math.sqrt(pixel_m * min(long_m, WIDEST_M))  # as a pixel is about square here
    for number in range(patches.shape[0]):
        dx = x - patches[number, _PATCH_RIGHT_M]
        dz = z - patches[number, _PATCH_AHEAD_M]
        direction_x = patches[number, _PATCH_DIRECTION_RIGHT]
        direction_z = patches[number, _PATCH_DIRECTION_AHEAD]
        along = dx * direction_x + dz * direction_z
        half_length = patches[number, _PATCH_HALF_LENGTH_M]
        half_width = patches[number, _PATCH_HALF_WIDTH_M]
        if abs(along) > half_length + size_m:
            continue
        across = dx * direction_z - dz * direction_x
        if abs(across) > half_width + size_m:
            continue
        if patches[number, _PATCH_OVAL] > 0.5:
            share = along / half_length
            half_width *= math.sqrt(max(1.0 - share * share, 0.0))
        part = covered(across, -half_width, half_width, size_m)
        part *= covered(along, -half_length, half_length, size_m)
        if part > 0.0:
            part *= patches[number, _PATCH_OPAQUE]
            mix(color, patches[number, _PATCH_RED : _PATCH_RED + 3], 1.0 + 0.1 * grain, part)


# columns of looks.Ring
_RING_RIGHT_M = 0
_RING_AHEAD_M = 1
_RING_RADIUS_M = 2
_RING_HALF_M = 3
_RING_RED = 4  # then green and blue


@compiled(error_model="numpy")
def _paint_rings(
    x: float, z: float, pixel_m: float, long_m: float, sight_m: float, rings: Any, color: Any
) -> None:
    """Paint the circles on the ground.

    pixel_m, long_m: width and length of a pixel at x, z
    sight_m: distance from the camera, on the ground
    """
    for number in range(rings.shape[0]):
        dx = x - rings[number, _RING_RIGHT_M]
        dz = z - rings[number, _RING_AHEAD_M]
        distance_m = max(math.sqrt(dx * dx + dz * dz), 1e-9)
        half_m = rings[number, _RING_HALF_M]
        outside_m = distance_m - rings[number, _RING_RADIUS_M]
        if abs(outside_m) > half_m + WIDEST_M:
            continue
        # how much the circle lies across the line of sight
        sine = (dx * x + dz * z) / (distance_m * sight_m)
        width_m = width_across(pixel_m, long_m, sine)
        part = covered(outside_m, -half_m, half_m, width_m)
        if part > 0.0:
            mix(color, rings[number, _RING_RED : _RING_RED + 3], 1.0, part)


@compiled(error_model="numpy")
def _shade(x: float, z: float, long_m: float, scenery: Any, seed: int, color: Any) -> None:
    """Darken the ground by shadows, or lighten it by glare. long_m: a pixel's length at x, z."""
    # shadows, or glare, are where noise of two wavelengths is above a threshold
    x_waves = x / scenery.light_across_m
    z_waves = z / scenery.light_along_m
    # shifted by any number, so that the lattices of the two noises do not coincide at x = 0
    coarse = noise(x_waves + 31.7, z_waves, seed + 2)
    shadow = coarse + 0.6 * noise(x_waves * 2.1, z_waves * 2.1, seed + 3)
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


# ---- a picture


# a plain number of this module, since compiled functions cannot read the fields of a dataclass
_FAR_M = 400.0  # ground that is farther away is painted as the horizon's haze


# columns of looks.Box, and of what _with_edges() adds: the slopes of its edges
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
    sources=source_checksum((*COMPILED_MODULES, __name__)),
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
