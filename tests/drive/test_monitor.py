"""What the page shows: figures, the last 60 seconds, warnings; with a clock that the tests turn."""

import json

import pytest

from bcclone.drive.driver import Decision
from bcclone.drive.stats import Monitor
from bcclone.protocol import Control, Telemetry


class Clock:
    seconds = 100.0

    def __call__(self):
        return self.seconds


def decision(steering=0.5, speed_mph=12.0, jpeg=b"jpeg", fault=""):
    return Decision(Telemetry(-2.0, 0.3, speed_mph, jpeg), Control(steering or 0.0, 0.2), steering, 20.0, fault)


def test_before_the_first_frame_nothing_is_made_up():
    figures = Monitor().figures()
    assert (figures["frames"], figures["speed_mph"], figures["latency_ms"]["last"]) == (0, None, None)
    assert Monitor().jpeg == (0, b"")
    assert json.dumps(figures, allow_nan=False)


def test_figures_are_those_of_the_last_decision():
    monitor = Monitor()
    monitor.decided(decision(0.1, jpeg=b"old"))
    monitor.decided(decision(0.5, 13.0))
    monitor.answered(0.0042)
    figures = monitor.figures()
    shown = [figures[name] for name in ("frames", "steering_model", "steering_sent", "speed_mph", "target_speed_mph")]
    assert shown == [2, 0.5, 0.5, 13.0, 20.0]
    assert figures["latency_ms"] == {"last": 4.2, "p50": 4.2, "p99": 4.2, "slow": 0, "limit": 0.0}
    assert monitor.jpeg == (2, b"jpeg")


def test_of_a_car_that_has_left_nothing_is_shown_as_if_it_were_now():
    clock = Clock()
    monitor = Monitor(clock=clock)
    monitor.decided(decision())
    monitor.answered(0.004)
    monitor.driven_by_hand(None)
    clock.seconds += 1
    monitor.car_changed()
    monitor.answered(0.005)  # its last answer was still under way
    figures = monitor.figures()
    of_a_car = ("speed_mph", "steering_degrees", "steering_model", "steering_sent", "throttle", "target_speed_mph")
    assert {figures[name] for name in of_a_car} == {None}
    assert (figures["latency_ms"]["last"], monitor.key_held, monitor.jpeg) == (None, False, (1, b""))
    assert (figures["frames"], figures["latency_ms"]["p50"]) == (1, 4.5)  # these are of the whole drive
    assert len(monitor.history()) == 1
    monitor.decided(decision(speed_mph=3.0))
    assert (monitor.figures()["speed_mph"], monitor.jpeg) == (3.0, (2, b"jpeg"))


def test_percentiles_are_of_the_last_answers():
    clock = Clock()
    monitor = Monitor(clock=clock)
    for _ in range(2000):
        monitor.answered(1.0)
    for milliseconds in range(1, 1001):
        monitor.answered(milliseconds / 1000)
    clock.seconds += 1
    latency = monitor.figures()["latency_ms"]
    assert (latency["p50"], latency["p99"]) == pytest.approx((500.5, 990.0), abs=0.1)


def test_slow_answers_are_counted_and_told():
    monitor = Monitor(max_latency_ms=10)
    for seconds in (0.005, 0.02, 0.03):
        monitor.answered(seconds)
    figures = monitor.figures()
    assert figures["latency_ms"]["slow"] == 2
    assert [(warned["text"], warned["count"]) for warned in figures["warnings"]] == [
        ("answers that took longer than 10 ms", 2)
    ]


def test_history_holds_sixty_seconds_ten_times_a_second():
    clock = Clock()
    monitor = Monitor(clock=clock)
    for _ in range(30 * 90):
        clock.seconds += 1 / 30
        monitor.decided(decision())
        monitor.answered(0.004)
    moments = monitor.history()
    assert 590 <= len(moments) <= 601
    assert moments[-1]["seconds"] - moments[0]["seconds"] == pytest.approx(60, abs=0.2)
    assert moments[0]["latency_ms"] == pytest.approx(4)


def test_frames_a_second_are_those_of_late():
    clock = Clock()
    monitor = Monitor(clock=clock)
    for _ in range(90):
        clock.seconds += 1 / 30
        monitor.answered(0.004)
    assert monitor.figures()["frames_per_second"] == pytest.approx(30, abs=1)
    clock.seconds += 5
    assert monitor.figures()["frames_per_second"] == 0


def test_a_fault_is_shown_and_the_same_again_only_counts():
    clock = Clock()
    monitor = Monitor(clock=clock)
    for _ in range(3):
        clock.seconds += 1
        monitor.decided(decision(None, fault="bad camera frame"))
    ((warned),) = monitor.figures()["warnings"]
    assert (warned["count"], warned["seconds"]) == (3, 3.0)
    assert "bad camera frame" in warned["text"]
    assert "throttle is closed" in warned["text"]
    assert monitor.figures()["steering_model"] is None


def test_only_the_newest_warnings_are_kept():
    monitor = Monitor()
    for number in range(100):
        monitor.warn(f"warning {number}")
    assert [warned["text"] for warned in monitor.figures()["warnings"]][:2] == ["warning 99", "warning 98"]
    assert len(monitor.figures()["warnings"]) < 10


def test_by_hand_no_steering_is_shown_and_frames_go_on():
    monitor = Monitor()
    monitor.decided(decision())
    monitor.driven_by_hand(None)
    assert (monitor.key_held, monitor.figures()["steering_sent"], monitor.figures()["frames"]) == (True, None, 1)
    monitor.driven_by_hand(decision(jpeg=b"by hand").telemetry)
    assert (monitor.key_held, monitor.jpeg) == (False, (2, b"by hand"))
