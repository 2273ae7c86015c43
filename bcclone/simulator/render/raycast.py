"""Draw ground and sky by a ray for each pixel, column by column from the bottom up; compiled.

Up a column the ground only gets farther away, so each ray starts just before the end of the previous one.
"""

import math
from typing import Any, NamedTuple

from bcclone.compiled import compiled
from bcclone.simulator.render.surface import (
    RGB,
    SOURCES,
    RoadPixel,
    level_of,
    lit,
    mixed,
    put,
    road_color,
    seen_through,
    texel,
)
from bcclone.simulator.scene.textures import GRAIN, ROCK
from bcclone.view import FOCAL_PX

_NEAR_M, _FAR_M = 0.8, 640.0
_BACK = 0.975  # of the last depth: a camera that rolls makes columns that lean a little
_LEAP = 1.25  # of the last depth: how far ahead the ground is assumed to be level
_CLOSE_M, _ROUNDS = 0.004, 4  # distance to the ground that is near enough, and the most iterations
_LONGEST_STRETCH = 40.0
_ROADSIDE_M = 7.5  # largest distance of the road's shoulders from the centre line
_NOTHING = 1e9
_ZENITH, _HORIZON = (88.0, 116.0, 166.0), (206.0, 220.0, 238.0)


class Ray(NamedTuple):
    """A pixel's line of sight: its origin, and its direction, of length 1 along the camera's axis."""

    x: float
    y: float
    z: float
    dx: float
    dy: float
    dz: float


class Cell(NamedTuple):
    """A cell of a field, and the position between it and the next ones, 0 to 1."""

    left: int
    low: int
    across: float
    up: float


@compiled(fastmath=True)
def _cell(column: float, row: float, side: int) -> Cell:
    """Return the cell at a position, clipped to the field."""
    column, row = min(max(column, 0.0), side - 2.001), min(max(row, 0.0), side - 2.001)
    left, low = int(column), int(row)
    return Cell(left, low, column - left, row - low)


@compiled(fastmath=True, inline="always")
def _blend(field: Any, cell: Cell) -> float:
    """Return the bilinear interpolation of a field."""
    lower = field[cell.low, cell.left] * (1 - cell.across) + field[cell.low, cell.left + 1] * cell.across
    upper = field[cell.low + 1, cell.left] * (1 - cell.across) + field[cell.low + 1, cell.left + 1] * cell.across
    return lower * (1 - cell.up) + upper * cell.up


@compiled(fastmath=True, inline="always")
def _above(surface: Any, ray: Ray, depth: float) -> float:
    """Return the height of a ray above the ground or the water, at a depth."""
    column = (ray.x + ray.dx * depth - surface.x) / surface.cell - 0.5
    row = (ray.z + ray.dz * depth - surface.z) / surface.cell - 0.5
    ground = _blend(surface.height, _cell(column, row, surface.height.shape[0]))
    return ray.y + ray.dy * depth - max(ground, surface.water)


@compiled(fastmath=True, inline="always")
def _march(surface: Any, ray: Ray, depth: float) -> float:
    """Return the depth at which a ray meets the ground, negative if it does not."""
    start, above, gap_above = depth, depth, 0.0
    below, gap_below, rounds = -1.0, 0.0, 0
    while depth < _FAR_M:
        gap = _above(surface, ray, depth)
        if gap > 0.0:
            above, gap_above = depth, gap
        else:
            below, gap_below = depth, gap
        if below == start or (below > 0.0 and (rounds == _ROUNDS or abs(gap) < _CLOSE_M)):
            return depth
        if below > 0.0:  # between two depths: regula falsi
            rounds += 1
            depth = above + (below - above) * gap_above / (gap_above - gap_below)
        else:
            # steps are short enough not to jump over a crest
            depth += min(0.03 + 0.008 * depth + gap * 0.6 / max(0.6 - ray.dy, 0.3), 0.5 + 0.02 * depth)
            if ray.dy > 0.0 and ray.y + ray.dy * depth > surface.top:
                return -1.0
    return -1.0


@compiled(fastmath=True)
def _sky(ray: Ray) -> RGB:
    """Return the sky's colour in a direction."""
    up = max(ray.dy / math.sqrt(ray.dx * ray.dx + ray.dy * ray.dy + ray.dz * ray.dz), 0.0)
    return mixed(_ZENITH, _HORIZON, math.exp(-up * 5.5))


@compiled(fastmath=True, inline="always")
def _wild(surface: Any, x: float, z: float, cell: Cell, footprint: float) -> RGB:
    """Return the colour of the ground beside the road."""
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


@compiled(fastmath=True, inline="always")
def _along(surface: Any, cell: Cell) -> float:
    """Return the distance along the track; interpolated, but not across the start of the lap."""
    field, left, low = surface.along, cell.left, cell.low
    here = field[low, left]
    if abs(field[low + 1, left + 1] - here) + abs(field[low, left + 1] - here) > 6.0:
        return float(here)
    return _blend(field, cell)


@compiled(fastmath=True, inline="always")
def _ground(surface: Any, air: Any, ray: Ray, depth: float, stretch: float) -> RGB:
    """Return the colour of the ground at a depth of a ray; stretch: ratio of a pixel's length to its width there."""
    x, y, z = ray.x + ray.dx * depth, ray.y + ray.dy * depth, ray.z + ray.dz * depth
    side = surface.height.shape[0]
    cell = _cell((x - surface.x) / surface.cell - 0.5, (z - surface.z) / surface.cell - 0.5, side)
    pixel_m = depth / FOCAL_PX
    footprint = pixel_m * math.sqrt(stretch)
    cross = surface.cross[cell.low, cell.left]
    if -_ROADSIDE_M < cross < _ROADSIDE_M and air.road_visibility > 0.0:
        light = _blend(surface.light, cell)
        pixel = RoadPixel(_along(surface, cell), _blend(surface.cross, cell), light, pixel_m, pixel_m * stretch)
        color, is_road = road_color(pixel, surface.paint, air.line_visibility)
        if is_road:
            if air.road_visibility < 1.0:
                color = mixed(_wild(surface, x, z, cell, footprint), color, air.road_visibility)
            return color
    if y <= surface.water + 0.02 and surface.height[cell.low, cell.left] < surface.water:
        waves = texel(surface.paint.textures, GRAIN, x * 3.0, z * 9.0, level_of(footprint * 9.0))
        return lit((138.0, 164.0, 196.0), 1.0 + 0.05 * waves, 1.0)
    return _wild(surface, x, z, cell, footprint)


def _make_cast(sources: int) -> Any:
    @compiled(fastmath=True, cache=True)
    def cast(eye: Any, surface: Any, air: Any, canvas: Any) -> None:
        """Draw ground and sky, and set the depth of each pixel."""
        if not sources:
            return
        rows, columns = canvas.depths.shape
        axes, (x, y, z) = eye.axes, (eye.position[0], eye.position[1], eye.position[2])
        for column in range(columns):
            across = (column + 0.5 - columns * 0.5) / eye.focal
            depth, is_sky, level = _NEAR_M, False, y - 1.25
            for row in range(rows - 1, -1, -1):
                up = (rows * 0.5 - row - 0.5) / eye.focal
                ray = Ray(
                    x, y, z,
                    axes[0, 0] * across + axes[0, 1] * up + axes[0, 2],
                    axes[1, 0] * across + axes[1, 1] * up + axes[1, 2],
                    axes[2, 0] * across + axes[2, 1] * up + axes[2, 2],
                )  # fmt: skip
                met = -1.0
                if ray.dy < 0.0 and not is_sky:  # most ground is as high as at the last ray's end
                    guess = (level - y) / ray.dy
                    if depth < guess < depth * _LEAP and abs(_above(surface, ray, guess)) < _CLOSE_M:
                        met = guess
                if met < 0.0 and not is_sky:
                    met = _march(surface, ray, depth)
                if met < 0.0:
                    is_sky = True
                    canvas.depths[row, column] = _NOTHING
                    put(canvas, row, column, _sky(ray), air.brightness)
                    continue
                depth, level = max(met * _BACK, _NEAR_M), y + ray.dy * met
                canvas.depths[row, column] = met
                stretch = min(max(met / max(y - level, 0.5), 1.0), _LONGEST_STRETCH)
                color = _ground(surface, air, ray, met, stretch)
                put(canvas, row, column, seen_through(color, met, air), air.brightness)

    return cast


cast = _make_cast(SOURCES)
