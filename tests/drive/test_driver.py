"""Decisions on telemetry: the model's steering, or a safe control; without sockets."""

import math

import cv2
import numpy as np
import pytest

from bcclone.camera.framing import Framing
from bcclone.camera.images import encode_jpeg
from bcclone.dataset.answer import Answer
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.driver import Driver
from bcclone.drive.protocol import Telemetry
from tests.drive.drive_server import Constant

FRAME = encode_jpeg(np.full((160, 320, 3), 90, np.uint8))


class Steering:
    """A policy that returns, or raises, the given answers; a number is a steering."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.forgotten = 0

    def answer(self, frame):
        assert frame.shape == (160, 320, 3)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Answer) else Answer(answer)

    def forget(self):
        self.forgotten += 1


def telemetry(jpeg=FRAME, speed_mph=10.0):
    return Telemetry(0.0, 0.0, speed_mph, jpeg)


class Framed(Steering):
    """A policy that drives with pictures of 160x120 pixels."""

    framing = Framing(160, 120, rows=(40, 120))

    def answer(self, picture):
        return super().answer(self.framing.apply(picture))


def test_a_policy_with_a_framing_gets_the_pictures_as_they_come():
    picture = np.zeros((120, 160, 3), np.uint8)
    plain = Driver(Steering(), SpeedSettings(speed_mph=25)).decide(telemetry(encode_jpeg(picture)))
    assert "expected 320x160" in plain.fault
    assert not plain.frame_readable
    driver = Driver(Framed(0.1, 0.2), SpeedSettings(speed_mph=25))
    assert driver.decide(telemetry(encode_jpeg(picture))).steering == 0.1
    assert driver.decide(telemetry()).steering == 0.2  # it is a frame already
    refused = driver.decide(telemetry(encode_jpeg(picture[:80])))
    assert "bad camera frame: 160x80 pixels, expected 160x120" in refused.fault
    assert not refused.frame_readable


@pytest.mark.parametrize(("steering", "sent"), [(3.0, 1.0), (-1.5, -1.0)])
def test_steering_is_clipped(steering, sent):
    decision = Driver(Steering(steering), SpeedSettings(speed_mph=25)).decide(telemetry())
    assert (decision.steering, decision.control.steering) == (steering, sent)


@pytest.mark.parametrize(
    "jpeg", [b"", b"garbage", FRAME[:500], encode_jpeg(np.zeros((80, 160, 3), np.uint8))]
)
def test_a_bad_frame_gets_the_last_steering_decaying_and_a_closed_throttle(jpeg):
    driver = Driver(Steering(-0.5), SpeedSettings(speed_mph=25))
    driver.decide(telemetry())
    decisions = [driver.decide(telemetry(jpeg)) for _ in range(30)]
    controls = [decision.control for decision in decisions]
    assert [control.steering for control in controls[:3]] == pytest.approx([-0.4, -0.32, -0.256])
    assert abs(controls[-1].steering) < 0.001
    assert {control.throttle for control in controls} == {0.0}
    assert driver.faults == 30
    assert all(
        decision.steering is None and "camera frame" in decision.fault for decision in decisions
    )


@pytest.mark.parametrize("answer", [math.nan, math.inf, RuntimeError("out of memory")])
def test_failing_inference_gets_a_safe_answer(answer):
    driver = Driver(Steering(0.5, answer, 0.1), SpeedSettings(speed_mph=25))
    driver.decide(telemetry())
    assert driver.decide(telemetry()).control.steering == pytest.approx(0.4)
    assert driver.decide(telemetry()).control.steering == pytest.approx(0.1)


def test_another_car_starts_with_straight_wheels_and_no_frames():
    policy = Steering(-0.5)
    driver = Driver(policy, SpeedSettings(speed_mph=25))
    driver.decide(telemetry())
    driver.forget()
    assert policy.forgotten == 1
    assert driver.decide(telemetry(b"")).control.steering == 0.0


class Slow(Constant):
    """A policy that takes 0.06 s for each frame, by its own clock, and counts the frames that it
    saw.
    """

    seen = 0

    def clock(self):
        return 0.06 * self.seen

    def answer(self, frame):
        self.seen += 1
        return Answer(self.seen / 100)


def slow_driver():
    """Return a policy that is too slow, and its driver."""
    policy = Slow()
    return policy, Driver(policy, SpeedSettings(speed_mph=25), clock=policy.clock)


def test_a_frame_that_waited_for_a_slow_model_gets_the_last_steering():
    policy, driver = slow_driver()
    decisions = [
        driver.decide(telemetry(), late) for late in (False, True, True, True, False, True)
    ]
    assert [decision.repeated for decision in decisions] == [False, False, False, True, False, True]
    assert [decision.steering for decision in decisions] == [0.01, 0.02, 0.03, 0.03, 0.04, 0.04]
    assert policy.seen == 4


def test_another_car_does_not_get_the_steering_of_the_one_before():
    policy, driver = slow_driver()
    for _ in range(3):
        driver.decide(telemetry())
    assert driver.too_slow
    driver.forget()
    assert not driver.too_slow
    assert not driver.decide(telemetry(), late=True).repeated
    assert policy.seen == 4


def test_a_frame_that_is_no_jpeg_is_named_as_what_it_is():
    png = bytes(cv2.imencode(".png", np.zeros((160, 320, 3), np.uint8))[1])
    for image, fault in (
        (png, "bad camera frame: a PNG, expected a JPEG"),
        (b"", "bad camera frame: none, or not base64"),
    ):
        assert (
            Driver(Steering(), SpeedSettings(speed_mph=25)).decide(telemetry(image)).fault == fault
        )
