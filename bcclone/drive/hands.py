"""A person's hands at the page, and a model -> the control of each frame.

Threads of the pages tell `Hands` what the hands do; the thread of the car asks for the control of
each frame. No sockets, no files; the caller gives the clock.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from bcclone.camera.vehicle import KEY_STEP
from bcclone.drive.protocol import Control
from bcclone.recording.run_tables import BY_MODEL, HUMAN, MODEL, DrivenBy


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
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (is_number and -1.0 <= value <= 1.0):
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
STEP_SECONDS = 0.02  # one step; a held key changes the steering by KEY_STEP in it
# Change of throttle and brake in a step: 3 a second, like the default axes of the simulator's
# engine, Unity; recorded logs show it.
_THROTTLE_STEP = 0.06
_HAND_OVER_CHANGE = 0.05  # most that the steering changes from frame to frame during a hand-over
SILENT_SECONDS = 1.0  # the hands of a page that sends nothing this long are off the wheel
_LATE_STEPS = 25  # most steps for one frame, so that held keys do not turn far after a long pause


class Hands:
    """The open pages, who steers, and the control of each frame.

    A page is identified by any object. The first page steers without asking; of several, the last
    one that asked does, and when it closes, the one before it.

    A person's hands on the wheel begin a take-over, and taking them off ends it, unless
    `keeps_wheel` is set: then the person steers until it is cleared. At the begin and at the end of
    a take-over the steering changes by at most 0.05 from frame to frame, until it is what the new
    driver asks for.
    """

    def __init__(
        self, by: DrivenBy = BY_MODEL, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """by: who is to steer, until the first frame"""
        self.keeps_wheel = False
        self.driven_by = by  # who steers
        self._clock = clock
        self._lock = threading.RLock()  # held while anything below is read or changed
        self._pages: list[object] = []  # the last one steers
        self._input = RELEASED
        self._moved_at = -math.inf  # when the page that steers sent its latest input
        self._controlled_at = clock()  # when next_control() was last called
        self._take_overs = 0  # so far, also of earlier cars
        self._begin()

    def _begin(self) -> None:
        """Set what begins anew with each car."""
        # positions of wheel and pedal that the keys have reached, in the simulator's way
        self._key_steering = 0.0
        self._key_throttle = 0.0
        self._driver = ""  # MODEL or HUMAN, "" before the first frame
        self._steering = 0.0  # of the last frame
        self._handing_over = False  # whether changes of the steering are limited

    @property
    def silent_seconds(self) -> float:
        """Return the seconds since the page that steers sent anything."""
        return self._clock() - self._moved_at

    @property
    def are_on(self) -> bool:
        """Return whether the person uses a control, or keeps the wheel."""
        return self.keeps_wheel or self._input != RELEASED

    @property
    def is_watched(self) -> bool:
        """Return whether a page is open."""
        return bool(self._pages)

    def join(self, page: object) -> None:
        """Add a page that has opened."""
        with self._lock:
            self._pages.insert(0, page)

    def leave(self, page: object) -> None:
        """Remove a page that has closed; what its hands did counts no more."""
        with self._lock:
            if self.steers(page):
                self._input = RELEASED
            if page in self._pages:
                self._pages.remove(page)

    def ask(self, page: object) -> None:
        """Let an open page steer; the input of the page before counts no more."""
        with self._lock:
            if page in self._pages and not self.steers(page):
                self._pages.remove(page)
                self._pages.append(page)
                self._input = RELEASED

    def steers(self, page: object) -> bool:
        """Return whether a page steers; only that one sets controls."""
        with self._lock:
            return bool(self._pages) and self._pages[-1] is page

    def move(self, page: object, hands: HandInput) -> None:
        """Take what the hands at a page do; raises ValueError if the page does not steer."""
        with self._lock:
            if not self.steers(page):
                raise ValueError("another page steers; this one only watches")
            self._input = hands
            self._moved_at = self._clock()

    def next_control(self, model: Control | None, steps: int | None = None) -> Control:
        """Return the control of the next frame; afterwards `driven_by` says who steers.

        model: the model's control, None without a model
        steps: how many steps of 0.02 s have passed since the last frame; None: by the clock
        """
        with self._lock:
            now = self._clock()
            if steps is None:
                steps = round((now - self._controlled_at) / STEP_SECONDS)
                steps = min(max(steps, 1), _LATE_STEPS)
            self._controlled_at = now
            hands = self._input
            if now - self._moved_at >= SILENT_SECONDS:
                hands = RELEASED
            for _ in range(steps):
                self._turn_by_keys(hands)
            return Control(self._steer(hands, model), self._throttle(hands, model))

    def forget(self) -> None:
        """Begin anew with another car; only the count of take-overs goes on."""
        with self._lock:
            self.keeps_wheel = False
            self.driven_by = BY_MODEL
            self._begin()

    def _turn_by_keys(self, hands: HandInput) -> None:
        """Turn the wheel and press the pedal as the keys do in a step."""

        def pressed(value: float, key: int, step: float) -> float:
            if value * key < 0:  # the other direction begins at 0
                value = 0.0
            value = min(max(value + key * step, -1.0), 1.0)
            return round(value, 6)  # so that many steps add up to round numbers

        if hands.steering_key:
            self._key_steering = pressed(self._key_steering, hands.steering_key, KEY_STEP)
        else:  # the wheel is straight at once, the pedal comes back in steps
            self._key_steering = 0.0
        if hands.throttle_key:
            self._key_throttle = pressed(self._key_throttle, hands.throttle_key, _THROTTLE_STEP)
        else:
            rest = max(abs(self._key_throttle) - _THROTTLE_STEP, 0.0)
            self._key_throttle = math.copysign(round(rest, 6), self._key_throttle)

    def _steer(self, hands: HandInput, model: Control | None) -> float:
        """Return the person's steering or the model's, and hand the wheel over without a jerk."""
        # the position of a mouse, stick or pad counts more than a key
        has_hands_on = hands.steering is not None or hands.steering_key != 0
        driver = HUMAN
        if model is None or has_hands_on or self.keeps_wheel:
            steering = self._key_steering if hands.steering is None else float(hands.steering)
        else:
            driver = MODEL
            steering = model.steering
        steering = steering or 0.0  # 0.0 also for -0.0
        if driver != self._driver:
            self._handing_over = self._driver != ""
            self._driver = driver
            is_take_over = driver == HUMAN and model is not None
            self._take_overs += is_take_over
            self.driven_by = DrivenBy(driver, self._take_overs if is_take_over else None)
        if self._handing_over:
            lowest = self._steering - _HAND_OVER_CHANGE
            highest = self._steering + _HAND_OVER_CHANGE
            limited = min(max(steering, lowest), highest)
            self._handing_over = limited != steering
            steering = limited
        self._steering = steering
        return steering

    def _throttle(self, hands: HandInput, model: Control | None) -> float:
        """Return the person's throttle or brake, else the model's, whoever steers."""
        if hands.throttle is not None:
            # a pedal that the keys have pressed is forgotten, or it would come back slowly when the
            # stick is let go
            self._key_throttle = 0.0
            return float(hands.throttle)
        if hands.throttle_key or self._key_throttle or model is None:
            return self._key_throttle or 0.0
        return model.throttle
