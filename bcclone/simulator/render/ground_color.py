"""Colour what a pixel shows: ground, water, road or sky -> colour; compiled.

Colours are RGB under full light, before fog and daylight. Functions of land and water take the
pixels of a row (RowPixels, inputs.py) and the column of one of them.
"""

from typing import Any

import numpy as np

from bcclone.simulator.render.designed_road import designed_road
from bcclone.simulator.render.lake_road import lake_road
from bcclone.simulator.render.mountain_road import mountain_road
from bcclone.simulator.render.road import RoadPixel
from bcclone.simulator.render.surface import (
    CLIFF,
    NEXT,
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


@drawing()
def sky_color(sky: Any, up: float) -> RGB:
    """Return the sky's colour.

    sky: as in Air, from the horizon to the zenith, (steps, 3)
    up: sine of the elevation
    """
    step = int(max(up, 0.0) * (sky.shape[0] - 1))
    return sky[step, 0], sky[step, 1], sky[step, 2]


@drawing(inline="always")
def road_color(pixel: RoadPixel, paint: Any, line_visibility: float) -> tuple[RGB, int]:
    """Return the road's colour and label; the label is GROUND where there is no road."""
    if paint.style == MOUNTAIN_STYLE:
        return mountain_road(pixel, paint, line_visibility)
    if paint.style == LAKE_STYLE:
        return lake_road(pixel, paint, line_visibility)
    return designed_road(pixel, paint, line_visibility)


_WATER_COLOR = (138.0, 164.0, 196.0)


@drawing(inline="always")
def water_color(surface: Any, pixels: Any, column: int) -> RGB:
    """Return the colour of water, with waves that run from east to west."""
    level = level_of(pixels.sizes_m[column] * 9.0)
    x = pixels.x[column]
    z = pixels.z[column]
    waves = texel(surface.paint.textures, GRAIN, x * 3.0, z * 9.0, level)
    return lit(_WATER_COLOR, 1.0 + 0.05 * waves, 1.0)


@drawing(inline="always")
def land_color(surface: Any, pixels: Any, column: int) -> RGB:
    """Return the colour of the land off the road; surface.covers are in sunlight already."""
    textures = surface.paint.textures
    x = pixels.x[column]
    z = pixels.z[column]
    left = pixels.lefts[column]
    low = pixels.lows[column]
    here = surface.covers[low, left]

    # Two textures, fine and broad; on a cliff, the broad one runs along the cliff and up it.
    # `level` is for 20 texels a metre. Half as many texels need a level that is finer by one: 12 a
    # metre need one that is finer by about one, 2.5 a metre one that is finer by three.
    level = level_of(pixels.sizes_m[column] * 20.0)
    fine = texel(textures, GRAIN, x * 20.0, z * 20.0, level)
    if here & CLIFF:
        height_m = surface.cells[low, left, 3]
        broad = 1.6 * texel(textures, ROCK, (x + z) * 12.0, height_m * 12.0, level - 1)
    else:
        broad = texel(textures, GRAIN, x * 2.5, z * 2.5, level - 3)
    brightness = np.float32(1.0 + 0.13 * fine + 0.12 * broad)

    # the colours of the four nearest cells, interpolated, times the textures' brightness
    right = pixels.rights[column]
    up = pixels.ups[column]
    lower = (1 - up) * brightness
    upper = up * brightness
    weights = ((1 - right) * lower, right * lower, (1 - right) * upper, right * upper)
    beside = surface.covers[low, left + NEXT]
    above = surface.covers[low + NEXT, left]
    across = surface.covers[low + NEXT, left + NEXT]
    colors = (here, beside, above, across)
    return (
        _weighted(colors, weights, 0),
        _weighted(colors, weights, 8),
        _weighted(colors, weights, 16),
    )


_BYTE = np.uint32(255)


@drawing(inline="always")
def _weighted(colors: Any, weights: Any, shift: int) -> float:
    """Return the weighted sum of a channel of four colours.

    shift: number of the channel's first bit
    """
    bit = np.uint32(shift)
    return (
        np.float32(colors[0] >> bit & _BYTE) * weights[0]
        + np.float32(colors[1] >> bit & _BYTE) * weights[1]
        + np.float32(colors[2] >> bit & _BYTE) * weights[2]
        + np.float32(colors[3] >> bit & _BYTE) * weights[3]
    )


@drawing(inline="always")
def snowed(color: RGB, surface: Any, pixels: Any, column: int, snow: float) -> RGB:
    """Return the colour of land with snow on it. snow: how much, 0 to 1."""
    right = pixels.rights[column]
    up = pixels.ups[column]
    weights = ((1 - right) * (1 - up), right * (1 - up), (1 - right) * up, right * up)
    light = mean_of_four(surface.cells, pixels.lows[column], pixels.lefts[column], 2, weights)
    return mixed(color, lit(SNOW_COLOR, 1.0, light), min(1.3 * snow, 0.95))
