"""What a person's hands do -> the positions of wheel and pedals, in steps of 0.02 s.

The hands use keys, a mouse, a stick or a pad. Drives and plays share this.
"""

import math
from dataclasses import dataclass, fields
from typing import Any

from bcclone.camera.vehicle import KEY_STEP


@dataclass(frozen=True)
class HandInput:
    """The controls that a person uses at a moment.

    A position is None if no mouse, stick or pad is used; then the key counts, 0 if none is held.
    """

    steering: float | None = None  # -1 (left) to 1 (right)
    throttle: float | None = None  # -1 (brake) to 1
    steering_key: int = 0  # -1 (left), 0 or 1 (right)
    throttle_key: int = 0  # -1 (brake), 0 or 1

    def __post_init__(self) -> None:
        for name in ("steering", "throttle"):
            value = getattr(self, name)
            if value is not None and not _is_position(value):
                raise ValueError(f"{name} {value!r}, expected -1 to 1, or null")
        for name in ("steering_key", "throttle_key"):
            value = getattr(self, name)
            if isinstance(value, bool) or value not in (-1, 0, 1):
                raise ValueError(f"{name} {value!r}, expected -1, 0 or 1")

    @classmethod
    def parse(cls, values: Any) -> "HandInput":
        """Return the input in a JSON value; raises ValueError with the reason for a bad one."""
        names = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or not set(values) <= names:
            raise ValueError(f"expected an object with some of {', '.join(sorted(names))}")
        return cls(**values)


RELEASED = HandInput()


def _is_position(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and -1.0 <= value <= 1.0


STEP_SECONDS = 0.02  # one step; a held key changes the steering by KEY_STEP in it
# Change of throttle and brake in a step: 3 a second, like the default axes of the simulator's
# engine, Unity; recorded logs show it.
_THROTTLE_STEP = 0.06


class HandControls:
    """Follows a person's hands in steps of 0.02 s.

    Held keys turn the wheel as the simulator's keys do.
    """

    def __init__(self) -> None:
        # positions of wheel and pedal that the keys have reached
        self._steering = 0.0
        self._throttle = 0.0

    def advance(self, hands: HandInput, steps: int) -> HandInput:
        """Return the positions of wheel and pedals after some steps with these controls in use.

        A position is None where the person does nothing: hands, or feet, are off.
        """
        for _ in range(steps):
            if hands.steering_key:
                self._steering = _pressed(self._steering, hands.steering_key, KEY_STEP)
            else:  # the wheel is straight at once, the pedal comes back in steps
                self._steering = 0.0
            if hands.throttle_key:
                self._throttle = _pressed(self._throttle, hands.throttle_key, _THROTTLE_STEP)
            else:
                self._throttle = _released(self._throttle, _THROTTLE_STEP)
        # the position of a mouse, stick or pad counts more than keys; a pedal that the keys have
        # pressed is then forgotten, or it would come back slowly when the stick is let go
        steering: float | None = None
        if hands.steering is not None:
            steering = float(hands.steering)
        elif hands.steering_key:
            steering = self._steering
        throttle: float | None = None
        if hands.throttle is not None:
            throttle = float(hands.throttle)
            self._throttle = 0.0
        elif hands.throttle_key or self._throttle:
            throttle = self._throttle
        return HandInput(steering, throttle)


def _pressed(value: float, key: int, step: float) -> float:
    """Return a value after one step with this key held; the other direction begins at 0."""
    if value * key < 0:
        value = 0.0
    value = min(max(value + key * step, -1.0), 1.0)
    return round(value, 6)  # so that many steps add up to round numbers


def _released(value: float, step: float) -> float:
    """Return a value after one step back to 0."""
    rest = max(abs(value) - step, 0.0)
    return math.copysign(round(rest, 6), value)
