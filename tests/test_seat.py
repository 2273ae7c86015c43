"""Who of several connections drives, and what each is answered; no sockets, and a clock that the tests turn."""

import base64

import numpy as np
import pytest

from bcclone.drive.controller import SpeedController
from bcclone.drive.driver import Driver
from bcclone.drive.seat import MANUAL, DriverSeat
from bcclone.images import encode_jpeg
from bcclone.protocol import ProtocolError

FRAME = encode_jpeg(np.full((160, 320, 3), 90, np.uint8))


class Always:
    """A policy that always steers the same."""

    def act(self, frame):
        return 0.25


class Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


def make_seat(**options):
    return DriverSeat(Driver(Always(), SpeedController(11.0)), **options)


def telemetry(speed="10.0000", jpeg=FRAME):
    image = base64.b64encode(jpeg).decode()
    return {"steering_angle": "0.0000", "throttle": "0.0000", "speed": speed, "image": image}


def events(messages):
    return [(sid, reply.event) for sid, reply in messages]


def test_telemetry_is_answered_with_steer():
    ((sid, reply),) = make_seat().answer("a", telemetry())
    assert (sid, reply.event) == ("a", "steer")
    assert reply.data == {"steering_angle": "0.250000", "throttle": "0.102000"}


def test_decimal_commas_are_answered_with_decimal_commas():
    ((_, reply),) = make_seat().answer("a", telemetry(speed="10,0000"))
    assert reply.data == {"steering_angle": "0,250000", "throttle": "0,102000"}


@pytest.mark.parametrize(
    "payload", [None, {}, [], 7, "x", {"speed": "1"}, telemetry(speed="NaN"), ProtocolError("no JSON")]
)
def test_every_other_message_is_answered_with_manual_and_takes_no_seat(payload):
    seat = make_seat()
    assert seat.answer("a", payload) == [("a", MANUAL)]
    assert seat.sid is None
    assert seat.driver.faults == (payload not in (None, {}))


def test_the_newest_connection_drives_and_the_older_is_told_manual():
    seat = make_seat()
    seat.answer("a", telemetry())
    assert events(seat.answer("b", telemetry())) == [("a", "manual"), ("b", "steer")]
    assert (seat.sid, seat.waiting) == ("b", 1)
    assert events(seat.answer("b", telemetry())) == [("b", "steer")]


def test_the_older_one_is_answered_manual_and_not_at_every_frame():
    seat = make_seat()
    seat.answer("a", telemetry())
    seat.answer("b", telemetry())
    ((sid, reply),) = seat.answer("a", telemetry())
    assert (sid, reply.event, seat.sid) == ("a", "manual", "b")
    assert reply.after > 0
    assert seat.driver.answered == 2


def test_the_seat_falls_back_when_the_newer_one_leaves():
    seat = make_seat()
    for sid in "abc":
        seat.answer(sid, telemetry())
    assert seat.leave("b") == []  # it waited
    assert seat.leave("c") == [("a", MANUAL)]
    assert events(seat.answer("a", telemetry())) == [("a", "steer")]
    assert seat.leave("a") == []
    assert seat.sid is None
    assert seat.leave("a") == []


def test_another_car_does_not_inherit_the_steering():
    seat = make_seat()
    seat.answer("a", telemetry())
    (_, (_, reply)) = seat.answer("b", telemetry(jpeg=b"broken"))
    assert float(reply.data["steering_angle"]) == 0.0


def test_handing_over_closes_the_throttle_once_and_then_says_manual():
    seen = []
    seat = make_seat(on_manual=seen.append)
    seat.answer("a", telemetry())
    seat.autonomous = False
    ((_, first),) = seat.answer("a", telemetry())
    assert (first.event, float(first.data["throttle"]), float(first.data["steering_angle"])) == ("steer", 0.0, 0.0)
    assert events(seat.answer("a", telemetry()) + seat.answer("a", None)) == [("a", "manual")] * 2
    assert [telemetry and telemetry.jpeg for telemetry in seen] == [FRAME, FRAME, None]
    seat.autonomous = True
    assert events(seat.answer("a", telemetry())) == [("a", "steer")]
    assert seat.driver.answered == 2


def test_a_stalled_driver_is_woken_twice_and_no_more():
    clock = Clock()
    seat = make_seat(clock=clock)
    seat.answer("a", telemetry())
    woken = {}
    for clock.seconds in np.arange(0, 200, 0.5):
        if messages := seat.wake():
            woken[float(clock.seconds)] = messages
    assert woken == {3.0: [("a", MANUAL)], 30.0: [("a", MANUAL)]}
    assert seat.wakings == 2


def test_a_driver_that_speaks_again_is_watched_again():
    clock = Clock()
    seat = make_seat(clock=clock)
    seat.answer("a", telemetry())
    clock.seconds = 3.0
    assert seat.wake()
    clock.seconds = 4.0
    seat.answer("a", telemetry())
    clock.seconds = 6.9
    assert not seat.wake()
    clock.seconds = 7.0
    assert seat.wake()


def test_nobody_is_woken_where_nobody_drives():
    clock = Clock()
    seat = make_seat(clock=clock)
    seat.answer("a", None)
    clock.seconds = 100.0
    assert not seat.wake()
