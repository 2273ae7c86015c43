"""The steering that brings the car back to its line."""

import pytest

from bcclone.camera.vehicle import MPH, SIDE_CAMERA_M, steering_back
from bcclone.simulator.car import STEP_SECONDS, Car


@pytest.mark.parametrize("speed_mph", [10, 20, 30])
@pytest.mark.parametrize("seconds", [1.0, 2.0, 3.0])
def test_steering_back_for_a_time_returns_the_car_to_its_line_after_that_time(speed_mph, seconds):
    car = Car(-SIDE_CAMERA_M, 0.0, 0.0, 0.0, speed=speed_mph * MPH)
    for _ in range(round(seconds / STEP_SECONDS)):
        car.control(steering_back(SIDE_CAMERA_M, speed_mph * MPH, seconds), 0.0)
        car.speed = speed_mph * MPH  # without the effect of hills and drag
        car.step()
    assert car.x == pytest.approx(0.0, abs=0.1)
