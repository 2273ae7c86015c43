"""Colour roads: the piece of road that a pixel shows -> its colour and label; compiled.

A piece (`RoadPixel`) is relative to the centre line, so lines and kerbs are sharp at any distance.
The label is GROUND where there is no road. Colours are RGB under full light, before fog and
daylight; lengths are metres.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from bcclone.simulator.render.surface import (
    EDGE,
    GROUND,
    LINE,
    RGB,
    ROAD,
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
from bcclone.simulator.scene.roadmap import DIRT, KERB
from bcclone.simulator.scene.textures import ASPHALT, COBBLE, GRAIN
from bcclone.simulator.track import LAKE_STYLE, MOUNTAIN_STYLE

_NO_COLOR = (0.0, 0.0, 0.0)  # goes with the label GROUND, where there is no road


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


# A band along each side of the road: its inner and outer distance from the centre line. A band in
# the middle begins at a negative distance.
_Band = tuple[float, float]

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
def _cobbles(pixel: RoadPixel, textures: Any) -> Number:
    """Return the brightness of paving stones and their joints, mean 0."""
    level = level_of(pixel.size_m * _TEXELS_A_METRE)
    u = np.float32(pixel.cross_m * 64.0)
    v = np.float32(pixel.along_m * 32.0)
    return texel(textures, COBBLE, u, v, level)


@drawing()
def _covered_by(band: _Band, offset_m: float, width_m: float) -> float:
    """Return the fraction of a pixel that a band covers. offset_m: from the centre line."""
    return covered(offset_m, band[0], band[1], width_m)


@drawing()
def _striped(pixel: RoadPixel, stripe_m: float) -> float:
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


# ---- the lake


# From its middle outwards the road has asphalt, a yellow line, tar, then a kerb, a second line or
# dirt, and a concrete border. The widths were measured on recordings: docs/explanation/simulator.md
_YELLOW_LINE = (3.34, 3.46)
_TAR = (3.52, 3.78)
_SECOND_LINE = (3.80, 3.90)
_KERB = (3.78, 4.72)
_BORDER = (4.65, 6.4)  # the concrete border where there is no kerb
_BORDER_BEHIND_KERB = (_KERB[1], _BORDER[1])

_DECK_HALF_M = 5.6  # half the width of the bridge's deck
_DIRT_FROM_M = 3.9  # offset at which a dirt shoulder begins
_LINES_FROM_M = 3.0  # no pixel nearer to the middle shows a line
_NEAR_BORDER_M = 4.5  # no pixel nearer to the middle shows the border

_LAKE_ASPHALT = (128.0, 127.0, 118.0)
_LAKE_COBBLES = (168.0, 144.0, 130.0)
_LAKE_DIRT = (200.0, 148.0, 96.0)
_CONCRETE = (206.0, 199.0, 182.0)
_YELLOW = (196.0, 178.0, 84.0)
_PALE_YELLOW = (196.0, 184.0, 96.0)
_TAR_COLOR = (76.0, 73.0, 62.0)
_KERB_WHITE = (232.0, 222.0, 214.0)
_KERB_LIGHT_RED = (224.0, 106.0, 100.0)
_KERB_STRIPE_M = 0.5


@drawing(inline="always")
def _lake_road(pixel: RoadPixel, paint: Any, line_visibility: float) -> tuple[RGB, int]:
    """Return the lake road's colour and its label."""
    offset_m = abs(pixel.cross_m)

    # the bridge is paved from wall to wall
    if paint.bridge[0] < pixel.along_m < paint.bridge[1] and offset_m < _DECK_HALF_M:
        stones = _cobbles(pixel, paint.textures)
        return lit(_LAKE_COBBLES, 1.0 + 0.19 * stones, pixel.sunlight), ROAD
    if offset_m >= _BORDER[1]:
        return _NO_COLOR, GROUND

    # which shoulder the road has on this side: 0 is the left, 1 the right
    metre = min(max(int(pixel.along_m), 0), paint.shoulders.kinds.shape[1] - 1)
    side = 1 if pixel.cross_m > 0 else 0
    shoulder = paint.shoulders.kinds[side, metre]

    fine = pixel.fine
    broad = pixel.broad
    if shoulder == DIRT and offset_m > _DIRT_FROM_M:
        return lit(_LAKE_DIRT, 1.0 + 0.07 * fine + 0.06 * broad, pixel.sunlight), EDGE

    # a long pixel is seen at a flat angle, where asphalt is lighter
    gloss = 1.0 + 0.22 * min(pixel.length_m / 1.2, 1.0)
    color = lit(_LAKE_ASPHALT, (1.0 + 0.24 * fine + 0.05 * broad) * gloss, pixel.sunlight)
    if offset_m > _LINES_FROM_M:
        color = _lake_lines(color, pixel, shoulder, line_visibility)
    if offset_m > _NEAR_BORDER_M:
        # the border slopes, so its sunlight differs from the road's
        border_light = paint.shoulders.border_light[side, metre] * min(pixel.sunlight, 1.0)
        concrete = lit(_CONCRETE, 1.0 + 0.035 * broad, border_light)
        border = _BORDER_BEHIND_KERB if shoulder == KERB else _BORDER
        color = mixed(color, concrete, _covered_by(border, offset_m, pixel.width_m))

    if offset_m <= _LINES_FROM_M:
        return color, ROAD
    if _covered_by(_YELLOW_LINE, offset_m, pixel.width_m) * line_visibility > 0.5:
        return color, LINE
    edge_from_m = _KERB[0] if shoulder == KERB else _BORDER[0]
    return color, EDGE if offset_m > edge_from_m else ROAD


@drawing()
def _lake_lines(color: RGB, pixel: RoadPixel, shoulder: int, line_visibility: float) -> RGB:
    """Add the lines to the asphalt's colour: yellow, tar, and a kerb or a second line.

    color: of the asphalt
    """
    offset_m = abs(pixel.cross_m)

    # most pixels show none of the lines, and need no mixing
    line = _covered_by(_YELLOW_LINE, offset_m, pixel.width_m) * line_visibility
    if line > 0.0:
        yellow = lit(_YELLOW, 1.0 + 0.06 * pixel.fine, pixel.sunlight)
        color = mixed(color, yellow, line)
    tar = _covered_by(_TAR, offset_m, pixel.width_m) * line_visibility
    if tar > 0.0:
        black = lit(_TAR_COLOR, 1.0 + 0.10 * pixel.fine, pixel.sunlight)
        color = mixed(color, black, tar)

    if shoulder == KERB:
        covers = _covered_by(_KERB, offset_m, pixel.width_m)
        if covers > 0.0:
            kerb = mixed(_KERB_WHITE, _KERB_LIGHT_RED, _striped(pixel, _KERB_STRIPE_M))
            color = mixed(color, lit(kerb, 1.0, pixel.sunlight), covers)
        return color
    # the second line is faded
    second = _covered_by(_SECOND_LINE, offset_m, pixel.width_m) * line_visibility * 0.6
    if second > 0.0:
        color = mixed(color, lit(_PALE_YELLOW, 1.0, pixel.sunlight), second)
    return color


# ---- the mountain: asphalt with white edges and a dashed middle


MOUNTAIN_STAINS_A_METRE = np.float32(3.0)  # texels of stains for each metre along the road
_MOUNTAIN_HALF_M = 4.8  # half the width of the asphalt
_WHITE_EDGE = (4.20, 4.36)
_WHITE_MIDDLE = (-0.11, 0.11)
_NEAR_MIDDLE_M = 0.3  # no pixel farther from the middle shows the line there
_PERIOD_M = 6.0  # length of a dash and the gap after it
_DASH_M = 3.0  # length of a dash
_MOUNTAIN_ASPHALT = (112.0, 110.0, 106.0)
_MOUNTAIN_WHITE = (214.0, 212.0, 202.0)


@drawing(inline="always")
def mountain_road(pixel: RoadPixel, line_visibility: float) -> tuple[RGB, int]:
    """Return the mountain road's colour and its label."""
    offset_m = abs(pixel.cross_m)
    if offset_m >= _MOUNTAIN_HALF_M + pixel.width_m:
        return _NO_COLOR, GROUND

    brightness = 1.0 + 0.13 * pixel.fine + 0.06 * pixel.broad
    surface = lit(_MOUNTAIN_ASPHALT, brightness, pixel.sunlight)

    line = _covered_by(_WHITE_EDGE, offset_m, pixel.width_m) * line_visibility
    along_period_m = pixel.along_m - _PERIOD_M * math.floor(pixel.along_m / _PERIOD_M)
    if offset_m < _NEAR_MIDDLE_M and along_period_m < _DASH_M:
        line = _covered_by(_WHITE_MIDDLE, offset_m, pixel.width_m) * line_visibility
    if line > 0.0:
        white = lit(_MOUNTAIN_WHITE, 1.0 + 0.08 * pixel.fine, pixel.sunlight)
        surface = mixed(surface, white, line)

    label = ROAD
    if line > 0.5:
        label = LINE
    elif offset_m > _WHITE_EDGE[1]:
        label = EDGE
    return surface, label


# ---- designed roads, by the bands along them (RoadBands, inputs.py)


_LINE_INSET_M = 0.22  # from the road's edge to the outer side of the line along it
_KERB_RED = (214.0, 76.0, 66.0)  # of every second stripe of a kerb


@drawing(inline="always")
def _designed_road(pixel: RoadPixel, paint: Any, line_visibility: float) -> tuple[RGB, int]:
    """Return the colour and the label of a designed road."""
    bands = paint.bands
    metre = min(max(int(pixel.along_m), 0), paint.half_widths_m.size - 1)
    half_m = paint.half_widths_m[metre]
    # from the middle of the road or of its neighbor, whichever is nearer
    offset_m = abs(pixel.cross_m)
    if paint.neighbor_m[metre] != 0.0:
        offset_m = min(offset_m, abs(pixel.cross_m - paint.neighbor_m[metre]))

    # a shoulder is drawn in every pixel that it reaches, if only in part; without a shoulder, the
    # road is drawn where the pixel's middle lies inside its edge
    reach_m = half_m + bands.shoulder_m
    if bands.shoulder_m > 0.0:
        reach_m += 0.5 * pixel.width_m
    if offset_m >= reach_m:
        return _NO_COLOR, GROUND

    if offset_m > half_m:
        color = lit(bands.shoulder, 1.0 + 0.10 * pixel.broad, pixel.sunlight)
        if bands.stripe_m > 0.0:  # a kerb
            red = lit(_KERB_RED, 1.0, pixel.sunlight)
            color = mixed(color, red, _striped(pixel, bands.stripe_m))
        return color, EDGE

    paved = bands.texture == COBBLE
    fine = _cobbles(pixel, paint.textures) if paved else pixel.fine
    color = lit(bands.surface, 1.0 + bands.grain * fine + 0.06 * pixel.broad, pixel.sunlight)

    # most pixels show no line, and need no mixing
    line, middle = _designed_lines(pixel, bands, offset_m, half_m)
    if line * line_visibility > 0.0:
        paint_color = lit(bands.line, 1.0 + 0.06 * fine, pixel.sunlight)
        color = mixed(color, paint_color, line * line_visibility)
    if middle * line_visibility > 0.0:
        paint_color = lit(bands.middle, 1.0 + 0.06 * fine, pixel.sunlight)
        color = mixed(color, paint_color, middle * line_visibility)
    label = LINE if max(line, middle) * line_visibility > 0.5 else ROAD
    return color, label


@drawing()
def _designed_lines(
    pixel: RoadPixel, bands: Any, offset_m: float, half_m: float
) -> tuple[float, float]:
    """Return the fractions of a pixel that the edge's line and the middle's line cover.

    offset_m: distance of the pixel from the middle of the road
    half_m: half the width of the road's surface
    """
    inset_m = half_m - _LINE_INSET_M
    line = covered(offset_m, inset_m - bands.line_m, inset_m, pixel.width_m)
    if bands.middle_dash_m > 0.0 and math.floor(pixel.along_m / bands.middle_dash_m) % 2 == 1:
        return line, 0.0  # between two dashes
    middle = covered(offset_m, -0.5 * bands.middle_m, 0.5 * bands.middle_m, pixel.width_m)
    return line, middle


@drawing(inline="always")
def road_color(pixel: RoadPixel, paint: Any, line_visibility: float) -> tuple[RGB, int]:
    """Return the road's colour and label; the label is GROUND where there is no road."""
    if paint.style == MOUNTAIN_STYLE:
        return mountain_road(pixel, line_visibility)
    if paint.style == LAKE_STYLE:
        return _lake_road(pixel, paint, line_visibility)
    return _designed_road(pixel, paint, line_visibility)
