"""Hands become steering and throttle; a person takes over from a model and gives back; of several
pages, the last one that asked steers.
"""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcclone.drive.hands import RELEASED, SILENT_SECONDS, HandInput, Hands, Wheel
from bcclone.drive.protocol import Control
from bcclone.recording.run_tables import BY_MODEL, HUMAN, MODEL, DrivenBy
from tests.drive.drive_server import Clock

LEFT = HandInput(steering_key=-1)
RIGHT = HandInput(steering_key=1)
GAS = HandInput(throttle_key=1)
BRAKE = HandInput(throttle_key=-1)
MOUSE = HandInput(steering=0.0)
BOTH = HandInput(steering=0.3, throttle=-0.2, steering_key=-1, throttle_key=1)


@pytest.mark.parametrize(
    ("inputs", "steering", "throttle"),
    [
        ([(LEFT, 1)], -0.05, 0.0),  # a twentieth a step, up to full lock
        ([(LEFT, 1), (LEFT, 2)], -0.15, 0.0),
        ([(LEFT, 100)], -1.0, 0.0),
        ([(RIGHT, 10), (RELEASED, 1)], 0.0, 0.0),  # the wheel centres itself at once
        ([(RIGHT, 10), (RELEASED, 1), (RIGHT, 1)], 0.05, 0.0),
        ([(LEFT, 10), (RIGHT, 1)], 0.05, 0.0),  # the other key begins at the centre
        ([(GAS, 10)], 0.0, 0.6),  # the throttle rises and falls by three a second
        ([(GAS, 10), (RELEASED, 5)], 0.0, 0.3),
        ([(GAS, 10), (RELEASED, 10)], 0.0, 0.0),
        ([(GAS, 20), (BRAKE, 1)], 0.0, -0.06),  # the brake ends the throttle at once
        ([(BOTH, 1)], 0.3, -0.2),  # a position counts instead of the keys
        ([(BOTH, 1), (RELEASED, 1)], 0.0, 0.0),
    ],
)
def test_keys_follow_the_simulators_ramp_and_positions_count_as_they_are(
    inputs, steering, throttle
):
    wheel = Wheel()
    *_, last = (wheel.turn(hands, steps, None) for hands, steps in inputs)
    assert (last.steering, last.throttle) == (pytest.approx(steering), pytest.approx(throttle))


def test_a_persons_throttle_counts_and_without_one_the_models():
    wheel = Wheel()
    model = Control(0.0, 0.7)
    throttles = [wheel.turn(hands, 1, model).throttle for hands in (MOUSE, BRAKE, RELEASED, GAS)]
    assert throttles == pytest.approx([0.7, -0.06, 0.7, 0.06])


ONE = st.floats(-1, 1)


def turned(wheel, model, person):
    """Return the steering of the next frame and who gave it. person: None for hands off."""
    model_control = None if model is None else Control(model, 0.0)
    control = wheel.turn(HandInput(steering=person), 1, model_control)
    return SimpleNamespace(steering=control.steering, by=wheel.by)


def test_without_a_model_the_person_steers_at_once_and_nothing_is_a_take_over():
    wheel = Wheel()
    assert turned(wheel, None, 0.7).steering == 0.7
    turn = turned(wheel, None, None)
    assert (turn.steering, turn.by) == (0.0, DrivenBy(HUMAN))
    assert wheel.count == 0


def test_the_model_steers_until_a_person_does_and_again_after():
    wheel = Wheel()
    who = [turned(wheel, 0.2, person).by for person in (None, 0.1, 0.0, None, 0.5, None)]
    one = DrivenBy(HUMAN, 1)
    two = DrivenBy(HUMAN, 2)
    assert who == [DrivenBy(MODEL), one, one, DrivenBy(MODEL), two, DrivenBy(MODEL)]


def test_a_kept_wheel_stays_with_the_person_who_takes_the_hands_off():
    wheel = Wheel()
    turned(wheel, 0.5, None)
    wheel.kept = True
    assert [turned(wheel, 0.5, person).by.take_over for person in (None, 0.3, None)] == [1, 1, 1]
    wheel.kept = False
    assert turned(wheel, 0.5, None).by == DrivenBy(MODEL)


def test_a_hand_over_turns_the_wheel_step_by_step_and_ends_at_the_new_drivers_steering():
    wheel = Wheel()
    turned(wheel, 0.2, None)
    assert [turned(wheel, 0.2, -0.1).steering for _ in range(7)] == pytest.approx(
        [0.15, 0.1, 0.05, 0, -0.05, -0.1, -0.1]
    )
    assert turned(wheel, 0.2, -0.6).steering == -0.6  # the hand-over is over


@given(st.lists(st.tuples(ONE, st.none() | ONE), min_size=2, max_size=60))
def test_at_a_hand_over_the_steering_changes_by_at_most_a_twentieth(frames):
    wheel = Wheel()
    turns = [turned(wheel, model, person) for model, person in frames]
    for before, after in zip(turns, turns[1:], strict=False):
        if before.by.driver != after.by.driver:
            assert abs(after.steering - before.steering) <= 0.05 + 1e-9


MODEL_STEERS = Control(-0.3, 0.4)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def hands(clock):
    """The hands at three pages; the first one steers."""
    hands = Hands(clock=clock)
    for page in ("first", "second", "third"):
        hands.join(page)
    return hands


def steer(hands, clock, frames, hold=None):
    """Return who steered each of so many frames, 0.04 s apart."""
    drivers = []
    for _ in range(frames):
        clock.seconds += 0.04
        if hold:
            hands.move("first", hold)
        hands.turn(MODEL_STEERS)
        drivers.append(hands.by)
    return drivers


def test_a_page_that_falls_silent_lets_go(hands, clock):
    assert steer(hands, clock, 1, RIGHT) == [DrivenBy(HUMAN, 1)]
    clock.seconds += SILENT_SECONDS
    assert steer(hands, clock, 1) == [BY_MODEL]


def test_take_overs_are_counted_on_for_another_car(hands, clock):
    steer(hands, clock, 2, RIGHT)
    hands.forget()
    assert hands.by == BY_MODEL
    steer(hands, clock, 2, RELEASED)
    assert steer(hands, clock, 2, RIGHT)[1] == DrivenBy(HUMAN, 2)


def test_keys_turn_the_wheel_by_the_clock_and_not_far_after_a_pause(hands, clock):
    hands.turn(None)
    for seconds, expected in ((0.04, 0.1), (0.06, 0.25), (0.3, 1.0)):
        clock.seconds += seconds
        hands.move("first", RIGHT)
        assert hands.turn(None).steering == pytest.approx(expected)
    clock.seconds += 3600
    hands.move("first", LEFT)
    assert hands.turn(None, steps=1).steering == -0.05


def test_the_page_that_asked_last_steers_and_after_it_the_one_before(hands):
    def steering():
        return [page for page in ("first", "second", "third") if hands.steers(page)]

    assert steering() == ["first"]
    hands.move("first", RIGHT, 7)
    hands.ask("third")
    assert steering() == ["third"]
    assert hands.input == (0, RELEASED)  # what the hands at the page before did
    hands.ask("nobody")
    hands.ask("second")
    assert steering() == ["second"]
    for left, then in (("first", ["second"]), ("second", ["third"]), ("third", [])):
        hands.leave(left)
        assert steering() == then
    assert not hands.is_watched
    hands.join("second")
    assert steering() == ["second"]


def test_a_page_that_watches_may_not_steer(hands):
    with pytest.raises(ValueError, match="only watches"):
        hands.move("second", RIGHT)
    hands.ask("second")
    hands.move("second", RIGHT)
    assert hands.input == (0, RIGHT)
