"""Paint what a camera sees of a road on smooth ground: rays, the road's line and its surroundings
-> RGB; compiled.
"""

import math
from typing import Any

import numpy as np

from bcclone.research.road_samples.surroundings import Surroundings
from bcclone.simulator.render.surface import COMPILED_MODULES, covered
from bcclone.system.arrays import FloatArray
from bcclone.system.compiled import FINITE, compiled, source_checksum

_FAR_M = 400.0
_GRAIN_M = 0.12  # of the finest noise
_WIDEST_M = 20.0  # of a pixel
_SHADE = (0.82, 0.92, 1.18)  # the sky's light in shadows
_MEAN_SHADOW = 0.4  # far away, where noise is finer than a pixel


@compiled(error_model="numpy")
def _lattice(column: int, row: int, seed: int) -> float:
    """Return a random number, -1 to 1, for a point of a lattice."""
    mixed = (column * 374761393 + row * 668265263 + seed * 1274126177) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 13)) * 1103515245) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 16)) * 668265263) & 0xFFFFFFFF
    return float((mixed ^ (mixed >> 15)) & 0xFFFF) / 32767.5 - 1.0


@compiled(error_model="numpy")
def _noise(x: float, z: float, seed: int) -> float:
    """Return smooth noise of -1 to 1 with a wavelength of about 2."""
    column, row = int(math.floor(x)), int(math.floor(z))
    across, up = x - column, z - row
    across, up = across * across * (3.0 - 2.0 * across), up * up * (3.0 - 2.0 * up)
    low = _lattice(column, row, seed) * (1.0 - across) + _lattice(column + 1, row, seed) * across
    high = (
        _lattice(column, row + 1, seed) * (1.0 - across)
        + _lattice(column + 1, row + 1, seed) * across
    )
    return low * (1.0 - up) + high * up


@compiled(error_model="numpy")
def _resolved(wavelength_m: float, pixel_m: float) -> float:
    """Return a wavelength, doubled until it is longer than two pixels."""
    while wavelength_m < 2.0 * pixel_m:
        wavelength_m *= 2.0
    return wavelength_m


@compiled(error_model="numpy")
def _mix(color: Any, other: Any, brightness: float, fraction: float) -> None:
    """Mix another colour, times a brightness, into a colour; fraction: of the other."""
    for channel in range(3):
        color[channel] += (other[channel] * brightness - color[channel]) * fraction


@compiled(error_model="numpy")
def _across(pixel_m: float, long_m: float, slope: float) -> float:
    """Return the width of a pixel across a line on the ground.

    pixel_m, long_m: its width and length; slope: sine of the angle between the line and the line of
    sight.
    """
    squared = pixel_m * pixel_m * (1.0 - slope * slope) + long_m * long_m * slope * slope
    return min(math.sqrt(max(squared, 1e-12)), _WIDEST_M)


@compiled(error_model="numpy")
def _nearest(x: float, z: float, line: Any) -> int:
    best, nearest = 1e18, 0
    for number in range(line.shape[0]):
        dx, dz = x - line[number, 0], z - line[number, 1]
        squared = dx * dx + dz * dz
        if squared < best:
            best, nearest = squared, number
    return nearest


@compiled(error_model="numpy")
def _ground(
    x: float, z: float, pixel_m: float, depth_m: float, line: Any, look: Any, color: Any
) -> None:
    """Set the colour of the ground at x, z. pixel_m: width of a pixel there; depth_m: its distance
    from the camera.
    """
    bands, marks, _, air, seed = look
    long_m = pixel_m * max(depth_m / air.camera_m, 1.0)
    sight_m = max(math.sqrt(x * x + z * z), 1e-9)
    grain = _noise(x / _resolved(_GRAIN_M, pixel_m), z / _resolved(_GRAIN_M, long_m), seed)
    patch = _noise(x / air.patch_m, z / air.patch_m, seed + 1)
    _mix(color, air.ground, max(1.0 + air.grain * grain + air.patch * patch, 0.1), 1.0)
    nearest = _nearest(x, z, line)
    ahead_x, ahead_z = line[nearest, 2], line[nearest, 3]
    dx, dz = x - line[nearest, 0], z - line[nearest, 1]
    forward, cross = dx * ahead_x + dz * ahead_z, dx * ahead_z - dz * ahead_x
    beyond = (nearest == line.shape[0] - 1 and forward > 1.0) or (nearest == 0 and forward < -1.0)
    if not beyond:
        width_m = _across(pixel_m, long_m, (x * ahead_z - z * ahead_x) / sight_m)
        for number in range(bands.shape[0]):
            part, dash_m = (
                covered(cross, bands[number, 0], bands[number, 1], width_m),
                bands[number, 5],
            )
            if part > 0.0 and dash_m > 0.0:
                phase = (line[nearest, 4] + forward + bands[number, 6]) / dash_m
                part = part if phase - math.floor(phase) < 0.5 else 0.0
            if part > 0.0:
                brightness = max(1.0 + bands[number, 7] * grain + 0.5 * air.patch * patch, 0.1)
                _mix(color, bands[number, 2:5], brightness, part)
    for number in range(marks.shape[0]):
        distance = marks[number, 0] * x + marks[number, 1] * z
        width_m = _across(pixel_m, long_m, distance / sight_m)
        part = covered(distance - marks[number, 2], -marks[number, 3], marks[number, 3], width_m)
        if part > 0.0:
            _mix(color, marks[number, 4:7], 1.0, part)
    if air.light > 0.0:
        _shade(x, z, long_m, air, seed, color)


@compiled(error_model="numpy")
def _shade(x: float, z: float, long_m: float, air: Any, seed: int, color: Any) -> None:
    """Darken the ground by shadows, or lighten it by glare. long_m: length of a pixel on the
    ground.
    """
    across, along = x / air.light_across_m, z / air.light_along_m
    shadow = _noise(across + 31.7, along, seed + 2) + 0.6 * _noise(
        across * 2.1, along * 2.1, seed + 3
    )
    shadow = min(max((shadow - air.light_from) * air.light_slope, 0.0), 1.0)
    sharp = min(min(air.light_across_m, air.light_along_m) / max(2.0 * long_m, 1e-9), 1.0)
    shadow = _MEAN_SHADOW + (shadow - _MEAN_SHADOW) * sharp
    for channel in range(3):
        light = air.light * _SHADE[channel] if air.light < 1.0 else air.light
        color[channel] *= 1.0 + (light - 1.0) * shadow


@compiled(error_model="numpy")
def _upright(
    u: float, v: float, wide: float, nearer_m: float, boxes: Any, air: Any, seed: int, color: Any
) -> None:
    """Paint the boxes nearer than the ground. u, v: slopes of the ray, to the right and up; wide:
    of a pixel.
    """
    for number in range(boxes.shape[0]):
        away, half_m, scale = boxes[number, 1], boxes[number, 2], boxes[number, 8]
        if away > nearer_m:
            continue
        part = covered(u * away, boxes[number, 0] - half_m, boxes[number, 0] + half_m, wide * away)
        if part > 0.0:
            bottom, top = boxes[number, 7] - air.camera_m, boxes[number, 3] - air.camera_m
            part *= covered(v * away, bottom, top, wide * away)
        if part > 0.0:
            texture = _noise(u * away * scale, v * away * scale, seed + 5 + number)
            _mix(color, boxes[number, 4:7], max(1.0 + boxes[number, 9] * texture, 0.05), part)


@compiled(
    cache=True,
    sources=source_checksum((*COMPILED_MODULES, __name__)),
    error_model="numpy",
    fastmath=FINITE,
)
def _paint_pixels(rays: Any, pixel: float, line: Any, look: Any, picture: Any) -> None:
    _, _, boxes, air, seed = look
    for row in range(rays.shape[0]):
        for column in range(rays.shape[1]):
            right, up, ahead = rays[row, column, 0], rays[row, column, 1], rays[row, column, 2]
            color, depth_m = picture[row, column], _FAR_M
            # the ground is a parabola: camera_m + depth up = crest (depth ahead)^2 / 2
            under = up * up + 2.0 * air.crest * ahead * ahead * air.camera_m
            downward = math.sqrt(under) - up if under >= 0.0 else 0.0
            if downward * _FAR_M > 2.0 * air.camera_m:
                depth_m = 2.0 * air.camera_m / downward
                _ground(
                    depth_m * right, depth_m * ahead, depth_m * pixel, depth_m, line, look, color
                )
                _mix(color, air.haze, 1.0, min(depth_m / air.haze_m, 1.0) * air.haze_most)
            else:
                _mix(color, air.haze, 1.0, 1.0)
                _mix(color, air.zenith, 1.0, min(max(up, 0.0) * 1.6, 1.0))
            if ahead > 0.05:
                _upright(
                    right / ahead,
                    up / ahead,
                    pixel / (ahead * ahead),
                    depth_m * ahead,
                    boxes,
                    air,
                    seed,
                    color,
                )


def paint(
    surroundings: Surroundings, line: FloatArray, rays: FloatArray, pixel: float
) -> FloatArray:
    """Return the picture, RGB of 0 to 255 and above, float64 (height, width, 3).

    line: of DrawnPlace; rays: unit vectors of the pixels, to the right, up and ahead, float64
    (height, width, 3); pixel: the angle that a pixel shows, in radians.
    """
    picture = np.zeros(rays.shape)
    _paint_pixels(rays, pixel, line, surroundings, picture)
    return picture
