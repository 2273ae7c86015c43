"""Hands become steering and throttle; a person takes over from a model and gives back; of several
pages, the last one that asked steers.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcclone.drive.hands import RELEASED, SILENT_SECONDS, HandInput, Hands
from bcclone.drive.protocol import Control
from bcclone.recording.run_tables import BY_MODEL, HUMAN, MODEL, DrivenBy
from tests.drive.drive_server import Clock

LEFT = HandInput(steering_key=-1)
RIGHT = HandInput(steering_key=1)
GAS = HandInput(throttle_key=1)
BRAKE = HandInput(throttle_key=-1)
MOUSE = HandInput(steering=0.0)
BOTH = HandInput(steering=0.3, throttle=-0.2, steering_key=-1, throttle_key=1)


class Held(Hands):
    """The hands at a page, which are moved as a frame is asked for."""

    def __init__(self):
        super().__init__(clock=Clock())
        self.join("page")

    def held(self, hands, steps=1, model=None):
        """Return the control of the next frame with these hands."""
        self.move("page", hands)
        return self.next_control(model, steps)

    def steered(self, model, person):
        """Return the steering of the next frame. person: None for hands off."""
        model = None if model is None else Control(model, 0.0)
        return self.held(HandInput(steering=person), 1, model).steering


@pytest.mark.parametrize(
    ("inputs", "steering", "throttle"),
    [
        ([(LEFT, 1), (LEFT, 2)], -0.15, 0.0),  # a twentieth a step, up to full lock
        ([(LEFT, 100)], -1.0, 0.0),
        ([(RIGHT, 10), (RELEASED, 1), (RIGHT, 1)], 0.05, 0.0),  # the wheel centres itself at once
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
    page = Held()
    *_, last = (page.held(hands, steps) for hands, steps in inputs)
    assert (last.steering, last.throttle) == (pytest.approx(steering), pytest.approx(throttle))
    # without a model, nothing is a take-over
    assert page.driven_by == DrivenBy(HUMAN)


def test_a_persons_throttle_counts_and_without_one_the_models():
    page = Held()
    model = Control(0.0, 0.7)
    throttles = [page.held(hands, 1, model).throttle for hands in (MOUSE, BRAKE, RELEASED, GAS)]
    assert throttles == pytest.approx([0.7, -0.06, 0.7, 0.06])


def test_the_model_steers_until_a_person_does_and_again_after():
    page = Held()

    def driver(person):
        page.steered(0.2, person)
        return page.driven_by

    one = DrivenBy(HUMAN, 1)
    two = DrivenBy(HUMAN, 2)
    drivers = [driver(person) for person in (None, 0.1, 0.0, None, 0.5, None)]
    assert drivers == [BY_MODEL, one, one, BY_MODEL, two, BY_MODEL]
    page.keeps_wheel = True
    three = DrivenBy(HUMAN, 3)
    assert [driver(person) for person in (None, 0.3, None)] == [three, three, three]
    page.keeps_wheel = False
    assert driver(None) == BY_MODEL
    # they are counted on for another car
    driver(0.3)
    page.forget()
    assert page.driven_by == BY_MODEL
    assert driver(0.3) == DrivenBy(HUMAN, 5)


def test_a_hand_over_turns_the_wheel_step_by_step():
    page = Held()
    page.steered(0.2, None)
    steering = [page.steered(0.2, -0.1) for _ in range(7)]
    assert steering == pytest.approx([0.15, 0.1, 0.05, 0, -0.05, -0.1, -0.1])
    assert page.steered(0.2, -0.6) == -0.6  # the hand-over is over


ONE = st.floats(-1, 1)


@given(st.lists(st.tuples(ONE, st.none() | ONE), min_size=2, max_size=60))
def test_at_a_hand_over_the_steering_changes_by_at_most_a_twentieth(frames):
    page = Held()
    before = None
    for model, person in frames:
        after = page.steered(model, person), page.driven_by.driver
        if before is not None and before[1] != after[1]:
            assert abs(after[0] - before[0]) <= 0.05 + 1e-9
        before = after


def test_keys_turn_the_wheel_by_the_clock_and_a_page_that_falls_silent_lets_go():
    clock = Clock()
    hands = Hands(clock=clock)
    hands.join("page")
    hands.next_control(None)
    for seconds, expected in ((0.04, 0.1), (0.06, 0.25), (0.3, 1.0)):
        clock.seconds += seconds
        hands.move("page", RIGHT)
        assert hands.next_control(None).steering == pytest.approx(expected)
    hands.next_control(Control(0.2, 0.0))
    assert hands.driven_by.driver == HUMAN
    clock.seconds += SILENT_SECONDS + 0.01
    hands.next_control(Control(0.2, 0.0))
    assert hands.driven_by.driver == MODEL


def test_the_page_that_asked_last_steers_and_after_it_the_one_before():
    hands = Hands()
    for page in ("first", "second", "third"):
        hands.join(page)

    def steering():
        return [page for page in ("first", "second", "third") if hands.steers(page)]

    assert steering() == ["first"]
    hands.move("first", RIGHT)
    with pytest.raises(ValueError, match="only watches"):
        hands.move("third", LEFT)
    assert hands.next_control(None, 1).steering > 0
    hands.ask("third")
    assert steering() == ["third"]
    # what the hands at the page before did is over
    assert hands.next_control(None, 1).steering == 0
    hands.move("third", LEFT)
    hands.ask("nobody")
    hands.ask("second")
    assert steering() == ["second"]
    for left, then in (("first", ["second"]), ("second", ["third"]), ("third", [])):
        hands.leave(left)
        assert steering() == then
    assert not hands.is_watched
    hands.join("second")
    assert steering() == ["second"]
