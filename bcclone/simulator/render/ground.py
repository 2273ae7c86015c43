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

from bcclone.simulator.render.ground_color import (
    color_land,
    color_sky,
    road_color,
    snowed,
    water_color,
)
from bcclone.simulator.render.profile import NOTHING_M
from bcclone.simulator.render.road import RoadPixel, asphalt, stains, weathered
from bcclone.simulator.render.surface import (
    BEAM_M,
    BEAM_SLOPE,
    FOG_COLOR,
    GROUND,
    NEAR_ROAD,
    NEXT_CELL,
    RGB,
    SKY,
    SOURCES_CHECKSUM,
    UNDER_WATER,
    WATER,
    drawing,
    mean_of_four,
    mixed,
)
from bcclone.simulator.scene.roadmap import CELL_M


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
        sky, near, others = _sort(eye, surface, air, row, depths_m, labels, pixels)
        if sky > 0:
            color_sky(eye, air.sky, up, pixels)
        if near > 0:
            _locate(surface, near, pixels)
            _find_grain(surface.paint, near, pixels)
            if air.road_visibility < 1.0:
                # what shows through the paint on the road
                color_land(surface, pixels.near_road, near, pixels)
            others = _draw_road(surface, air, near, others, labels, pixels)
        if others > 0:
            color_land(surface, pixels.elsewhere, others, pixels)
            _draw_water_and_snow(surface, air, others, labels, pixels)
        _see_through_air(eye, air, depths_m, pixels)
        _write(pixels, canvas.picture[row])


_0 = np.float32(0.0)
_1 = np.float32(1.0)
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
    eye: Any, surface: Any, air: Any, row: int, depths_m: Any, labels: Any, pixels: Any
) -> tuple[int, int, int]:
    """List the pixels of a row near the road, and all others of the ground; label the sky.

    Return how many pixels show sky, how many are near the road, and how many elsewhere.

    depths_m, labels: of the row, (columns,)
    """
    sky = 0
    near = 0
    others = 0
    near_road = _NO_COVER
    if air.road_visibility > 0.0:
        near_road = NEAR_ROAD
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
        is_near = surface.covers[np.uint64(pixels.cells[column])] & near_road != 0
        near += is_near
        others += not is_near
    return sky, near, others


_NO_COVER = np.uint32(0)

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
        if air.road_visibility < 1.0:
            land = (pixels.red[column], pixels.green[column], pixels.blue[column])
            color = mixed(land, color, air.road_visibility)
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
            _set_color(pixels, column, water_color(surface, pixels, column))
        else:
            labels[column] = GROUND
            if air.snow > 0.0:
                _set_color(pixels, column, snowed(surface, pixels, column, air.snow))


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
