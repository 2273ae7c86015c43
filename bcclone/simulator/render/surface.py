"""Shade a pixel: material, sunlight and fog -> its colour and its brightness; compiled.

The other compiled modules of the renderer call these functions. Colours are RGB, 0 to 255. Depths
are metres along the camera's axis.

Functions of the renderer that take a Surface or a Canvas (inputs.py) for each pixel are inlined by
Numba (inline="always"): a call would copy every field of these tuples. So are passes that are
called once, which are then compiled once instead of twice. Short functions of passes are inlined by
LLVM (forceinline=True), because a loop with a call is not done for several steps at a time.
"""

from functools import partial
from typing import Any

import numpy as np

from bcclone.simulator.scene.textures import LEVELS, SIZE
from bcclone.system.compiled import FINITE, compiled, source_checksum

RGB = tuple[float, float, float]
Number = Any  # a number of single or double precision, or an integer: mypy mixes none of them

# All modules whose functions or constants are compiled into the renderer
COMPILED_MODULES = (
    "bcclone.system.exact_math",
    "bcclone.simulator.track",
    "bcclone.simulator.scene.plants",
    "bcclone.simulator.scene.roadmap",
    "bcclone.simulator.scene.structures",
    "bcclone.simulator.scene.textures",
    "bcclone.simulator.render.ground",
    "bcclone.simulator.render.profile",
    "bcclone.simulator.render.road",
    "bcclone.simulator.render.surface",
    "bcclone.simulator.render.things",
)
# changes with these modules, so that Numba compiles them anew (bcclone/system/compiled.py)
SOURCES_CHECKSUM = source_checksum(COMPILED_MODULES)

# How functions of the renderer are compiled: no number in them is infinite (FINITE), nothing is
# divided by 0, so divisions need no check ("numpy"), and no two of their arrays share memory
drawing = partial(compiled, fastmath=FINITE, error_model="numpy", noalias=True)

# added to an unsigned index, leaves it unsigned; Numba looks whether a signed one is negative
NEXT = np.uint32(1)
NEXT_CELL = np.uint64(1)  # the same for the number of a cell

# Labels: what a pixel can show
SKY = 0
GROUND = 1  # land off the road
WATER = 2
ROAD = 3  # the road's surface
LINE = 4  # painted on the road
EDGE = 5  # kerbs, shoulders and borders along the road
OBJECT = 6  # trees, signs, walls, houses
CAR = 7  # the car's own bonnet

# Bits of a cell's cover; its lowest 24 bits are a colour, red lowest
NEAR_ROAD = np.uint32(1 << 24)  # the road may be seen in this cell
UNDER_WATER = np.uint32(1 << 25)
CLIFF = np.uint32(1 << 26)  # the next cell is much higher or lower

# Light on a surface: factors of its RGB
AMBIENT = (0.30, 0.36, 0.44)  # in the shade
SUNLIGHT = (0.74, 0.69, 0.58)  # what full sunlight adds

SNOW_COLOR = (236.0, 238.0, 244.0)


# Textures


_TWO_THIRDS = np.float32(2 / 3)


@drawing(forceinline=True)
def level_of(footprint: Number) -> Number:
    """Return the texture level at which a pixel is about one texel wide.

    footprint: width of the pixel in texels of level 0, the finest one
    """
    level = exponent(footprint * _TWO_THIRDS) + 1
    return np.int32(min(max(level, 0), LEVELS - 1))


@drawing(forceinline=True)
def exponent(value: Number) -> Number:
    """Return the exponent of the greatest power of two that is not more than a positive value.

    It is in the bits of the number, which takes less time than a loop.
    """
    return np.int32((np.float32(value).view(np.int32) >> 23) - 127)


# for each level of a texture: texels along a side, the bits of a place in it, its scale relative to
# level 0, and its first texel: the finer levels come first, and each has four times as many texels
# as the next one, so this is the sum of their texels
_SIDES = (SIZE >> np.arange(LEVELS)).astype(np.int32)
_MASKS = _SIDES - np.int32(1)
_SCALES = (_SIDES / SIZE).astype(np.float32)
_BEGINS = (4 * (SIZE * SIZE - _SIDES * _SIDES) // 3).astype(np.int32)
_TEXELS = int(np.sum(_SIDES * _SIDES))  # of a texture


@drawing(forceinline=True)
def texel(textures: Any, texture: int, u: Number, v: Number, level: Number) -> Number:
    """Return the value of a texture at a point; textures repeat in both directions.

    textures: as make_textures() returns them, one after the other, (4 * texels,)
    texture: number of the texture
    u, v: column and row of the point, in texels of level 0
    """
    number = np.uint32(min(max(level, 0), LEVELS - 1))
    scale = _SCALES[number]
    # a side is a power of two, so a bit mask is the remainder, also of negative numbers
    row = np.int32(np.floor(v * scale)) & _MASKS[number]
    column = np.int32(np.floor(u * scale)) & _MASKS[number]
    place = np.int32(texture * _TEXELS + _BEGINS[number] + row * _SIDES[number] + column)
    return textures[np.uint64(place)]


@drawing()
def covered(value: float, start: float, end: float, width: float) -> float:
    """Return the fraction of an interval that is between start and end.

    value, width: middle and length of the interval
    """
    common = min(value + width * 0.5, end) - max(value - width * 0.5, start)
    # most pixels show no part of a line, and need no division
    if common <= 0.0:
        return 0.0
    return min(common / width, 1.0)


@drawing(forceinline=True)
def mean_of_four(cells: Any, cell: Number, side: Number, number: int, weights: Any) -> Number:
    """Return a field's weighted mean of four cells.

    cells: fields, (cells, fields)
    cell: the lower left one
    side: cells in a row of the grid
    number: of the field
    weights: of the lower left, lower right, upper left and upper right cell
    """
    below = np.uint64(cell)
    above = np.uint64(np.int32(cell + side))
    return (
        cells[below, number] * weights[0]
        + cells[below + NEXT_CELL, number] * weights[1]
        + cells[above, number] * weights[2]
        + cells[above + NEXT_CELL, number] * weights[3]
    )


# Colours


@drawing()
def mixed(color: RGB, other: RGB, fraction: float) -> RGB:
    """Return a linear mix of two colours. fraction: how much of it is `other`, 0 to 1."""
    return (
        color[0] + (other[0] - color[0]) * fraction,
        color[1] + (other[1] - color[1]) * fraction,
        color[2] + (other[2] - color[2]) * fraction,
    )


@drawing()
def lit(color: RGB, brightness: float, sunlight: float) -> RGB:
    """Return the colour of a surface under the light on it.

    brightness: factor of the colour, such as the grain of a material
    sunlight: 0 in the shade, 1 on level ground in the sun, more on slopes that face it
    """
    return (
        color[0] * brightness * (AMBIENT[0] + SUNLIGHT[0] * sunlight),
        color[1] * brightness * (AMBIENT[1] + SUNLIGHT[1] * sunlight),
        color[2] * brightness * (AMBIENT[2] + SUNLIGHT[2] * sunlight),
    )


FOG_COLOR = (158.0, 182.0, 210.0)


@drawing()
def through_fog(color: RGB, depth_m: float, air: Any) -> RGB:
    """Return how a colour looks through the fog from `depth_m` away. air: an Air."""
    if depth_m <= air.fog_from_m:
        return color
    thickness = min((depth_m - air.fog_from_m) / air.fog_over_m, 1.0)
    return mixed(color, FOG_COLOR, thickness)


BEAM_SLOPE = 0.42  # half the width of the headlights' beam, as a slope to the side
BEAM_M = 14.0  # depth at which the headlights' light has fallen to a half


@drawing(inline="always")
def light_at(air: Any, depth_m: float, across: float) -> float:
    """Return how bright things are: by daylight, and at night by the headlights.

    across: slope of the line of sight to the right
    """
    if air.headlights == 0.0:
        return air.daylight
    aside = across / BEAM_SLOPE
    beam = air.headlights / ((1.0 + aside * aside) * (1.0 + aside * aside))
    return air.daylight + beam / (1.0 + (depth_m / BEAM_M) * (depth_m / BEAM_M))


@drawing(inline="always")
def show(
    canvas: Any, row: int, column: int, color: RGB, label: int, depth: float, light: float, air: Any
) -> None:
    """Draw a pixel of a thing, seen through the fog. light: of light_at()"""
    seen = through_fog(color, depth, air)
    for channel in range(3):
        value = min(max(seen[channel] * light, 0.0), 255.0)
        canvas.picture[row, column, channel] = int(value)
    canvas.depths_m[row, column] = depth
    canvas.labels[row, column] = label
