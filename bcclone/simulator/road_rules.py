"""Judge a road: a line of points -> its faults.

The rules are the simulator's own, or those of the SBST and SBFT competitions:
github.com/se2p/tool-competition-av, code_pipeline/validation.py (2 to 500 points, a square map of
200 m, roads of two lanes of 4 m, longer than 20 m, radius of at least 47 feet).

A line here is x and z in metres, (points, 2), with a point every half metre.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from bcclone.simulator.road_line import STEP_M, interpolate, lengths
from bcclone.system.numbers import FloatArray
from bcclone.system.settings import Checked, Metres, SettingError

COMPETITION_WIDTH_M = 8.0  # of the competitions' roads


@dataclass(frozen=True)
class RoadRules(Checked):
    """What a road must keep to."""

    map_m: Metres | None = 200.0  # side of the square map from the origin; None: no map
    least_length_m: Metres = 20.0
    least_radius_m: Metres = 47 / 3.280839895  # 47 feet; radius of the sharpest bend allowed
    points: tuple[int, int] = (2, 500)  # the fewest and the most control points

    def validate(self) -> None:
        fewest, most = self.points
        if not 2 <= fewest <= most:  # a road needs two points
            raise SettingError(
                "{points} {fewest} to {most}, expected the fewest, 2 or more, and the most",
                fewest=fewest,
                most=most,
            )


def judge_road(
    points: FloatArray, width_m: float = COMPETITION_WIDTH_M, rules: RoadRules | None = None
) -> list[str]:
    """Return the faults of a road, an empty list for a valid one.

    points: x and z of control points in metres, (points, 2); the road is their cubic spline
    width_m: of the whole road
    rules: by default the competitions'
    """
    if rules is None:
        rules = RoadRules()

    # points that no spline leads through
    fewest, most = rules.points
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
    line = interpolate(table, closed=False)
    return faults_of_line(line.points[:, [0, 2]], width_m / 2, rules)


def faults_of_line(
    line: FloatArray, half_width_m: float, rules: RoadRules, closed: bool = False
) -> list[str]:
    """Return the faults of a centre line, [] for none.

    line: x and z in metres, (points, 2), a point every half metre
    """
    faults = []

    length_m = float(lengths(np.diff(line, axis=0)).sum())
    if length_m < rules.least_length_m:
        faults.append(f"{length_m:.0f} m long, expected at least {rules.least_length_m:g} m")

    if rules.map_m is not None:
        low_m = float(line.min()) - half_width_m
        high_m = float(line.max()) + half_width_m
        if low_m < 0 or high_m > rules.map_m:
            faults.append(
                f"not inside the map of {rules.map_m:g} m: it reaches from {low_m:.0f} to "
                f"{high_m:.0f} m"
            )

    radius_m, sharpest = sharpest_bend(line, closed)
    if radius_m < rules.least_radius_m:
        x, z = line[sharpest]
        faults.append(
            f"a bend of {radius_m:.1f} m radius at x {x:.0f}, z {z:.0f}; expected at least "
            f"{rules.least_radius_m:.1f} m"
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
    """Return the smallest radius of a line in metres, and the index of its point.

    The radius is that of the circle through three points of the line, 2 m apart; nearer points
    would measure how uneven the control points are. It is infinite for a straight line.
    """
    # the circle through three points: the product of the triangle's sides over four times its area
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
    tree = cKDTree(line)
    width_m = 2 * half_width_m
    # points within a bend are near to each other, too, without the road meeting itself: a half
    # circle around its inner edge is as long as pi half widths
    near_m = np.pi * half_width_m * 1.5

    # a point with more neighbours than a road that does not meet itself can have is a fault, found
    # before the pairs are listed: on a line that winds up, they would not fit in memory
    crowd = tree.query_ball_point(line, width_m, return_length=True)
    if crowd.max() > 4 * near_m + 1:
        return int(crowd.argmax())

    pairs = tree.query_pairs(width_m, output_type="ndarray")
    apart = np.abs(pairs[:, 0] - pairs[:, 1])
    if closed:
        apart = np.minimum(apart, len(line) - apart)
    meeting = pairs[apart * STEP_M > near_m]
    return int(meeting[:, 0].min()) if len(meeting) else None
