"""Prepare a designed road's look for the compiled code: RoadLook -> RoadBands.

A designed road comes from a seed or a file, not from the Udacity simulator. Its bands run along it:
the surface, lines, and a shoulder along each edge.
"""

from typing import NamedTuple

from bcclone.simulator.render.surface import RGB
from bcclone.simulator.road_plan import RoadLook
from bcclone.simulator.scene.textures import ASPHALT, COBBLE


class RoadBands(NamedTuple):
    """Colours and widths of a designed road's parts; colours are RGB, 0 to 255."""

    surface: RGB
    texture: int  # number of the surface's texture, from scene/textures.py
    grain: float  # contrast of that texture
    line: RGB  # colour of the lines along both edges
    line_m: float  # width of these lines, 0 for none
    middle: RGB  # colour of the line in the middle
    middle_m: float  # width of the line in the middle, 0 for none
    middle_dash_m: float  # length of a dash and of a gap, 0 for a solid line
    shoulder: RGB  # colour of the band outside each edge
    shoulder_m: float  # width of that band, 0 for none
    stripe_m: float  # length of a stripe of a kerb, along the road; 0 without a kerb


class _Material(NamedTuple):
    """Colour, texture and contrast of a surface, as in RoadBands."""

    color: RGB
    texture: int
    grain: float


# Colours are RGB under full light, chosen to look like the materials in daylight photographs
_SURFACES = {
    "asphalt": _Material((118.0, 117.0, 112.0), ASPHALT, 0.18),
    "dirt": _Material((176.0, 132.0, 92.0), ASPHALT, 0.08),
    "paving": _Material((160.0, 142.0, 130.0), COBBLE, 0.19),
}
_WHITE = (214.0, 212.0, 202.0)
_LINES = {
    "white": _WHITE,
    "yellow": (206.0, 184.0, 78.0),
    "none": (0.0, 0.0, 0.0),
}
_EDGES = {
    "grass": (110.0, 138.0, 62.0),
    "sand": (212.0, 190.0, 140.0),
    "gravel": (150.0, 144.0, 134.0),
    "kerb": (226.0, 218.0, 210.0),
    "none": (0.0, 0.0, 0.0),
}
_LINE_M = 0.14  # width of a line
_DASH_M = 3.0  # length of a dash, and of a gap
_STRIPE_M = 0.6  # length of a stripe of a kerb


def bands_of(look: RoadLook) -> RoadBands:
    """Return the bands of a designed road."""
    material = _SURFACES[look.surface]
    red, green, blue = material.color

    # the line in the middle has the colour of the lines along the edges, white if there are none
    middle = _LINES[look.lines]
    if look.lines == "none":
        middle = _WHITE
    return RoadBands(
        surface=(red * look.shade, green * look.shade, blue * look.shade),
        texture=material.texture,
        grain=material.grain,
        line=_LINES[look.lines],
        line_m=_metres_if(look.lines != "none", _LINE_M),
        middle=middle,
        middle_m=_metres_if(look.middle != "none", _LINE_M),
        middle_dash_m=_metres_if(look.middle == "dashed", _DASH_M),
        shoulder=_EDGES[look.edges],
        shoulder_m=_metres_if(look.edges != "none", look.edge_m),
        stripe_m=_metres_if(look.edges == "kerb", _STRIPE_M),
    )


def _metres_if(present: bool, size_m: float) -> float:
    """Return the size of a band that is present, 0 for one that is not."""
    return size_m if present else 0.0
