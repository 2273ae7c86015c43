"""A person's hands become steering and throttle: keys by the simulator's ramp, mouse, stick and pads as they are."""

import math

import pytest

from bcclone.drive.wheel import RELEASED, HandControls, HandInput

LEFT, RIGHT = HandInput(steering_key=-1), HandInput(steering_key=1)


GAS, BRAKE, MOUSE = HandInput(throttle_key=1), HandInput(throttle_key=-1), HandInput(steering=0.0)
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
def test_keys_follow_the_simulators_ramp_and_positions_count_as_they_are(inputs, steering, throttle):
    controls = HandControls()
    *_, last = (controls.advance(hands, steps) for hands, steps in inputs)
    assert (last.steering, last.throttle) == (
        steering and pytest.approx(steering),
        throttle and pytest.approx(throttle),
    )


@pytest.mark.parametrize(
    "values",
    [
        None, {"steering": 2}, {"steering": "left"}, {"steering": math.nan}, {"throttle": True},
        {"steering_key": 2}, {"throttle_key": True}, {"brake": 1},
    ],
)  # fmt: skip
def test_invalid_input_is_refused(values):
    with pytest.raises(ValueError, match="expected"):
        HandInput.parse(values)
