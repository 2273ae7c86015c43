"""The plan of a road: control points, and what it is made of."""

from dataclasses import dataclass, field

import numpy as np

from bcclone.simulator.roads.look import RoadLook
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError

NARROWEST_M, WIDEST_M = 4.0, 16.0
MOST_POINTS, MOST_EXTENT_M = 5000, 3000.0


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
        if not least <= len(self.points) <= MOST_POINTS:
            kind = "a closed road" if self.closed else "a road"
            raise UserError(f"{self.name}: {len(self.points)} points; {kind} has {least} to {MOST_POINTS}")
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
        if extent > MOST_EXTENT_M:
            raise UserError(f"{self.name}: {extent:.0f} m across, expected at most {MOST_EXTENT_M:g} m")
        steps = np.diff(np.vstack([table, table[:1]]) if self.closed else table, axis=0)[:, [0, 2]]
        short = np.flatnonzero((steps * steps).sum(axis=1) < 1e-4)
        if len(short):
            raise UserError(f"{self.name}: points {short[0] + 1} and {short[0] + 2} are at the same place; remove one")

    @property
    def table(self) -> FloatArray:
        """Return x, y, z and width of every point, float64 (points, 4)."""
        return np.array([(point.x, point.y, point.z, point.width_m) for point in self.points], float)
