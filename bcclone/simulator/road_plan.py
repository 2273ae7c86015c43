"""Plan a road: a JSON file, or what random_road draws -> control points -> a checked centre line.

A file: {"points": [[x, z, width], ...], "closed": false, "look": {"surface": "dirt"}}; a list of
points alone is allowed, and a point may have its height as a fourth number.

The rules for roads are the simulator's own, or those of the SBST and SBFT competitions:
github.com/se2p/tool-competition-av, code_pipeline/validation.py (2 to 500 points, a square map of
200 m, roads of two lanes of 4 m, longer than 20 m, radius of at least 47 feet).
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from bcclone.system.arrays import FloatArray
from bcclone.system.codec import explained, parse_json, read_bytes
from bcclone.system.errors import UserError
from bcclone.system.json_values import from_json
from bcclone.system.settings import Checked, Seed, setting

STEP_M = 0.5  # between two points of a centre line
RUN_OUT_M = 60.0  # that an open road goes on straight before its start and beyond its end
_FINE_M = 0.05
COMPETITION_WIDTH_M = 8.0  # of the competitions' roads
NARROWEST_M, WIDEST_M = 4.0, 16.0
_POINTS, _EXTENT_M, _LENGTH_M = 5000, 3000.0, 20_000.0  # at most
REACH_M = 16.0  # largest distance from the middle of a road at which a scene shows roads
CHOICES = {
    "surface": ("asphalt", "dirt", "paving"),
    "lines": ("white", "yellow", "none"),
    "middle": ("dashed", "solid", "none"),
    "edges": ("grass", "sand", "gravel", "kerb", "none"),
    "barriers": ("none", "rail", "wall"),
    "surroundings": ("meadow", "forest", "desert", "rock", "water", "town"),
}
_STEEPEST = 0.6  # between two points
_EXPECTED = (
    'expected {"points": [[x, z, width], ...]} in metres, with "closed" and "look" if needed'
)


@dataclass(frozen=True)
class RoadLook(Checked):
    """The materials of a road.

    lines: along both edges; middle: in the same colour; edges: a band of edge_m metres outside the
    surface; barriers: along both sides; seed: of textures, hills and plants.
    """

    surface: str = setting("asphalt", "surface of the road", choices=CHOICES["surface"])
    shade: float = setting(1.0, "brightness of the surface", 0.3, 1.6)
    lines: str = setting("white", "lines along both edges", choices=CHOICES["lines"])
    middle: str = setting("dashed", "line in the middle", choices=CHOICES["middle"])
    edges: str = setting("grass", "band along each edge of the surface", choices=CHOICES["edges"])
    edge_m: float = setting(1.0, "width of that band", 0, 2)
    barriers: str = setting("none", "rails or walls along both sides", choices=CHOICES["barriers"])
    surroundings: str = setting("meadow", "land around the road", choices=CHOICES["surroundings"])
    neighbor_m: float = setting(
        0.0,
        "distance of the middle of another road on its right, negative on its left, where it does not bend sharply",
        -REACH_M,
        REACH_M,
        zero="none",
    )
    seed: Seed = setting(0, "seed of textures, hills and plants")


class ControlPoint(NamedTuple):
    """A point of a road's centre line: x to the east, y up, z to the north, and the width of the
    road, in metres.
    """

    x: float
    y: float
    z: float
    width_m: float


@dataclass(frozen=True)
class RoadPlan:
    """A road before it is built. closed: the last point leads to the first. Raises UserError for
    impossible values.
    """

    name: str
    points: tuple[ControlPoint, ...]
    closed: bool = False
    look: RoadLook = field(default_factory=RoadLook)

    def __post_init__(self) -> None:
        least = 4 if self.closed else 2
        if not least <= len(self.points) <= _POINTS:
            kind = "a closed road" if self.closed else "a road"
            raise UserError(
                f"{self.name}: {len(self.points)} points, expected {least} to {_POINTS} for {kind}"
            )
        for number, point in enumerate(self.points, 1):
            if not (all(map(math.isfinite, point)) and NARROWEST_M <= point.width_m <= WIDEST_M):
                raise UserError(
                    f"{self.name}: point {number} is at {point.x:g}, {point.y:g}, {point.z:g} and {point.width_m:g} m "
                    f"wide, expected finite numbers and a width of {NARROWEST_M:g} to {WIDEST_M:g} m"
                )
        level = self.steps[:, [0, 2]]
        for metres, way, most in (
            (float(np.ptp(self.table[:, [0, 2]], axis=0).max()), "across", _EXTENT_M),
            (float(_lengths(self.steps).sum()), "long", _LENGTH_M),
        ):
            if metres > most:
                raise UserError(f"{self.name}: {metres:.0f} m {way}, expected at most {most:g} m")
        short = np.flatnonzero((level * level).sum(axis=1) < 1e-4)
        if len(short):
            raise UserError(
                f"{self.name}: points {short[0] + 1} and {short[0] + 2} are at the same place; remove one"
            )

    @property
    def table(self) -> FloatArray:
        """Return x, y, z and width of every point, float64 (points, 4)."""
        return np.array(self.points, float)

    @property
    def steps(self) -> FloatArray:
        """Return x, y and z from each point to the next one, (steps, 3)."""
        return np.diff(self.points + self.points[: self.closed], axis=0)[:, :3]


@dataclass(frozen=True)
class _StoredRoad:
    """The content of a road's file. points: x, z, width and perhaps height of each, in metres."""

    points: tuple[tuple[float, ...], ...]
    closed: bool = False
    look: RoadLook = field(default_factory=RoadLook)

    def __post_init__(self) -> None:
        for number, point in enumerate(self.points, 1):
            if len(point) not in (3, 4):
                raise ValueError(
                    f"point {number} is {list(point)}, expected [x, z, width] or [x, z, width, height]"
                )


def read_points(path: Path) -> RoadPlan:
    """Return the plan in a file. Raises UserError if it is not a road."""
    with explained(path, "a road", _EXPECTED):
        stored = parse_json(read_bytes(path, "settings"))
        road = from_json(_StoredRoad, {"points": stored} if isinstance(stored, list) else stored)
    points = tuple(
        ControlPoint(x, height[0] if height else 0.0, z, width)
        for x, z, width, *height in road.points
    )
    plan = RoadPlan(str(path), points, road.closed, road.look)
    for number, (x, rise, z) in enumerate(plan.steps.tolist(), 1):
        run = math.hypot(x, z)
        if abs(rise) > _STEEPEST * run:
            raise UserError(
                f"{path}: {abs(rise):.0f} m of height over {run:.0f} m from point {number} to "
                f"{number % len(points) + 1}; expected at most {_STEEPEST:g} m for each metre"
            )
    return plan


@dataclass(frozen=True)
class RoadLine:
    """points: x, y, z, float64 (points, 3), metres; widths_m: (points,); length_m: of the whole
    line.
    """

    points: FloatArray
    widths_m: FloatArray
    length_m: float


def interpolate(table: FloatArray, closed: bool) -> RoadLine:
    """Return the cubic spline through points, resampled by its length.

    table: x, y, z and width, (points, 4); between points the width changes linearly.
    """
    if closed:
        table = np.vstack([table, table[:1]])
    chord = np.append(0.0, np.cumsum(_lengths(np.diff(table[:, :3], axis=0))))
    spline = CubicSpline(chord, table[:, :3], bc_type="periodic" if closed else "natural")
    at = np.append(np.arange(0.0, chord[-1], _FINE_M), chord[-1])
    fine, widths = spline(at), np.interp(at, chord, table[:, 3])
    length = np.append(0.0, np.cumsum(_lengths(np.diff(fine, axis=0))))
    even = np.linspace(
        0.0, length[-1], max(round(length[-1] / STEP_M), 2) + (not closed), endpoint=not closed
    )
    points, width = (
        np.column_stack([np.interp(even, length, axis) for axis in axes])
        for axes in (fine.T, [widths])
    )
    # rounded to a micrometre: the solver of the spline rounds differently on different processors
    return RoadLine(np.round(points, 6), np.round(width[:, 0], 6), round(float(length[-1]), 6))


def with_run_outs(line: RoadLine) -> RoadLine:
    """Return an open line that goes on straight and level at both ends."""
    points, count = line.points, round(RUN_OUT_M / STEP_M)
    away = np.arange(1, count + 1)[:, None] * STEP_M
    before = points[0] + _level_direction(points[0] - points[1]) * away[::-1]
    after = points[-1] + _level_direction(points[-1] - points[-2]) * away
    widths = np.pad(line.widths_m, count, mode="edge")
    return RoadLine(
        np.round(np.vstack([before, points, after]), 6), widths, line.length_m + 2 * RUN_OUT_M
    )


def _level_direction(step: FloatArray) -> FloatArray:
    level = step * (1.0, 0.0, 1.0)
    return np.asarray(level / np.sqrt((level * level).sum()))


def _lengths(steps: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt((steps * steps).sum(axis=1)))


@dataclass(frozen=True)
class RoadRules:
    """What a road must keep to. map_m: side of the square map with its corner at the origin, None
    for no map.
    """

    map_m: float | None = 200.0
    least_length_m: float = 20.0
    least_radius_m: float = 47 / 3.280839895
    points: tuple[int, int] = (2, 500)


def judge_road(
    points: FloatArray, width_m: float = COMPETITION_WIDTH_M, rules: RoadRules | None = None
) -> list[str]:
    """Return the faults of a road, an empty list for a valid one.

    points: x and z of control points in metres, (points, 2); the road is their cubic spline.
    width_m: of the whole road; rules: by default the competitions'.
    """
    rules = rules or RoadRules()
    fewest, most = rules.points
    if not fewest <= len(points) <= most:
        return [f"{len(points)} points, expected {fewest} to {most}"]
    corners = np.asarray(points, float)
    if corners.ndim != 2 or corners.shape[1] != 2:
        return [f"points of the shape {corners.shape}, expected pairs of x and z"]
    if not np.isfinite(corners).all():
        return [
            f"point {int(np.argmin(np.isfinite(corners).all(axis=1))) + 1} is not of finite numbers"
        ]
    if (repeated := np.flatnonzero((np.diff(corners, axis=0) == 0).all(axis=1))).size:
        return [f"point {repeated[0] + 2} is where the one before it is"]
    x, z = corners.T
    table = np.column_stack([x, np.zeros(len(x)), z, np.full(len(x), width_m)])
    return faults_of_line(interpolate(table, closed=False).points[:, [0, 2]], width_m / 2, rules)


def faults_of_line(
    line: FloatArray, half_width_m: float, rules: RoadRules, closed: bool = False
) -> list[str]:
    """Return the faults of a centre line with a point every half metre, (points, 2)."""
    faults, length_m = [], float(_lengths(np.diff(line, axis=0)).sum())
    if length_m < rules.least_length_m:
        faults.append(f"{length_m:.0f} m long, expected at least {rules.least_length_m:g} m")
    if rules.map_m is not None:
        low, high = float(line.min()) - half_width_m, float(line.max()) + half_width_m
        if low < 0 or high > rules.map_m:
            faults.append(
                f"not inside the map of {rules.map_m:g} m: it reaches from {low:.0f} to {high:.0f} m"
            )
    radius_m, sharpest = sharpest_bend(line, closed)
    if radius_m < rules.least_radius_m:
        x, z = line[sharpest]
        faults.append(
            f"a bend of {radius_m:.1f} m radius at x {x:.0f}, z {z:.0f}; expected at least {rules.least_radius_m:.1f} m"
        )
    if (meeting := _meets_itself(line, half_width_m, closed)) is not None:
        x, z = line[meeting]
        faults.append(
            f"it meets itself at x {x:.0f}, z {z:.0f}; expected {2 * half_width_m:g} m between its parts"
        )
    return faults


def sharpest_bend(line: FloatArray, closed: bool) -> tuple[float, int]:
    """Return the smallest radius of a line in metres, infinite for a straight one, and the index of
    its point.

    It is the radius of the circle through points 2 m apart, since a road is no smoother than its
    control points.
    """
    reach = 4
    ahead, behind = np.roll(line, -reach, axis=0), np.roll(line, reach, axis=0)
    first, second, whole = line - behind, ahead - line, ahead - behind
    area = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
    radius = _lengths(first) * _lengths(second) * _lengths(whole) / np.maximum(2 * area, 1e-9)
    if not closed:
        radius[:reach] = radius[-reach:] = np.inf
    index = int(np.argmin(radius))
    return float(radius[index]) if radius[index] < 1e6 else np.inf, index


def _meets_itself(line: FloatArray, half_width_m: float, closed: bool) -> int | None:
    """Return the index of a point that is nearer than the road's width to a part of the line
    elsewhere.
    """
    tree, distance_m = cKDTree(line), 2 * half_width_m
    # a half circle around the inner edge is as long as pi half widths; a point is half a metre
    near_m = np.pi * half_width_m * 1.5
    crowd = tree.query_ball_point(line, distance_m, return_length=True)
    if (
        crowd.max() > 4 * near_m + 1
    ):  # more than the points before and after it; all pairs would not fit in memory
        return int(crowd.argmax())
    pairs = tree.query_pairs(distance_m, output_type="ndarray")
    apart = np.abs(pairs[:, 0] - pairs[:, 1])
    if closed:
        apart = np.minimum(apart, len(line) - apart)
    meeting = pairs[apart * 0.5 > near_m]
    return int(meeting[:, 0].min()) if len(meeting) else None
