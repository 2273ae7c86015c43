"""Frames of the simulator through another lens."""

import math

import numpy as np
import pytest

from bcclone.camera.geometry import FOCAL_PX, ROLL_DEGREES, VANISHING_ROW, YAW_DEGREES
from bcclone.research.road_samples import other_lens
from bcclone.research.road_samples.any_camera import AnyCamera

TILT = -math.atan((79.5 - VANISHING_ROW) / FOCAL_PX)  # of the simulator's camera


def lens(focal_px=FOCAL_PX, pitch=TILT):
    """Return a camera of 320x160 without distortion, turned and rolled as the simulator's."""
    roll = math.radians(-ROLL_DEGREES)
    return AnyCamera(focal_px / 320, 0.0, 2.0, pitch, roll, math.radians(YAW_DEGREES))


def test_the_simulators_own_lens_sees_the_frame_as_it_is():
    columns, rows = other_lens._places(lens(), 160, 320)
    assert columns == pytest.approx(np.tile(np.arange(320.0), (160, 1)), abs=0.01)
    assert rows == pytest.approx(np.tile(np.arange(160.0)[:, None], (1, 320)), abs=0.01)


def test_a_level_camera_has_the_horizon_in_its_middle_and_a_longer_lens_sees_less():
    columns, rows = other_lens._places(lens(2 * FOCAL_PX, 0.0), 161, 321)
    above_px = 79.5 - VANISHING_ROW  # of the middle, along the rolled camera's upright
    roll = math.radians(ROLL_DEGREES)
    assert rows[80, 160] == pytest.approx(79.5 - above_px * math.cos(roll), abs=0.01)
    assert columns[80, 160] == pytest.approx(159.5 - above_px * math.sin(roll), abs=0.01)
    assert 150 < np.ptp(columns[80]) < 165


def test_a_frame_gives_many_views_of_the_size_that_is_asked_for():
    random = np.random.default_rng(0)
    frame = random.integers(0, 255, (160, 320, 3), np.uint8)
    views = [other_lens.through_other_lens(frame, random, 48, 64) for _ in range(20)]
    assert {view.shape for view in views} == {(48, 64, 3)}
    assert len({view.tobytes() for view in views}) == 20
