"""The uncertainty of the last second."""

import numpy as np
import pytest

from bcclone.lab.monitor.monitor import MonitorWatch

FRAME = np.zeros((160, 320, 3), np.uint8)


class Scores:
    """A monitor that gives these scores or raises them, with a threshold of 1."""

    threshold = 1.0

    def __init__(self, *scores):
        self.scores = list(scores)

    def score(self, frame):
        if isinstance(score := self.scores.pop(0), Exception):
            raise score
        return score


def watch(times, *scores):
    clock = iter(times)
    return MonitorWatch(Scores(*scores), lambda: next(clock))


def test_the_scores_of_the_last_second_are_averaged():
    judged = watch([0.0, 0.5, 1.0, 1.4], 0.0, 4.0, 0.0, 0.0)
    judged_frames = [judged.judge(FRAME) for _ in range(4)]
    assert [uncertainty.average for uncertainty in judged_frames] == pytest.approx([0.0, 2.0, 2.0, 4 / 3])
    assert [uncertainty.uncertain for uncertainty in judged_frames] == [False, False, True, True]
    assert judged_frames[2].score == 0.0


def test_there_is_no_uncertainty_before_a_whole_second_was_seen_or_at_the_threshold():
    judged = watch([5.0, 5.5, 6.0, 9.0, 9.9, 10.0], 9.0, 9.0, 9.0, 1.0, 1.0, 1.0)
    assert [judged.judge(FRAME).uncertain for _ in range(3)] == [False, False, True]
    judged.forget()
    seen = [judged.judge(FRAME) for _ in range(3)]  # which do not follow the others, and are at the threshold
    assert [(one.average, one.uncertain) for one in seen] == [(1.0, False)] * 3
