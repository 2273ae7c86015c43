"""The figures of a drive, the last 60 seconds, and warnings; with a clock that the tests set."""

from dataclasses import replace

import pytest

from bcclone.drive.driver import Decision
from bcclone.drive.protocol import Control, Telemetry
from bcclone.drive.stats import DriveStats, LatencyFigures, UncertaintyFigures
from bcclone.drive.watch import Uncertainty


class Clock:
    seconds = 100.0

    def __call__(self):
        return self.seconds


def decision(steering=0.5, speed_mph=12.0, jpeg=b"jpeg", fault=""):
    return Decision(1, Telemetry(-2.0, 0.3, speed_mph, jpeg), Control(steering or 0.0, 0.2), steering, 20.0, fault)


def test_before_the_first_frame_the_figures_are_none():
    figures = DriveStats().figures()
    assert (figures.frames, figures.speed_mph, figures.latency_ms.last) == (0, None, None)
    assert DriveStats().jpeg == (0, b"")


def test_figures_are_those_of_the_last_decision():
    stats = DriveStats()
    stats.decided(decision(0.1, jpeg=b"old"))
    stats.decided(decision(0.5, 13.0))
    stats.answered(decision(), 0.0042)
    figures = stats.figures()
    assert (figures.frames, figures.steering_model, figures.steering_sent) == (2, 0.5, 0.5)
    assert (figures.speed_mph, figures.target_speed_mph) == (13.0, 20.0)
    assert figures.latency_ms == LatencyFigures(4.2, 4.2, 4.2, 0, 0.0)
    assert stats.jpeg == (2, b"jpeg")


def test_the_figures_of_a_car_that_has_left_are_none():
    clock = Clock()
    stats = DriveStats(clock=clock)
    stats.decided(decision())
    stats.answered(decision(), 0.004)
    stats.driven_by_hand(None)
    clock.seconds += 1
    stats.car_changed()
    stats.answered(decision(), 0.005)  # its last answer is sent late
    figures = stats.figures()
    of_a_car = ("speed_mph", "steering_degrees", "steering_model", "steering_sent", "throttle", "target_speed_mph")
    assert {getattr(figures, name) for name in of_a_car} == {None}
    assert (figures.latency_ms.last, stats.key_held, stats.jpeg) == (None, False, (1, b""))
    assert (figures.frames, figures.latency_ms.p50) == (1, 4.5)  # of the whole drive
    assert len(stats.history()) == 1
    stats.decided(decision(speed_mph=3.0))
    assert (stats.figures().speed_mph, stats.jpeg) == (3.0, (2, b"jpeg"))


def test_percentiles_are_of_the_last_answers():
    clock = Clock()
    stats = DriveStats(clock=clock)
    for _ in range(2000):
        stats.answered(decision(), 1.0)
    for milliseconds in range(1, 1001):
        stats.answered(decision(), milliseconds / 1000)
    clock.seconds += 1
    latency = stats.figures().latency_ms
    assert (latency.p50, latency.p99) == pytest.approx((500.5, 990.0), abs=0.1)


def test_slow_answers_are_counted_and_shown_as_a_warning():
    stats = DriveStats(max_latency_ms=10)
    for seconds in (0.005, 0.02, 0.03):
        stats.answered(decision(), seconds)
    figures = stats.figures()
    assert figures.latency_ms.slow == 2
    assert [(warning.text, warning.count) for warning in figures.warnings] == [
        ("answers that took longer than 10 ms", 2)
    ]


def test_the_history_has_ten_points_a_second_for_sixty_seconds():
    clock = Clock()
    stats = DriveStats(clock=clock)
    for _ in range(30 * 90):
        clock.seconds += 1 / 30
        stats.decided(decision())
        stats.answered(decision(), 0.004)
    points = stats.history()
    assert 590 <= len(points) <= 601
    assert points[-1].seconds - points[0].seconds == pytest.approx(60, abs=0.2)
    assert points[0].latency_ms == pytest.approx(4)


def test_frames_per_second_are_those_of_the_last_seconds():
    clock = Clock()
    stats = DriveStats(clock=clock)
    for _ in range(90):
        clock.seconds += 1 / 30
        stats.answered(decision(), 0.004)
    assert stats.figures().frames_per_second == pytest.approx(30, abs=1)
    clock.seconds += 5
    assert stats.figures().frames_per_second == 0


def test_a_fault_is_a_warning_and_repetitions_are_counted():
    clock = Clock()
    stats = DriveStats(clock=clock)
    for _ in range(3):
        clock.seconds += 1
        stats.decided(decision(None, fault="bad camera frame"))
    (warning,) = stats.figures().warnings
    assert (warning.count, warning.seconds) == (3, 3.0)
    assert "bad camera frame" in warning.text
    assert "throttle is closed" in warning.text
    assert stats.figures().steering_model is None


def test_only_the_newest_warnings_are_kept():
    stats = DriveStats()
    for number in range(100):
        stats.warn(f"warning {number}")
    assert [warning.text for warning in stats.figures().warnings][:2] == ["warning 99", "warning 98"]
    assert len(stats.figures().warnings) < 10


def test_driving_by_hand_shows_frames_and_no_steering():
    stats = DriveStats()
    stats.decided(decision())
    stats.driven_by_hand(None)
    assert (stats.key_held, stats.figures().steering_sent, stats.figures().frames) == (True, None, 1)
    stats.driven_by_hand(decision(jpeg=b"by hand").telemetry)
    assert (stats.key_held, stats.jpeg) == (False, (2, b"by hand"))


def test_the_page_is_told_what_the_monitor_says():
    stats = DriveStats(when_uncertain="slow")
    assert stats.figures().uncertainty is None
    stats.decided(replace(decision(), uncertainty=Uncertainty(3.0, 2.0, 1.0)))
    assert stats.figures().uncertainty == UncertaintyFigures(3.0, 2.0, 1.0, True, "slow")
    stats.decided(decision())
    assert stats.figures().uncertainty is None
