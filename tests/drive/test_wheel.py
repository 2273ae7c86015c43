"""Hands become steering and throttle; a person takes over from a model and gives back; pages share
the wheel.
"""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcclone.drive.hand_input import RELEASED, HandControls, HandInput
from bcclone.drive.page_hands import (
    ANSWER_SECONDS,
    SILENT_SECONDS,
    DriveHands,
    PlayHands,
    WheelView,
)
from bcclone.drive.protocol import Control
from bcclone.drive.wheel import Wheel
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
        ([(LEFT, 1)], -0.05, None),  # a twentieth a step, up to full lock
        ([(LEFT, 1), (LEFT, 2)], -0.15, None),
        ([(LEFT, 100)], -1.0, None),
        ([(RIGHT, 10), (RELEASED, 1)], None, None),  # the wheel centres itself at once
        ([(RIGHT, 10), (RELEASED, 1), (RIGHT, 1)], 0.05, None),
        ([(LEFT, 10), (RIGHT, 1)], 0.05, None),  # the other key begins at the centre
        ([(GAS, 10)], None, 0.6),  # the throttle rises and falls by three a second
        ([(GAS, 10), (RELEASED, 5)], None, 0.3),
        ([(GAS, 10), (RELEASED, 10)], None, None),
        ([(GAS, 20), (BRAKE, 1)], None, -0.06),  # the brake ends the throttle at once
        ([(BOTH, 1)], 0.3, -0.2),  # a position counts instead of the keys
        ([(MOUSE, 1)], 0.0, None),  # a mouse in the middle has hands on the wheel
    ],
)
def test_keys_follow_the_simulators_ramp_and_positions_count_as_they_are(
    inputs, steering, throttle
):
    controls = HandControls()
    *_, last = (controls.advance(hands, steps) for hands, steps in inputs)
    assert (last.steering, last.throttle) == (
        steering and pytest.approx(steering),
        throttle and pytest.approx(throttle),
    )


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
    return DriveHands(clock)


def steer(hands, clock, frames, model=MODEL_STEERS, hold=None):
    """Return the control of so many frames, 0.04 s apart, and who steered each."""
    frames_driven = []
    for _ in range(frames):
        clock.seconds += 0.04
        if hold:
            hands.move("a", hold)
        control = hands.control(model)
        frames_driven.append(SimpleNamespace(control=control, by=hands.by))
    return frames_driven


def test_a_page_that_falls_silent_lets_go(hands, clock):
    hands.move("a", RIGHT)
    assert steer(hands, clock, 1)[0].by.driver == HUMAN
    clock.seconds += SILENT_SECONDS
    assert steer(hands, clock, 1)[0].by == BY_MODEL


def test_a_second_page_waits_until_the_first_lets_go(hands, clock):
    hands.move("a", RIGHT)
    with pytest.raises(ValueError, match="another page steers"):
        hands.move("b", HandInput(steering_key=-1))
    hands.move("a", RELEASED)
    hands.move("b", HandInput(steering_key=-1))
    assert steer(hands, clock, 30)[10].control.steering < MODEL_STEERS.steering


def test_take_overs_are_counted_on_for_another_car(hands, clock):
    steer(hands, clock, 2, hold=RIGHT)
    hands.forget()
    assert hands.by == BY_MODEL
    steer(hands, clock, 2, hold=RELEASED)
    assert steer(hands, clock, 2, hold=RIGHT)[1].by == DrivenBy(HUMAN, 2)


@pytest.fixture
def play(clock):
    """The hands at three pages of a play."""
    play = PlayHands(BY_MODEL, clock)
    for page in ("first", "second", "third"):
        play.join(page)
    play.move("first", RELEASED)
    return play


def test_the_oldest_page_drives_when_the_driver_leaves(play):
    play.leave("first")
    assert play.steering_page == "second"
    play.leave("second")
    play.leave("third")
    assert play.steering_page is None


@pytest.mark.parametrize(("give", "driver"), [(True, "third"), (False, "first")])
def test_the_driver_gives_or_keeps_the_wheel(play, give, driver):
    play.ask("third")
    assert play.view("first") == WheelView(drives=True, asked=True)
    assert play.view("third") == WheelView(drives=False, asking=True)
    play.answer("first", give)
    assert play.steering_page == driver
    assert not any(play.view(page).asked or play.view(page).asking for page in ("first", "third"))


def test_a_driver_that_does_not_answer_loses_the_wheel(play, clock):
    play.ask("second")
    clock.seconds += ANSWER_SECONDS - 0.1
    play.move("first", RIGHT, 7)
    play.hand_over_if_due()
    assert (play.steering_page, play.input) == ("first", (7, RIGHT))
    clock.seconds += 0.1
    play.hand_over_if_due()
    assert play.input == (0, RELEASED)
    assert play.steering_page == "second"


def test_a_driver_that_sleeps_loses_the_wheel_at_once(play, clock):
    play.ask("second")
    clock.seconds += SILENT_SECONDS + 0.1
    play.hand_over_if_due()
    assert play.steering_page == "second"


def test_the_page_that_asks_drives_when_the_driver_leaves(play):
    play.ask("third")
    play.leave("first")
    assert play.steering_page == "third"
    assert not play.view("third").asking


def test_the_wish_of_a_page_that_leaves_is_forgotten(play):
    play.ask("third")
    play.leave("third")
    assert not play.view("first").asked
    play.ask("second")
    play.answer("first", give=True)
    assert play.steering_page == "second"


def test_a_page_of_a_play_that_watches_may_neither_steer_nor_set_controls(play):
    assert play.may_set("first")
    assert not play.may_set("second")
    with pytest.raises(ValueError, match="only watches"):
        play.move("second", RIGHT)


def test_any_page_of_a_drive_sets_controls_and_sees_whether_another_one_steers(hands):
    for page in ("a", "b"):
        hands.join(page)
    assert [hands.view(page).drives for page in ("a", "b")] == [True, True]
    hands.move("a", RIGHT)
    hands.ask("b")
    assert [hands.view(page) for page in ("a", "b")] == [WheelView(True), WheelView(False)]
    assert hands.may_set("b")
    hands.leave("a")
    assert hands.view("b").drives
