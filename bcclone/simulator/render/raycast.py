"""Ground -> picture: a ray for each pixel, column by column from the bottom up; compiled.

Up a column the ground only gets farther away, so each ray begins just before where the last one ended.
"""

import math

from numba import njit

from bcclone.simulator.render.surface import level_of, lit, mixed, put, road_color, seen_through, texel
from bcclone.simulator.scene.textures import GRAIN, ROCK

_NEAR_M, _FAR_M = 0.8, 640.0
_BACK = 0.975  # of the last depth: a camera that rolls makes columns that lean a little
_LEAP = 1.25  # of the last depth: how far ahead level ground is believed
_CLOSE_M, _ROUNDS = 0.004, 4  # how near to the ground a ray must come, or how often it is tried
_NOTHING = 1e9
_ZENITH, _HORIZON = (88.0, 116.0, 166.0), (206.0, 220.0, 238.0)


@njit(fastmath=True, cache=True, inline="always")
def _between(field, column, row):
    """Return a field's value between its cells."""
    side = field.shape[0]
    column = min(max(column, 0.0), side - 1.001)
    row = min(max(row, 0.0), side - 1.001)
    left, low = int(column), int(row)
    across, up = column - left, row - low
    return _blend(field, left, low, across, up)


@njit(fastmath=True, cache=True, inline="always")
def _blend(field, left, low, across, up):
    """Return the mean of four neighbouring cells, weighted by the place between them."""
    lower = field[low, left] * (1 - across) + field[low, left + 1] * across
    upper = field[low + 1, left] * (1 - across) + field[low + 1, left + 1] * across
    return lower * (1 - up) + upper * up


@njit(fastmath=True, cache=True, inline="always")
def _above(surface, px, py, pz, dx, dy, dz, depth):
    """Return how far above the ground or the water a ray is at a depth."""
    column = (px + dx * depth - surface.x) / surface.cell - 0.5
    row = (pz + dz * depth - surface.z) / surface.cell - 0.5
    return py + dy * depth - max(_between(surface.height, column, row), surface.water)


@njit(fastmath=True, cache=True, inline="always")
def _march(surface, px, py, pz, dx, dy, dz, depth):
    """Return the depth at which a ray meets the ground, or a negative one when it does not."""
    start, above, gap_above = depth, depth, 0.0
    below, gap_below, rounds = -1.0, 0.0, 0
    while depth < _FAR_M:
        gap = _above(surface, px, py, pz, dx, dy, dz, depth)
        if gap > 0.0:
            above, gap_above = depth, gap
        else:
            below, gap_below = depth, gap
        if below == start or (below > 0.0 and (rounds == _ROUNDS or abs(gap) < _CLOSE_M)):
            return depth
        if below > 0.0:  # between two depths: false position
            rounds += 1
            depth = above + (below - above) * gap_above / (gap_above - gap_below)
        else:
            depth += 0.03 + 0.008 * depth + gap * 0.6 / max(0.6 - dy, 0.3)
            if dy > 0.0 and py + dy * depth > surface.top:
                return -1.0
    return -1.0


@njit(fastmath=True, cache=True)
def _sky(dx, dy, dz):
    """Return the sky's colour in a direction."""
    up = max(dy / math.sqrt(dx * dx + dy * dy + dz * dz), 0.0)
    return mixed(_ZENITH, _HORIZON, math.exp(-up * 5.5))


@njit(fastmath=True, cache=True, inline="always")
def _wild(surface, x, z, left, low, across, up, footprint):
    """Return the colour of the ground beside the road."""
    textures, offsets = surface.textures, surface.offsets
    level = level_of(footprint * 20.0)
    fine = texel(textures[GRAIN], offsets, x * 20.0, z * 20.0, level)
    height = surface.height[low, left]
    if abs(surface.height[low + 1, left + 1] - height) > 0.6:  # a wall: its texture runs up and down
        broad = 1.6 * texel(textures[ROCK], offsets, (x + z) * 12.0, height * 12.0, level - 1)
    else:
        broad = texel(textures[GRAIN], offsets, x * 2.5, z * 2.5, level - 3)
    brightness = 1.0 + 0.13 * fine + 0.12 * broad
    colors = surface.lit
    near, right = (1 - across) * (1 - up) * brightness, across * (1 - up) * brightness
    above, both = (1 - across) * up * brightness, across * up * brightness
    return (
        colors[low, left, 0] * near + colors[low, left + 1, 0] * right
        + colors[low + 1, left, 0] * above + colors[low + 1, left + 1, 0] * both,
        colors[low, left, 1] * near + colors[low, left + 1, 1] * right
        + colors[low + 1, left, 1] * above + colors[low + 1, left + 1, 1] * both,
        colors[low, left, 2] * near + colors[low, left + 1, 2] * right
        + colors[low + 1, left, 2] * above + colors[low + 1, left + 1, 2] * both,
    )  # fmt: skip


@njit(fastmath=True, cache=True, inline="always")
def _along(surface, left, low, across, up):
    """Return how far along the track a place is; between its cells, but not where the lap begins anew."""
    along = surface.along[low, left]
    if abs(surface.along[low + 1, left + 1] - along) + abs(surface.along[low, left + 1] - along) > 6.0:
        return float(along)
    return _blend(surface.along, left, low, across, up)


@njit(fastmath=True, cache=True, inline="always")
def _ground(surface, air, x, y, z, pixel_m, stretch_m):
    """Return the colour of a place on the ground or the water."""
    side = surface.height.shape[0]
    column = min(max((x - surface.x) / surface.cell - 0.5, 0.0), side - 2.001)
    row = min(max((z - surface.z) / surface.cell - 0.5, 0.0), side - 2.001)
    left, low = int(column), int(row)
    across, up = column - left, row - low
    footprint = math.sqrt(pixel_m * stretch_m)
    cross = surface.cross[low, left]
    if -7.5 < cross < 7.5 and air.road_visibility > 0.0:
        cross = _blend(surface.cross, left, low, across, up)
        along = _along(surface, left, low, across, up)
        light = surface.light[low, left] if pixel_m > 0.1 else _blend(surface.light, left, low, across, up)
        color, is_road = road_color(cross, along, light, pixel_m, stretch_m, surface, air.line_visibility)
        if is_road:
            if air.road_visibility < 1.0:
                wild = _wild(surface, x, z, left, low, across, up, footprint)
                color = mixed(wild, color, air.road_visibility)
            return color
    if y <= surface.water + 0.02 and surface.height[low, left] < surface.water:
        waves = texel(surface.textures[GRAIN], surface.offsets, x * 3.0, z * 9.0, level_of(footprint * 9.0))
        return lit((138.0, 164.0, 196.0), 1.0 + 0.05 * waves, 1.0)
    return _wild(surface, x, z, left, low, across, up, footprint)


@njit(fastmath=True, cache=True, nogil=True)
def cast(position, axes, focal, surface, air, picture, depths):
    """Draw ground and sky into `picture`, uint8 (rows, columns, 3), and the depth of each pixel into `depths`."""
    rows, columns = depths.shape
    px, py, pz = position[0], position[1], position[2]
    for column in range(columns):
        across = (column + 0.5 - columns * 0.5) / focal
        depth, is_sky, level = _NEAR_M, False, py - 1.25
        for row in range(rows - 1, -1, -1):
            up = (rows * 0.5 - row - 0.5) / focal
            dx = axes[0, 0] * across + axes[0, 1] * up + axes[0, 2]
            dy = axes[1, 0] * across + axes[1, 1] * up + axes[1, 2]
            dz = axes[2, 0] * across + axes[2, 1] * up + axes[2, 2]
            met = -1.0
            if dy < 0.0 and not is_sky:  # most ground is as high as where the last ray met it
                guess = (level - py) / dy
                if depth < guess < depth * _LEAP and abs(_above(surface, px, py, pz, dx, dy, dz, guess)) < _CLOSE_M:
                    met = guess
            if met < 0.0 and not is_sky:
                met = _march(surface, px, py, pz, dx, dy, dz, depth)
            if met < 0.0:
                is_sky = True
                depths[row, column] = _NOTHING
                put(picture, row, column, _sky(dx, dy, dz), air.brightness)
                continue
            depth = max(met * _BACK, _NEAR_M)
            depths[row, column], level = met, py + dy * met
            pixel_m = met / focal
            stretch_m = pixel_m * min(max(met / max(py - level, 0.5), 1.0), 40.0)
            color = _ground(surface, air, px + dx * met, level, pz + dz * met, pixel_m, stretch_m)
            put(picture, row, column, seen_through(color, met, air), air.brightness)
