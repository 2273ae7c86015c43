"""Turn what a person's hands do (keys, or the position of a mouse, stick or touch pad) into steering and throttle.

No I/O: the web page of `bcclone play` sends HandInput as JSON whenever it changes.
"""

import math
from dataclasses import dataclass, fields
from typing import Any

# Seen in recorded logs: each 0.02 s that a key is held turns the wheel by 0.05 of full lock, and a released key
# centres it at once; throttle and brake rise and fall by 3 a second, those of the Unity program's default axes.
STEERING_STEP, THROTTLE_STEP = 0.05, 0.06


@dataclass(frozen=True)
class HandInput:
    """The controls that a person uses at a moment.

    steering, throttle: a position, -1 (left, brake) to 1 (right, throttle); None: no mouse, stick or pad is used, and
    the keys count. steering_key, throttle_key: -1 (left, brake), 1 (right, throttle), or 0 if no key is held.
    """

    steering: float | None = None
    throttle: float | None = None
    steering_key: int = 0
    throttle_key: int = 0

    def __post_init__(self) -> None:
        for name in ("steering", "throttle"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and -1.0 <= value <= 1.0):
                raise ValueError(f"{name} {value!r}, expected -1 to 1, or null")
        for name in ("steering_key", "throttle_key"):
            value = getattr(self, name)
            if isinstance(value, bool) or value not in (-1, 0, 1):
                raise ValueError(f"{name} {value!r}, expected -1, 0 or 1")

    @classmethod
    def parse(cls, values: Any) -> "HandInput":
        """Return the input in a JSON value; raises ValueError with the reason when it is not valid."""
        names = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or not set(values) <= names:
            raise ValueError(f"expected an object with some of {', '.join(sorted(names))}")
        return cls(**values)


RELEASED = HandInput()


@dataclass(frozen=True)
class HandControl:
    """What the person's hands ask for, -1 to 1 each; None: they are off the wheel, or off the pedals."""

    steering: float | None
    throttle: float | None


class HandControls:
    """Follows a person's hands in steps of 0.02 s; held keys turn the wheel as the simulator's keys do."""

    def __init__(self) -> None:
        self._steering = self._throttle = 0.0  # of the keys

    def advance(self, hands: HandInput, steps: int) -> HandControl:
        """Return the control after so many steps of 0.02 s with these controls in use."""
        for _ in range(steps):
            self._steering = _pressed(self._steering, hands.steering_key, STEERING_STEP)
            if not hands.steering_key:
                self._steering = 0.0
            self._throttle = _pressed(self._throttle, hands.throttle_key, THROTTLE_STEP)
            if not hands.throttle_key:
                self._throttle = _released(self._throttle, THROTTLE_STEP)
        return HandControl(self._steer(hands), self._pedals(hands))

    def _steer(self, hands: HandInput) -> float | None:
        if hands.steering is not None:
            return float(hands.steering)
        return self._steering if hands.steering_key else None

    def _pedals(self, hands: HandInput) -> float | None:
        if hands.throttle is not None:
            self._throttle = 0.0
            return float(hands.throttle)
        return self._throttle if hands.throttle_key or self._throttle else None


def _pressed(value: float, key: int, step: float) -> float:
    """Return a value after one step with this key held; the other direction begins at 0."""
    if not key:
        return value
    value = 0.0 if value * key < 0 else value
    return round(min(max(value + key * step, -1.0), 1.0), 6)  # so that many steps add up to round numbers


def _released(value: float, step: float) -> float:
    """Return a value after one step without a key, on its way to 0."""
    return math.copysign(round(max(abs(value) - step, 0.0), 6), value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
