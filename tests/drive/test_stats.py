"""The figures of a drive and its warnings; with a clock that the tests set."""

from dataclasses import replace

import pytest

from bcclone.drive.arbiter import ConnectionArbiter, Reply
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.driver import Decision, Driver
from bcclone.drive.protocol import Control, Telemetry
from bcclone.drive.stats import DriveStats
from tests.drive.drive_server import Clock, Constant

TELEMETRY = Telemetry(-2.0, 0.3, 12.0, b"jpeg")
DECISION = Decision(TELEMETRY, Control(0.5, 0.2), 0.5, 20.0)
DECIDED = Reply(DECISION.control, True, TELEMETRY, DECISION)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def arbiter(clock):
    """The arbiter of a car, "a", which drives."""
    arbiter = ConnectionArbiter(Driver(Constant(), SpeedSettings(speed_mph=25.0)), clock=clock)
    arbiter.answer("a", TELEMETRY)
    return arbiter


@pytest.fixture
def stats(arbiter, clock):
    return DriveStats(arbiter, clock=clock)


def test_latencies_and_rates_are_of_the_last_answers(stats, clock):
    clock.seconds = 1.23456
    for _ in range(2000):
        stats.answered("a", DECIDED, 1.0)
    for milliseconds in range(1, 1001):
        stats.answered("a", DECIDED, milliseconds / 1000)
    clock.seconds += 5
    figures = stats.figures()
    assert figures["latency_ms"] == {"last": 1000.0, "p50": 500.5, "p99": 990.01}
    assert (stats.first_answer_seconds, figures["seconds"]) == (1.23456, 6.2)
    assert figures["frames_per_second"] == 0
    for _ in range(90):
        clock.seconds += 1 / 30
        stats.answered("a", DECIDED, 0.004)
    assert stats.figures()["frames_per_second"] == pytest.approx(30, abs=1)


def test_the_connection_says_who_drives(stats, arbiter, clock):
    def connection():
        return stats.figures()["connection"]

    assert connection() == "driving"
    stats.answered("a", DECIDED, None)
    stats.answered("a", Reply(drives=True), 0.001)  # an empty telemetry
    assert (connection(), stats.figures()["steering_sent"]) == ("key held", None)
    by_hand = replace(TELEMETRY, jpeg=b"by hand")
    stats.answered("a", Reply(None, True, by_hand), 0.001)
    assert (connection(), stats.last_frame) == ("driving", (2, b"by hand"))
    arbiter.answer("b", TELEMETRY)
    arbiter.autonomous = False
    assert (connection(), stats.figures()["waiting_cars"]) == ("handed over", 1)
    clock.seconds = 4.0
    assert connection() == "silent"
    arbiter.leave("a")
    arbiter.leave("b")
    assert connection() == "none"


def test_the_figures_of_a_car_that_does_not_drive_any_more_are_none(stats, arbiter, clock):
    stats.answered("a", DECIDED, 0.004)
    assert stats.figures()["steering_degrees"] == -2.0
    clock.seconds += 1
    arbiter.answer("b", TELEMETRY)
    stats.answered("a", DECIDED, 0.005)  # its last answer is sent late
    stats.answered("c", Reply(delay_seconds=0.1), 0.1)  # a car that waits
    figures = stats.figures()
    names = ("speed_mph", "steering_degrees", "steering_model", "steering_sent", "throttle")
    assert {figures[name] for name in (*names, "target_speed_mph")} == {None}
    assert (figures["latency_ms"]["last"], figures["frames_per_second"]) == (None, 0.0)
    assert stats.last_frame == (2, b"")
    assert (figures["frames"], figures["latency_ms"]["p50"]) == (2, 4.5)  # of the whole drive
    stats.answered("b", DECIDED, None)
    assert (stats.figures()["speed_mph"], stats.figures()["latency_ms"]["last"]) == (12.0, None)
    assert stats.last_frame == (3, b"jpeg")


def test_only_the_newest_warnings_are_kept(stats):
    for number in range(100):
        stats.warn(f"warning {number}")
    texts = [warning["text"] for warning in stats.figures()["warnings"]]
    assert texts == [f"warning {number}" for number in range(99, 91, -1)]
