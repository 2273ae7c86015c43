"""Compute the colour and the label of the road, in its weather; compiled, and inlined where rays
are cast.

Colours are RGB, 0 to 255. Functions with array arguments are inlined, since a call would count
references for each pixel.
"""

import math
from functools import partial
from typing import Any, NamedTuple

from bcclone.simulator.scene.roadmap import DIRT, KERB
from bcclone.simulator.scene.textures import ASPHALT, COBBLE, GRAIN, LEVELS, SIZE
from bcclone.simulator.track import LAKE_STYLE, MOUNTAIN_STYLE
from bcclone.system.compiled import FINITE, compiled, source_checksum

RGB = tuple[float, float, float]

# All modules whose functions or constants are compiled into the renderer, and the checksum of their
# sources.
COMPILED_MODULES = (
    "bcclone.system.exact_math",
    "bcclone.simulator.track",
    "bcclone.simulator.scene.plants",
    "bcclone.simulator.scene.roadmap",
    "bcclone.simulator.scene.structures",
    "bcclone.simulator.scene.textures",
    "bcclone.simulator.render.faces",
    "bcclone.simulator.render.raycast",
    "bcclone.simulator.render.surface",
)
SOURCES = source_checksum(COMPILED_MODULES)

# No number here is infinite, and nothing is divided by 0
drawing = partial(compiled, fastmath=FINITE, error_model="numpy")

# Light on a surface in the shade, and what full sunlight adds.
AMBIENT, SUNLIGHT = (0.30, 0.36, 0.44), (0.74, 0.69, 0.58)
_FOG = (158.0, 182.0, 210.0)
SNOW_COLOR = (236.0, 238.0, 244.0)
_WET_SKY = (176.0, 190.0, 208.0)  # that a wet road reflects
_BEAM_M, _BEAM_SLOPE = (
    14.0,
    0.42,
)  # of the headlights: their reach at half the light, and half their width
# What a pixel shows
SKY, GROUND, WATER, ROAD, LINE, EDGE, OBJECT, CAR = range(8)
# Bands of the lake's road: from and to so many metres from the middle, on both sides
_YELLOW_LINE, _TAR, _SECOND_LINE, _KERB = (3.34, 3.46), (3.52, 3.78), (3.80, 3.90), (3.78, 4.72)
_BORDER_FROM_M, _BORDER_TO_M = 4.65, 6.4  # of concrete; where there is a kerb, it begins behind it
_KERB_STRIPE_M, _KERB_RED = 0.5, (214.0, 76.0, 66.0)
_LINE_INSET_M = 0.22  # of the lines of a designed road, from its edge
_TEXELS_A_METRE = 32.0  # of asphalt


class RoadPixel(NamedTuple):
    """The road at a pixel: metres along and to the right of the centre line, sunlight (0 to 1 and
    above), and width and length of the pixel on the ground, in metres.
    """

    along: float
    cross: float
    sunlight: float
    pixel_m: float
    stretch_m: float


@drawing()
def level_of(footprint: float) -> int:
    """Return the texture level at which a pixel of `footprint` texels of level 0 is about one
    texel.
    """
    level = 0
    while footprint > 1.5 and level < LEVELS - 1:
        footprint *= 0.5
        level += 1
    return level


@drawing()
def texel(textures: Any, texture: int, u: float, v: float, level: int) -> float:
    """Return the value of a texture at (u, v), in texels of level 0."""
    level = min(max(level, 0), LEVELS - 1)
    side = SIZE >> level
    begin = 4 * (SIZE * SIZE - side * side) // 3  # after the finer levels
    scale = 1.0 / (1 << level)
    row, column = int(math.floor(v * scale)) & (side - 1), int(math.floor(u * scale)) & (side - 1)
    return textures[texture, begin + row * side + column]


@drawing()
def covered(value: float, start: float, end: float, width: float) -> float:
    """Return the fraction of an interval of `width` around `value` that is between start and end."""
    fraction = (min(value + width * 0.5, end) - max(value - width * 0.5, start)) / width
    return min(max(fraction, 0.0), 1.0)


@drawing()
def mixed(color: RGB, other: RGB, fraction: float) -> RGB:
    """Return a linear mix of two colours; fraction: of `other`."""
    return (
        color[0] + (other[0] - color[0]) * fraction,
        color[1] + (other[1] - color[1]) * fraction,
        color[2] + (other[2] - color[2]) * fraction,
    )


@drawing()
def lit(color: RGB, brightness: float, sunlight: float) -> RGB:
    """Return the colour of a surface times a brightness, in the shade (0) or the sun (1)."""
    return (
        color[0] * brightness * (AMBIENT[0] + SUNLIGHT[0] * sunlight),
        color[1] * brightness * (AMBIENT[1] + SUNLIGHT[1] * sunlight),
        color[2] * brightness * (AMBIENT[2] + SUNLIGHT[2] * sunlight),
    )


@drawing()
def seen_through(color: RGB, depth_m: float, air: Any) -> RGB:
    """Return a colour as seen through `depth_m` of fog."""
    if depth_m <= air.fog_from:
        return color
    return mixed(color, _FOG, min((depth_m - air.fog_from) / air.fog_over, 1.0))


@drawing(inline="always")
def direction(axes: Any, across: float, up: float) -> tuple[float, float, float]:
    """Return a camera's line of sight, of length 1 along its axis; across, up: its slopes to the
    right and upwards.
    """
    return (
        axes[0, 0] * across + axes[0, 1] * up + axes[0, 2],
        axes[1, 0] * across + axes[1, 1] * up + axes[1, 2],
        axes[2, 0] * across + axes[2, 1] * up + axes[2, 2],
    )


@drawing(inline="always")
def headlight_beam(air: Any, across: float) -> float:
    """Return the headlights' light in a direction; across: its slope to the right."""
    aside = across / _BEAM_SLOPE
    return air.headlights / ((1.0 + aside * aside) * (1.0 + aside * aside))


@drawing(inline="always")
def light_at(air: Any, depth_m: float, beam: float) -> float:
    """Return how bright things are at a depth: daylight, and at night the headlights' beam."""
    return air.daylight + beam / (1.0 + (depth_m / _BEAM_M) * (depth_m / _BEAM_M))


@drawing(inline="always")
def put(canvas: Any, row: int, column: int, color: RGB, brightness: float) -> None:
    for channel in range(3):
        canvas.picture[row, column, channel] = int(
            min(max(color[channel] * brightness, 0.0), 255.0)
        )


@drawing(inline="always")
def weathered(color: RGB, pixel: RoadPixel, textures: Any, air: Any) -> RGB:
    """Return the road's colour when it is wet or has snow on it."""
    if air.wet > 0.0:  # darker, and at a flat angle it reflects the sky
        color = mixed(color, (0.0, 0.0, 0.0), 0.35 * air.wet)
        flat = min(pixel.stretch_m / pixel.pixel_m / 30.0, 1.0)
        color = mixed(color, _WET_SKY, 0.45 * air.wet * flat)
    if air.snow > 0.0:  # drifts, thinner where wheels run
        drift = texel(
            textures, GRAIN, pixel.cross * 14.0, pixel.along * 6.0, level_of(pixel.pixel_m * 14.0)
        )
        track = abs(abs(pixel.cross) - 1.0) < 0.5
        cover = min(max(air.snow * (1.1 + 0.35 * drift) - (0.45 if track else 0.2), 0.0), 0.85)
        color = mixed(color, lit(SNOW_COLOR, 1.0, pixel.sunlight), cover)
    return color


@drawing(inline="always")
def road_color(pixel: RoadPixel, paint: Any, line_visibility: float) -> tuple[RGB, int]:
    """Return the road's colour by the track's style, and its label: GROUND where there is no road."""
    if paint.style == MOUNTAIN_STYLE:
        return mountain_road(pixel, paint, line_visibility)
    if paint.style == LAKE_STYLE:
        return _lake_road(pixel, paint, line_visibility)
    return _designed_road(pixel, paint, line_visibility)


@drawing(inline="always")
def _designed_road(pixel: RoadPixel, paint: Any, line_visibility: float) -> tuple[RGB, int]:
    """Return the colour and the label of a designed road, whose bands are described by RoadBands."""
    bands, sunlight = paint.bands, pixel.sunlight
    metre = min(max(int(pixel.along), 0), paint.half_widths_m.size - 1)
    half_m, offset_m = (
        paint.half_widths_m[metre],
        _from_middle(pixel.cross, paint.neighbor_m[metre]),
    )
    outer_m = half_m + bands.shoulder_m
    if offset_m >= outer_m + (0.5 * pixel.pixel_m if bands.shoulder_m > 0.0 else 0.0):
        return (0.0, 0.0, 0.0), GROUND
    level = level_of(math.sqrt(pixel.pixel_m * pixel.stretch_m) * _TEXELS_A_METRE)
    broad = texel(paint.textures, GRAIN, pixel.cross * 9.0, pixel.along * 4.0, level - 2)
    if offset_m > half_m:
        color, label = lit(bands.shoulder, 1.0 + 0.10 * broad, sunlight), EDGE
        if bands.stripe_m > 0.0:  # a kerb
            color = mixed(color, lit(_KERB_RED, 1.0, sunlight), _striped(pixel, bands.stripe_m))
        return color, label
    if bands.texture == COBBLE:
        fine = texel(paint.textures, COBBLE, pixel.cross * 64.0, pixel.along * 32.0, level)
    else:
        fine = _asphalt(pixel, paint)
    color, label = lit(bands.surface, 1.0 + bands.grain * fine + 0.06 * broad, sunlight), ROAD
    inset_m = half_m - _LINE_INSET_M
    line = covered(offset_m, inset_m - bands.line_m, inset_m, pixel.pixel_m)
    middle = covered(offset_m, -0.5 * bands.middle_m, 0.5 * bands.middle_m, pixel.pixel_m)
    if (
        bands.middle_dash_m > 0.0 and math.floor(pixel.along / bands.middle_dash_m) % 2 == 1
    ):  # between two dashes
        middle = 0.0
    if line * line_visibility > 0.0:
        color = mixed(color, lit(bands.line, 1.0 + 0.06 * fine, sunlight), line * line_visibility)
    if middle * line_visibility > 0.0:
        color = mixed(
            color, lit(bands.middle, 1.0 + 0.06 * fine, sunlight), middle * line_visibility
        )
    if max(line, middle) * line_visibility > 0.5:
        label = LINE
    return color, label


@drawing()
def _from_middle(cross_m: float, neighbor_m: float) -> float:
    """Return the distance from the middle of the road, or of its neighbor, if there is one that is
    nearer.
    """
    if neighbor_m == 0.0:
        return abs(cross_m)
    return min(abs(cross_m), abs(cross_m - neighbor_m))


@drawing(inline="always")
def mountain_road(pixel: RoadPixel, paint: Any, line_visibility: float) -> tuple[RGB, int]:
    """Return the mountain road's colour and its label."""
    offset_m, label = abs(pixel.cross), ROAD
    if offset_m >= 4.8 + pixel.pixel_m:
        return (0.0, 0.0, 0.0), GROUND
    level = level_of(math.sqrt(pixel.pixel_m * pixel.stretch_m) * _TEXELS_A_METRE)
    fine = _asphalt(pixel, paint)
    broad = texel(paint.textures, GRAIN, pixel.cross * 9.0, pixel.along * 3.0, level - 2)
    color = lit((112.0, 110.0, 106.0), 1.0 + 0.13 * fine + 0.06 * broad, pixel.sunlight)
    white = lit((214.0, 212.0, 202.0), 1.0 + 0.08 * fine, pixel.sunlight)
    line = covered(offset_m, 4.20, 4.36, pixel.pixel_m) * line_visibility
    if offset_m < 0.3 and pixel.along - 6.0 * math.floor(pixel.along / 6.0) < 3.0:  # dashes of 3 m
        line = covered(offset_m, -0.11, 0.11, pixel.pixel_m) * line_visibility
    if line > 0.5:
        label = LINE
    elif offset_m > 4.36:
        label = EDGE
    return mixed(color, white, line), label


@drawing(inline="always")
def _lake_road(pixel: RoadPixel, paint: Any, line_visibility: float) -> tuple[RGB, int]:
    """Return the lake road's colour and its label."""
    offset_m, sunlight = abs(pixel.cross), pixel.sunlight
    level = level_of(math.sqrt(pixel.pixel_m * pixel.stretch_m) * _TEXELS_A_METRE)
    if paint.bridge[0] < pixel.along < paint.bridge[1] and offset_m < 5.6:
        stones = texel(paint.textures, COBBLE, pixel.cross * 64.0, pixel.along * 32.0, level)
        return lit((168.0, 144.0, 130.0), 1.0 + 0.19 * stones, sunlight), ROAD
    if offset_m >= _BORDER_TO_M:
        return (0.0, 0.0, 0.0), GROUND
    metre = min(max(int(pixel.along), 0), paint.shoulders.kinds.shape[1] - 1)
    side = 1 if pixel.cross > 0 else 0
    kind = paint.shoulders.kinds[side, metre]
    fine = _asphalt(pixel, paint)
    broad = texel(paint.textures, GRAIN, pixel.cross * 9.0, pixel.along * 4.0, level - 2)
    if kind == DIRT and offset_m > 3.9:
        return lit((200.0, 148.0, 96.0), 1.0 + 0.07 * fine + 0.06 * broad, sunlight), EDGE
    gloss = 1.0 + 0.22 * min(pixel.stretch_m / 1.2, 1.0)  # at a flat angle asphalt is lighter
    color = lit((128.0, 127.0, 118.0), (1.0 + 0.24 * fine + 0.05 * broad) * gloss, sunlight)
    if offset_m > 3.0:
        color = _lake_lines(color, pixel, fine, kind, line_visibility)
    if offset_m > 4.5:
        border = covered(
            offset_m, _BORDER_FROM_M if kind != KERB else _KERB[1], _BORDER_TO_M, pixel.pixel_m
        )
        light = paint.shoulders.border_light[side, metre] * min(sunlight, 1.0)
        color = mixed(color, lit((206.0, 199.0, 182.0), 1.0 + 0.035 * broad, light), border)
    label = ROAD
    if covered(offset_m, _YELLOW_LINE[0], _YELLOW_LINE[1], pixel.pixel_m) * line_visibility > 0.5:
        label = LINE
    elif offset_m > (_KERB[0] if kind == KERB else _BORDER_FROM_M):
        label = EDGE
    return color, label


@drawing()
def _lake_lines(
    color: RGB, pixel: RoadPixel, fine: float, kind: int, line_visibility: float
) -> RGB:
    """Add the yellow line, the tar next to it, and a kerb or a second line to the asphalt's colour."""
    offset_m, sunlight, pixel_m = abs(pixel.cross), pixel.sunlight, pixel.pixel_m
    line = covered(offset_m, _YELLOW_LINE[0], _YELLOW_LINE[1], pixel_m) * line_visibility
    color = mixed(color, lit((196.0, 178.0, 84.0), 1.0 + 0.06 * fine, sunlight), line)
    tar = covered(offset_m, _TAR[0], _TAR[1], pixel_m) * line_visibility
    color = mixed(color, lit((76.0, 73.0, 62.0), 1.0 + 0.10 * fine, sunlight), tar)
    if kind == KERB:
        kerb = mixed(
            (232.0, 222.0, 214.0), (224.0, 106.0, 100.0), _striped(pixel, _KERB_STRIPE_M)
        )  # red and white
        return mixed(
            color, lit(kerb, 1.0, sunlight), covered(offset_m, _KERB[0], _KERB[1], pixel_m)
        )
    second = covered(offset_m, _SECOND_LINE[0], _SECOND_LINE[1], pixel_m) * line_visibility * 0.6
    return mixed(color, lit((196.0, 184.0, 96.0), 1.0, sunlight), second)


@drawing()
def _striped(pixel: RoadPixel, stripe_m: float) -> float:
    """Return how much of a pixel every second stripe covers; the mean where it spans several."""
    phase = pixel.along / (2 * stripe_m)
    covers = 1.0 if phase - math.floor(phase) < 0.5 else 0.0
    blur = min(max(pixel.stretch_m / stripe_m - 0.7, 0.0), 1.0)
    return covers + (0.5 - covers) * blur


@drawing(inline="always")
def _asphalt(pixel: RoadPixel, paint: Any) -> float:
    """Return the grain of asphalt, mean 0; it is stretched where a pixel is long on the ground."""
    ratio, texels = pixel.stretch_m / pixel.pixel_m, _TEXELS_A_METRE
    while ratio > 1.6:
        ratio *= 0.5
        texels *= 0.5
    level = level_of(pixel.pixel_m * _TEXELS_A_METRE)
    return texel(
        paint.textures, ASPHALT, pixel.cross * _TEXELS_A_METRE, pixel.along * texels, level
    )
