"""Colour roads: materials, bands and weather that the roads of all tracks share; compiled.

The functions take a `RoadPixel`, the piece of road that a pixel shows. They return the grain of a
material, the fraction of the pixel that a band or a stripe covers, or the colour in rain and snow.
The piece's place is relative to the centre line, so lines and kerbs are sharp at any distance.
Colours are RGB under full light, before fog and daylight; lengths are metres.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from bcclone.simulator.render.surface import (
    RGB,
    SNOW_COLOR,
    Number,
    covered,
    drawing,
    exponent,
    level_of,
    lit,
    mixed,
    texel,
)
from bcclone.simulator.scene.textures import ASPHALT, COBBLE, GRAIN

NO_COLOR = (0.0, 0.0, 0.0)  # goes with the label GROUND, where there is no road


class RoadPixel(NamedTuple):
    """The piece of road that a pixel shows; numbers have single precision."""

    along_m: Number  # along the centre line
    cross_m: Number  # to the right of the centre line
    sunlight: Number  # 0 in the shade, 1 on level ground in the sun, more on slopes that face it
    width_m: Number  # the pixel's size on the road, across the line of sight
    length_m: Number  # the pixel's size on the road, along the line of sight
    size_m: Number  # the geometric mean of both
    fine: Number  # of asphalt()
    broad: Number  # of stains()


class Band(NamedTuple):
    """A band along each side of the road: its inner and outer distance from the centre line.

    A band in the middle begins at a negative distance.
    """

    from_m: float
    to_m: float


_TEXELS_A_METRE = np.float32(32.0)  # of the asphalt's texture, at its finest level
_LONG = np.float32(1 / 1.6)  # asphalt is stretched in pixels longer than 1.6 times their width


@drawing(forceinline=True)
def asphalt(
    along_m: Number,
    cross_m: Number,
    width_m: Number,
    length_m: Number,
    textures: Any,
) -> Number:
    """Return the fine grain of asphalt, mean 0; it is stretched where a pixel is long."""
    # stretched by whole powers of two, so that the grain changes in few places
    halvings = np.int32(max(exponent(length_m * _LONG / width_m) + 1, 0))
    level = level_of(width_m * _TEXELS_A_METRE)
    u = cross_m * _TEXELS_A_METRE
    v = along_m * _TEXELS_A_METRE / np.float32(np.int32(1 << halvings))
    return texel(textures, ASPHALT, u, v, level)


@drawing(forceinline=True)
def stains(
    along_m: Number,
    cross_m: Number,
    size_m: Number,
    texels_a_metre: Number,
    textures: Any,
) -> Number:
    """Return the broad unevenness of a road's brightness, mean 0.

    texels_a_metre: texels of the texture for each metre along the road
    """
    # across the road there are 9 texels a metre, a quarter of the asphalt's, so a level is enough
    # that is finer by two
    level = np.int32(level_of(size_m * _TEXELS_A_METRE) - 2)
    return texel(textures, GRAIN, cross_m * _STAINS, along_m * texels_a_metre, level)


_STAINS = np.float32(9.0)  # texels for each metre across the road


@drawing()
def cobbles(pixel: RoadPixel, textures: Any) -> Number:
    """Return the brightness of paving stones and their joints, mean 0."""
    level = level_of(pixel.size_m * _TEXELS_A_METRE)
    u = np.float32(pixel.cross_m * 64.0)
    v = np.float32(pixel.along_m * 32.0)
    return texel(textures, COBBLE, u, v, level)


@drawing()
def covered_by(band: Band, offset_m: float, width_m: float) -> float:
    """Return the fraction of a pixel that a band covers. offset_m: from the centre line."""
    return covered(offset_m, band.from_m, band.to_m, width_m)


@drawing()
def striped(pixel: RoadPixel, stripe_m: float) -> float:
    """Return the fraction of a pixel that every second stripe along the road covers.

    Where a pixel spans several stripes, it is a half.

    stripe_m: length of a stripe
    """
    phase = pixel.along_m / (2 * stripe_m)
    covers = 1.0 if phase - math.floor(phase) < 0.5 else 0.0
    blur = min(max(pixel.length_m / stripe_m - 0.7, 0.0), 1.0)
    return covers + (0.5 - covers) * blur


_WET_SKY = (176.0, 190.0, 208.0)  # the sky's colour that a wet road reflects
_BLACK = (0.0, 0.0, 0.0)


@drawing(inline="always")
def weathered(color: RGB, pixel: RoadPixel, textures: Any, air: Any) -> RGB:
    """Return the road's colour when it is wet or has snow on it."""
    if air.wet > 0.0:
        # a wet road is darker, and at a flat angle, where a pixel is long, it reflects the sky
        color = mixed(color, _BLACK, 0.35 * air.wet)
        flat = min(pixel.length_m / pixel.width_m / 30.0, 1.0)
        color = mixed(color, _WET_SKY, 0.45 * air.wet * flat)
    if air.snow > 0.0:
        # drifts are thinner where wheels run, a metre to both sides of the middle
        level = level_of(np.float32(pixel.width_m * 14.0))
        u = np.float32(pixel.cross_m * 14.0)
        drift = texel(textures, GRAIN, u, np.float32(pixel.along_m * 6.0), level)
        thinning = 0.45 if abs(abs(pixel.cross_m) - 1.0) < 0.5 else 0.2
        cover = min(max(air.snow * (1.1 + 0.35 * drift) - thinning, 0.0), 0.85)
        color = mixed(color, lit(SNOW_COLOR, 1.0, pixel.sunlight), cover)
    return color
