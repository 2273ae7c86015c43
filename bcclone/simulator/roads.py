"""Plan a road: a JSON file -> checked control points and materials.

A file is, for example, {"points": [[x, z, width], ...], "closed": false, "look": {"surface":
"dirt"}}. It may hold the list of points alone; a point may have its height as a fourth number.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bcclone.simulator.road_line import lengths
from bcclone.system.arrays import FloatArray
from bcclone.system.codec import explained, parse_json, read_bytes
from bcclone.system.errors import UserError
from bcclone.system.settings import Checked, Seed, setting
from bcclone.system.values import from_json

REACH_M = 16.0  # a scene shows other roads up to this distance from the middle of a road

CHOICES = {  # field of RoadLook -> its allowed values
    "surface": ("asphalt", "dirt", "paving"),
    "lines": ("white", "yellow", "none"),
    "middle": ("dashed", "solid", "none"),
    "edges": ("grass", "sand", "gravel", "kerb", "none"),
    "barriers": ("none", "rail", "wall"),
    "surroundings": ("meadow", "forest", "desert", "rock", "water", "town"),
}


@dataclass(frozen=True)
class RoadLook(Checked):
    """The materials of a road."""

    surface: str = setting("asphalt", choices=CHOICES["surface"])
    shade: float = setting(1.0, "brightness of the surface", 0.3, 1.6)
    lines: str = setting("white", "lines along both edges", choices=CHOICES["lines"])
    middle: str = setting("dashed", "line in the middle", choices=CHOICES["middle"])
    edges: str = setting("grass", "band along the surface", choices=CHOICES["edges"])
    edge_m: float = setting(1.0, "width of that band", 0, 2)
    barriers: str = setting("none", "along both sides", choices=CHOICES["barriers"])
    surroundings: str = setting("meadow", choices=CHOICES["surroundings"])
    # distance of the middle of another road on its right, negative on its left, where it does not
    # bend sharply; 0 for none
    neighbor_m: float = setting(0.0, "", -REACH_M, REACH_M)
    seed: Seed = setting(0, "seed of textures, hills and plants")


class ControlPoint(NamedTuple):
    """A point of a road's centre line."""

    x: float  # to the east, in metres
    y: float  # up
    z: float  # to the north
    width_m: float  # width of the road


NARROWEST_M = 4.0
WIDEST_M = 16.0
_MAX_POINTS = 5000
_MAX_EXTENT_M = 3000.0  # from west to east, and from south to north
_MAX_LENGTH_M = 20_000.0


@dataclass(frozen=True)
class RoadPlan:
    """A road before it is built. Raises UserError for impossible values."""

    name: str
    points: tuple[ControlPoint, ...]
    closed: bool = False  # the last point leads to the first
    look: RoadLook = field(default_factory=RoadLook)

    def __post_init__(self) -> None:
        fewest = 4 if self.closed else 2
        if not fewest <= len(self.points) <= _MAX_POINTS:
            kind = "a closed road" if self.closed else "a road"
            raise UserError(
                f"{self.name}: {len(self.points)} points, expected {fewest} to {_MAX_POINTS} for "
                f"{kind}; add or remove points"
            )
        for number, point in enumerate(self.points, 1):
            finite = all(map(math.isfinite, point))
            if not (finite and NARROWEST_M <= point.width_m <= WIDEST_M):
                raise UserError(
                    f"{self.name}: point {number} is at {point.x:g}, {point.y:g}, {point.z:g} and "
                    f"{point.width_m:g} m wide, expected finite numbers and a width of "
                    f"{NARROWEST_M:g} to {WIDEST_M:g} m; correct that point"
                )

        extent_m = float(np.ptp(self.table[:, [0, 2]], axis=0).max())
        length_m = float(lengths(self.steps).sum())
        for metres, way, most_m in (
            (extent_m, "across", _MAX_EXTENT_M),
            (length_m, "long", _MAX_LENGTH_M),
        ):
            if metres > most_m:
                raise UserError(
                    f"{self.name}: {metres:.0f} m {way}, expected at most {most_m:g} m; "
                    "remove points"
                )

        level = self.steps[:, [0, 2]]
        short = np.flatnonzero((level * level).sum(axis=1) < 1e-4)
        if len(short):
            raise UserError(
                f"{self.name}: points {short[0] + 1} and {short[0] + 2} are at the same place; "
                "remove one"
            )

    @property
    def table(self) -> FloatArray:
        """Return x, y, z and width of every point, float64 (points, 4)."""
        return np.array(self.points, float)

    @property
    def steps(self) -> FloatArray:
        """Return x, y and z from each point to the next one, (steps, 3)."""
        table = self.table
        if self.closed:
            table = np.vstack([table, table[:1]])
        return np.diff(table, axis=0)[:, :3]


# ---- a file


@dataclass(frozen=True)
class _StoredRoad:
    """The content of a road's file."""

    points: tuple[tuple[float, ...], ...]  # x, z, width and perhaps height in metres, each
    closed: bool = False
    look: RoadLook = field(default_factory=RoadLook)

    def __post_init__(self) -> None:
        for number, point in enumerate(self.points, 1):
            if len(point) not in (3, 4):
                raise ValueError(
                    f"point {number} is {list(point)}, expected [x, z, width] or [x, z, width, "
                    "height]"
                )


_EXPECTED = (
    'expected {"points": [[x, z, width], ...]} in metres, with "closed" and "look" if needed'
)
_STEEPEST_STEP = 0.6  # rise between two points, for each metre between them


def read_road_file(path: Path) -> bytes:
    """Return the content of a road's file; raises UserError if it cannot be read."""
    with explained(path, "a road", _EXPECTED):
        return read_bytes(path, "settings")


def read_points(path: Path) -> RoadPlan:
    """Return the plan in a file. Raises UserError if it is not a road."""
    stored = read_road_file(path)
    with explained(path, "a road", _EXPECTED):
        content = parse_json(stored)
        if isinstance(content, list):
            content = {"points": content}
        road = from_json(_StoredRoad, content)
    points = []
    for x, z, width_m, *height in road.points:
        y = height[0] if height else 0.0
        points.append(ControlPoint(x, y, z, width_m))
    plan = RoadPlan(str(path), tuple(points), road.closed, road.look)

    for number, (x, rise, z) in enumerate(plan.steps.tolist(), 1):
        run = math.hypot(x, z)
        if abs(rise) > _STEEPEST_STEP * run:
            raise UserError(
                f"{path}: {abs(rise):.0f} m of height over {run:.0f} m from point {number} to "
                f"{number % len(points) + 1}; expected at most {_STEEPEST_STEP:g} m for each metre"
            )
    return plan
