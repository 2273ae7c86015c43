"""Colour what a ray meets: ground, water, road or sky -> colour and label; compiled.

Colours are RGB under full light, before fog and daylight.
"""

import math
from typing import Any, NamedTuple

from bcclone.simulator.render.designed_road import designed_road
from bcclone.simulator.render.fields import Cell, blend, cell_at
from bcclone.simulator.render.lake_road import lake_road
from bcclone.simulator.render.mountain_road import mountain_road
from bcclone.simulator.render.road import RoadPixel, weathered
from bcclone.simulator.render.surface import (
    GROUND,
    RGB,
    SNOW_COLOR,
    WATER,
    drawing,
    level_of,
    lit,
    mixed,
    texel,
)
from bcclone.simulator.scene.textures import GRAIN, ROCK
from bcclone.simulator.track import LAKE_STYLE, MOUNTAIN_STYLE


class Ray(NamedTuple):
    """A pixel's line of sight: its origin, and its direction, of length 1 along the camera's axis.

    Its place at a depth, a distance along the axis, is origin + direction * depth.
    """

    x: float
    y: float
    z: float
    dx: float
    dy: float
    dz: float


class GroundPixel(NamedTuple):
    """The size of a pixel on the ground."""

    width_m: float
    stretch: float  # its length, along the line of sight, over its width


@drawing(inline="always")
def sky_color(sky: Any, ray: Ray) -> RGB:
    """Return the sky's colour. sky: as in Air, from the horizon to the zenith, (steps, 3)."""
    length = math.sqrt(ray.dx * ray.dx + ray.dy * ray.dy + ray.dz * ray.dz)
    up = max(ray.dy / length, 0.0)  # the sine of the elevation
    step = int(up * (sky.shape[0] - 1))
    return sky[step, 0], sky[step, 1], sky[step, 2]


_WATER_COLOR = (138.0, 164.0, 196.0)


@drawing(inline="always")
def ground_color(
    surface: Any, air: Any, ray: Ray, depth: float, size: GroundPixel
) -> tuple[RGB, int]:
    """Return the colour and the label of road, water or land at a depth of a ray."""
    x = ray.x + ray.dx * depth
    y = ray.y + ray.dy * depth
    z = ray.z + ray.dz * depth
    cell = cell_at(surface, x, z)
    footprint_m = size.width_m * math.sqrt(size.stretch)
    paint = surface.paint

    # road: only near the centre line, and if the road is not painted over. Most rays end elsewhere:
    # for them the distance of one cell is enough, which takes less time than an interpolated one
    rough_cross_m = surface.cross_m[cell.row, cell.column]
    if -paint.roadside_m < rough_cross_m < paint.roadside_m and air.road_visibility > 0.0:
        light = blend(surface.light, cell)
        along_m = _along(surface, cell)
        cross_m = blend(surface.cross_m, cell)
        pixel = RoadPixel(along_m, cross_m, light, size.width_m, size.width_m * size.stretch)
        color, label = _road_color(pixel, paint, air.line_visibility)
        if label != GROUND:
            if air.road_visibility < 1.0:
                land = _land_color(surface, x, z, cell, footprint_m)
                color = mixed(land, color, air.road_visibility)
            return weathered(color, pixel, paint.textures, air), label

    # water: where the ray ends at its surface, and the surface is higher than the ground
    if y <= surface.water_m + 0.02 and surface.heights_m[cell.row, cell.column] < surface.water_m:
        level = level_of(footprint_m * 9.0)
        waves = texel(paint.textures, GRAIN, x * 3.0, z * 9.0, level)
        return lit(_WATER_COLOR, 1.0 + 0.05 * waves, 1.0), WATER

    # land, with snow on it
    land = _land_color(surface, x, z, cell, footprint_m)
    if air.snow > 0.0:
        snow = lit(SNOW_COLOR, 1.0, blend(surface.light, cell))
        land = mixed(land, snow, min(1.3 * air.snow, 0.95))
    return land, GROUND


@drawing(inline="always")
def _road_color(pixel: RoadPixel, paint: Any, line_visibility: float) -> tuple[RGB, int]:
    """Return the road's colour and label; the label is GROUND where there is no road."""
    if paint.style == MOUNTAIN_STYLE:
        return mountain_road(pixel, paint, line_visibility)
    if paint.style == LAKE_STYLE:
        return lake_road(pixel, paint, line_visibility)
    return designed_road(pixel, paint, line_visibility)


# Neighbouring cells whose distances along the track differ by more than this, in metres, lie on
# both sides of the place where the lap ends and begins. Elsewhere they differ by about their size.
_LAP_SEAM_M = 6.0


@drawing(inline="always")
def _along(surface: Any, cell: Cell) -> float:
    """Return the distance along the track, interpolated between four cells.

    Where the lap ends and begins, the distance of the lower left cell is returned: a mean of the
    track's length and 0 would be a place half a lap away.
    """
    field = surface.along_m
    here = field[cell.row, cell.column]
    up_right = field[cell.row + 1, cell.column + 1]
    right = field[cell.row, cell.column + 1]
    if abs(up_right - here) + abs(right - here) > _LAP_SEAM_M:
        return float(here)
    return blend(field, cell)


_CLIFF_M = 0.6  # land is a cliff where the next cell is higher or lower by more than this


@drawing(inline="always")
def _land_color(surface: Any, x: float, z: float, cell: Cell, footprint_m: float) -> RGB:
    """Return the colour of the land off the road; surface.colors are in sunlight already.

    footprint_m: mean size of the pixel on the ground
    """
    textures = surface.paint.textures
    left = cell.column
    low = cell.row
    level = level_of(footprint_m * 20.0)

    # Two textures, fine and broad; on a cliff, the broad one runs along the cliff and up it.
    # `level` is for 20 texels a metre. Half as many texels need a level that is finer by one: 12 a
    # metre need one that is finer by about one, 2.5 a metre one that is finer by three.
    fine = texel(textures, GRAIN, x * 20.0, z * 20.0, level)
    height = surface.heights_m[low, left]
    if abs(surface.heights_m[low + 1, left + 1] - height) > _CLIFF_M:
        broad = 1.6 * texel(textures, ROCK, (x + z) * 12.0, height * 12.0, level - 1)
    else:
        broad = texel(textures, GRAIN, x * 2.5, z * 2.5, level - 3)
    brightness = 1.0 + 0.13 * fine + 0.12 * broad

    # the colours of the four nearest cells, interpolated, times the textures' brightness
    weights = (
        (1 - cell.right) * (1 - cell.up) * brightness,
        cell.right * (1 - cell.up) * brightness,
        (1 - cell.right) * cell.up * brightness,
        cell.right * cell.up * brightness,
    )
    return (
        _weighted(surface.colors, low, left, 0, weights),
        _weighted(surface.colors, low, left, 1, weights),
        _weighted(surface.colors, low, left, 2, weights),
    )


@drawing(inline="always")
def _weighted(
    colors: Any, low: int, left: int, channel: int, weights: tuple[float, float, float, float]
) -> float:
    """Return the weighted sum of a colour channel of four cells.

    weights: of the lower left, lower right, upper left and upper right cell
    """
    return (
        colors[low, left, channel] * weights[0]
        + colors[low, left + 1, channel] * weights[1]
        + colors[low + 1, left, channel] * weights[2]
        + colors[low + 1, left + 1, channel] * weights[3]
    )
