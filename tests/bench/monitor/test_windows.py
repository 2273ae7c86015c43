"""The protocol of the benchmark of monitors."""

import numpy as np
import pytest

from bcclone.bench.monitor.windows import (
    ScoredDrive,
    auc,
    detect,
    windows_before_departures,
    windows_without_departures,
)


def drive(*departures, seconds=20.0):
    """A drive at 25 frames a second whose score is the time, so that a window's average is its middle."""
    times = np.arange(1, round(25 * seconds) + 1) / 25
    return ScoredDrive(times, times, np.array(departures))


@pytest.mark.parametrize(("reaction", "middle"), [(1, 8.5), (2, 7.5), (3, 6.5)])
def test_a_window_ends_the_reaction_time_before_the_departure(reaction, middle):
    assert windows_before_departures(drive(10.0), reaction) == pytest.approx([middle], abs=0.03)


def test_a_departure_soon_after_the_start_or_the_last_one_has_no_window():
    assert len(windows_before_departures(drive(1.9), 1)) == 0
    assert len(windows_before_departures(drive(2.0), 1)) == 1
    assert len(windows_before_departures(drive(10.0, 12.5), 1)) == 2
    assert len(windows_before_departures(drive(10.0, 12.5), 2)) == 1


def test_windows_of_undisturbed_driving_do_not_overlap_and_leave_departures_out():
    assert windows_without_departures(drive()) == pytest.approx(np.arange(20) + 0.52)
    assert len(windows_without_departures(drive(10.5))) == 19
    assert len(windows_without_departures(drive(10.5), margin_seconds=5.0)) == 14


def test_figures_of_a_threshold():
    found = detect(1, np.array([0.9, 0.8, 0.2]), np.array([0.1, 0.3, 0.7]), threshold=0.5)
    assert (found.precision, found.recall) == (0.6667, 0.6667)
    assert found.f3 == pytest.approx(2 / 3, abs=1e-4)
    assert found.auc == pytest.approx(7 / 9, abs=1e-4)
    one_sided = detect(1, np.array([0.9, 0.9]), np.array([0.9, 0.1]), threshold=0.5)
    assert one_sided.f3 == pytest.approx(10 * (2 / 3) / (9 * 2 / 3 + 1), abs=1e-4)


def test_the_area_under_the_curve_of_ties_and_of_nothing():
    assert auc(np.array([1.0]), np.array([1.0])) == 0.5
    assert auc(np.array([]), np.array([1.0])) == 0.5
    assert auc(np.array([2.0]), np.array([1.0, 0.0])) == 1.0
