"""Interpolate a road: control points -> a centre line with a point every half metre."""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from bcclone.system.arrays import FloatArray

STEP_M = 0.5
RUN_OUT_M = 60.0  # that an open road goes on straight before its start and beyond its end
_FINE_M = 0.05


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
