"""Lay out a road, and judge it: control points -> its centre line, with a point every half metre;
a line -> its faults.

Coordinates are those of the world: x to the east, y up, z to the north, in metres.

judge_road() has the rules of the SBST and SBFT competitions:
github.com/se2p/tool-competition-av, code_pipeline/validation.py (2 to 500 points, a square map of
200 m, roads of two lanes of 4 m, longer than 20 m, radius of at least 47 feet).
"""

import math
from dataclasses import dataclass

import numpy as np

from bcclone.simulator.spline import cubic_spline
from bcclone.system.arrays import FloatArray

STEP_M = 0.5  # between two points of a centre line
RUN_OUT_M = 60.0  # length of the straight road before the start and beyond the end of an open road
_FINE_M = 0.05  # between the points of the spline from which a line is resampled


@dataclass(frozen=True)
class RoadLine:
    """A centre line."""

    points: FloatArray  # x, y, z in metres, float64 (points, 3)
    widths_m: FloatArray  # width of the road at each point, (points,)
    length_m: float  # length of the whole line


def interpolate(table: FloatArray, closed: bool) -> RoadLine:
    """Return the cubic spline through points, resampled by its length.

    Between points the width changes linearly.

    table: x, y, z and width, (points, 4)
    closed: the last point leads to the first
    """
    if closed:
        table = np.vstack([table, table[:1]])

    # a spline over the length of the polygon through the points
    along_polygon = _distances_along(table[:, :3])
    fine_along = np.append(np.arange(0.0, along_polygon[-1], _FINE_M), along_polygon[-1])
    fine = cubic_spline(along_polygon, table[:, :3], fine_along, closed)
    fine_widths = np.interp(fine_along, along_polygon, table[:, 3])

    # points that are evenly spaced over the spline's own length
    along = _distances_along(fine)
    length_m = along[-1]
    intervals = max(round(length_m / STEP_M), 2)
    count = intervals if closed else intervals + 1
    even = np.linspace(0.0, length_m, count, endpoint=not closed)
    points = np.column_stack([np.interp(even, along, axis) for axis in fine.T])
    widths = np.interp(even, along, fine_widths)

    # rounded to a micrometre, so that no processor's rounding shows
    return RoadLine(np.round(points, 6), np.round(widths, 6), round(float(length_m), 6))


def with_run_outs(line: RoadLine) -> RoadLine:
    """Return an open line with a straight and level run-out at both ends."""
    points = line.points
    count = round(RUN_OUT_M / STEP_M)
    away_m = np.arange(1, count + 1)[:, None] * STEP_M
    before = points[0] + _level_direction(points[0] - points[1]) * away_m[::-1]
    after = points[-1] + _level_direction(points[-1] - points[-2]) * away_m
    return RoadLine(
        points=np.round(np.vstack([before, points, after]), 6),
        widths_m=np.pad(line.widths_m, count, mode="edge"),
        length_m=line.length_m + 2 * RUN_OUT_M,
    )


def lengths(steps: FloatArray) -> FloatArray:
    """Return the length of each step, (steps,). steps: (steps, axes)."""
    return np.asarray(np.sqrt((steps * steps).sum(axis=1)))


def _distances_along(points: FloatArray) -> FloatArray:
    """Return how far each point is from the first, along the polygon through all, (points,)."""
    return np.append(0.0, np.cumsum(lengths(np.diff(points, axis=0))))


def _level_direction(step: FloatArray) -> FloatArray:
    """Return the unit vector of a step without its rise, (3,)."""
    level = step * (1.0, 0.0, 1.0)
    return np.asarray(level / np.sqrt((level * level).sum()))


# ---- faults by the rules of the competitions; for programs only


_LEAST_LENGTH_M = 20.0
_LEAST_RADIUS_M = 47 / 3.280839895  # 47 feet
_POINTS = (2, 500)  # the fewest and the most control points


def judge_road(points: FloatArray, width_m: float = 8.0, map_m: float = 200.0) -> list[str]:
    """Return the faults of a road by the rules of the competitions, an empty list for a valid one.

    points: x and z of control points in metres, (points, 2); the road is their cubic spline
    width_m: of the whole road
    map_m: side of the square map from the origin
    """
    # first what makes a spline through the points impossible
    fewest, most = _POINTS
    if not fewest <= len(points) <= most:
        return [f"{len(points)} points, expected {fewest} to {most}"]
    corners = np.asarray(points, float)
    if corners.ndim != 2 or corners.shape[1] != 2:
        return [f"points of the shape {corners.shape}, expected pairs of x and z"]
    finite = np.isfinite(corners).all(axis=1)
    if not finite.all():
        return [f"point {int(np.argmin(finite)) + 1} is not of finite numbers"]
    repeated = np.flatnonzero((np.diff(corners, axis=0) == 0).all(axis=1))
    if repeated.size:
        return [f"point {repeated[0] + 2} is where the one before it is"]

    x, z = corners.T
    table = np.column_stack([x, np.zeros(len(x)), z, np.full(len(x), width_m)])
    line = interpolate(table, closed=False).points[:, [0, 2]]
    return faults_of_line(line, width_m / 2, _LEAST_RADIUS_M, _LEAST_LENGTH_M, map_m)


# ---- faults of any centre line


def faults_of_line(
    line: FloatArray,
    half_width_m: float,
    least_radius_m: float,
    least_length_m: float = 0.0,
    map_m: float = math.inf,
    closed: bool = False,
) -> list[str]:
    """Return the faults of a centre line, [] for none.

    line: x and z in metres, (points, 2), a point every half metre
    least_radius_m: of the sharpest bend
    map_m: side of the square map from the origin; infinite for no map
    """
    faults = []

    length_m = float(lengths(np.diff(line, axis=0)).sum())
    if length_m < least_length_m:
        faults.append(f"{length_m:.0f} m long, expected at least {least_length_m:g} m")

    low_m = float(line.min()) - half_width_m
    high_m = float(line.max()) + half_width_m
    if map_m < math.inf and (low_m < 0 or high_m > map_m):
        faults.append(
            f"not inside the map of {map_m:g} m: it reaches from {low_m:.0f} to {high_m:.0f} m"
        )

    radius_m, sharpest = sharpest_bend(line, closed)
    if radius_m < least_radius_m:
        x, z = line[sharpest]
        faults.append(
            f"a bend of {radius_m:.1f} m radius at x {x:.0f}, z {z:.0f}; expected at least "
            f"{least_radius_m:.1f} m"
        )

    meeting = _meets_itself(line, half_width_m, closed)
    if meeting is not None:
        x, z = line[meeting]
        faults.append(
            f"it meets itself at x {x:.0f}, z {z:.0f}; expected {2 * half_width_m:g} m between its "
            "parts"
        )
    return faults


def sharpest_bend(line: FloatArray, closed: bool) -> tuple[float, int]:
    """Return the smallest radius of a line in metres, infinite if straight, and its point's index.

    The radius is that of the circle through three points of the line, 2 m apart; nearer points
    would measure how uneven the control points are.
    """
    # the product of the triangle's sides over four times its area
    reach = 4  # points
    ahead = np.roll(line, -reach, axis=0)
    behind = np.roll(line, reach, axis=0)
    first = line - behind
    second = ahead - line
    third = ahead - behind
    twice_area = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
    sides = lengths(first) * lengths(second) * lengths(third)
    radius_m = sides / np.maximum(2 * twice_area, 1e-9)

    # an open line has no points before its start and beyond its end
    if not closed:
        radius_m[:reach] = np.inf
        radius_m[-reach:] = np.inf
    index = int(np.argmin(radius_m))
    smallest_m = float(radius_m[index])
    if smallest_m >= 1e6:  # straight but for rounding
        smallest_m = math.inf
    return smallest_m, index


def _meets_itself(line: FloatArray, half_width_m: float, closed: bool) -> int | None:
    """Return the index of a point where the road meets itself, None if it does not.

    It meets itself where a point is nearer than the road's width to another part of the line.
    """
    from scipy.spatial import cKDTree  # not at the top: the roads that come with bcclone are right

    tree = cKDTree(line)
    width_m = 2 * half_width_m
    # points within a bend are near to each other, too, without the road meeting itself: a half
    # circle around its inner edge is as long as pi half widths; 1.5 is a margin
    near_m = np.pi * half_width_m * 1.5

    # a point with more neighbours than a road that does not meet itself can have is a fault, found
    # before the pairs are listed: on a line that winds up, they would not fit in memory
    crowd = tree.query_ball_point(line, width_m, return_length=True)
    if crowd.max() > 2 * near_m / STEP_M + 1:  # both ways along the line, and the point itself
        return int(crowd.argmax())

    pairs = tree.query_pairs(width_m, output_type="ndarray")
    apart = np.abs(pairs[:, 0] - pairs[:, 1])
    if closed:
        apart = np.minimum(apart, len(line) - apart)
    meeting = pairs[apart * STEP_M > near_m]
    return int(meeting[:, 0].min()) if len(meeting) else None
