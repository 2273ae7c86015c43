"""A person takes over from a model and gives back; the wheel never jerks, and take-overs are numbered."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcclone.drive.protocol import Control
from bcclone.drive.wheel import HandInput, Wheel
from bcclone.recording.run_tables import HUMAN, MODEL, DrivenRow

ONE = st.floats(-1, 1)


def steer(wheel, model, person):
    """Return the steering of the next frame and who gave it. person: None for hands off."""
    control = wheel.turn(HandInput(steering=person), 1, None if model is None else Control(model, 0.0))
    return SimpleNamespace(steering=control.steering, by=wheel.by)


def test_without_a_model_the_person_steers_at_once_and_nothing_is_a_take_over():
    wheel = Wheel()
    assert steer(wheel, None, 0.7).steering == 0.7
    turn = steer(wheel, None, None)
    assert (turn.steering, turn.by) == (0.0, DrivenRow(HUMAN))
    assert wheel.count == 0


def test_the_model_steers_until_a_person_does_and_again_after():
    wheel = Wheel()
    who = [steer(wheel, 0.2, person).by for person in (None, 0.1, 0.0, None, 0.5, None)]
    one, two = DrivenRow(HUMAN, 1), DrivenRow(HUMAN, 2)
    assert who == [DrivenRow(MODEL), one, one, DrivenRow(MODEL), two, DrivenRow(MODEL)]


def test_a_kept_wheel_stays_with_the_person_who_takes_the_hands_off():
    wheel = Wheel()
    steer(wheel, 0.5, None)
    wheel.kept = True
    assert [steer(wheel, 0.5, person).by.take_over for person in (None, 0.3, None)] == [1, 1, 1]
    wheel.kept = False
    assert steer(wheel, 0.5, None).by == DrivenRow(MODEL)


def test_a_hand_over_turns_the_wheel_step_by_step_and_ends_at_the_new_drivers_steering():
    wheel = Wheel()
    steer(wheel, 0.2, None)
    assert [steer(wheel, 0.2, -0.1).steering for _ in range(7)] == pytest.approx(
        [0.15, 0.1, 0.05, 0, -0.05, -0.1, -0.1]
    )
    assert steer(wheel, 0.2, -0.6).steering == -0.6  # the hand-over is over


@given(st.lists(st.tuples(ONE, st.none() | ONE), min_size=2, max_size=60))
def test_at_a_hand_over_the_steering_changes_by_at_most_a_twentieth(frames):
    wheel = Wheel()
    turns = [steer(wheel, model, person) for model, person in frames]
    for before, after in zip(turns, turns[1:], strict=False):
        if before.by.driver != after.by.driver:
            assert abs(after.steering - before.steering) <= 0.05 + 1e-9
