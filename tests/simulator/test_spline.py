"""The spline through points is the one that SciPy finds."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from bcclone.simulator.spline import cubic_spline


@pytest.mark.parametrize("points", [2, 3, 5, 300])
@pytest.mark.parametrize("closed", [False, True])
def test_the_spline_is_that_of_scipy(points, closed):
    if closed:
        points += 2  # a ring of two points is none
    randomness = np.random.default_rng(points)
    places = np.cumsum(randomness.uniform(0.5, 20, points))
    values = randomness.normal(0, 30, (points, 3))
    if closed:
        values[-1] = values[0]
    at = np.linspace(places[0], places[-1], 500)
    expected = CubicSpline(places, values, bc_type="periodic" if closed else "natural")(at)
    assert np.abs(cubic_spline(places, values, at, closed) - expected).max() < 1e-9
