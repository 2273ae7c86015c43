"""Describe a road to the renderer: its look -> numbers of the bands of colour from its middle to its edge."""

from typing import NamedTuple

from bcclone.simulator.roads.road_plan import RoadLook
from bcclone.simulator.scene.textures import ASPHALT, COBBLE

Color = tuple[float, float, float]

# RGB under full light: chosen to look like the materials in daylight photographs
_SURFACES: dict[str, tuple[Color, int, float]] = {  # colour, texture, contrast of its grain
    "asphalt": ((118.0, 117.0, 112.0), ASPHALT, 0.18),
    "dirt": ((176.0, 132.0, 92.0), ASPHALT, 0.08),
    "paving": ((160.0, 142.0, 130.0), COBBLE, 0.19),
}
_LINES: dict[str, Color] = {"white": (214.0, 212.0, 202.0), "yellow": (206.0, 184.0, 78.0), "none": (0.0, 0.0, 0.0)}
_EDGES: dict[str, Color] = {
    "grass": (110.0, 138.0, 62.0),
    "sand": (212.0, 190.0, 140.0),
    "gravel": (150.0, 144.0, 134.0),
    "kerb": (226.0, 218.0, 210.0),
    "none": (0.0, 0.0, 0.0),
}
_LINE_M, _DASH_M, _STRIPE_M = 0.14, 3.0, 0.6


class RoadBands(NamedTuple):
    """Colours are RGB, 0 to 255; lengths are metres.

    surface, texture, grain: of the road, its texture's number and contrast; line: of the lines along both edges, line_m
    wide; middle: of the line in the middle; middle_dash_m: length of a dash and of a gap, 0 for a solid line; shoulder:
    the band along each edge; stripe_m: length of a kerb's stripes, 0 for none.
    """

    surface: Color
    texture: int
    grain: float
    line: Color
    line_m: float
    middle: Color
    middle_m: float
    middle_dash_m: float
    shoulder: Color
    shoulder_m: float
    stripe_m: float


def bands_of(look: RoadLook) -> RoadBands:
    """Return the bands of a road."""
    color, texture, grain = _SURFACES[look.surface]
    red, green, blue = (channel * look.shade for channel in color)
    lined = look.lines != "none"
    middle = "white" if look.lines == "none" else look.lines
    return RoadBands(
        surface=(red, green, blue),
        texture=texture,
        grain=grain,
        line=_LINES[look.lines],
        line_m=_LINE_M if lined else 0.0,
        middle=_LINES[middle],
        middle_m=_LINE_M if look.middle != "none" else 0.0,
        middle_dash_m=_DASH_M if look.middle == "dashed" else 0.0,
        shoulder=_EDGES[look.edges],
        shoulder_m=look.edge_m if look.edges != "none" else 0.0,
        stripe_m=_STRIPE_M if look.edges == "kerb" else 0.0,
    )
