"""How the speed is held."""

import pytest

from bcclone.drive.controller import SpeedController


def hold(controller, seconds, mph=0.0, drag=0.1):
    """Drive a car with the simulator's acceleration by the controller; return its speed over time."""
    speeds = []
    for _ in range(int(seconds * 15)):
        throttle = controller.throttle(mph)
        assert -1 <= throttle <= 1
        mph = max(0.0, mph + (5.4 * 2.237 * throttle - drag * mph) / 15)
        speeds.append(mph)
    return speeds


def test_the_set_speed_is_reached_and_held():
    speeds = hold(SpeedController(25.0), 60)
    assert speeds[-1] == pytest.approx(25.0, abs=0.5)
    assert max(speeds) < 32


def test_standing_for_an_hour_does_not_wind_the_integral_up():
    controller = SpeedController(25.0)
    for _ in range(60 * 60 * 15):
        controller.throttle(0.0)
    speeds = hold(controller, 60)
    assert speeds[-1] == pytest.approx(25.0, abs=1.0)


@pytest.mark.parametrize(("mph", "most"), [(0.0, 0.5), (60.0, -0.5)])
def test_the_integral_alone_gives_half_throttle_at_most(mph, most):
    controller = SpeedController(25.0)
    for _ in range(1000):
        controller.throttle(mph)
    assert controller.throttle(25.0) == pytest.approx(most)


def test_the_gains_are_udacitys():
    controller = SpeedController(10.0)
    assert controller.throttle(9.0) == pytest.approx(0.1 * 1 + 0.002 * 1)
    assert controller.throttle(9.0) == pytest.approx(0.1 * 1 + 0.002 * 2)


def test_far_too_fast_brakes_within_the_simulators_range():
    assert SpeedController(5.0).throttle(60.0) == -1.0


@pytest.mark.parametrize(
    ("steering", "mph"), [(0.0, 25.0), (0.1, 25.0), (0.3, 17.5), (-0.3, 17.5), (0.5, 10.0), (-1.0, 10.0)]
)
def test_the_sharper_the_corner_the_slower_down_to_the_minimum(steering, mph):
    controller = SpeedController(25.0, min_speed_mph=10.0, slow_in_corners=True)
    assert controller.target_mph(steering) == pytest.approx(mph)
    assert SpeedController(25.0, min_speed_mph=10.0).target_mph(steering) == 25.0


def test_ten_miles_an_hour_is_the_least_in_corners_where_nothing_else_is_said():
    assert SpeedController(25.0, slow_in_corners=True).target_mph(1.0) == 10.0


def test_a_car_that_says_no_steering_is_on_a_straight_road():
    silent, straight = (SpeedController(25.0, slow_in_corners=True) for _ in range(2))
    assert silent.throttle(20.0) == straight.throttle(20.0, steering=0.0)


def test_a_corner_closes_the_throttle_that_a_straight_road_opens():
    straight, corner = (SpeedController(25.0, slow_in_corners=True).throttle(20.0, steering) for steering in (0, 0.5))
    assert straight > 0 > corner


def test_a_set_speed_below_the_minimum_is_not_raised_in_corners():
    assert SpeedController(5.0, min_speed_mph=10.0, slow_in_corners=True).target_mph(1.0) == 5.0


def test_forgetting_takes_the_integral_back():
    controller = SpeedController(25.0)
    first = controller.throttle(24.0)
    for _ in range(100):
        controller.throttle(0.0)
    controller.forget()
    assert controller.throttle(24.0) == first
