"""A camera's turn and speed are measured, whatever stands near; the speed in camera heights."""

import cv2
import numpy as np
import pytest

from bcclone.camera.geometry import HEIGHT_M, CameraMove, warp_to
from bcclone.diagnosis.odometry import measure_motion
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


def plain_ground(frame):
    """Return a frame with a ground that shows nothing but two lines along the road."""
    plain = frame.copy()
    plain[70:] = 90
    for column in (20, 300):
        cv2.line(plain, (160, 60), (column, 159), (230, 230, 230), 2)
    return plain


@pytest.mark.parametrize("is_plain", [False, True])
def test_a_speed_that_the_ground_does_not_show_is_left_open(is_plain):
    """Lines along the road look alike at every speed."""
    count = 12
    pairs = []
    for frame in road_frames(count):
        after = moved(frame, 0.02, 1.0)
        pairs += [plain_ground(frame), plain_ground(after)] if is_plain else [frame, after]
    motion = measure_motion(
        pairs.__getitem__, [STEP_SECONDS] * 2 * count, [False, True] * count, None
    )
    shown = motion.speed_shown[motion.usable & (motion.speed > 0)]
    assert shown.all() != is_plain
    assert shown.any() != is_plain
    assert (motion.near_to_far is None) == is_plain


def test_a_still_camera_has_no_speed_and_what_cannot_be_followed_is_not_usable():
    frame = road_frames(1)[0]
    frames = [frame, frame, frame, None, frame, frame]
    motion = measure_motion(frames.__getitem__, [STEP_SECONDS] * 6, [False] * 6, None)
    assert motion.usable.tolist() == [True, True, False, False, True, False]
    assert motion.speed.tolist() == [0.0] * 6
    assert motion.yaw_rate == pytest.approx(np.zeros(6), abs=1e-6)
