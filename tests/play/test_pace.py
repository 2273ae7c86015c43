"""The world keeps real time, and says so when it cannot."""

import pytest

from bcclone.play.play_world import WorldPace


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def taken(pace, clock, seconds, every):
    """Return the steps that are due in this time, asked for at this interval."""
    steps = 0
    for _ in range(round(seconds / every)):
        clock.now += every
        steps += pace.due()
    return steps


@pytest.mark.parametrize("every", [1 / 30, 0.007])
def test_fifty_steps_are_due_a_second_however_often_one_asks(clock, every):
    pace = WorldPace(clock)
    pace.due()
    assert taken(pace, clock, 4.2, every) == pytest.approx(4.2 * 50, abs=2)
    assert pace.factor == pytest.approx(1.0, abs=0.02)
    assert pace.frames_per_second == pytest.approx(1 / every, rel=0.05)
    taken(pace, clock, 4, every=0.4)  # too seldom: it falls behind
    assert pace.factor == pytest.approx(0.4, abs=0.05)


def test_a_world_that_has_rested_does_not_catch_up(clock):
    pace = WorldPace(clock)
    pace.due()
    clock.now += 0.05
    pace.rest()
    clock.now += 60
    assert pace.due() == 0
    clock.now += 0.04
    assert pace.due() == 2
    assert pace.factor == 1.0
