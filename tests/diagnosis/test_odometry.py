"""A camera's turn and speed are measured, whatever stands near; the speed in camera heights."""

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
    turns = [0.02, -0.03, 0.0, 0.01] * 3
    ways_m = [0.9, 1.0, 1.1, 1.2] * 3
    count = len(turns)
    (frame,) = road_frames(1)
    pairs = []
    for yaw_rad, ahead_m in zip(turns, ways_m, strict=True):
        pairs += [frame, moved(frame, yaw_rad, ahead_m)]

    seconds = [STEP_SECONDS] * len(pairs)
    ends_a_pair = [False, True] * count
    motion = measure_motion(pairs.__getitem__, seconds, ends_a_pair, None)
    assert motion.usable.tolist() == [True, False] * count
    assert motion.yaw_rate[::2] * STEP_SECONDS == pytest.approx(turns, abs=0.002)
    way_m = np.median(motion.speed[::2]) * STEP_SECONDS * HEIGHT_M
    assert way_m == pytest.approx(np.median(ways_m), rel=0.15)
    assert np.all(motion.yaw_error[::2] * STEP_SECONDS < 0.005)


def test_the_turn_of_points_is_found_whatever_their_distance():
    """Half of them are far away, half near; some are mistaken."""
    random = np.random.default_rng(0)
    to_ray, to_pixel = simulated_camera()
    columns = random.uniform(10, 310, 60)
    rows = random.uniform(10, 130, 60)
    places = np.column_stack([columns, rows, np.ones(60)])
    rays = places @ to_ray.T
    # the camera moves ahead; near points are at distance 1
    moved_rays = rays + np.outer(random.choice([0.0, 0.1], 60), [0.0, 0.0, -1.0])
    after = moved_rays @ rotation(np.float64(0.03), np.float64(0.005)) @ to_pixel.T
    after = after[:, :2] / after[:, 2:]
    after[:5] += random.uniform(-30, 30, (5, 2))

    yaw, error = fit_rotation(places[:, :2], after)
    assert yaw == pytest.approx(0.03, abs=0.001)
    assert error < 0.001
    assert fit_rotation(places[:5, :2], after[:5]) is None


def test_a_still_camera_has_no_speed_and_what_cannot_be_followed_is_not_usable():
    frame = road_frames(1)[0]
    frames = [frame, frame, frame, None, frame, frame]
    motion = measure_motion(frames.__getitem__, [STEP_SECONDS] * 6, [False] * 6, None)
    assert motion.usable.tolist() == [True, True, False, False, True, False]
    assert motion.speed.tolist() == [0.0] * 6
    assert motion.yaw_rate == pytest.approx(np.zeros(6), abs=1e-6)
