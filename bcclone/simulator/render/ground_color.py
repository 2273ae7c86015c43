"""Colour what a pixel shows: ground, water, road or sky -> colour; compiled.

Colours are RGB under full light, before fog and daylight. Functions of land, water and sky take the
pixels of a row (RowPixels, inputs.py). color_sky() and color_land() colour many at a time, in
single precision; the others return the colour of a single one.
"""

from typing import Any

import numpy as np

from bcclone.simulator.render.designed_road import designed_road
from bcclone.simulator.render.lake_road import lake_road
from bcclone.simulator.render.mountain_road import mountain_road
from bcclone.simulator.render.road import RoadPixel
from bcclone.simulator.render.surface import (
    CLIFF,
    NEXT_CELL,
    RGB,
    SNOW_COLOR,
    drawing,
    level_of,
    lit,
    mean_of_four,
    mixed,
    texel,
)
from bcclone.simulator.scene.textures import GRAIN, ROCK
from bcclone.simulator.track import LAKE_STYLE, MOUNTAIN_STYLE

_0 = np.float32(0.0)
_1 = np.float32(1.0)


@drawing(inline="always")
def color_sky(eye: Any, sky: Any, up: np.float32, pixels: Any) -> None:
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


@drawing(inline="always")
def road_color(pixel: RoadPixel, paint: Any, line_visibility: float) -> tuple[RGB, int]:
    """Return the road's colour and label; the label is GROUND where there is no road."""
    if paint.style == MOUNTAIN_STYLE:
        return mountain_road(pixel, line_visibility)
    if paint.style == LAKE_STYLE:
        return lake_road(pixel, paint, line_visibility)
    return designed_road(pixel, paint, line_visibility)


_LAND_TEXELS = np.float32(20.0)  # for each metre, of the fine texture
_BROAD_TEXELS = np.float32(2.5)  # the same of the broad one
_CLIFF_TEXELS = np.float32(12.0)  # the same on a cliff
_FINE = np.float32(0.13)  # contrast of the fine texture
_BROAD = np.float32(0.12)
_ON_CLIFF = np.float32(0.12 * 1.6)


@drawing()
def color_land(surface: Any, columns: Any, count: int, pixels: Any) -> None:
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
def water_color(surface: Any, pixels: Any, column: Any) -> RGB:
    """Return the colour of water, with waves that run from east to west."""
    level = level_of(np.float32(pixels.sizes_m[column] * 9.0))
    u = np.float32(pixels.x[column] * 3.0)
    v = np.float32(pixels.z[column] * 9.0)
    waves = texel(surface.paint.textures, GRAIN, u, v, level)
    return lit(_WATER_COLOR, 1.0 + 0.05 * waves, 1.0)


@drawing(inline="always")
def snowed(surface: Any, pixels: Any, column: Any, snow: float) -> RGB:
    """Return the colour of land with snow on it. snow: how much, 0 to 1."""
    color = (pixels.red[column], pixels.green[column], pixels.blue[column])
    right = pixels.rights[column]
    up = pixels.ups[column]
    weights = ((_1 - right) * (_1 - up), right * (_1 - up), (_1 - right) * up, right * up)
    side = np.int32(surface.heights_m.shape[0])
    light = mean_of_four(surface.cells, pixels.cells[column], side, 2, weights)
    return mixed(color, lit(SNOW_COLOR, 1.0, light), min(1.3 * snow, 0.95))
