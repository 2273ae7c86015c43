"""Answers that are delayed as a driver steers late."""

import math

import numpy as np
import pytest

from bcclone.evaluation.delayed_answers import delayed
from bcclone.evaluation.frame_files import NamedFrame

START_MS = 1_700_000_000_000


def test_answers_follow_gradually_within_a_drive():
    names = [str(START_MS + 100 * number) for number in (0, 1, 2, 3, 50, 51)]
    begins = (True, False, False, False, True, False)
    files = [NamedFrame(name, name, first) for name, first in zip(names, begins, strict=True)]
    steering = dict(zip(names, (0.0, 0.1, 0.4, 0.2, 0.5, 0.7), strict=True))
    # after ln 2 time constants, half of the way to the mean of both answers is done
    later = delayed(steering, files, 0.1 / math.log(2))
    assert list(later) == names
    assert list(later.values()) == pytest.approx([0.0, 0.025, 0.1375, 0.21875, 0.5, 0.55])
    # pictures that are late
    earlier = delayed(steering, files, -0.1)
    assert list(earlier.values()) == pytest.approx([0.1, 0.4, 0.2, 0.2, 0.7, 0.7])


@pytest.mark.parametrize("frame_seconds", [0.02, 0.05])
def test_answers_are_late_by_the_delay_in_the_mean_at_any_frame_rate(frame_seconds):
    times = np.arange(0, 20, frame_seconds)
    names = [str(START_MS + round(1000 * time)) for time in times]
    files = [NamedFrame(name, name, name == names[0]) for name in names]
    ramp = dict(zip(names, 0.1 * times, strict=True))
    later = delayed(ramp, files, 0.4)
    assert later is not None
    late = (ramp[names[-1]] - later[names[-1]]) / 0.1
    assert late == pytest.approx(0.4, abs=0.001)


def test_frames_that_cannot_be_read_are_left_out_and_names_without_times_are_not_delayed():
    names = [str(START_MS + 100 * number) for number in range(3)]
    files = [NamedFrame(name, name, number == 0) for number, name in enumerate(names)]
    seconds = 0.2 / math.log(2)  # half of the way is done after 0.2 s
    assert delayed({names[0]: 0.0, names[2]: 0.2}, files, seconds) == pytest.approx(
        {names[0]: 0.0, names[2]: 0.05}
    )
    assert delayed({"a": 0.0}, [NamedFrame("a", "a", True)], 0.1) is None


def test_a_drive_begins_where_its_first_frame_cannot_be_read_and_where_the_time_steps_back():
    times = (0, 1, 30, 31, 5, 6)
    names = [str(START_MS + 100 * time) for time in times]
    begins = (True, False, True, False, False, False)
    files = [NamedFrame(name, name, first) for name, first in zip(names, begins, strict=True)]
    steering = dict(zip(names, (0.0, 0.0, 0.5, 0.5, -0.5, -0.5), strict=True))
    del steering[names[2]]
    assert delayed(steering, files, 0.3) == pytest.approx(steering)
