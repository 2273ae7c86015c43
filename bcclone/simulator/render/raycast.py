"""Draw ground and sky by a ray for each pixel, column by column from the bottom up; compiled.

Up a column the ground only gets farther away, so each ray starts just before the end of the
previous one.
"""

import math
from typing import Any, NamedTuple

from bcclone.simulator.render.surface import (
    GROUND,
    RGB,
    SKY,
    SNOW_COLOR,
    SOURCES,
    WATER,
    RoadPixel,
    direction,
    drawing,
    headlight_beam,
    level_of,
    light_at,
    lit,
    mixed,
    put,
    road_color,
    seen_through,
    texel,
    weathered,
)
from bcclone.simulator.scene.roadmap import BLOCK_M, CELL_M
from bcclone.simulator.scene.textures import GRAIN, ROCK

_NEAR_M, _FAR_M = 0.8, 640.0
# of the last depth, where the next ray starts: columns lean a little when the camera rolls
_BACK = 0.975
_LEAP = 1.25  # of the last depth: how far ahead the ground is assumed to continue as it is
_STEEPEST = 2.0  # slope that is assumed to continue
_CLOSE_M, _CLOSE, _ROUNDS = (
    0.004,
    0.002,
    3,
)  # distance to the ground that is near enough: at least, and of the depth
_HIGH_M = 3.0  # above the ground: from here on, rays look for blocks to pass over
_STRETCH_LIMIT = 40.0
_NOTHING = 1e9
_CELLS_A_METRE = 1 / CELL_M


class Ray(NamedTuple):
    """A pixel's line of sight: its origin, and its direction, of length 1 along the camera's axis."""

    x: float
    y: float
    z: float
    dx: float
    dy: float
    dz: float


class Met(NamedTuple):
    """Where a ray met the ground: its depth, -1 for nowhere, the height there, and its rise for
    each metre of depth.
    """

    depth: float
    level: float
    slope: float


class GroundPixel(NamedTuple):
    """Width of a pixel on the ground in metres, and the ratio of its length to that."""

    width_m: float
    stretch: float


class Cell(NamedTuple):
    """A cell of a field, and the position between it and the next ones, 0 to 1."""

    left: int
    low: int
    across: float
    up: float


@drawing()
def _cell(column: float, row: float, side: int) -> Cell:
    """Return the cell at a position, clipped to the field."""
    column, row = min(max(column, 0.0), side - 2.001), min(max(row, 0.0), side - 2.001)
    left, low = int(column), int(row)
    return Cell(left, low, column - left, row - low)


@drawing(inline="always")
def _blend(field: Any, cell: Cell) -> float:
    """Return the bilinear interpolation of a field."""
    lower = (
        field[cell.low, cell.left] * (1 - cell.across)
        + field[cell.low, cell.left + 1] * cell.across
    )
    upper = (
        field[cell.low + 1, cell.left] * (1 - cell.across)
        + field[cell.low + 1, cell.left + 1] * cell.across
    )
    return lower * (1 - cell.up) + upper * cell.up


@drawing(inline="always")
def _above(surface: Any, ray: Ray, depth: float) -> float:
    """Return the height of a ray above the ground or the water, at a depth."""
    column = (ray.x + ray.dx * depth - surface.x) * _CELLS_A_METRE - 0.5
    row = (ray.z + ray.dz * depth - surface.z) * _CELLS_A_METRE - 0.5
    ground = _blend(surface.height, _cell(column, row, surface.height.shape[0]))
    return ray.y + ray.dy * depth - max(ground, surface.water)


@drawing(inline="always")
def _leap(surface: Any, ray: Ray, depth: float) -> float:
    """Return how far a ray can go without meeting the ground, 0 if it might."""
    side = surface.tops.shape[0] - 1
    column = min(max(int((ray.x + ray.dx * depth - surface.x) / BLOCK_M), 0), side)
    row = min(max(int((ray.z + ray.dz * depth - surface.z) / BLOCK_M), 0), side)
    leap = BLOCK_M / math.sqrt(ray.dx * ray.dx + ray.dz * ray.dz)
    lowest = ray.y + ray.dy * depth + min(ray.dy * leap, 0.0)
    return leap if lowest > surface.tops[row, column] else 0.0


@drawing(inline="always")
def _march(surface: Any, ray: Ray, start: float, guess: float, gap_at_guess: float) -> float:
    """Return the depth at which a ray meets the ground, negative if it does not.

    start: a depth above the ground; guess: a depth beyond, 0 for none; gap_at_guess: height of the
    ray there.
    """
    depth, above, gap_above, below, gap_below, rounds = start, start, 0.0, -1.0, 0.0, 0
    if guess > 0.0 and gap_at_guess > 0.0:
        depth = guess
    while depth < _FAR_M:
        gap = gap_at_guess if depth == guess else _above(surface, ray, depth)
        if gap > 0.0:
            above, gap_above = depth, gap
        else:
            below, gap_below = depth, gap
        if below == start or (
            below > 0.0 and (rounds == _ROUNDS or abs(gap) < max(_CLOSE_M, _CLOSE * depth))
        ):
            return depth
        if below < 0.0 and guess > depth:  # the ground is met on the way to the guess
            below, gap_below = guess, gap_at_guess
        if below > 0.0:  # between two depths: regula falsi
            rounds += 1
            depth = above + (below - above) * gap_above / (gap_above - gap_below)
        else:
            # steps are short enough not to jump over a crest
            step = min(
                0.03 + 0.008 * depth + gap * 0.6 / max(0.6 - ray.dy, 0.3), 0.5 + 0.02 * depth
            )
            depth += max(step, _leap(surface, ray, depth)) if gap > _HIGH_M else step
            if ray.dy > 0.0 and ray.y + ray.dy * depth > surface.top:
                return -1.0
    return -1.0


@drawing(inline="always")
def _sky(sky: Any, ray: Ray) -> RGB:
    up = max(ray.dy / math.sqrt(ray.dx * ray.dx + ray.dy * ray.dy + ray.dz * ray.dz), 0.0)
    step = int(up * (sky.shape[0] - 1))
    return sky[step, 0], sky[step, 1], sky[step, 2]


@drawing(inline="always")
def _wild(surface: Any, x: float, z: float, cell: Cell, footprint: float) -> RGB:
    """Return the colour of the ground off the road."""
    level = level_of(footprint * 20.0)
    fine = texel(surface.paint.textures, GRAIN, x * 20.0, z * 20.0, level)
    left, low, across, up = cell
    height = surface.height[low, left]
    if abs(surface.height[low + 1, left + 1] - height) > 0.6:  # a cliff: its texture is vertical
        broad = 1.6 * texel(surface.paint.textures, ROCK, (x + z) * 12.0, height * 12.0, level - 1)
    else:
        broad = texel(surface.paint.textures, GRAIN, x * 2.5, z * 2.5, level - 3)
    brightness = 1.0 + 0.13 * fine + 0.12 * broad
    near, right = (1 - across) * (1 - up) * brightness, across * (1 - up) * brightness
    above, both = (1 - across) * up * brightness, across * up * brightness
    colors = surface.lit
    return (
        colors[low, left, 0] * near + colors[low, left + 1, 0] * right
        + colors[low + 1, left, 0] * above + colors[low + 1, left + 1, 0] * both,
        colors[low, left, 1] * near + colors[low, left + 1, 1] * right
        + colors[low + 1, left, 1] * above + colors[low + 1, left + 1, 1] * both,
        colors[low, left, 2] * near + colors[low, left + 1, 2] * right
        + colors[low + 1, left, 2] * above + colors[low + 1, left + 1, 2] * both,
    )  # fmt: skip


@drawing(inline="always")
def _along(surface: Any, cell: Cell) -> float:
    """Return the distance along the track; interpolated, but not across the start of the lap."""
    field, left, low = surface.along, cell.left, cell.low
    here = field[low, left]
    if abs(field[low + 1, left + 1] - here) + abs(field[low, left + 1] - here) > 6.0:
        return float(here)
    return _blend(field, cell)


@drawing(inline="always")
def _ground(surface: Any, air: Any, ray: Ray, depth: float, size: GroundPixel) -> tuple[RGB, int]:
    """Return the colour and the label of the ground at a depth of a ray."""
    x, y, z = ray.x + ray.dx * depth, ray.y + ray.dy * depth, ray.z + ray.dz * depth
    side = surface.height.shape[0]
    cell = _cell(
        (x - surface.x) * _CELLS_A_METRE - 0.5, (z - surface.z) * _CELLS_A_METRE - 0.5, side
    )
    footprint = size.width_m * math.sqrt(size.stretch)
    cross = surface.cross[cell.low, cell.left]
    if -surface.paint.roadside_m < cross < surface.paint.roadside_m and air.road_visibility > 0.0:
        light = _blend(surface.light, cell)
        along, cross = _along(surface, cell), _blend(surface.cross, cell)
        pixel = RoadPixel(along, cross, light, size.width_m, size.width_m * size.stretch)
        color, label = road_color(pixel, surface.paint, air.line_visibility)
        if label != GROUND:
            if air.road_visibility < 1.0:
                color = mixed(_wild(surface, x, z, cell, footprint), color, air.road_visibility)
            return weathered(color, pixel, surface.paint.textures, air), label
    if y <= surface.water + 0.02 and surface.height[cell.low, cell.left] < surface.water:
        waves = texel(surface.paint.textures, GRAIN, x * 3.0, z * 9.0, level_of(footprint * 9.0))
        return lit((138.0, 164.0, 196.0), 1.0 + 0.05 * waves, 1.0), WATER
    wild = _wild(surface, x, z, cell, footprint)
    if air.snow > 0.0:
        wild = mixed(
            wild, lit(SNOW_COLOR, 1.0, _blend(surface.light, cell)), min(1.3 * air.snow, 0.95)
        )
    return wild, GROUND


@drawing(inline="always")
def _meet(surface: Any, ray: Ray, last: Met) -> Met:
    """Return where a ray meets the ground, above where the last one of its column did; depth -1 if
    it does not.
    """
    guess, gap = 0.0, 0.0
    if ray.dy < last.slope:  # most ground continues as it is there
        guess = (last.level - last.slope * last.depth - ray.y) / (ray.dy - last.slope)
        if last.depth < guess < last.depth * _LEAP:
            gap = _above(surface, ray, guess)
        else:
            guess = 0.0
    if guess > 0.0 and abs(gap) < max(_CLOSE_M, _CLOSE * guess):
        depth = guess
    else:
        depth, gap = _march(surface, ray, max(last.depth * _BACK, _NEAR_M), guess, gap), 0.0
    level, slope = ray.y + ray.dy * depth - gap, 0.0
    if depth > last.depth:
        slope = min(max((level - last.level) / (depth - last.depth), -_STEEPEST), _STEEPEST)
    return Met(depth, level, slope)


@drawing(cache=True, sources=SOURCES)
def cast(eye: Any, surface: Any, air: Any, canvas: Any) -> None:
    """Draw ground and sky, and set the depth and the label of each pixel; the bonnet's pixels are
    left out.
    """
    rows, columns = canvas.depths.shape
    axes, (x, y, z) = eye.axes, (eye.position[0], eye.position[1], eye.position[2])
    for column in range(columns):
        across = (column + 0.5 - columns * 0.5) / eye.across_px
        beam = headlight_beam(air, across)
        last = Met(_NEAR_M, y - 1.25, 0.0)
        for row in range(eye.bottoms[column] - 1, -1, -1):
            up = (rows * 0.5 - row - 0.5) / eye.up_px
            dx, dy, dz = direction(axes, across, up)
            ray = Ray(x, y, z, dx, dy, dz)
            if last.depth > 0.0:
                last = _meet(surface, ray, last)
            if last.depth < 0.0:
                canvas.depths[row, column], canvas.labels[row, column] = _NOTHING, SKY
                put(canvas, row, column, _sky(air.sky, ray), air.daylight)
                continue
            canvas.depths[row, column] = last.depth
            stretch = min(
                max(last.depth / max(y - last.level, 0.5), 1.0) * eye.across_px / eye.up_px,
                _STRETCH_LIMIT,
            )
            color, label = _ground(
                surface, air, ray, last.depth, GroundPixel(last.depth / eye.across_px, stretch)
            )
            canvas.labels[row, column] = label
            put(
                canvas,
                row,
                column,
                seen_through(color, last.depth, air),
                light_at(air, last.depth, beam),
            )
