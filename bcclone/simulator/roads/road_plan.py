"""Plan a road: a JSON file, or what random_road draws -> checked control points and materials.

{"points": [[x, z, width], ...], "closed": false, "look": {"surface": "dirt"}}; a list of points alone is allowed, and a
point may have its height as a fourth number.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from bcclone.system.arrays import FloatArray
from bcclone.system.codec import explained, parse_json, read_bytes
from bcclone.system.errors import UserError
from bcclone.system.json_values import from_json
from bcclone.system.settings import Seed, check_settings, setting

NARROWEST_M, WIDEST_M = 4.0, 16.0
_POINTS, _EXTENT_M, _LENGTH_M = 5000, 3000.0, 20_000.0  # at most
SURFACES = ("asphalt", "dirt", "paving")
LINES = ("white", "yellow", "none")
MIDDLES = ("dashed", "solid", "none")
EDGES = ("grass", "sand", "gravel", "kerb", "none")
BARRIERS = ("none", "rail", "wall")
REACH_M = 16.0  # largest distance from the middle of a road at which a scene shows roads
SURROUNDINGS = ("meadow", "forest", "desert", "rock", "water", "town")
_STEEPEST = 0.6  # between two points
_EXPECTED = 'expected {"points": [[x, z, width], ...]} in metres, with "closed" and "look" if needed'


@dataclass(frozen=True)
class RoadLook:
    """The materials of a road.

    lines: along both edges; middle: in the same colour; edges: a band of edge_m metres outside the surface; barriers:
    along both sides; seed: of textures, hills and plants.
    """

    surface: str = setting("asphalt", "surface of the road", choices=SURFACES)
    shade: float = setting(1.0, "brightness of the surface", 0.3, 1.6)
    lines: str = setting("white", "lines along both edges", choices=LINES)
    middle: str = setting("dashed", "line in the middle", choices=MIDDLES)
    edges: str = setting("grass", "band along each edge of the surface", choices=EDGES)
    edge_m: float = setting(1.0, "width of that band", 0, 2)
    barriers: str = setting("none", "rails or walls along both sides", choices=BARRIERS)
    surroundings: str = setting("meadow", "land around the road", choices=SURROUNDINGS)
    neighbor_m: float = setting(
        0.0,
        "distance of the middle of another road on its right, negative on its left, where it does not bend sharply",
        -REACH_M,
        REACH_M,
        zero="none",
    )
    seed: Seed = setting(0, "seed of textures, hills and plants")

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class ControlPoint:
    """A point of a road's centre line: x to the east, y up, z to the north, and the width of the road, in metres."""

    x: float
    y: float
    z: float
    width_m: float


@dataclass(frozen=True)
class RoadPlan:
    """A road before it is built. closed: the last point leads to the first. Raises UserError for impossible values."""

    name: str
    points: tuple[ControlPoint, ...]
    closed: bool = False
    look: RoadLook = field(default_factory=RoadLook)

    def __post_init__(self) -> None:
        least = 4 if self.closed else 2
        if not least <= len(self.points) <= _POINTS:
            kind = "a closed road" if self.closed else "a road"
            raise UserError(f"{self.name}: {len(self.points)} points, expected {least} to {_POINTS} for {kind}")
        table = self.table
        if not np.isfinite(table).all():
            number = int(np.flatnonzero(~np.isfinite(table).all(axis=1))[0]) + 1
            raise UserError(f"{self.name}: point {number} is not finite; expected x, z and width in metres")
        for number, point in enumerate(self.points, 1):
            if not NARROWEST_M <= point.width_m <= WIDEST_M:
                raise UserError(
                    f"{self.name}: point {number} is {point.width_m:g} m wide, expected "
                    f"{NARROWEST_M:g} to {WIDEST_M:g} m"
                )
        extent = float(np.ptp(table[:, [0, 2]], axis=0).max())
        if extent > _EXTENT_M:
            raise UserError(f"{self.name}: {extent:.0f} m across, expected at most {_EXTENT_M:g} m")
        steps = np.diff(np.vstack([table, table[:1]]) if self.closed else table, axis=0)[:, :3]
        length = float(np.sqrt((steps * steps).sum(axis=1)).sum())
        if length > _LENGTH_M:
            raise UserError(f"{self.name}: {length:.0f} m long, expected at most {_LENGTH_M:g} m; use fewer points")
        level = steps[:, [0, 2]]
        short = np.flatnonzero((level * level).sum(axis=1) < 1e-4)
        if len(short):
            raise UserError(f"{self.name}: points {short[0] + 1} and {short[0] + 2} are at the same place; remove one")

    @property
    def table(self) -> FloatArray:
        """Return x, y, z and width of every point, float64 (points, 4)."""
        return np.array([(point.x, point.y, point.z, point.width_m) for point in self.points], float)


@dataclass(frozen=True)
class _StoredRoad:
    """The content of a road's file. points: x, z, width and perhaps height of each, in metres."""

    points: tuple[tuple[float, ...], ...]
    closed: bool = False
    look: RoadLook = field(default_factory=RoadLook)

    def __post_init__(self) -> None:
        for number, point in enumerate(self.points, 1):
            if len(point) not in (3, 4):
                raise ValueError(f"point {number} is {list(point)}, expected [x, z, width] or [x, z, width, height]")


def read_points(path: Path) -> RoadPlan:
    """Return the plan in a file. Raises UserError if it is not a road."""
    with explained(path, "a road", _EXPECTED):
        stored = parse_json(read_bytes(path, "settings"))
        road = from_json(_StoredRoad, {"points": stored} if isinstance(stored, list) else stored)
    points = tuple(ControlPoint(x, height[0] if height else 0.0, z, width) for x, z, width, *height in road.points)
    _check_slopes(path, points, road.closed)
    return RoadPlan(str(path), points, road.closed, road.look)


def _check_slopes(path: Path, points: Sequence[ControlPoint], closed: bool) -> None:
    for number, (here, there) in enumerate(pairwise((*points, points[0]) if closed and points else points), 1):
        rise, run = abs(there.y - here.y), math.dist((here.x, here.z), (there.x, there.z))
        if rise > _STEEPEST * run > 0:
            raise UserError(
                f"{path}: {rise:.0f} m of height over {run:.0f} m from point {number} to {number % len(points) + 1}; "
                f"expected at most {_STEEPEST:g} m for each metre"
            )
