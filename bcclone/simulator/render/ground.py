"""Draw ground and sky: the depth of each pixel -> its colour and label; compiled.

In: a camera, the ground, the air, and a canvas with the depths that profile.py has found. Out: the
canvas, filled in place: a colour, RGB uint8 (height, width, 3), and a label for each pixel but
those of the bonnet.

A picture is drawn row by row, and a row in passes: where its pixels are on the ground, which of
them show sky, road or land, what colour each has, and how it looks through the air. A pass does one
thing for many pixels, which a processor does for several at a time; so it has no branches, and its
numbers have single precision. Only the markings of a road, water and snow are drawn pixel by pixel.
"""

from typing import Any

import numpy as np

from bcclone.simulator.render.profile import NOTHING_M
from bcclone.simulator.render.road import RoadPixel, asphalt, road_color, stains, weathered
from bcclone.simulator.render.surface import (
    BEAM_M,
    BEAM_SLOPE,
    CLIFF,
    FOG_COLOR,
    GROUND,
    NEAR_ROAD,
    NEXT_CELL,
    RGB,
    SKY,
    SNOW_COLOR,
    SOURCES_CHECKSUM,
    UNDER_WATER,
    WATER,
    drawing,
    level_of,
    lit,
    mean_of_four,
    mixed,
    texel,
)
from bcclone.simulator.scene.roadmap import CELL_M
from bcclone.simulator.scene.textures import GRAIN, ROCK

_0 = np.float32(0.0)
_1 = np.float32(1.0)


@drawing(cache=True, sources=SOURCES_CHECKSUM)
def color_ground(eye: Any, surface: Any, air: Any, canvas: Any, pixels: Any) -> None:
    """Draw ground and sky, and set the label of each pixel but the bonnet's.

    pixels: memory for a row, as empty_row() returns it
    """
    rows = canvas.depths_m.shape[0]
    for row in range(rows):
        depths_m = canvas.depths_m[row]
        labels = canvas.labels[row]
        up = np.float32((rows * 0.5 - row - 0.5) / eye.focal_up_px)

        _place(eye, surface, depths_m, up, pixels)
        _measure(eye, depths_m, pixels)
        sky, near, others = _sort(eye, surface, row, depths_m, labels, pixels)
        if sky > 0:
            _color_sky(eye, air.sky, up, pixels)
        if near > 0:
            _locate(surface, near, pixels)
            _find_grain(surface.paint, near, pixels)
            others = _draw_road(surface, air, near, others, labels, pixels)
        if others > 0:
            _color_land(surface, pixels.elsewhere, others, pixels)
            _draw_water_and_snow(surface, air, others, labels, pixels)
        _see_through_air(eye, air, depths_m, pixels)
        _write(pixels, canvas.picture[row])


_CELLS_A_METRE = np.float32(1 / CELL_M)
_HALF = np.float32(0.5)


@drawing(inline="always")
def _place(eye: Any, surface: Any, depths_m: Any, up: np.float32, pixels: Any) -> None:
    """Find where each pixel of a row is on the ground.

    depths_m: of the row, (columns,)
    up: slope of the row's lines of sight in the camera's frame
    """
    # this row's lines of sight: that in the middle, and what a step to the right adds
    axes = eye.axes
    middle_x = np.float32(axes[0, 1] * up + axes[0, 2])
    middle_y = np.float32(axes[1, 1] * up + axes[1, 2])
    middle_z = np.float32(axes[2, 1] * up + axes[2, 2])
    right_x = np.float32(axes[0, 0])
    right_y = np.float32(axes[1, 0])
    right_z = np.float32(axes[2, 0])
    camera_x = np.float32(eye.position[0])
    camera_y = np.float32(eye.position[1])
    camera_z = np.float32(eye.position[2])
    side = np.int32(surface.heights_m.shape[0])
    last_cell = np.float32(side - 1.001)  # so that there is a cell to its right
    first = np.float32(0.5 - depths_m.size * 0.5)
    slope = np.float32(1.0 / eye.focal_across_px)  # of a line of sight one column beside the middle

    for column in range(depths_m.size):
        depth_m = depths_m[column]
        across = (np.float32(column) + first) * slope
        x = camera_x + (right_x * across + middle_x) * depth_m
        z = camera_z + (right_z * across + middle_z) * depth_m
        pixels.x[column] = x
        pixels.y[column] = camera_y + (right_y * across + middle_y) * depth_m
        pixels.z[column] = z

        # a field's value holds at the centre of its cell
        across_grid = min(max((x - np.float32(surface.x)) * _CELLS_A_METRE - _HALF, _0), last_cell)
        up_grid = min(max((z - np.float32(surface.z)) * _CELLS_A_METRE - _HALF, _0), last_cell)
        left = np.int32(across_grid)
        low = np.int32(up_grid)
        pixels.cells[column] = low * side + left
        pixels.rights[column] = across_grid - np.float32(left)
        pixels.ups[column] = up_grid - np.float32(low)


_LEAST_ABOVE_M = np.float32(0.5)  # a camera is taken to be at least so high above what it sees
_MAX_STRETCH = np.float32(40.0)  # largest length of a pixel on the ground, over its width


@drawing(inline="always")
def _measure(eye: Any, depths_m: Any, pixels: Any) -> None:
    """Find how large each pixel of a row is on the ground. depths_m: of the row, (columns,)."""
    camera_m = np.float32(eye.position[1])
    slope = np.float32(1.0 / eye.focal_across_px)
    ratio = np.float32(eye.focal_across_px / eye.focal_up_px)
    for column in range(depths_m.size):
        # the flatter the line of sight, the longer is the pixel
        above_m = max(camera_m - pixels.y[column], _LEAST_ABOVE_M)
        flatness = max(depths_m[column] / above_m, _1)
        stretch = min(flatness * ratio, _MAX_STRETCH)
        width_m = depths_m[column] * slope
        pixels.widths_m[column] = width_m
        pixels.lengths_m[column] = width_m * stretch
        pixels.sizes_m[column] = width_m * np.sqrt(stretch)


@drawing(inline="always")
def _sort(
    eye: Any, surface: Any, row: int, depths_m: Any, labels: Any, pixels: Any
) -> tuple[int, int, int]:
    """List the pixels of a row near the road, and all others of the ground; label the sky.

    Return how many pixels show sky, how many are near the road, and how many elsewhere.

    depths_m, labels: of the row, (columns,)
    """
    sky = 0
    near = 0
    others = 0
    for column in range(depths_m.size):
        if row >= eye.bottoms[column]:
            continue
        if depths_m[column] == NOTHING_M:
            labels[column] = SKY
            sky += 1
            continue
        # a column is written to both lists, but only one of them becomes longer: this takes less
        # time than a branch
        pixels.near_road[near] = column
        pixels.elsewhere[others] = column
        is_near = surface.covers[np.uint64(pixels.cells[column])] & NEAR_ROAD != 0
        near += is_near
        others += not is_near
    return sky, near, others


# Neighbouring cells whose distances along the track differ by more than this, in metres, lie on
# either side of the place where the lap ends and begins. Elsewhere they differ by about their size.
_LAP_SEAM_M = np.float32(6.0)


@drawing(inline="always")
def _locate(surface: Any, near: int, pixels: Any) -> None:
    """Find where on the road the pixels near it are, and the sunlight there."""
    cells = surface.cells
    side = np.int32(surface.heights_m.shape[0])
    for number in range(near):
        column = np.uint64(pixels.near_road[number])
        cell = pixels.cells[column]
        right = pixels.rights[column]
        up = pixels.ups[column]
        weights = ((_1 - right) * (_1 - up), right * (_1 - up), (_1 - right) * up, right * up)

        # where the lap ends and begins, a mean of the track's length and 0 would be a place half a
        # lap away
        here = cells[np.uint64(cell), 0]
        beside = cells[np.uint64(cell) + NEXT_CELL, 0]
        diagonal = cells[np.uint64(np.int32(cell + side)) + NEXT_CELL, 0]
        on_seam = abs(diagonal - here) + abs(beside - here) > _LAP_SEAM_M
        along_m = mean_of_four(cells, cell, side, 0, weights)
        pixels.along_m[number] = here if on_seam else along_m
        pixels.cross_m[number] = mean_of_four(cells, cell, side, 1, weights)
        pixels.light[number] = mean_of_four(cells, cell, side, 2, weights)


@drawing(inline="always")
def _find_grain(paint: Any, near: int, pixels: Any) -> None:
    """Find the brightness of asphalt and its stains in the pixels near the road."""
    stains_a_metre = np.float32(paint.stains_a_metre)
    for number in range(near):
        column = np.uint64(pixels.near_road[number])
        along_m = pixels.along_m[number]
        cross_m = pixels.cross_m[number]
        width_m = pixels.widths_m[column]
        length_m = pixels.lengths_m[column]
        size_m = pixels.sizes_m[column]
        pixels.fine[number] = asphalt(along_m, cross_m, width_m, length_m, paint.textures)
        pixels.broad[number] = stains(along_m, cross_m, size_m, stains_a_metre, paint.textures)


@drawing(inline="always")
def _draw_road(surface: Any, air: Any, near: int, others: int, labels: Any, pixels: Any) -> int:
    """Colour the road in the pixels near it; those beside it join the others.

    Return how many others there are then.
    """
    paint = surface.paint
    for number in range(near):
        column = np.uint64(pixels.near_road[number])
        pixel = RoadPixel(
            pixels.along_m[number],
            pixels.cross_m[number],
            pixels.light[number],
            pixels.widths_m[column],
            pixels.lengths_m[column],
            pixels.sizes_m[column],
            pixels.fine[number],
            pixels.broad[number],
        )
        color, label = road_color(pixel, paint, air.line_visibility)
        if label == GROUND:
            pixels.elsewhere[others] = column
            others += 1
            continue
        labels[column] = label
        _set_color(pixels, column, weathered(color, pixel, paint.textures, air))
    return others


_WAVE_M = np.float32(0.02)  # what is at most so high above the water's level is its surface


@drawing(inline="always")
def _draw_water_and_snow(surface: Any, air: Any, others: int, labels: Any, pixels: Any) -> None:
    """Colour water, and the snow on land, and label both."""
    highest_m = np.float32(surface.water_m) + _WAVE_M
    for number in range(others):
        column = np.uint64(pixels.elsewhere[number])
        cover = surface.covers[np.uint64(pixels.cells[column])]
        # water: where the pixel shows the water's surface, and this is higher than the ground
        if cover & UNDER_WATER and pixels.y[column] <= highest_m:
            labels[column] = WATER
            _set_color(pixels, column, _water_color(surface, pixels, column))
        else:
            labels[column] = GROUND
            if air.snow > 0.0:
                _set_color(pixels, column, _snowed(surface, pixels, column, air.snow))


@drawing(forceinline=True)
def _set_color(pixels: Any, column: Any, color: RGB) -> None:
    pixels.red[column] = color[0]
    pixels.green[column] = color[1]
    pixels.blue[column] = color[2]


_WHITE = np.float32(255.0)
_FOG_RED = np.float32(FOG_COLOR[0])
_FOG_GREEN = np.float32(FOG_COLOR[1])
_FOG_BLUE = np.float32(FOG_COLOR[2])
_BEAM_SLOPE = np.float32(BEAM_SLOPE)
_BEAM_M = np.float32(BEAM_M)


@drawing(inline="always")
def _see_through_air(eye: Any, air: Any, depths_m: Any, pixels: Any) -> None:
    """Change the colours of a row as fog and light do; through_fog() and light_at() say how."""
    daylight = np.float32(air.daylight)
    headlights = np.float32(air.headlights)
    fog_from_m = np.float32(air.fog_from_m)
    fog_over_m = np.float32(air.fog_over_m)
    slope = np.float32(1.0 / eye.focal_across_px)
    middle = np.float32(depths_m.size * 0.5 - 0.5)
    for column in range(depths_m.size):
        depth_m = depths_m[column]
        aside = (np.float32(column) - middle) * slope / _BEAM_SLOPE
        far = depth_m / _BEAM_M
        beam = headlights / ((_1 + aside * aside) * (_1 + aside * aside) * (_1 + far * far))
        light = daylight + beam
        fog = min(max((depth_m - fog_from_m) / fog_over_m, _0), _1)
        fog = _0 if depth_m == NOTHING_M else fog
        red = pixels.red[column]
        green = pixels.green[column]
        blue = pixels.blue[column]
        pixels.red[column] = min(max((red + (_FOG_RED - red) * fog) * light, _0), _WHITE)
        pixels.green[column] = min(max((green + (_FOG_GREEN - green) * fog) * light, _0), _WHITE)
        pixels.blue[column] = min(max((blue + (_FOG_BLUE - blue) * fog) * light, _0), _WHITE)


@drawing(inline="always")
def _write(pixels: Any, picture: Any) -> None:
    """Write the colours of a row into the picture, (columns, 3)."""
    for column in range(picture.shape[0]):
        picture[column, 0] = np.int32(pixels.red[column])
        picture[column, 1] = np.int32(pixels.green[column])
        picture[column, 2] = np.int32(pixels.blue[column])


# ---- colours


@drawing(inline="always")
def _color_sky(eye: Any, sky: Any, up: np.float32, pixels: Any) -> None:
    """Colour a whole row like the sky behind it.

    sky: as in Air, from the horizon to the zenith, (steps, 3)
    up: slope of the row's lines of sight in the camera's frame
    """
    right_y = np.float32(eye.axes[1, 0])
    middle_y = np.float32(eye.axes[1, 1]) * up + np.float32(eye.axes[1, 2])
    slope = np.float32(1.0 / eye.focal_across_px)
    middle = np.float32(pixels.x.size * 0.5 - 0.5)
    last = np.float32(sky.shape[0] - 1)
    for column in range(pixels.x.size):
        across = (np.float32(column) - middle) * slope
        rise = right_y * across + middle_y
        sine = rise / np.sqrt(_1 + across * across + up * up)
        step = np.uint64(np.int32(max(sine, _0) * last))
        pixels.red[column] = sky[step, 0]
        pixels.green[column] = sky[step, 1]
        pixels.blue[column] = sky[step, 2]


_LAND_TEXELS = np.float32(20.0)  # for each metre, of the fine texture
_BROAD_TEXELS = np.float32(2.5)  # the same of the broad one
_CLIFF_TEXELS = np.float32(12.0)  # the same on a cliff
_FINE = np.float32(0.13)  # contrast of the fine texture
_BROAD = np.float32(0.12)
_ON_CLIFF = np.float32(0.12 * 1.6)


@drawing()
def _color_land(surface: Any, columns: Any, count: int, pixels: Any) -> None:
    """Colour the land in the first `count` of some columns; covers are in sunlight already."""
    side = np.int32(surface.heights_m.shape[0])
    for number in range(count):
        column = np.uint64(columns[number])
        cell = pixels.cells[column]
        below = np.uint64(cell)
        above = np.uint64(np.int32(cell + side))
        here = surface.covers[below]
        height_m = surface.cells[below, 3]
        brightness = _land_grain(surface.paint.textures, pixels, column, here, height_m)

        # the colours of the four nearest cells, interpolated, times the textures' brightness
        right = pixels.rights[column]
        up = pixels.ups[column]
        lower = (_1 - up) * brightness
        upper = up * brightness
        weights = ((_1 - right) * lower, right * lower, (_1 - right) * upper, right * upper)
        beside = surface.covers[below + NEXT_CELL]
        behind = surface.covers[above]
        across = surface.covers[above + NEXT_CELL]
        colors = (here, beside, behind, across)
        pixels.red[column] = _weighted(colors, weights, 0)
        pixels.green[column] = _weighted(colors, weights, 8)
        pixels.blue[column] = _weighted(colors, weights, 16)


@drawing(inline="always")
def _land_grain(
    textures: Any, pixels: Any, column: Any, cover: np.uint32, height_m: np.float32
) -> np.float32:
    """Return the brightness of land, mean 1. cover, height_m: of its cell."""
    # Two textures, fine and broad; on a cliff, the broad one runs along the cliff and up it.
    # `level` is for 20 texels a metre. Half as many texels need a level that is finer by one: 12 a
    # metre need one that is finer by about one, 2.5 a metre one that is finer by three.
    x = pixels.x[column]
    z = pixels.z[column]
    level = level_of(pixels.sizes_m[column] * _LAND_TEXELS)
    fine = texel(textures, GRAIN, x * _LAND_TEXELS, z * _LAND_TEXELS, level)
    is_cliff = cover & CLIFF != 0
    texture = ROCK if is_cliff else GRAIN
    u = (x + z) * _CLIFF_TEXELS if is_cliff else x * _BROAD_TEXELS
    v = height_m * _CLIFF_TEXELS if is_cliff else z * _BROAD_TEXELS
    finer = 1 if is_cliff else 3
    contrast = _ON_CLIFF if is_cliff else _BROAD
    broad = texel(textures, texture, u, v, np.int32(level - finer))
    return _1 + _FINE * fine + contrast * broad


_BYTE = np.uint32(255)


@drawing(forceinline=True)
def _weighted(colors: Any, weights: Any, shift: int) -> np.float32:
    """Return the weighted sum of a channel of four colours.

    shift: number of the channel's first bit
    """
    bit = np.uint32(shift)
    return (
        np.float32(np.int32(colors[0] >> bit & _BYTE)) * weights[0]
        + np.float32(np.int32(colors[1] >> bit & _BYTE)) * weights[1]
        + np.float32(np.int32(colors[2] >> bit & _BYTE)) * weights[2]
        + np.float32(np.int32(colors[3] >> bit & _BYTE)) * weights[3]
    )


_WATER_COLOR = (138.0, 164.0, 196.0)


@drawing(inline="always")
def _water_color(surface: Any, pixels: Any, column: Any) -> RGB:
    """Return the colour of water, with waves that run from east to west."""
    level = level_of(np.float32(pixels.sizes_m[column] * 9.0))
    u = np.float32(pixels.x[column] * 3.0)
    v = np.float32(pixels.z[column] * 9.0)
    waves = texel(surface.paint.textures, GRAIN, u, v, level)
    return lit(_WATER_COLOR, 1.0 + 0.05 * waves, 1.0)


@drawing(inline="always")
def _snowed(surface: Any, pixels: Any, column: Any, snow: float) -> RGB:
    """Return the colour of land with snow on it. snow: how much, 0 to 1."""
    color = (pixels.red[column], pixels.green[column], pixels.blue[column])
    right = pixels.rights[column]
    up = pixels.ups[column]
    weights = ((_1 - right) * (_1 - up), right * (_1 - up), (_1 - right) * up, right * up)
    side = np.int32(surface.heights_m.shape[0])
    light = mean_of_four(surface.cells, pixels.cells[column], side, 2, weights)
    return mixed(color, lit(SNOW_COLOR, 1.0, light), min(1.3 * snow, 0.95))
