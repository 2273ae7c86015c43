"""How sharply the camera turned -> the bends of a recording, and the seconds of each kind."""

import numpy as np

from bcclone.camera.geometry import FOCAL_PX
from bcclone.camera.vehicle import MPH
from bcclone.diagnosis.motion import Turns
from bcclone.diagnosis.recorded_rows import LEAST_MPH, RecordedRows
from bcclone.system.arrays import FloatArray
from bcclone.system.statistics import mean_around

RADII_M = (15, 25, 40, 70, 150)  # between the kinds of bends; beyond, the road is straight
# keys are pressed and released several times a second, and a car turns more slowly
SMOOTH_SECONDS = 0.6
FINE_SECONDS = 0.2  # to measure a delay, which smoothing blurs


def curvature(
    rows: RecordedRows, turns: Turns, smooth_seconds: float = SMOOTH_SECONDS
) -> FloatArray:
    """Return how sharply the camera turned, (steps,), right positive.

    In pixels a second, divided by the speed in mph if it is known.
    """
    shortest_seconds = 1e-3  # so that rows of one time divide by no zero
    rate = turns.right / np.maximum(np.diff(rows.seconds), shortest_seconds)
    if rows.has_speed:
        speed = (rows.speed_mph[1:] + rows.speed_mph[:-1]) / 2
        rate = np.where(speed > LEAST_MPH, rate / np.maximum(speed, LEAST_MPH), 0.0)
    # the largest and the smallest hundredth are mistaken matches
    rate = np.clip(rate, *np.percentile(rate, [1, 99]))
    usable = turns.usable.astype(np.float64)
    return mean_around(rows.middles, rate, smooth_seconds, usable, rows.stretch[1:])


def bends_per_m(rows: RecordedRows, turns: Turns, has_simulator_lens: bool) -> FloatArray | None:
    """Return the curvature of the driven line, (steps,), 1/m, right positive.

    None without speeds or a known lens. It is 10 to 20 % too large in bends of our simulator, whose
    frames also turn with nearby objects.
    """
    if not (has_simulator_lens and rows.has_speed):
        return None
    return curvature(rows, turns) / (FOCAL_PX * MPH)


def seconds_of_bends(rows: RecordedRows, bends: FloatArray | None) -> FloatArray:
    """Return the seconds of bends, (2, kinds): to the left and to the right, between RADII_M.

    bends: as bends_per_m() returns them; without them, there is one kind, which the steering shows.
    """
    if bends is None:
        return _seconds_steered(rows)
    seconds = np.diff(rows.seconds)
    limits = 1 / np.array([np.inf, *RADII_M[::-1]])
    edges = [*limits[1:], np.inf]
    counts = [np.histogram(side * bends, edges, weights=seconds)[0] for side in (-1, 1)]
    return np.array(counts)[:, ::-1]


def _seconds_steered(rows: RecordedRows) -> FloatArray:
    """Return the seconds of sharp steering to the left and to the right, (2, 1)."""
    sharp = 0.25  # of the driver's usual sharpest steering
    usual_sharpest = 0.98  # quantile of the steering's size
    seconds = np.diff(rows.seconds, append=rows.seconds[-1])
    bend = sharp * float(np.quantile(np.abs(rows.steering), usual_sharpest))
    return np.array([[seconds[side * rows.steering > bend].sum()] for side in (-1, 1)])
