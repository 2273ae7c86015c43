"""The speed controller reaches and holds the set speed, and slows down in corners."""

import math

import pytest

from bcclone.dataset.answer import Answer
from bcclone.drive.controller import SpeedController, SpeedSettings

STRAIGHT = Answer(0.0)


def hold(controller, seconds, mph=0.0, drag=0.1):
    """Drive a car with the simulator's acceleration; return its speeds."""
    speeds = []
    for _ in range(int(seconds * 15)):
        throttle = controller.throttle(mph, STRAIGHT)
        assert -1 <= throttle <= 1
        mph = max(0.0, mph + (5.4 * 2.237 * throttle - drag * mph) / 15)
        speeds.append(mph)
    return speeds


def test_the_integral_does_not_wind_up_in_an_hour_of_standing():
    controller = SpeedController(SpeedSettings(speed_mph=25.0))
    for _ in range(60 * 60 * 15):
        controller.throttle(0.0, STRAIGHT)
    speeds = hold(controller, 60)
    assert speeds[-1] == pytest.approx(25.0, abs=1.0)


@pytest.mark.parametrize(("mph", "limit"), [(0.0, 0.5), (60.0, -0.5)])
def test_the_integral_gives_at_most_half_throttle(mph, limit):
    controller = SpeedController(SpeedSettings(speed_mph=25.0))
    for _ in range(1000):
        controller.throttle(mph, STRAIGHT)
    assert controller.throttle(25.0, STRAIGHT) == pytest.approx(limit)


def test_the_gains_are_udacitys():
    controller = SpeedController(SpeedSettings(speed_mph=10.0))
    assert controller.throttle(9.0, STRAIGHT) == pytest.approx(0.1 * 1 + 0.002 * 1)
    assert controller.throttle(9.0, STRAIGHT) == pytest.approx(0.1 * 1 + 0.002 * 2)


@pytest.mark.parametrize(
    ("steering", "mph"),
    [(0.0, 25.0), (0.1, 25.0), (0.3, 17.5), (-0.3, 17.5), (0.5, 10.0), (-1.0, 10.0)],
)
def test_sharper_corners_are_driven_slower_down_to_the_minimum(steering, mph):
    slows = SpeedSettings(speed_mph=25.0, min_speed_mph=10.0, slow_in_corners=True)
    controller = SpeedController(slows)
    assert controller.target_mph(Answer(steering)) == pytest.approx(mph)
    controller.set_speed_mph = 5.0  # one below the minimum is not raised
    assert controller.target_mph(Answer(steering)) == 5.0
    constant = SpeedController(SpeedSettings(speed_mph=25.0, min_speed_mph=10.0))
    assert constant.target_mph(Answer(steering)) == 25.0


def test_another_car_gets_no_integral():
    controller = SpeedController(SpeedSettings(speed_mph=25.0))
    first = controller.throttle(24.0, STRAIGHT)
    for _ in range(100):
        controller.throttle(0.0, STRAIGHT)
    controller.forget()
    assert controller.throttle(24.0, STRAIGHT) == first


@pytest.mark.parametrize(
    ("predicted", "held"), [(20.0, 20.0), (50.0, 30.0), (3.0, 10.0), (math.nan, 10.0), (None, 10.0)]
)
def test_a_predicted_speed_is_held_between_the_lowest_and_the_set_one(predicted, held):
    controller = SpeedController(
        SpeedSettings(speed_mph=30.0, min_speed_mph=10.0, predicted_speed=True)
    )
    assert controller.target_mph(Answer(0.9, predicted)) == held
