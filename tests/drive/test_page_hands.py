"""A person at the page takes over, steers, and gives the wheel back; one page at a time."""

import pytest

from bcclone.drive.hand_controls import RELEASED, HandInput
from bcclone.drive.protocol import Control
from bcclone.drive.wheel import SILENT_SECONDS, PageHands, WheelTaken
from bcclone.recording.drivers import BY_MODEL, HUMAN, DrivenRow

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
    return PageHands(clock)


def steer(hands, clock, frames, model=MODEL_STEERS, hold=None):
    """Return the controls of so many frames, 0.04 s apart."""
    given = []
    for _ in range(frames):
        clock.seconds += 0.04
        if hold:
            hands.move("a", hold)
        given.append(hands.control(model))
    return given


def test_the_model_drives_while_nobody_touches_the_wheel(hands, clock):
    assert {(each.control, each.by) for each in steer(hands, clock, 5)} == {(MODEL_STEERS, BY_MODEL)}


def test_keys_take_over_and_give_back_in_small_steps(hands, clock):
    frames = steer(hands, clock, 3) + steer(hands, clock, 30, hold=RIGHT) + steer(hands, clock, 30, hold=RELEASED)
    steering = [each.control.steering for each in frames]
    assert [each.by for each in frames] == [BY_MODEL] * 3 + [DrivenRow(HUMAN, 1)] * 30 + [BY_MODEL] * 30
    assert max(abs(b - a) for a, b in zip(steering, steering[1:], strict=False)) <= 0.05 + 1e-9
    assert steering[32] > 0.9
    assert steering[-1] == MODEL_STEERS.steering
    assert {each.control.throttle for each in frames} == {MODEL_STEERS.throttle}


def test_the_pedals_of_the_person_count_while_they_are_used(hands, clock):
    (frame,) = steer(hands, clock, 1, hold=HandInput(throttle=-1.0))
    assert (frame.control.throttle, frame.by) == (-1.0, BY_MODEL)


def test_a_page_that_falls_silent_lets_go(hands, clock):
    hands.move("a", RIGHT)
    assert steer(hands, clock, 1)[0].by.driver == HUMAN
    clock.seconds += SILENT_SECONDS
    assert steer(hands, clock, 1)[0].by == BY_MODEL


def test_a_second_page_waits_until_the_first_lets_go(hands, clock):
    hands.move("a", RIGHT)
    with pytest.raises(WheelTaken):
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
