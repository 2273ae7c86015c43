"""What a road and its surroundings are made of."""

from dataclasses import dataclass

from bcclone.system.settings import check_settings, setting

SURFACES = ("asphalt", "dirt", "paving")
LINES = ("white", "yellow", "none")
MIDDLES = ("dashed", "solid", "none")
EDGES = ("grass", "sand", "gravel", "kerb", "none")
BARRIERS = ("none", "rail", "wall")
REACH_M = 16.0  # largest distance from the middle of a road at which a scene shows roads
SURROUNDINGS = ("meadow", "forest", "desert", "rock", "water", "town")


@dataclass(frozen=True)
class RoadLook:
    """The materials of a road.

    lines: along both edges; middle: in the same colour; edges: a band of edge_m metres beside the surface; barriers:
    along both sides; seed: of textures, hills and plants.
    """

    surface: str = setting("asphalt", "surface of the road", choices=SURFACES)
    shade: float = setting(1.0, "brightness of the surface", minimum=0.3, maximum=1.6)
    lines: str = setting("white", "lines along both edges", choices=LINES)
    middle: str = setting("dashed", "line in the middle", choices=MIDDLES)
    edges: str = setting("grass", "band beside the surface", choices=EDGES)
    edge_m: float = setting(1.0, "width of that band, in metres", minimum=0, maximum=2)
    barriers: str = setting("none", "rails or walls along both sides", choices=BARRIERS)
    surroundings: str = setting("meadow", "land beside the road", choices=SURROUNDINGS)
    neighbor_m: float = setting(
        0.0,
        "distance of the middle of another road on its right, negative on its left, where it does not bend sharply",
        minimum=-REACH_M,
        maximum=REACH_M,
        zero="none",
    )
    seed: int = setting(0, "seed of textures, hills and plants", minimum=0)

    def __post_init__(self) -> None:
        check_settings(self)
