import math

import numpy as np
import pytest

from bcclone.simulator.scene import IN_SHADOW, hide_from_sun
from bcclone.simulator.scene.roadmap import CELL_M

SIDE = 160


def light_behind_a_wall(elevation, azimuth):
    """Return the light of level ground with a wall of 10 m from column 80 on, 5 m thick."""
    heights = np.zeros((SIDE, SIDE), np.float32)
    heights[:, 80:90] = 10.0
    up, around = math.radians(elevation), math.radians(azimuth)
    sun = np.array([math.cos(up) * math.sin(around), math.sin(up), math.cos(up) * math.cos(around)])
    return hide_from_sun(heights, sun)


@pytest.mark.parametrize("elevation", [20.0, 30.0, 45.0])
def test_a_walls_shadow_is_as_long_as_the_sun_is_low(elevation):
    shadow = light_behind_a_wall(elevation, azimuth=90.0)[70] == IN_SHADOW
    cells = np.flatnonzero(shadow)
    assert cells.max() < 80  # it falls away from the sun
    assert shadow[int(cells.min()) : 79].all()
    assert (79.5 - cells.min()) * CELL_M == pytest.approx((10.0 - 0.3) / math.tan(math.radians(elevation)), abs=2.5)


def test_the_shadow_falls_away_from_the_sun():
    east, west = (light_behind_a_wall(30.0, azimuth) < 1.0 for azimuth in (90.0, -90.0))
    assert east[:, :79].any()
    assert not east[:, 90:].any()
    assert west[:, 90:].any()
    assert not west[:, :79].any()
