"""Colour the lake's road: the piece of it that a pixel shows -> colour and label; compiled.

From its middle outwards the road has asphalt, a yellow line, tar, then a kerb, a second line or
dirt, and a concrete border. The widths were measured on recordings: docs/explanation/simulator.md.

Colours are RGB under full light, before fog and daylight; lengths are metres.
"""

from typing import Any

from bcclone.simulator.render.road import (
    NO_COLOR,
    Band,
    RoadPixel,
    cobbles,
    covered_by,
    striped,
)
from bcclone.simulator.render.surface import EDGE, GROUND, LINE, RGB, ROAD, drawing, lit, mixed
from bcclone.simulator.scene.roadmap import DIRT, KERB

_YELLOW_LINE = Band(3.34, 3.46)
_TAR = Band(3.52, 3.78)
_SECOND_LINE = Band(3.80, 3.90)
_KERB = Band(3.78, 4.72)
_BORDER = Band(4.65, 6.4)  # the concrete border where there is no kerb
_BORDER_BEHIND_KERB = Band(_KERB.to_m, _BORDER.to_m)

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
def lake_road(pixel: RoadPixel, paint: Any, line_visibility: float) -> tuple[RGB, int]:
    """Return the lake road's colour and its label."""
    offset_m = abs(pixel.cross_m)

    # the bridge is paved from wall to wall
    if paint.bridge[0] < pixel.along_m < paint.bridge[1] and offset_m < _DECK_HALF_M:
        stones = cobbles(pixel, paint.textures)
        return lit(_LAKE_COBBLES, 1.0 + 0.19 * stones, pixel.sunlight), ROAD
    if offset_m >= _BORDER.to_m:
        return NO_COLOR, GROUND

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
        color = mixed(color, concrete, _lake_border(pixel, shoulder))
    return color, _lake_label(pixel, shoulder, line_visibility)


@drawing()
def _lake_border(pixel: RoadPixel, shoulder: int) -> float:
    """Return the fraction of a pixel that the concrete border covers."""
    border = _BORDER_BEHIND_KERB if shoulder == KERB else _BORDER
    return covered_by(border, abs(pixel.cross_m), pixel.width_m)


@drawing()
def _lake_label(pixel: RoadPixel, shoulder: int, line_visibility: float) -> int:
    """Return the label of a pixel of the lake's asphalt, kerb or border."""
    offset_m = abs(pixel.cross_m)
    if offset_m <= _LINES_FROM_M:
        return ROAD
    if covered_by(_YELLOW_LINE, offset_m, pixel.width_m) * line_visibility > 0.5:
        return LINE
    edge_from_m = _KERB.from_m if shoulder == KERB else _BORDER.from_m
    if offset_m > edge_from_m:
        return EDGE
    return ROAD


@drawing()
def _lake_lines(color: RGB, pixel: RoadPixel, shoulder: int, line_visibility: float) -> RGB:
    """Add the lines to the asphalt's colour: yellow, tar, and a kerb or a second line.

    color: of the asphalt
    """
    offset_m = abs(pixel.cross_m)

    # most pixels show none of the lines, and need no mixing
    line = covered_by(_YELLOW_LINE, offset_m, pixel.width_m) * line_visibility
    if line > 0.0:
        yellow = lit(_YELLOW, 1.0 + 0.06 * pixel.fine, pixel.sunlight)
        color = mixed(color, yellow, line)
    tar = covered_by(_TAR, offset_m, pixel.width_m) * line_visibility
    if tar > 0.0:
        black = lit(_TAR_COLOR, 1.0 + 0.10 * pixel.fine, pixel.sunlight)
        color = mixed(color, black, tar)

    if shoulder == KERB:
        covers = covered_by(_KERB, offset_m, pixel.width_m)
        if covers > 0.0:
            kerb = mixed(_KERB_WHITE, _KERB_LIGHT_RED, striped(pixel, _KERB_STRIPE_M))
            color = mixed(color, lit(kerb, 1.0, pixel.sunlight), covers)
        return color
    # the second line is faded
    second = covered_by(_SECOND_LINE, offset_m, pixel.width_m) * line_visibility * 0.6
    if second > 0.0:
        color = mixed(color, lit(_PALE_YELLOW, 1.0, pixel.sunlight), second)
    return color
