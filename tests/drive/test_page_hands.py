"""A person at a page of a drive takes over and gives the wheel back; of the pages of a play one drives."""

from types import SimpleNamespace

import pytest

from bcclone.drive.protocol import Control
from bcclone.drive.wheel import ANSWER_SECONDS, RELEASED, SILENT_SECONDS, HandInput, PageHands, WheelView
from bcclone.recording.run_tables import BY_MODEL, HUMAN, DrivenRow

MODEL_STEERS = Control(-0.3, 0.4)
RIGHT = HandInput(steering_key=1)


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def hands(clock):
    return PageHands(clock=clock)


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


def test_keys_take_over_and_give_back_in_small_steps(hands, clock):
    frames = steer(hands, clock, 3) + steer(hands, clock, 30, hold=RIGHT) + steer(hands, clock, 30, hold=RELEASED)
    steering = [each.control.steering for each in frames]
    assert [each.by for each in frames] == [BY_MODEL] * 3 + [DrivenRow(HUMAN, 1)] * 30 + [BY_MODEL] * 30
    assert max(abs(b - a) for a, b in zip(steering, steering[1:], strict=False)) <= 0.05 + 1e-9
    assert steering[32] > 0.9
    assert steering[-1] == MODEL_STEERS.steering
    assert {each.control.throttle for each in frames} == {MODEL_STEERS.throttle}


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
    assert steer(hands, clock, 2, hold=RIGHT)[1].by == DrivenRow(HUMAN, 2)


@pytest.fixture
def play(clock):
    """The hands at three pages of a play."""
    play = PageHands(shared=False, clock=clock)
    for page in ("first", "second", "third"):
        play.join(page)
    play.move("first", RELEASED)
    return play


def test_the_oldest_page_drives_when_the_driver_leaves(play):
    play.leave("first")
    assert play.driver == "second"
    play.leave("second")
    play.leave("third")
    assert play.driver is None


@pytest.mark.parametrize(("give", "driver"), [(True, "third"), (False, "first")])
def test_the_driver_gives_or_keeps_the_wheel(play, give, driver):
    play.ask("third")
    assert play.view("first") == WheelView(drives=True, asked=True)
    assert play.view("third") == WheelView(drives=False, asking=True)
    play.answer("first", give)
    assert play.driver == driver
    assert not any(play.view(page).asked or play.view(page).asking for page in ("first", "third"))


def test_a_driver_that_does_not_answer_loses_the_wheel(play, clock):
    play.ask("second")
    clock.seconds += ANSWER_SECONDS - 0.1
    play.move("first", RIGHT, 7)
    play.check()
    assert (play.driver, play.input) == ("first", (7, RIGHT))
    clock.seconds += 0.1
    play.check()
    assert play.input == (0, RELEASED)
    assert play.driver == "second"


def test_a_driver_that_sleeps_loses_the_wheel_at_once(play, clock):
    play.ask("second")
    clock.seconds += SILENT_SECONDS + 0.1
    play.check()
    assert play.driver == "second"


def test_the_page_that_asks_drives_when_the_driver_leaves(play):
    play.ask("third")
    play.leave("first")
    assert play.driver == "third"
    assert not play.view("third").asking


def test_the_wish_of_a_page_that_leaves_is_forgotten(play):
    play.ask("third")
    play.leave("third")
    assert not play.view("first").asked
    play.ask("second")
    play.answer("first", give=True)
    assert play.driver == "second"


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
