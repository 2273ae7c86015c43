"""Colour the mountain's road: the piece of it that a pixel shows -> colour and label; compiled.

The road has asphalt with white edges and a dashed middle. Colours are RGB under full light, before
fog and daylight; lengths are metres.
"""

import math

import numpy as np

from bcclone.simulator.render.road import (
    NO_COLOR,
    Band,
    RoadPixel,
    covered_by,
)
from bcclone.simulator.render.surface import EDGE, GROUND, LINE, RGB, ROAD, drawing, lit, mixed

STAINS_A_METRE = np.float32(3.0)  # texels of stains for each metre along the road
_MOUNTAIN_HALF_M = 4.8  # half the width of the asphalt
_WHITE_EDGE = Band(4.20, 4.36)
_WHITE_MIDDLE = Band(-0.11, 0.11)
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
        return NO_COLOR, GROUND

    brightness = 1.0 + 0.13 * pixel.fine + 0.06 * pixel.broad
    surface = lit(_MOUNTAIN_ASPHALT, brightness, pixel.sunlight)

    line = covered_by(_WHITE_EDGE, offset_m, pixel.width_m) * line_visibility
    along_period_m = pixel.along_m - _PERIOD_M * math.floor(pixel.along_m / _PERIOD_M)
    if offset_m < _NEAR_MIDDLE_M and along_period_m < _DASH_M:
        line = covered_by(_WHITE_MIDDLE, offset_m, pixel.width_m) * line_visibility
    if line > 0.0:
        white = lit(_MOUNTAIN_WHITE, 1.0 + 0.08 * pixel.fine, pixel.sunlight)
        surface = mixed(surface, white, line)

    label = ROAD
    if line > 0.5:
        label = LINE
    elif offset_m > _WHITE_EDGE.to_m:
        label = EDGE
    return surface, label
