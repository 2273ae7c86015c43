"""Colour a designed road, by the bands along it (RoadBands); compiled.

In: the piece of road that a pixel shows, and the road's `Paint`. Out: its colour and label; the
label is GROUND beside the road. Colours are RGB under full light, before fog and daylight; lengths
are metres.
"""

import math
from typing import Any

from bcclone.simulator.render.road import (
    NO_COLOR,
    RoadPixel,
    cobbles,
    striped,
)
from bcclone.simulator.render.surface import (
    EDGE,
    GROUND,
    LINE,
    RGB,
    ROAD,
    covered,
    drawing,
    lit,
    mixed,
)
from bcclone.simulator.scene.textures import COBBLE

_LINE_INSET_M = 0.22  # from the road's edge to the outer side of the line along it
_KERB_RED = (214.0, 76.0, 66.0)  # of every second stripe of a kerb


@drawing(inline="always")
def designed_road(pixel: RoadPixel, paint: Any, line_visibility: float) -> tuple[RGB, int]:
    """Return the colour and the label of a designed road."""
    bands = paint.bands
    metre = min(max(int(pixel.along_m), 0), paint.half_widths_m.size - 1)
    half_m = paint.half_widths_m[metre]
    offset_m = _from_middle(pixel.cross_m, paint.neighbor_m[metre])

    # a shoulder is drawn in every pixel that it reaches, if only in part; without a shoulder, the
    # road is drawn where the pixel's middle lies inside its edge
    reach_m = half_m + bands.shoulder_m
    if bands.shoulder_m > 0.0:
        reach_m += 0.5 * pixel.width_m
    if offset_m >= reach_m:
        return NO_COLOR, GROUND

    if offset_m > half_m:
        return _shoulder(pixel, bands), EDGE

    paved = bands.texture == COBBLE
    fine = cobbles(pixel, paint.textures) if paved else pixel.fine
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


@drawing()
def _shoulder(pixel: RoadPixel, bands: Any) -> RGB:
    """Return the colour of the band along the edge of a designed road."""
    color = lit(bands.shoulder, 1.0 + 0.10 * pixel.broad, pixel.sunlight)
    if bands.stripe_m > 0.0:  # a kerb
        red = lit(_KERB_RED, 1.0, pixel.sunlight)
        color = mixed(color, red, striped(pixel, bands.stripe_m))
    return color


@drawing()
def _from_middle(cross_m: float, neighbor_m: float) -> float:
    """Return the distance from the middle of the road or of its neighbor, whichever is nearer.

    neighbor_m: offset of the neighbor's middle to the right, 0 for none
    """
    if neighbor_m == 0.0:
        return abs(cross_m)
    return min(abs(cross_m), abs(cross_m - neighbor_m))
