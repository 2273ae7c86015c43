"""Answers that are delayed as a driver steers late."""

import pytest

from bcclone.evaluation.delayed_answers import delayed
from bcclone.evaluation.frame_files import NamedFrame

START_MS = 1_700_000_000_000


def test_answers_are_those_of_earlier_in_the_same_drive():
    names = [str(START_MS + 100 * number) for number in (0, 1, 2, 3, 50, 51)]
    begins = (True, False, False, False, True, False)
    files = [NamedFrame(name, name, first) for name, first in zip(names, begins, strict=True)]
    steering = dict(zip(names, (0.0, 0.1, 0.4, 0.2, 0.5, 0.7), strict=True))
    later = delayed(steering, files, 0.15)
    assert list(later) == names
    assert list(later.values()) == pytest.approx([0.0, 0.0, 0.05, 0.25, 0.5, 0.5])
    earlier = delayed(steering, files, -0.1)
    assert list(earlier.values()) == pytest.approx([0.1, 0.4, 0.2, 0.2, 0.7, 0.7])


def test_frames_that_cannot_be_read_are_left_out_and_names_without_times_are_not_delayed():
    names = [str(START_MS + 100 * number) for number in range(3)]
    files = [NamedFrame(name, name, number == 0) for number, name in enumerate(names)]
    assert list(delayed({names[0]: 0.0, names[2]: 0.2}, files, 0.1).values()) == pytest.approx(
        [0.0, 0.1]
    )
    assert delayed({"a": 0.0}, [NamedFrame("a", "a", True)], 0.1) is None
