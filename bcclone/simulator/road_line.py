"""Lay out a road: control points -> its centre line, with a point every half metre.

Coordinates are those of the world: x to the east, y up, z to the north, in metres.
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from bcclone.system.numbers import FloatArray

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
    ends = "periodic" if closed else "natural"
    spline = CubicSpline(along_polygon, table[:, :3], bc_type=ends)
    fine_along = np.append(np.arange(0.0, along_polygon[-1], _FINE_M), along_polygon[-1])
    fine = spline(fine_along)
    fine_widths = np.interp(fine_along, along_polygon, table[:, 3])

    # points that are evenly spaced over the spline's own length
    along = _distances_along(fine)
    length_m = along[-1]
    intervals = max(round(length_m / STEP_M), 2)
    count = intervals if closed else intervals + 1
    even = np.linspace(0.0, length_m, count, endpoint=not closed)
    points = np.column_stack([np.interp(even, along, axis) for axis in fine.T])
    widths = np.interp(even, along, fine_widths)

    # rounded to a micrometre: the solver of the spline rounds differently on different processors
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
