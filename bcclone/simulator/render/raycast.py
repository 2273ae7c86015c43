"""Draw ground and sky by a ray for each pixel, column by column from the bottom up; compiled.

Up a column the ground only gets farther away, so each ray starts just before the end of the
previous one. Frame of reference: the world, x to the east, y up, z to the north, in metres. A depth
is a distance along the camera's axis; a ray's direction has length 1 along that axis, so its
position at a depth is origin + direction * depth.
"""

import math
from typing import Any, NamedTuple

from bcclone.simulator.render.road import RoadPixel, road_color, weathered
from bcclone.simulator.render.surface import (
    GROUND,
    RGB,
    SKY,
    SNOW_COLOR,
    SOURCES,
    WATER,
    drawing,
    headlight_beam,
    level_of,
    light_at,
    line_of_sight,
    lit,
    mixed,
    set_pixel,
    texel,
    through_fog,
)
from bcclone.simulator.scene.roadmap import BLOCK_M, CELL_M
from bcclone.simulator.scene.textures import GRAIN, ROCK

_NEAR_M = 0.8  # depth at which the lowest ray of a column starts
_FAR_M = 640.0  # depth at which rays end; what is farther is sky


class Ray(NamedTuple):
    """A pixel's line of sight: its origin, and its direction."""

    x: float
    y: float
    z: float
    dx: float
    dy: float
    dz: float


class Hit(NamedTuple):
    """Where a ray meets the ground or the water."""

    depth: float  # -1 for nowhere: the ray goes into the sky
    level: float  # height there, in metres
    slope: float  # rise of the ground for each metre of depth, since the ray below


class GroundPixel(NamedTuple):
    """The size of a pixel on the ground."""

    width_m: float
    stretch: float  # its length, along the line of sight, over its width


_CAMERA_M = 1.25  # of the camera above the road
_MAX_STRETCH = 40.0
_NOTHING_M = 1e9  # depth of the sky in the canvas


@drawing(cache=True, sources=SOURCES)
def cast(eye: Any, surface: Any, air: Any, canvas: Any) -> None:
    """Draw ground and sky, and set the depth and the label of each pixel but the bonnet's."""
    rows, columns = canvas.depths_m.shape
    x = eye.position[0]
    y = eye.position[1]
    z = eye.position[2]
    for column in range(columns):
        across = (column + 0.5 - columns * 0.5) / eye.focal_across_px
        beam = headlight_beam(air, across)
        last = Hit(_NEAR_M, y - _CAMERA_M, 0.0)
        for row in range(eye.bottoms[column] - 1, -1, -1):
            up = (rows * 0.5 - row - 0.5) / eye.focal_up_px
            dx, dy, dz = line_of_sight(eye.axes, across, up)
            ray = Ray(x, y, z, dx, dy, dz)

            # above the first ray of a column that meets nothing, no ray meets anything
            if last.depth > 0.0:
                last = _meet(surface, ray, last)
            if last.depth < 0.0:
                canvas.depths_m[row, column] = _NOTHING_M
                canvas.labels[row, column] = SKY
                set_pixel(canvas, row, column, _sky_color(air.sky, ray), air.daylight)
                continue

            # the flatter the ray, the longer is the pixel on the ground
            flatness = max(last.depth / max(y - last.level, 0.5), 1.0)
            stretch = min(flatness * eye.focal_across_px / eye.focal_up_px, _MAX_STRETCH)
            size = GroundPixel(last.depth / eye.focal_across_px, stretch)
            color, label = _ground_color(surface, air, ray, last.depth, size)
            canvas.depths_m[row, column] = last.depth
            canvas.labels[row, column] = label
            light = light_at(air, last.depth, beam)
            set_pixel(canvas, row, column, through_fog(color, last.depth, air), light)


# Fields: a value for each cell of the grid. A cell's value is that of its centre.


_CELLS_A_METRE = 1 / CELL_M


class Cell(NamedTuple):
    """A position in a field: a cell, and how far it is from there to the next cells, 0 to 1."""

    column: int
    row: int
    right: float  # to the next column
    up: float  # to the next row


@drawing()
def _cell(column: float, row: float, side: int) -> Cell:
    """Return the cell at a position, clipped to a field of so many cells a side."""
    column = min(max(column, 0.0), side - 2.001)
    row = min(max(row, 0.0), side - 2.001)
    left = int(column)
    low = int(row)
    return Cell(left, low, column - left, row - low)


@drawing(inline="always")
def _cell_at(surface: Any, x: float, z: float) -> Cell:
    """Return the cell at a point of the world."""
    column = (x - surface.x) * _CELLS_A_METRE - 0.5
    row = (z - surface.z) * _CELLS_A_METRE - 0.5
    return _cell(column, row, surface.heights_m.shape[0])


@drawing(inline="always")
def _blend(field: Any, cell: Cell) -> float:
    """Return the bilinear interpolation of a field."""
    left = cell.column
    low = cell.row
    lower = field[low, left] * (1 - cell.right) + field[low, left + 1] * cell.right
    upper = field[low + 1, left] * (1 - cell.right) + field[low + 1, left + 1] * cell.right
    return lower * (1 - cell.up) + upper * cell.up


# Where a ray meets the ground


_BACK = 0.975  # of the last depth: the next ray starts nearer, since a rolled camera's columns lean
_AHEAD = 1.25  # of the last depth: up to here the ground is assumed to continue as it is
_STEEPEST = 2.0  # slope that is assumed to continue
# a ray has met the ground when it is so near to it: in metres, and as a fraction of the depth
_CLOSE_M = 0.004
_CLOSE = 0.002


@drawing(inline="always")
def _meet(surface: Any, ray: Ray, last: Hit) -> Hit:
    """Return where a ray meets the ground. last: where the ray of the pixel below did."""
    # guess that the ground continues as it is at the last hit: mostly it does
    guess = 0.0
    gap = 0.0
    if ray.dy < last.slope:
        guess = (last.level - last.slope * last.depth - ray.y) / (ray.dy - last.slope)
        if last.depth < guess < last.depth * _AHEAD:
            gap = _above(surface, ray, guess)
        else:
            guess = 0.0

    if guess > 0.0 and abs(gap) < max(_CLOSE_M, _CLOSE * guess):
        depth = guess
    else:
        depth = _march(surface, ray, max(last.depth * _BACK, _NEAR_M), guess, gap)
        gap = 0.0

    level = ray.y + ray.dy * depth - gap
    slope = 0.0
    if depth > last.depth:
        slope = min(max((level - last.level) / (depth - last.depth), -_STEEPEST), _STEEPEST)
    return Hit(depth, level, slope)


@drawing(inline="always")
def _above(surface: Any, ray: Ray, depth: float) -> float:
    """Return the height of a ray above the ground or the water, at a depth."""
    cell = _cell_at(surface, ray.x + ray.dx * depth, ray.z + ray.dz * depth)
    ground = _blend(surface.heights_m, cell)
    return ray.y + ray.dy * depth - max(ground, surface.water_m)


_ROUNDS = 3  # of regula falsi, at most


@drawing(inline="always")
def _march(surface: Any, ray: Ray, start: float, guess: float, gap_at_guess: float) -> float:
    """Return the depth at which a ray meets the ground, negative if it does not.

    start: a depth before the ground
    guess: a farther depth, 0 for none
    gap_at_guess: height of the ray above the ground there; negative if it is below it
    """
    # the ray meets the ground between these two depths; below is -1 while it is unknown
    above = start
    gap_above = 0.0
    below = -1.0
    gap_below = 0.0
    rounds = 0

    depth = start
    if guess > 0.0 and gap_at_guess > 0.0:
        depth = guess
    while depth < _FAR_M:
        gap = gap_at_guess if depth == guess else _above(surface, ray, depth)
        if gap > 0.0:
            above = depth
            gap_above = gap
        else:
            below = depth
            gap_below = gap

        # done: below the ground at once, near enough, or after enough rounds
        if below == start or (
            below > 0.0 and (rounds == _ROUNDS or abs(gap) < max(_CLOSE_M, _CLOSE * depth))
        ):
            return depth

        # a guess below the ground: the ray meets the ground on the way there
        if below < 0.0 and guess > depth:
            below = guess
            gap_below = gap_at_guess

        if below > 0.0:
            # between two depths: regula falsi
            rounds += 1
            depth = above + (below - above) * gap_above / (gap_above - gap_below)
        else:
            depth += _step(surface, ray, depth, gap)
            if ray.dy > 0.0 and ray.y + ray.dy * depth > surface.top_m:
                return -1.0
    return -1.0


_HIGH_M = 3.0  # above the ground: from here on, rays look for blocks to pass over


@drawing(inline="always")
def _step(surface: Any, ray: Ray, depth: float, gap: float) -> float:
    """Return how much farther to look for the ground. gap: metres of the ray above it."""
    # short enough not to jump over a crest
    to_ground = 0.03 + 0.008 * depth + gap * 0.6 / max(0.6 - ray.dy, 0.3)
    step = min(to_ground, 0.5 + 0.02 * depth)
    if gap > _HIGH_M:
        step = max(step, _leap(surface, ray, depth))
    return step


@drawing(inline="always")
def _leap(surface: Any, ray: Ray, depth: float) -> float:
    """Return how far a ray can go without meeting the ground, 0 if it might.

    It can go over one block if it stays higher than everything in the block and its neighbours.
    """
    side = surface.tops_m.shape[0] - 1
    column = min(max(int((ray.x + ray.dx * depth - surface.x) / BLOCK_M), 0), side)
    row = min(max(int((ray.z + ray.dz * depth - surface.z) / BLOCK_M), 0), side)
    leap = BLOCK_M / math.sqrt(ray.dx * ray.dx + ray.dz * ray.dz)
    lowest = ray.y + ray.dy * depth + min(ray.dy * leap, 0.0)
    if lowest > surface.tops_m[row, column]:
        return leap
    return 0.0


# What a ray sees


@drawing(inline="always")
def _sky_color(sky: Any, ray: Ray) -> RGB:
    """Return the sky's colour. sky: from the horizon to the zenith, (steps, 3)."""
    length = math.sqrt(ray.dx * ray.dx + ray.dy * ray.dy + ray.dz * ray.dz)
    up = max(ray.dy / length, 0.0)  # the sine of the elevation
    step = int(up * (sky.shape[0] - 1))
    return sky[step, 0], sky[step, 1], sky[step, 2]


_WATER_COLOR = (138.0, 164.0, 196.0)


@drawing(inline="always")
def _ground_color(
    surface: Any, air: Any, ray: Ray, depth: float, size: GroundPixel
) -> tuple[RGB, int]:
    """Return the colour and the label of road, water or land at a depth of a ray."""
    x = ray.x + ray.dx * depth
    y = ray.y + ray.dy * depth
    z = ray.z + ray.dz * depth
    cell = _cell_at(surface, x, z)
    footprint_m = size.width_m * math.sqrt(size.stretch)
    paint = surface.paint

    # road: only near the centre line, and if it is not painted over
    cross_m = surface.cross_m[cell.row, cell.column]
    if -paint.roadside_m < cross_m < paint.roadside_m and air.road_visibility > 0.0:
        light = _blend(surface.light, cell)
        along_m = _along(surface, cell)
        cross_m = _blend(surface.cross_m, cell)
        pixel = RoadPixel(along_m, cross_m, light, size.width_m, size.width_m * size.stretch)
        color, label = road_color(pixel, paint, air.line_visibility)
        if label != GROUND:
            if air.road_visibility < 1.0:
                land = _land_color(surface, x, z, cell, footprint_m)
                color = mixed(land, color, air.road_visibility)
            return weathered(color, pixel, paint.textures, air), label

    # water: where it is higher than the ground
    if y <= surface.water_m + 0.02 and surface.heights_m[cell.row, cell.column] < surface.water_m:
        level = level_of(footprint_m * 9.0)
        waves = texel(paint.textures, GRAIN, x * 3.0, z * 9.0, level)
        return lit(_WATER_COLOR, 1.0 + 0.05 * waves, 1.0), WATER

    # land, with snow on it
    land = _land_color(surface, x, z, cell, footprint_m)
    if air.snow > 0.0:
        snow = lit(SNOW_COLOR, 1.0, _blend(surface.light, cell))
        land = mixed(land, snow, min(1.3 * air.snow, 0.95))
    return land, GROUND


@drawing(inline="always")
def _along(surface: Any, cell: Cell) -> float:
    """Return the distance along the track; interpolated, but not across the start of the lap."""
    field = surface.along_m
    here = field[cell.row, cell.column]
    up_right = field[cell.row + 1, cell.column + 1]
    right = field[cell.row, cell.column + 1]
    if abs(up_right - here) + abs(right - here) > 6.0:
        return float(here)
    return _blend(field, cell)


_CLIFF_M = 0.6  # difference in height to the next cell from which land is a cliff


@drawing(inline="always")
def _land_color(surface: Any, x: float, z: float, cell: Cell, footprint_m: float) -> RGB:
    """Return the colour of the land off the road, under its sunlight.

    footprint_m: mean size of the pixel on the ground
    """
    textures = surface.paint.textures
    left = cell.column
    low = cell.row
    level = level_of(footprint_m * 20.0)

    # two textures, fine and broad; a cliff's broad one is vertical
    fine = texel(textures, GRAIN, x * 20.0, z * 20.0, level)
    height = surface.heights_m[low, left]
    if abs(surface.heights_m[low + 1, left + 1] - height) > _CLIFF_M:
        broad = 1.6 * texel(textures, ROCK, (x + z) * 12.0, height * 12.0, level - 1)
    else:
        broad = texel(textures, GRAIN, x * 2.5, z * 2.5, level - 3)
    brightness = 1.0 + 0.13 * fine + 0.12 * broad

    # the colours of the four nearest cells, interpolated
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
    """Return the weighted sum of a channel of four cells: lower left, right, upper left, right."""
    return (
        colors[low, left, channel] * weights[0]
        + colors[low, left + 1, channel] * weights[1]
        + colors[low + 1, left, channel] * weights[2]
        + colors[low + 1, left + 1, channel] * weights[3]
    )
