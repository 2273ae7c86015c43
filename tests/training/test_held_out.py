"""Whether held-out driving tells that a network steers: by how often the road turned."""

from types import SimpleNamespace

import numpy as np
import pytest

from bcclone.training.result import LEARNED, NOT_LEARNED, UNKNOWN, judge_held_out

ROWS_A_SECOND = 10


def judged(driven, steering, mean=0.0, episode=None):
    """Judge a network's steering against what a driver steered, ten rows a second."""
    count = len(driven)
    rows = np.zeros(count, [("time_ms", np.int64), ("episode", np.int64)])
    rows["time_ms"] = np.arange(count) * 1000 // ROWS_A_SECOND
    rows["episode"] = 0 if episode is None else episode
    selection = SimpleNamespace(
        first_of_row=np.arange(count),
        row=np.arange(count),
        labels=np.asarray(driven, np.float32)[:, None],
        data=SimpleNamespace(rows=rows),
    )
    return judge_held_out(selection, mean, np.asarray(steering, np.float64))


def road(bends, seconds=4.0, size=0.2, seed=0):
    """Return the steering of so many bends, left and right, with a hand's noise."""
    steps = round(bends * seconds * ROWS_A_SECOND)
    wave = size * np.sin(np.pi * np.arange(steps) / (seconds * ROWS_A_SECOND))
    return wave + 0.02 * np.random.default_rng(seed).standard_normal(steps)


@pytest.mark.parametrize("bends", [8, 30])
def test_enough_bends_tell_a_network_that_steers_from_one_that_does_not(bends):
    driven = road(bends)
    assert judged(driven, 0.8 * driven).verdict == LEARNED
    assert judged(driven, np.zeros(len(driven))).verdict == NOT_LEARNED
    assert judged(driven, -driven).verdict == NOT_LEARNED


@pytest.mark.parametrize(
    "driven",
    [
        0.15 + 0.01 * road(3, size=1.0),  # a road that turns one way
        road(2),  # to the left and to the right once
        road(20, size=0.005),  # straight, but for the hand's noise
    ],
)
def test_too_little_driving_tells_neither(driven):
    mean = float(driven.mean())
    for steering in (np.full(len(driven), mean), driven * 0.9 + 0.1 * mean, driven + 0.03):
        held_out = judged(driven, steering, mean)
        assert held_out.verdict == UNKNOWN
        assert held_out.reason().startswith("the driving") or "hardly changes" in held_out.reason()


def test_a_network_that_is_far_off_everywhere_is_seen_on_any_road():
    driven = road(2)
    assert judged(driven, driven + 0.6).verdict == NOT_LEARNED


def test_many_rows_of_one_bend_are_one_bend_and_stretches_count_apart():
    driven = np.full(3000, 0.2)
    assert judged(driven, driven).parts == 1
    assert judged(driven, driven, episode=np.arange(3000) // 300).parts == 10
    assert judged(driven[:4], driven[:4]) is None
