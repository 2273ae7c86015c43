"""Which of several connections drives, and the reply to each; without sockets, with a clock that
the tests set.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from bcclone.camera.images import encode_jpeg
from bcclone.dataset.answer import Answer
from bcclone.drive.arbiter import MANUAL, ConnectionArbiter
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.driver import Driver
from bcclone.drive.protocol import Telemetry
from tests.drive.drive_server import Clock, Constant

FRAME = encode_jpeg(np.full((160, 320, 3), 90, np.uint8))


def make_arbiter(policy=None, **options):
    return ConnectionArbiter(Driver(policy or Constant(), SpeedSettings(speed_mph=11.0)), **options)


def telemetry(jpeg=FRAME, decimal_comma=False):
    return Telemetry(0.0, 0.0, 10.0, jpeg, decimal_comma)


def test_a_car_is_silent_from_its_last_telemetry_and_not_while_it_is_answered():
    clock = Clock()
    silent = []

    class Slow(Constant):
        def answer(self, frame):
            clock.seconds += 5.0
            silent.append(arbiter.silent_seconds)
            return super().answer(frame)

    arbiter = ConnectionArbiter(Driver(Slow(), SpeedSettings(speed_mph=11.0)), clock=clock)
    clock.seconds = 2.0
    assert arbiter.silent_seconds == 2.0
    arbiter.answer("a", telemetry())
    clock.seconds += 4.0
    assert (silent, arbiter.silent_seconds, arbiter.wake()) == ([0.0], 4.0, "a")


def test_the_older_connection_drives_again_when_the_newer_one_leaves():
    arbiter = make_arbiter()
    for sid in "abc":
        arbiter.answer(sid, telemetry())
    arbiter.leave("b")  # a waiting connection
    assert arbiter.driving_sid == "c"
    arbiter.leave("c")
    assert arbiter.answer("a", telemetry()).event == "steer"
    arbiter.leave("a")
    assert arbiter.driving_sid is None
    arbiter.leave("a")


def test_handing_over_closes_the_throttle_once_and_then_sends_manual():
    arbiter = make_arbiter()
    arbiter.answer("a", telemetry())
    arbiter.autonomous = False
    first = arbiter.answer("a", telemetry())
    assert {float(number) for number in first.data.values()} == {0.0}
    replies = [first, arbiter.answer("a", telemetry()), arbiter.answer("a", None)]
    assert [reply.event for reply in replies] == ["steer", "manual", "manual"]
    assert [reply.telemetry for reply in replies] == [telemetry(), telemetry(), None]
    assert {(reply.drives, reply.decision) for reply in replies} == {(True, None)}
    arbiter.autonomous = True
    assert arbiter.answer("a", telemetry()).event == "steer"
    arbiter.autonomous = False
    events = [arbiter.answer(sid, telemetry()).event for sid in "aabb"]
    assert events == ["steer", "manual", "steer", "manual"]


def test_a_silent_car_is_woken_twice_and_no_more_until_it_sends_again():
    clock = Clock()
    arbiter = make_arbiter(clock=clock)
    arbiter.answer("a", telemetry())
    woken = {}
    for clock.seconds in np.arange(0, 200, 0.5):
        if (sid := arbiter.wake()) is not None:
            woken[float(clock.seconds)] = sid
    assert woken == {3.0: "a", 30.0: "a"}
    arbiter.answer("a", telemetry())
    clock.seconds += 2.5
    assert arbiter.wake() is None
    clock.seconds += 0.5
    assert arbiter.wake() == "a"  # again, since it has sent something meanwhile


def test_the_frames_before_a_pause_and_those_of_another_car_are_forgotten():
    clock = Clock()
    policy = Constant()
    arbiter = make_arbiter(policy, clock=clock)
    forgotten = []
    answered = zip("aaaabb", (0.0, 0.9, 1.8, 2.9, 3.0, 3.1), strict=True)
    for sid, clock.seconds in answered:
        arbiter.answer(sid, telemetry())
        forgotten.append(policy.forgotten)
    assert np.diff(forgotten).tolist() == [0, 0, 1, 1, 0]


def test_the_end_waits_for_the_decision_in_progress_and_nothing_is_decided_after_it():
    started = threading.Event()
    go_on = threading.Event()

    class Slow(Constant):
        def answer(self, frame):
            started.set()
            assert go_on.wait(60)
            return Answer(0.25)

    arbiter = make_arbiter(Slow())
    with ThreadPoolExecutor() as pool:
        answering = pool.submit(arbiter.answer, "a", telemetry())
        assert started.wait(60)
        ending = pool.submit(arbiter.end)
        with pytest.raises(TimeoutError):
            ending.result(0.2)
        go_on.set()
        assert answering.result(60).event == "steer"
        ending.result(60)
    assert arbiter.answer("a", telemetry()) == MANUAL
    assert arbiter.driver.answered == 1
