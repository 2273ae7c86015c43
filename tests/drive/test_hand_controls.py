"""A person's hands become steering and throttle: keys by the simulator's ramp, mouse, stick and pads as they are."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcclone.drive.wheel import RELEASED, HandControls, HandInput

LEFT, RIGHT = HandInput(steering_key=-1), HandInput(steering_key=1)


def test_a_held_key_turns_the_wheel_by_a_twentieth_a_step_up_to_full_lock():
    controls = HandControls()
    assert [controls.advance(LEFT, 1).steering for _ in range(3)] == [-0.05, -0.1, -0.15]
    assert controls.advance(LEFT, 100).steering == -1.0


def test_a_released_key_centres_the_wheel_at_once():
    controls = HandControls()
    controls.advance(RIGHT, 10)
    assert controls.advance(RELEASED, 1).steering is None
    assert controls.advance(RIGHT, 1).steering == 0.05


def test_the_other_key_begins_at_the_centre():
    controls = HandControls()
    controls.advance(LEFT, 10)
    assert controls.advance(RIGHT, 1).steering == 0.05


def test_the_throttle_rises_and_falls_by_three_a_second():
    controls = HandControls()
    assert controls.advance(HandInput(throttle_key=1), 10).throttle == pytest.approx(0.6)
    assert controls.advance(RELEASED, 5).throttle == pytest.approx(0.3)
    assert controls.advance(RELEASED, 5).throttle is None


def test_the_brake_key_ends_the_throttle_at_once():
    controls = HandControls()
    controls.advance(HandInput(throttle_key=1), 20)
    assert controls.advance(HandInput(throttle_key=-1), 1).throttle == pytest.approx(-0.06)


def test_a_position_counts_instead_of_the_keys():
    control = HandControls().advance(HandInput(steering=0.3, throttle=-0.2, steering_key=-1, throttle_key=1), 1)
    assert (control.steering, control.throttle) == (0.3, -0.2)


def test_a_mouse_that_is_held_in_the_middle_has_hands_on_the_wheel():
    assert HandControls().advance(HandInput(steering=0.0), 1).steering == 0.0


@given(st.lists(st.tuples(st.sampled_from([-1, 0, 1]), st.integers(1, 9)), max_size=30))
def test_keys_never_turn_the_wheel_faster_than_the_ramp_except_to_the_centre(presses):
    controls, before = HandControls(), 0.0
    for key, steps in presses:
        after = controls.advance(HandInput(steering_key=key), steps).steering or 0.0
        assert abs(after) <= abs(before) + 0.05 * steps + 1e-9
        assert -1 <= after <= 1
        before = after


@pytest.mark.parametrize(
    "values",
    [
        None, [], {"steering": 2}, {"steering": "left"}, {"steering": math.nan}, {"throttle": True},
        {"steering_key": 2}, {"steering_key": True}, {"throttle_key": None}, {"brake": 1},
    ],
)  # fmt: skip
def test_invalid_input_is_refused(values):
    with pytest.raises(ValueError, match="expected"):
        HandInput.parse(values)


def test_valid_input_is_read():
    assert HandInput.parse({"steering": -1, "throttle_key": 1}) == HandInput(steering=-1, throttle_key=1)
