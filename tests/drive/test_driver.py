"""What is decided on telemetry: the model's steering, or a safe control; no sockets."""

import math

import numpy as np
import pytest

from bcclone.drive.controller import SpeedController
from bcclone.drive.driver import Driver
from bcclone.images import encode_jpeg
from bcclone.protocol import Telemetry

FRAME = encode_jpeg(np.full((160, 320, 3), 90, np.uint8))


class Steering:
    """A policy that steers as told, or raises what it is told."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.forgotten = 0

    def act(self, frame):
        assert frame.shape == (160, 320, 3)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def forget(self):
        self.forgotten += 1


def telemetry(jpeg=FRAME, speed_mph=10.0):
    return Telemetry(0.0, 0.0, speed_mph, jpeg)


def test_a_frame_is_answered_by_the_policys_steering_and_the_controllers_throttle():
    control = Driver(Steering(0.25), SpeedController(11.0)).decide(telemetry())
    assert control.steering == 0.25
    assert control.throttle == pytest.approx(0.102)


@pytest.mark.parametrize(("said", "sent"), [(3.0, 1.0), (-1.5, -1.0)])
def test_steering_is_clipped(said, sent):
    decisions = []
    assert Driver(Steering(said), SpeedController(25), decisions.append).decide(telemetry()).steering == sent
    assert decisions[0].steering == said


@pytest.mark.parametrize("jpeg", [b"", b"garbage", FRAME[:500], encode_jpeg(np.zeros((80, 160, 3), np.uint8))])
def test_a_bad_frame_gets_the_last_steering_decaying_and_a_closed_throttle(jpeg):
    decisions = []
    driver = Driver(Steering(-0.5), SpeedController(25), decisions.append)
    driver.decide(telemetry())
    controls = [driver.decide(telemetry(jpeg)) for _ in range(30)]
    assert [control.steering for control in controls[:3]] == pytest.approx([-0.4, -0.32, -0.256])
    assert abs(controls[-1].steering) < 0.001
    assert {control.throttle for control in controls} == {0.0}
    assert driver.faults == 30
    assert all(decision.steering is None and "camera frame" in decision.fault for decision in decisions[1:])


@pytest.mark.parametrize("answer", [math.nan, math.inf, RuntimeError("out of memory")])
def test_failing_inference_gets_a_safe_answer(answer):
    driver = Driver(Steering(0.5, answer, 0.1), SpeedController(25))
    driver.decide(telemetry())
    assert driver.decide(telemetry()).steering == pytest.approx(0.4)
    assert driver.decide(telemetry()).steering == pytest.approx(0.1)


def test_what_was_decided_is_handed_on_with_the_speed_that_is_held():
    decisions = []
    driver = Driver(Steering(0.5), SpeedController(20, min_speed_mph=8, slow_in_corners=True), decisions.append)
    driver.decide(telemetry())
    (decision,) = decisions
    assert decision.telemetry.jpeg == FRAME
    assert (decision.steering, decision.control.steering, decision.set_speed_mph) == (0.5, 0.5, 8.0)


def test_who_records_and_fails_costs_the_car_no_answer(caplog):
    def fail(decision):
        raise RuntimeError("no room")

    assert Driver(Steering(0.25), SpeedController(25), fail).decide(telemetry()).steering == 0.25
    assert "no room" in caplog.text


def test_a_long_complaint_of_the_model_is_cut_short():
    decisions = []
    Driver(Steering(RuntimeError("x" * 5000 + "\nsecond line")), SpeedController(25), decisions.append).decide(
        telemetry()
    )
    assert len(decisions[0].fault) < 300


def test_another_car_begins_with_straight_wheels_and_no_frames():
    policy = Steering(-0.5)
    driver = Driver(policy, SpeedController(25))
    driver.decide(telemetry())
    driver.forget()
    assert policy.forgotten == 1
    assert driver.decide(telemetry(b"")).steering == 0.0
