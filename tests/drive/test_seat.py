"""Who of several connections drives, and what each is answered; no sockets, and a clock that the tests turn."""

import base64

import numpy as np
import pytest

from bcclone.drive.arbiter import MANUAL, DriverSeat
from bcclone.drive.controller import SpeedController
from bcclone.drive.driver import Driver
from bcclone.images import encode_jpeg
from bcclone.protocol import ProtocolError

FRAME = encode_jpeg(np.full((160, 320, 3), 90, np.uint8))


class Always:
    """A policy that always steers the same."""

    forgotten = 0

    def act(self, frame):
        return 0.25

    def forget(self):
        self.forgotten += 1


class Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


def make_seat(policy=None, **options):
    return DriverSeat(Driver(policy or Always(), SpeedController(11.0)), **options)


def telemetry(speed="10.0000", jpeg=FRAME):
    image = base64.b64encode(jpeg).decode()
    return {"steering_angle": "0.0000", "throttle": "0.0000", "speed": speed, "image": image}


def test_telemetry_is_answered_with_steer():
    reply = make_seat().answer("a", telemetry())
    assert reply.event == "steer"
    assert reply.data == {"steering_angle": "0.250000", "throttle": "0.102000"}


def test_decimal_commas_are_answered_with_decimal_commas():
    reply = make_seat().answer("a", telemetry(speed="10,0000"))
    assert reply.data == {"steering_angle": "0,250000", "throttle": "0,102000"}


@pytest.mark.parametrize(
    "payload", [None, {}, [], 7, "x", {"speed": "1"}, telemetry(speed="NaN"), ProtocolError("no JSON")]
)
def test_every_other_message_is_answered_with_manual_and_takes_no_seat(payload):
    seat = make_seat()
    assert seat.answer("a", payload) == MANUAL
    assert seat.sid is None
    assert seat.driver.faults == (payload not in (None, {}))


def test_why_a_telemetry_cannot_be_read_is_told_and_is_no_held_key():
    faults, by_hand = [], []
    seat = make_seat(on_fault=faults.append, on_manual=by_hand.append)
    seat.answer("a", telemetry())
    assert seat.answer("a", telemetry(speed="NaN")) == MANUAL
    assert (faults, by_hand) == (["bad telemetry: speed is not finite"], [])


def test_the_newest_connection_drives():
    seat = make_seat()
    seat.answer("a", telemetry())
    assert seat.answer("b", telemetry()).event == "steer"
    assert (seat.sid, seat.waiting) == ("b", 1)
    assert seat.answer("b", telemetry()).event == "steer"


def test_the_older_one_is_answered_manual_and_not_at_every_frame():
    clock = Clock()
    seat = make_seat(clock=clock)
    seat.answer("a", telemetry())
    seat.answer("b", telemetry())
    reply = seat.answer("a", telemetry())
    assert (reply.event, seat.sid) == ("manual", "b")
    assert reply.after > 0
    assert seat.driver.answered == 2
    clock.seconds = 10.0
    assert seat.untold() == []  # one more would be a loop more


def test_an_older_one_that_does_not_ask_is_told_all_the_same_and_once():
    clock = Clock()
    seat = make_seat(clock=clock)
    seat.answer("a", telemetry())
    seat.answer("b", telemetry())
    assert seat.untold() == []
    clock.seconds = 0.5
    assert seat.untold() == ["a"]
    assert seat.untold() == []


def test_one_that_has_the_seat_back_or_has_left_is_not_told():
    clock = Clock()
    seat = make_seat(clock=clock)
    for sid in "abc":
        seat.answer(sid, telemetry())
    seat.leave("a")
    seat.leave("c")
    clock.seconds = 1.0
    assert seat.untold() == []


def test_the_seat_falls_back_when_the_newer_one_leaves():
    seat = make_seat()
    for sid in "abc":
        seat.answer(sid, telemetry())
    seat.leave("b")  # it waited
    assert seat.sid == "c"
    seat.leave("c")
    assert seat.answer("a", telemetry()).event == "steer"
    seat.leave("a")
    assert seat.sid is None
    seat.leave("a")


def test_another_car_does_not_inherit_the_steering():
    seat = make_seat()
    seat.answer("a", telemetry())
    reply = seat.answer("b", telemetry(jpeg=b"broken"))
    assert float(reply.data["steering_angle"]) == 0.0


def test_handing_over_closes_the_throttle_once_and_then_says_manual():
    seen = []
    seat = make_seat(on_manual=seen.append)
    seat.answer("a", telemetry())
    seat.autonomous = False
    first = seat.answer("a", telemetry())
    assert (first.event, float(first.data["throttle"]), float(first.data["steering_angle"])) == ("steer", 0.0, 0.0)
    assert [seat.answer("a", telemetry()), seat.answer("a", None)] == [MANUAL, MANUAL]
    assert [telemetry and telemetry.jpeg for telemetry in seen] == [FRAME, FRAME, None]
    seat.autonomous = True
    assert seat.answer("a", telemetry()).event == "steer"
    assert seat.driver.answered == 2


def test_a_stalled_driver_is_woken_twice_and_no_more():
    clock = Clock()
    seat = make_seat(clock=clock)
    seat.answer("a", telemetry())
    woken = {}
    for clock.seconds in np.arange(0, 200, 0.5):
        if (sid := seat.wake()) is not None:
            woken[float(clock.seconds)] = sid
    assert woken == {3.0: "a", 30.0: "a"}
    assert seat.wakings == 2


def test_a_driver_that_speaks_again_is_watched_again():
    clock = Clock()
    seat = make_seat(clock=clock)
    seat.answer("a", telemetry())
    clock.seconds = 3.0
    assert seat.wake() == "a"
    clock.seconds = 4.0
    seat.answer("a", telemetry())
    clock.seconds = 6.9
    assert seat.wake() is None
    clock.seconds = 7.0
    assert seat.wake() == "a"


def test_nobody_is_woken_where_nobody_drives():
    clock = Clock()
    seat = make_seat(clock=clock)
    seat.answer("a", None)
    clock.seconds = 100.0
    assert seat.wake() is None


def test_the_frames_before_a_pause_and_those_of_another_car_are_forgotten():
    clock, policy = Clock(), Always()
    seat = make_seat(policy, clock=clock)
    forgotten = []
    for who, clock.seconds in (("a", 0.0), ("a", 0.9), ("a", 1.8), ("a", 2.9), ("b", 3.0), ("b", 3.1)):
        seat.answer(who, telemetry())
        forgotten.append(policy.forgotten)
    assert np.diff(forgotten).tolist() == [0, 0, 1, 1, 0]


def test_each_change_of_the_car_that_drives_is_told():
    changes = []
    seat = make_seat(on_change=lambda: changes.append(seat.sid))
    for sid in ("a", "a", "b", "a"):
        seat.answer(sid, telemetry())
    assert changes == ["a", "b"]
    seat.leave("b")
    seat.leave("a")
    seat.leave("a")
    assert changes == ["a", "b", "a", None]
