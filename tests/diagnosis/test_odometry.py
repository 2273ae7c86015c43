"""How a camera moves is measured: its turn, whatever stands near, and its speed, in heights of the
camera.
"""

import numpy as np
import pytest

from bcclone.camera.geometry import HEIGHT_M, CameraMove, rotation, simulated_camera, warp_to
from bcclone.diagnosis.odometry import fit_rotation, measure_motion
from tests.other_camera import road_frames

STEP_SECONDS = 0.1


def moved(frame, yaw_rad, ahead_m):
    """Return what the camera sees after a turn to the right and a way ahead."""
    return warp_to(CameraMove(0.0, yaw_rad, ahead_m=ahead_m)).apply(frame, 320, 160)


def test_turn_and_speed_are_those_by_which_each_frame_was_moved():
    frames, turns, ways_m = (
        list(road_frames(1)),
        [0.02, -0.03, 0.0, 0.01] * 3,
        [0.9, 1.0, 1.1, 1.2] * 3,
    )
    for yaw_rad, ahead_m in zip(turns, ways_m, strict=True):
        frames += [frames[0], moved(frames[0], yaw_rad, ahead_m)]
    pairs, count = frames[1:], len(turns)
    ends = [False, True] * count
    motion = measure_motion(pairs.__getitem__, [STEP_SECONDS] * 2 * count, ends, None)
    assert motion.usable.tolist() == [True, False] * (count - 1) + [True, False]
    assert motion.yaw_rate[::2] * STEP_SECONDS == pytest.approx(turns, abs=0.002)
    assert np.median(motion.speed[::2]) * STEP_SECONDS * HEIGHT_M == pytest.approx(
        np.median(ways_m), rel=0.15
    )
    assert np.all(motion.yaw_error[::2] * STEP_SECONDS < 0.005)


def test_the_turn_of_points_is_found_whatever_their_distance():
    """Half of them are far away, half near; some are mistaken."""
    random, (to_ray, to_pixel) = np.random.default_rng(0), simulated_camera()
    places = np.column_stack(
        [random.uniform(10, 310, 60), random.uniform(10, 130, 60), np.ones(60)]
    )
    rays = places @ to_ray.T
    near = rays + np.outer(
        random.choice([0.0, 0.1], 60), [0.0, 0.0, -1.0]
    )  # of distance 1, the camera moves ahead
    after = near @ rotation(np.float64(0.03), np.float64(0.005)) @ to_pixel.T
    after = after[:, :2] / after[:, 2:]
    after[:5] += random.uniform(-30, 30, (5, 2))
    found = fit_rotation(places[:, :2], after)
    assert found.yaw == pytest.approx(0.03, abs=0.001)
    assert found.error < 0.001
    assert not fit_rotation(places[:5, :2], after[:5]).is_known


def test_a_still_camera_has_no_speed_and_what_cannot_be_followed_is_not_usable():
    frame = road_frames(1)[0]
    frames = [frame, frame, frame, None, frame, frame]
    motion = measure_motion(frames.__getitem__, [STEP_SECONDS] * 6, [False] * 6, None)
    assert motion.usable.tolist() == [True, True, False, False, True, False]
    assert motion.speed.tolist() == [0.0] * 6
    assert motion.yaw_rate == pytest.approx(np.zeros(6), abs=1e-6)
