"""Check roads: points -> faults, by the simulator's own rules or the rules of the SBST and SBFT competitions.

The competitions' figures: github.com/se2p/tool-competition-av, code_pipeline/validation.py (2 to 500 points, a square
map of 200 m, roads of two lanes of 4 m, longer than 20 m, radius of at least 47 feet).
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from bcclone.simulator.roads.line import interpolate
from bcclone.system.arrays import FloatArray

COMPETITION_WIDTH_M = 8.0


@dataclass(frozen=True)
class RoadRules:
    """What a road must keep to. map_m: side of the square map with its corner at the origin, None for no map."""

    map_m: float | None = 200.0
    least_length_m: float = 20.0
    least_radius_m: float = 47 / 3.280839895
    points: tuple[int, int] = (2, 500)


def judge_road(points: FloatArray, width_m: float = COMPETITION_WIDTH_M, rules: RoadRules | None = None) -> list[str]:
    """Return the faults of a road, an empty list for a valid one.

    points: x and z of control points in metres, (points, 2); the road is their cubic spline. width_m: of the whole
    road; rules: by default the competitions'.
    """
    rules = rules or RoadRules()
    fewest, most = rules.points
    if not fewest <= len(points) <= most:
        return [f"{len(points)} points, expected {fewest} to {most}"]
    corners = np.asarray(points, float)
    if corners.ndim != 2 or corners.shape[1] != 2:
        return [f"points of the shape {corners.shape}, expected pairs of x and z"]
    if not np.isfinite(corners).all():
        return [f"point {int(np.argmin(np.isfinite(corners).all(axis=1))) + 1} is not of finite numbers"]
    if (repeated := np.flatnonzero((np.diff(corners, axis=0) == 0).all(axis=1))).size:
        return [f"point {repeated[0] + 2} is where the one before it is"]
    x, z = corners.T
    table = np.column_stack([x, np.zeros(len(x)), z, np.full(len(x), width_m)])
    return faults_of_line(interpolate(table, closed=False).points[:, [0, 2]], width_m / 2, rules)


def faults_of_line(line: FloatArray, half_width_m: float, rules: RoadRules, closed: bool = False) -> list[str]:
    """Return the faults of a centre line with a point every half metre, (points, 2)."""
    faults = []
    steps = np.diff(line, axis=0)
    lengths = np.sqrt((steps * steps).sum(axis=1))
    length_m = float(lengths.sum())
    if length_m < rules.least_length_m:
        faults.append(f"{length_m:.0f} m long, expected at least {rules.least_length_m:g} m")
    if rules.map_m is not None:
        low, high = float(line.min()) - half_width_m, float(line.max()) + half_width_m
        if low < 0 or high > rules.map_m:
            faults.append(f"not inside the map of {rules.map_m:g} m: it reaches from {low:.0f} to {high:.0f} m")
    radius_m, sharpest = sharpest_bend(line, closed)
    if radius_m < rules.least_radius_m:
        x, z = line[sharpest]
        faults.append(
            f"a bend of {radius_m:.1f} m radius at x {x:.0f}, z {z:.0f}; expected at least {rules.least_radius_m:.1f} m"
        )
    if (meeting := _meets_itself(line, half_width_m, closed)) is not None:
        x, z = line[meeting]
        faults.append(f"it meets itself at x {x:.0f}, z {z:.0f}; expected {2 * half_width_m:g} m between its parts")
    return faults


def sharpest_bend(line: FloatArray, closed: bool) -> tuple[float, int]:
    """Return the smallest radius of a line in metres, infinite for a straight one, and the index of its point.

    It is the radius of the circle through points 2 m apart, since a road is no smoother than its control points.
    """
    reach = 4
    ahead, behind = np.roll(line, -reach, axis=0), np.roll(line, reach, axis=0)
    first, second, whole = line - behind, ahead - line, ahead - behind
    area = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
    sides = [np.sqrt((side * side).sum(axis=1)) for side in (first, second, whole)]
    radius = sides[0] * sides[1] * sides[2] / np.maximum(2 * area, 1e-9)
    if not closed:
        radius[:reach] = radius[-reach:] = np.inf
    index = int(np.argmin(radius))
    return float(radius[index]) if radius[index] < 1e6 else np.inf, index


def _meets_itself(line: FloatArray, half_width_m: float, closed: bool) -> int | None:
    """Return the index of a point that is nearer than the road's width to a part of the line elsewhere."""
    tree, distance_m = cKDTree(line), 2 * half_width_m
    # a half circle around the inner edge is as long as pi half widths; a point is half a metre
    near_m = np.pi * half_width_m * 1.5
    crowd = tree.query_ball_point(line, distance_m, return_length=True)
    if crowd.max() > 4 * near_m + 1:  # more than the points before and after it; all pairs would not fit in memory
        return int(crowd.argmax())
    pairs = tree.query_pairs(distance_m, output_type="ndarray")
    apart = np.abs(pairs[:, 0] - pairs[:, 1])
    if closed:
        apart = np.minimum(apart, len(line) - apart)
    meeting = pairs[apart * 0.5 > near_m]
    return int(meeting[:, 0].min()) if len(meeting) else None
