"""How sharply the camera turned -> the bends of a recording, and the seconds of each kind."""

import numpy as np

from bcclone.camera.geometry import FOCAL_PX
from bcclone.camera.vehicle import MPH
from bcclone.diagnosis.motion import Turns
from bcclone.diagnosis.recorded_rows import LEAST_MPH, RecordedRows
from bcclone.system.numbers import FloatArray, mean_around

# radii that separate the kinds of bends; a larger radius than the last counts as straight
RADII_M = (15, 25, 40, 70, 150)
# keys are pressed and released several times a second, and a car turns more slowly; averaging over
# this time evens the presses out
SMOOTH_SECONDS = 0.6
FINE_SECONDS = 0.2  # to measure a delay, which smoothing blurs


def turn_rate(
    rows: RecordedRows, turns: Turns, smooth_seconds: float = SMOOTH_SECONDS
) -> FloatArray:
    """Return how sharply the camera turned from each row to the next, (steps,), right positive.

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


def curvature_per_m(
    rows: RecordedRows, turns: Turns, has_simulator_lens: bool
) -> FloatArray | None:
    """Return the curvature of the driven line, (steps,), 1/m, right positive.

    None without speeds or a known lens. In bends of our simulator it is 10 to 20 % too large:
    there, nearby objects also shift the picture, which is taken for turning.
    """
    if not (has_simulator_lens and rows.has_speed):
        return None
    return turn_rate(rows, turns) / (FOCAL_PX * MPH)


def seconds_of_bends(rows: RecordedRows, curvature: FloatArray | None) -> FloatArray:
    """Return the seconds of bends, (2, kinds): to the left and to the right, by kind.

    RADII_M separate the kinds; the sharpest comes first.

    curvature: of curvature_per_m(); without it, there is one kind, which the steering shows
    """
    if curvature is None:
        return _seconds_steered(rows)
    seconds = np.diff(rows.seconds)
    # a histogram's edges rise, so the gentlest kind comes first here; reversed at the end
    edges = [*(1 / np.array(RADII_M[::-1])), np.inf]
    sums = [np.histogram(side * curvature, edges, weights=seconds)[0] for side in (-1, 1)]
    return np.array(sums)[:, ::-1]


def _seconds_steered(rows: RecordedRows) -> FloatArray:
    """Return the seconds of sharp steering to the left and to the right, (2, 1)."""
    sharp = 0.25  # share of the driver's usual sharpest steering from which steering is sharp
    usual_quantile = 0.98  # of the absolute steering: the usual sharpest steering
    # the steering has a value for each row, not for each step: the last row lasts no time
    seconds = np.diff(rows.seconds, append=rows.seconds[-1])
    least_steering = sharp * float(np.quantile(np.abs(rows.steering), usual_quantile))
    return np.array([[seconds[side * rows.steering > least_steering].sum()] for side in (-1, 1)])
