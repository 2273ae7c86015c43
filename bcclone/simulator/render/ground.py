"""Draw ground and sky: the depth of each pixel -> its colour and label; compiled.

In: a camera, the ground, the air, and a canvas with the depths that profile.py has found. Out: the
canvas, filled in place: a colour, RGB uint8 (height, width, 3), and a label for each pixel but
those of the bonnet.

A picture is drawn row by row, and a row in passes: where its pixels are on the ground, which of
them show sky, road or land, and what colour each has. A pass does one thing for many pixels, which
a processor does for several at a time. Numbers of the first passes have single precision.
"""

import math
from typing import Any

import numpy as np

from bcclone.simulator.render.ground_color import (
    land_color,
    road_color,
    sky_color,
    snowed,
    water_color,
)
from bcclone.simulator.render.profile import NOTHING_M
from bcclone.simulator.render.road import RoadPixel, weathered
from bcclone.simulator.render.surface import (
    GROUND,
    NEAR_ROAD,
    NEXT,
    RGB,
    SKY,
    SOURCES_CHECKSUM,
    UNDER_WATER,
    WATER,
    drawing,
    headlight_beam,
    light_at,
    mean_of_four,
    mixed,
    set_pixel,
    through_fog,
)
from bcclone.simulator.scene.roadmap import CELL_M


@drawing(cache=True, sources=SOURCES_CHECKSUM)
def color_ground(eye: Any, surface: Any, air: Any, canvas: Any, pixels: Any) -> None:
    """Draw ground and sky, and set the label of each pixel but the bonnet's.

    pixels: memory for a row, of any content
    """
    for row in range(canvas.depths_m.shape[0]):
        _draw_sky(eye, air, canvas, row)
        _place(eye, surface, canvas.depths_m[row], row, canvas.depths_m.shape[0], pixels)
        _measure(eye, canvas.depths_m[row], pixels)
        near, others = _sort(eye, surface, air, canvas.depths_m[row], row, pixels)
        _locate(surface.cells, near, pixels)
        others = _draw_road(eye, surface, air, canvas, row, near, others, pixels)
        _draw_land(eye, surface, air, canvas, row, others, pixels)


@drawing()
def _draw_sky(eye: Any, air: Any, canvas: Any, row: int) -> None:
    """Draw the pixels of a row that show sky."""
    rows, columns = canvas.depths_m.shape
    axes = eye.axes
    up = (rows * 0.5 - row - 0.5) / eye.focal_up_px
    for column in range(columns):
        if canvas.depths_m[row, column] == NOTHING_M:
            across = (column + 0.5 - columns * 0.5) / eye.focal_across_px
            rise = axes[1, 0] * across + axes[1, 1] * up + axes[1, 2]
            length = math.sqrt(1.0 + across * across + up * up)
            canvas.labels[row, column] = SKY
            set_pixel(canvas, row, column, sky_color(air.sky, rise / length), air.daylight)


_0 = np.float32(0.0)
_1 = np.float32(1.0)
_CELLS_A_METRE = np.float32(1 / CELL_M)
_HALF = np.float32(0.5)


@drawing()
def _place(eye: Any, surface: Any, depths_m: Any, row: int, rows: int, pixels: Any) -> None:
    """Find where each pixel of a row is on the ground.

    depths_m: of the row, (columns,)
    """
    # this row's lines of sight: that in the middle, and what a step to the right adds
    axes = eye.axes
    up = (rows * 0.5 - row - 0.5) / eye.focal_up_px
    middle_x = np.float32(axes[0, 1] * up + axes[0, 2])
    middle_y = np.float32(axes[1, 1] * up + axes[1, 2])
    middle_z = np.float32(axes[2, 1] * up + axes[2, 2])
    right_x = np.float32(axes[0, 0])
    right_y = np.float32(axes[1, 0])
    right_z = np.float32(axes[2, 0])
    camera_x = np.float32(eye.position[0])
    camera_y = np.float32(eye.position[1])
    camera_z = np.float32(eye.position[2])
    grid_x = np.float32(surface.x)
    grid_z = np.float32(surface.z)
    last_cell = np.float32(surface.heights_m.shape[0] - 1.001)
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
        place = min(max((x - grid_x) * _CELLS_A_METRE - _HALF, _0), last_cell)
        pixels.lefts[column] = np.uint32(place)
        pixels.rights[column] = place - np.float32(np.uint32(place))
        place = min(max((z - grid_z) * _CELLS_A_METRE - _HALF, _0), last_cell)
        pixels.lows[column] = np.uint32(place)
        pixels.ups[column] = place - np.float32(np.uint32(place))


_LEAST_ABOVE_M = np.float32(0.5)  # a camera is taken to be at least so high above what it sees
_MAX_STRETCH = np.float32(40.0)  # largest length of a pixel on the ground, over its width


@drawing()
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
        pixels.sizes_m[column] = width_m * math.sqrt(stretch)


@drawing()
def _sort(
    eye: Any, surface: Any, air: Any, depths_m: Any, row: int, pixels: Any
) -> tuple[int, int]:
    """List the pixels of a row near the road, and all others of the ground; return how many.

    depths_m: of the row, (columns,)
    """
    near = 0
    others = 0
    for column in range(depths_m.size):
        if row >= eye.bottoms[column] or depths_m[column] == NOTHING_M:
            continue
        cover = surface.covers[pixels.lows[column], pixels.lefts[column]]
        if cover & NEAR_ROAD and air.road_visibility > 0.0:
            pixels.near_road[near] = column
            near += 1
        else:
            pixels.elsewhere[others] = column
            others += 1
    return near, others


# Neighbouring cells whose distances along the track differ by more than this, in metres, lie on
# both sides of the place where the lap ends and begins. Elsewhere they differ by about their size.
_LAP_SEAM_M = np.float32(6.0)


@drawing()
def _locate(cells: Any, near: int, pixels: Any) -> None:
    """Find where on the road the pixels near it are, and the sunlight there."""
    for number in range(near):
        column = pixels.near_road[number]
        left = pixels.lefts[column]
        low = pixels.lows[column]
        right = pixels.rights[column]
        up = pixels.ups[column]
        weights = ((_1 - right) * (_1 - up), right * (_1 - up), (_1 - right) * up, right * up)

        # where the lap ends and begins, a mean of the track's length and 0 would be a place half a
        # lap away
        here = cells[low, left, 0]
        beside = cells[low, left + NEXT, 0]
        across = cells[low + NEXT, left + NEXT, 0]
        on_seam = abs(across - here) + abs(beside - here) > _LAP_SEAM_M
        along_m = mean_of_four(cells, low, left, 0, weights)
        pixels.along_m[number] = here if on_seam else along_m
        pixels.cross_m[number] = mean_of_four(cells, low, left, 1, weights)
        pixels.light[number] = mean_of_four(cells, low, left, 2, weights)


@drawing()
def _draw_road(
    eye: Any, surface: Any, air: Any, canvas: Any, row: int, near: int, others: int, pixels: Any
) -> int:
    """Draw the road in the pixels near it; add those beside it to the others, and count them."""
    paint = surface.paint
    for number in range(near):
        column = pixels.near_road[number]
        pixel = RoadPixel(
            pixels.along_m[number],
            pixels.cross_m[number],
            pixels.light[number],
            pixels.widths_m[column],
            pixels.lengths_m[column],
            pixels.sizes_m[column],
        )
        color, label = road_color(pixel, paint, air.line_visibility)
        if label == GROUND:
            pixels.elsewhere[others] = column
            others += 1
            continue
        if air.road_visibility < 1.0:
            land = land_color(surface, pixels, column)
            color = mixed(land, color, air.road_visibility)
        color = weathered(color, pixel, paint.textures, air)
        canvas.labels[row, column] = label
        _finish(eye, air, canvas, row, column, color)
    return others


_WAVE_M = 0.02  # what is at most so high above the water's level is its surface


@drawing()
def _draw_land(
    eye: Any, surface: Any, air: Any, canvas: Any, row: int, others: int, pixels: Any
) -> None:
    """Draw land and water."""
    for number in range(others):
        column = pixels.elsewhere[number]
        cover = surface.covers[pixels.lows[column], pixels.lefts[column]]
        # water: where the pixel shows the water's surface, and this is higher than the ground
        if cover & UNDER_WATER and pixels.y[column] <= surface.water_m + _WAVE_M:
            color = water_color(surface, pixels, column)
            canvas.labels[row, column] = WATER
        else:
            color = land_color(surface, pixels, column)
            if air.snow > 0.0:
                color = snowed(color, surface, pixels, column, air.snow)
            canvas.labels[row, column] = GROUND
        _finish(eye, air, canvas, row, column, color)


@drawing(inline="always")
def _finish(eye: Any, air: Any, canvas: Any, row: int, column: int, color: RGB) -> None:
    """Write a pixel's colour, as fog and light leave it."""
    depth_m = canvas.depths_m[row, column]
    across = (column + 0.5 - canvas.depths_m.shape[1] * 0.5) / eye.focal_across_px
    light = light_at(air, depth_m, headlight_beam(air, across))
    set_pixel(canvas, row, column, through_fog(color, depth_m, air), light)
