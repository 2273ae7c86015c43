"""Interpolate a road: control points -> a centre line with a point every half metre; and check it for faults.

The rules are the simulator's own, or those of the SBST and SBFT competitions: github.com/se2p/tool-competition-av,
code_pipeline/validation.py (2 to 500 points, a square map of 200 m, roads of two lanes of 4 m, longer than 20 m, radius
of at least 47 feet).
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from bcclone.system.arrays import FloatArray

STEP_M = 0.5
RUN_OUT_M = 60.0  # that an open road goes on straight before its start and beyond its end
_FINE_M = 0.05
COMPETITION_WIDTH_M = 8.0  # of the competitions' roads


@dataclass(frozen=True)
class RoadLine:
    """points: x, y, z, float64 (points, 3), metres; widths_m: (points,); length_m: of the whole line."""

    points: FloatArray
    widths_m: FloatArray
    length_m: float


def interpolate(table: FloatArray, closed: bool) -> RoadLine:
    """Return the cubic spline through points, resampled by its length.

    table: x, y, z and width, (points, 4); between points the width changes linearly.
    """
    if closed:
        table = np.vstack([table, table[:1]])
    steps = np.diff(table[:, :3], axis=0)
    chord = np.concatenate([[0.0], np.cumsum(np.sqrt((steps * steps).sum(axis=1)))])
    spline = CubicSpline(chord, table[:, :3], bc_type="periodic" if closed else "natural")
    at = np.append(np.arange(0.0, chord[-1], _FINE_M), chord[-1])
    fine, widths = spline(at), np.interp(at, chord, table[:, 3])
    steps = np.diff(fine, axis=0)
    length = np.concatenate([[0.0], np.cumsum(np.sqrt((steps * steps).sum(axis=1)))])
    even = np.linspace(0.0, length[-1], max(round(length[-1] / STEP_M), 2) + (not closed), endpoint=not closed)
    points, width = (np.column_stack([np.interp(even, length, axis) for axis in axes]) for axes in (fine.T, [widths]))
    # rounded to a micrometre: the solver of the spline rounds differently on different processors
    return RoadLine(np.round(points, 6), np.round(width[:, 0], 6), round(float(length[-1]), 6))


def with_run_outs(line: RoadLine) -> RoadLine:
    """Return an open line that goes on straight and level at both ends."""
    points, count = line.points, round(RUN_OUT_M / STEP_M)
    away = np.arange(1, count + 1)[:, None] * STEP_M
    before = points[0] + _level_direction(points[0] - points[1]) * away[::-1]
    after = points[-1] + _level_direction(points[-1] - points[-2]) * away
    widths = np.pad(line.widths_m, count, mode="edge")
    return RoadLine(np.round(np.vstack([before, points, after]), 6), widths, line.length_m + 2 * RUN_OUT_M)


def _level_direction(step: FloatArray) -> FloatArray:
    x, z = float(step[0]), float(step[2])
    return np.asarray(np.array([x, 0.0, z]) / np.sqrt(x * x + z * z))


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
