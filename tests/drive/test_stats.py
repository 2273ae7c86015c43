"""The figures of a drive, the last 60 seconds, and warnings; with a clock that the tests set."""

from dataclasses import replace

import pytest

from bcclone.drive.arbiter import ConnectionArbiter, Reply
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.driver import Decision, Driver
from bcclone.drive.protocol import Control, Telemetry
from bcclone.drive.stats import DriveStats
from tests.drive.drive_server import Clock, Constant


def decision(steering=0.5, speed_mph=12.0, jpeg=b"jpeg", fault=""):
    return Decision(
        1,
        Telemetry(-2.0, 0.3, speed_mph, jpeg),
        Control(steering or 0.0, 0.2),
        steering,
        20.0,
        fault,
    )


def decided(of=None, **values):
    """Return the reply with a decision."""
    of = of or decision(**values)
    return Reply(of.control, True, of.telemetry, of)


TELEMETRY = Telemetry(0.0, 0.0, 10.0, b"")
KEY_HELD = Reply(drives=True)


def arbiter_of(*cars):
    """Return the arbiter of these cars, of which the last one drives."""
    arbiter = ConnectionArbiter(Driver(Constant(0.0), SpeedSettings(speed_mph=25.0)))
    for sid in cars:
        arbiter.answer(sid, TELEMETRY)
    return arbiter


def make_stats(**options):
    """Return the figures of a drive in which "a" drives."""
    return DriveStats(arbiter_of("a"), **options)


def test_figures_and_history_of_a_drive_are_complete():
    clock = Clock()
    stats = make_stats(clock=clock)
    assert stats.figures()["connection"] == "driving"
    clock.seconds = 1.23456
    stats.answered("a", decided(), 0.0123456)
    stats.warn("rain")
    of_server = {
        "seconds": 1.2,
        "connection": "driving",
        "dialect": "",
        "clients": 0,
        "waiting_cars": 0,
    }
    of_drive = {
        "autonomous": True,
        "frames": 1,
        "first_answer_seconds": 1.23,
        "frames_per_second": 0.5,
    }
    counts = {"answered": 1, "faults": 1, "wakeups": 0}  # the first frame of this car is empty
    of_car = {
        "speed_mph": 12.0,
        "steering_degrees": -2.0,
        "steering_model": 0.5,
        "steering_sent": 0.5,
        "throttle": 0.2,
    }
    warnings = [
        {"text": "rain", "count": 1, "seconds": 1.2},
    ]
    assert stats.figures() == of_server | of_drive | counts | of_car | {
        "target_speed_mph": 20.0,
        "speed_rule": "",
        "latency_ms": {"last": 12.35, "p50": 12.35, "p99": 12.35},
        "warnings": warnings,
    }
    for clock.seconds in (1.25, 1.35, 61.23456):
        stats.answered("a", decided(), 0.0104321)
    figures = stats.figures()
    assert (figures["first_answer_seconds"], figures["latency_ms"]["p50"]) == (1.23, 10.43)
    point = {
        "speed_mph": 12.0,
        "set_speed_mph": 20.0,
        "steering_model": 0.5,
        "steering_sent": 0.5,
        "throttle": 0.2,
        "latency_ms": pytest.approx(10.4321),
    }
    assert stats.history() == [{"seconds": seconds} | point for seconds in (1.35, 61.23456)]


def test_the_connection_says_who_drives():
    clock = Clock()
    arbiter = arbiter_of()
    arbiter = ConnectionArbiter(arbiter.driver, clock=clock)
    stats = DriveStats(arbiter, clock=clock)
    assert stats.figures()["connection"] == "none"
    arbiter.answer("a", TELEMETRY)
    arbiter.answer("b", TELEMETRY)
    arbiter.autonomous = False
    assert (stats.figures()["connection"], stats.figures()["waiting_cars"]) == ("handed over", 1)
    clock.seconds = 4.0
    assert stats.figures()["connection"] == "silent"


def test_warnings_say_why_a_frame_was_not_steered_by_the_model():
    stats = make_stats()
    stats.answered("a", decided(decision(steering=None, fault="the model answered NaN")), None)
    stats.answered("a", decided(replace(decision(), repeated=True)), 0.001)
    texts = [warning["text"] for warning in stats.figures()["warnings"]]
    assert texts[0].startswith("the model is too slow for this machine")
    assert texts[1:] == ["the model answered NaN; steering decays, the throttle is closed"]


def closes(arbiter):
    arbiter.leave("a")


def gives_way(arbiter):
    arbiter.answer("b", TELEMETRY)


@pytest.mark.parametrize("change", [closes, gives_way])
def test_the_figures_of_a_car_that_does_not_drive_any_more_are_none(change):
    clock = Clock()
    arbiter = arbiter_of("a")
    stats = DriveStats(arbiter, clock=clock)
    stats.answered("a", decided(), 0.004)
    clock.seconds += 1
    change(arbiter)
    stats.answered("a", decided(), 0.005)  # its last answer is sent late
    stats.answered("c", Reply(delay_seconds=0.1), 0.1)  # a car that waits
    figures = stats.figures()
    of_a_car = (
        "speed_mph",
        "steering_degrees",
        "steering_model",
        "steering_sent",
        "throttle",
        "target_speed_mph",
    )
    assert {figures[name] for name in of_a_car} == {None}
    assert (figures["latency_ms"]["last"], figures["frames_per_second"], stats.last_frame) == (
        None,
        0.0,
        (2, b""),
    )
    assert (figures["frames"], figures["latency_ms"]["p50"]) == (2, 4.5)  # of the whole drive
    assert len(stats.history()) == 1
    gives_way(arbiter)
    stats.answered("b", decided(speed_mph=3.0), None)
    assert stats.figures()["speed_mph"] == 3.0
    assert stats.figures()["latency_ms"]["last"] is None
    assert stats.last_frame == (3, b"jpeg")


def test_percentiles_are_of_the_last_answers():
    clock = Clock()
    stats = make_stats(clock=clock)
    for _ in range(2000):
        stats.answered("a", decided(), 1.0)
    for milliseconds in range(1, 1001):
        stats.answered("a", decided(), milliseconds / 1000)
    clock.seconds += 1
    latency = stats.figures()["latency_ms"]
    assert (latency["p50"], latency["p99"]) == pytest.approx((500.5, 990.0), abs=0.1)


def test_frames_per_second_are_those_of_the_last_seconds():
    clock = Clock()
    stats = make_stats(clock=clock)
    for _ in range(90):
        clock.seconds += 1 / 30
        stats.answered("a", decided(), 0.004)
    assert stats.figures()["frames_per_second"] == pytest.approx(30, abs=1)
    clock.seconds += 5
    assert stats.figures()["frames_per_second"] == 0


def test_only_the_newest_warnings_are_kept():
    stats = make_stats()
    for number in range(100):
        stats.warn(f"warning {number}")
    newest = [f"warning {number}" for number in range(99, 91, -1)]
    assert [warning["text"] for warning in stats.figures()["warnings"]] == newest


def test_a_telemetry_that_cannot_be_read_is_a_warning_and_changes_no_figure():
    stats = make_stats()
    stats.answered("a", decided(), None)
    before = stats.figures()
    stats.answered("a", Reply(drives=True, fault="bad telemetry"), None)
    stats.answered("b", Reply(fault="bad telemetry"), None)
    figures = stats.figures()
    assert [(warning["text"], warning["count"]) for warning in figures["warnings"]] == [
        ("bad telemetry", 2)
    ]
    assert figures | {"warnings": [], "seconds": before["seconds"]} == before


def test_driving_by_hand_shows_frames_and_no_steering():
    stats = make_stats()
    stats.answered("a", decided(), None)
    stats.answered("a", KEY_HELD, 0.001)
    figures = stats.figures()
    assert (figures["connection"], figures["steering_sent"], figures["frames"]) == (
        "key held",
        None,
        1,
    )
    stats.answered("a", Reply(None, True, decision(jpeg=b"by hand").telemetry), 0.001)
    assert (stats.figures()["connection"], stats.last_frame) == ("driving", (2, b"by hand"))
