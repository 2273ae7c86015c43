"""What is answered to telemetry, and how the speed is held; no sockets."""

import base64
import math

import numpy as np
import pytest

from bcclone.drive.controller import SpeedController
from bcclone.drive.driver import MANUAL, Driver
from bcclone.images import encode_jpeg

FRAME = encode_jpeg(np.full((160, 320, 3), 90, np.uint8))


class Steering:
    """A policy that steers as told, or raises what it is told."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def act(self, frame):
        assert frame.shape == (160, 320, 3)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def telemetry(jpeg=FRAME, speed="10.0000"):
    image = base64.b64encode(jpeg).decode()
    return {"steering_angle": "0.0000", "throttle": "0.0000", "speed": speed, "image": image}


def steering_of(reply):
    assert reply.event == "steer"
    return float(reply.data["steering_angle"])


def test_a_frame_is_answered_by_the_policys_steering_and_the_controllers_throttle():
    reply = Driver(Steering(0.25), SpeedController(11.0)).reply(telemetry())
    assert reply.event == "steer"
    assert reply.data == {"steering_angle": "0.250000", "throttle": "0.102000"}


def test_decimal_commas_are_answered_with_decimal_commas():
    reply = Driver(Steering(0.25), SpeedController(11.0)).reply(telemetry(speed="10,0000"))
    assert reply.data == {"steering_angle": "0,250000", "throttle": "0,102000"}


@pytest.mark.parametrize(("said", "sent"), [(3.0, 1.0), (-1.5, -1.0)])
def test_steering_is_clipped(said, sent):
    assert steering_of(Driver(Steering(said), SpeedController(25)).reply(telemetry())) == sent


@pytest.mark.parametrize("payload", [None, {}, [], 7, "x", {"speed": "1"}, telemetry(speed="NaN")])
def test_every_other_message_is_answered_with_manual(payload):
    assert Driver(Steering(), SpeedController(25)).reply(payload) == MANUAL


@pytest.mark.parametrize("jpeg", [b"", b"garbage", FRAME[:500], encode_jpeg(np.zeros((80, 160, 3), np.uint8))])
def test_a_bad_frame_gets_the_last_steering_decaying_and_a_closed_throttle(jpeg):
    driver = Driver(Steering(-0.5), SpeedController(25))
    driver.reply(telemetry())
    replies = [driver.reply(telemetry(jpeg)) for _ in range(30)]
    assert [steering_of(reply) for reply in replies[:3]] == pytest.approx([-0.4, -0.32, -0.256])
    assert abs(steering_of(replies[-1])) < 0.001
    assert {float(reply.data["throttle"]) for reply in replies} == {0.0}
    assert driver.faults == 30


@pytest.mark.parametrize("answer", [math.nan, math.inf, RuntimeError("out of memory")])
def test_failing_inference_gets_a_safe_answer(answer):
    driver = Driver(Steering(0.5, answer, 0.1), SpeedController(25))
    driver.reply(telemetry())
    assert steering_of(driver.reply(telemetry())) == pytest.approx(0.4)
    assert steering_of(driver.reply(telemetry())) == pytest.approx(0.1)


def test_what_was_answered_is_handed_on():
    seen = []
    driver = Driver(Steering(0.5), SpeedController(25), lambda *pair: seen.append(pair))
    driver.reply(telemetry())
    driver.reply(None)
    ((received, control),) = seen
    assert received.jpeg == FRAME
    assert control.steering == 0.5


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


def test_the_gains_are_udacitys():
    controller = SpeedController(10.0)
    assert controller.throttle(9.0) == pytest.approx(0.1 * 1 + 0.002 * 1)
    assert controller.throttle(9.0) == pytest.approx(0.1 * 1 + 0.002 * 2)


def test_far_too_fast_brakes_within_the_simulators_range():
    assert SpeedController(5.0).throttle(60.0) == -1.0
