"""The functions of exact_math agree with the C library, and stay finite beyond its range."""

import math

import numpy as np
import pytest

from bcclone.system import exact_math

PAIRS = [
    (exact_math.sine, math.sin, 7.0),
    (exact_math.sine, math.sin, 1e5),
    (exact_math.cosine, math.cos, 7.0),
    (exact_math.tangent, math.tan, 1.5),
    (exact_math.arctangent, math.atan, 4.0),
    (exact_math.arctangent, math.atan, 1e9),
    (exact_math.exponential, math.exp, 20.0),
]


@pytest.mark.parametrize(("ours", "true", "reach"), PAIRS)
def test_functions_agree_with_the_c_library_to_a_few_units_in_the_last_place(ours, true, reach):
    for value in np.random.default_rng(0).uniform(-reach, reach, 3000).tolist() + [
        0.0,
        1e-300,
        reach,
    ]:
        assert abs(ours(value) - true(value)) <= 6 * math.ulp(true(value)), value


@pytest.mark.parametrize("x", [-2.0, -1e-9, 0.0, 1e-9, 3.0])
@pytest.mark.parametrize("y", [-2.0, -1e-9, 0.0, 1e-9, 3.0])
def test_the_angle_of_a_point_is_right_in_every_quadrant(x, y):
    assert exact_math.arctangent2(y, x) == pytest.approx(math.atan2(y, x), abs=1e-15)


def test_exponentials_beyond_the_range_of_numbers_are_finite():
    assert 0 < exact_math.exponential(-1e6) < 1e-300
    assert 1e300 < exact_math.exponential(1e6) < math.inf


def test_exponentials_of_an_array_are_those_of_its_values():
    values = np.random.default_rng(2).uniform(-90, 80, 1300).astype(np.float32)
    expected = [np.float32(exact_math.exponential(float(value))) for value in values]
    np.testing.assert_array_equal(exact_math.exponentials(values), expected)


def test_normals_are_normal_and_have_no_tails():
    drawn = exact_math.normals(np.random.default_rng(1), (100_000,))
    assert abs(drawn.mean()) < 0.02
    assert abs(drawn.std() - 1) < 0.02
    assert np.abs(drawn).max() <= 3.5
    assert np.ndim(exact_math.normals(np.random.default_rng(1))) == 0
