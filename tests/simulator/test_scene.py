"""What scenes are made of: fields of other sizes, and the light."""

import math

import cv2
import numpy as np
import pytest

from bcclone.simulator.scene.light import IN_SHADOW, sunlight_past_hills
from bcclone.simulator.scene.roadmap import CELL_M
from bcclone.simulator.scene.textures import blur, resize

FIELD = np.random.default_rng(0).standard_normal((23, 31)).astype(np.float32)


@pytest.mark.parametrize(("height", "width"), [(92, 124), (50, 50), (23, 31)])
def test_resizing_agrees_with_opencv(height, width):
    expected = cv2.resize(FIELD, (width, height), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(resize(FIELD, height, width), expected, atol=1e-5)


@pytest.mark.parametrize("taps", [3, 5])
def test_blurring_agrees_with_opencv(taps):
    np.testing.assert_allclose(
        blur(FIELD, taps), cv2.GaussianBlur(FIELD, (taps, taps), 0), atol=1e-5
    )


def test_blurring_can_leave_rows_apart():
    expected = cv2.GaussianBlur(FIELD, (1, 9), 0)
    np.testing.assert_allclose(blur(FIELD, 9, across=False), expected, atol=0.02)


SIDE = 160


def light_behind_a_wall(elevation, azimuth):
    """Return the light of level ground with a wall of 10 m from column 80 on, 5 m thick."""
    heights = np.zeros((SIDE, SIDE), np.float32)
    heights[:, 80:90] = 10.0
    up = math.radians(elevation)
    around = math.radians(azimuth)
    sun = np.array([math.cos(up) * math.sin(around), math.sin(up), math.cos(up) * math.cos(around)])
    return sunlight_past_hills(heights, sun)


@pytest.mark.parametrize("elevation", [20.0, 30.0, 45.0])
def test_a_walls_shadow_is_as_long_as_the_sun_is_low(elevation):
    shadow = light_behind_a_wall(elevation, azimuth=90.0)[70] == IN_SHADOW
    cells = np.flatnonzero(shadow)
    assert cells.max() < 80  # it falls away from the sun
    assert shadow[int(cells.min()) : 79].all()
    assert (79.5 - cells.min()) * CELL_M == pytest.approx(
        (10.0 - 0.3) / math.tan(math.radians(elevation)), abs=2.5
    )


def test_the_shadow_falls_away_from_the_sun():
    east, west = (light_behind_a_wall(30.0, azimuth) < 1.0 for azimuth in (90.0, -90.0))
    assert east[:, :79].any()
    assert not east[:, 90:].any()
    assert west[:, 90:].any()
    assert not west[:, :79].any()
