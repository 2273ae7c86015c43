"""Decide who steers, a model or a person, and at which page; and turn keys, mouse, stick and pad
into steering.

The input of a person's hands and the model's control go in, the car's control comes out, once a
frame. Drives and plays share this. No sockets, no files; the caller gives the clock.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from bcclone.camera.vehicle import KEY_STEP
from bcclone.drive.protocol import Control
from bcclone.recording.run_tables import BY_MODEL, HUMAN, MODEL, DrivenRow

_HAND_OVER_CHANGE = 0.05  # of the steering from frame to frame, at a hand-over
SILENT_SECONDS = 1.0  # without a message of the page that steers, its hands are off the wheel
ANSWER_SECONDS = 10.0  # that a page has to keep the wheel after it was asked for it
_STEP_SECONDS = 0.02
_LATE_STEPS = 25  # most steps that are made up for after a pause
# Throttle and brake rise and fall by 3 a second, like the Unity program's default axes: seen in
# recorded logs.
_THROTTLE_STEP = 0.06


@dataclass(frozen=True)
class HandInput:
    """The controls that a person uses at a moment.

    steering, throttle: a position, -1 (left, brake) to 1 (right, throttle); None: no mouse, stick
    or pad is used, and the keys count. steering_key, throttle_key: -1 (left, brake), 1 (right,
    throttle), or 0 if no key is held.
    """

    steering: float | None = None
    throttle: float | None = None
    steering_key: int = 0
    throttle_key: int = 0

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
        """Return the input in a JSON value; raises ValueError with the reason when it is not valid."""
        names = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or not set(values) <= names:
            raise ValueError(f"expected an object with some of {', '.join(sorted(names))}")
        return cls(**values)


RELEASED = HandInput()


class HandControls:
    """Follows a person's hands in steps of 0.02 s; held keys turn the wheel as the simulator's keys
    do.
    """

    def __init__(self) -> None:
        self._steering = self._throttle = 0.0  # of the keys

    def advance(self, hands: HandInput, steps: int) -> HandInput:
        """Return the positions after so many steps of 0.02 s with these controls in use; None:
        hands, or feet, off.
        """
        for _ in range(steps):
            self._steering = (
                _pressed(self._steering, hands.steering_key, KEY_STEP)
                if hands.steering_key
                else 0.0
            )
            if hands.throttle_key:
                self._throttle = _pressed(self._throttle, hands.throttle_key, _THROTTLE_STEP)
            else:  # back to 0
                left = round(max(abs(self._throttle) - _THROTTLE_STEP, 0.0), 6)
                self._throttle = math.copysign(left, self._throttle)
        if hands.throttle is not None:
            self._throttle = 0.0
        steering = self._steering if hands.steering_key else None
        throttle = self._throttle if hands.throttle_key or self._throttle else None
        return HandInput(
            steering if hands.steering is None else float(hands.steering),
            throttle if hands.throttle is None else float(hands.throttle),
        )


def _pressed(value: float, key: int, step: float) -> float:
    """Return a value after one step with this key held; the other direction begins at 0."""
    value = 0.0 if value * key < 0 else value
    return round(
        min(max(value + key * step, -1.0), 1.0), 6
    )  # so that many steps add up to round numbers


class Wheel:
    """Chooses between a model's steering and a person's, and hands the wheel over without a jerk.

    A person's hands on the wheel begin a take-over, and taking them off ends it, unless `kept` is
    set: then the person steers until it is cleared. After either hand-over the steering changes by
    at most 0.05 from frame to frame until it is the new driver's. count: take-overs so far, also
    with cars before; by: who steers.
    """

    def __init__(self, count: int = 0) -> None:
        self.kept, self.count, self.by = False, count, BY_MODEL
        self._hands, self._driver = HandControls(), ""
        self._steering, self._handing_over = 0.0, False

    def turn(self, hands: HandInput, steps: int, model: Control | None) -> Control:
        """Return the control of the next frame, after so many steps of 0.02 s. model: the model's,
        None without one.
        """
        person = self._hands.advance(hands, steps)
        driver = HUMAN if model is None or person.steering is not None or self.kept else MODEL
        if driver != self._driver:
            self._handing_over = bool(self._driver)
            self._driver = driver
            takes_over = driver == HUMAN and model is not None
            self.count += takes_over
            self.by = DrivenRow(driver, self.count if takes_over else None)
        steering = person.steering if driver == HUMAN or model is None else model.steering
        steering = steering or 0.0
        if self._handing_over:
            limited = min(
                max(steering, self._steering - _HAND_OVER_CHANGE),
                self._steering + _HAND_OVER_CHANGE,
            )
            self._handing_over, steering = limited != steering, limited
        self._steering = steering
        throttle = (
            (model.throttle if model else 0.0) if person.throttle is None else person.throttle
        )
        return Control(steering, throttle)


@dataclass(frozen=True)
class WheelView:
    """The wheel for one page: whether it may steer; whether another page asks it for the wheel;
    whether it asks.
    """

    drives: bool
    asked: bool = False
    asking: bool = False


class PageHands:
    """The open pages, in the order in which they came, and the hands at the page that steers.

    In a drive any page may take over (`shared`): the first one whose hands are on the wheel steers,
    until it lets go. In a play the first page drives, until it leaves or hands over: one that is
    asked for the wheel gives it, keeps it, or loses it when it does not answer within 10 s, so that
    a page that nobody looks at does not hold it for ever. A page is any object. wheel: all steering
    of the car goes through it, once a frame; input: number and value of the latest input.
    """

    def __init__(self, shared: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._shared, self._clock, self._lock = shared, clock, threading.Lock()
        self.pages: list[object] = []
        self._asking: object | None = None
        self._asked_at = 0.0
        self._mover: object | None = None  # the page that moved its hands last
        self.input: tuple[int, HandInput] = (0, RELEASED)
        self._moved = -math.inf
        self.wheel, self._steered = Wheel(), clock()

    @property
    def by(self) -> DrivenRow:
        return self.wheel.by

    @property
    def driving_page(self) -> object | None:
        """Return the page that drives; in a drive, the page whose hands are on the wheel."""
        if self._shared:
            return None if self._in_use() == RELEASED else self._mover
        return self.pages[0] if self.pages else None

    @property
    def silent_seconds(self) -> float:
        """Return the seconds since the page that steers sent anything."""
        return self._clock() - self._moved

    def view(self, page: object) -> WheelView:
        """Return what to tell a page."""
        with self._lock:
            drives = self._may_steer(page)
            return WheelView(
                drives, asked=drives and self._asking is not None, asking=page is self._asking
            )

    def may_set(self, page: object) -> bool:
        return self._shared or page is self.driving_page

    def move(self, page: object, hands: HandInput, number: int = 0) -> None:
        """Take what the hands at a page do; raises ValueError if it may not steer. number: of this
        input.
        """
        with self._lock:
            if not self._may_steer(page):
                raise ValueError("another page steers; this one only watches")
            self._mover, self.input, self._moved = page, (number, hands), self._clock()

    def control(self, model: Control) -> Control:
        """Return the control of the next frame of a drive; `by` says who steers. model: the model's
        control.
        """
        with self._lock:
            now = self._clock()
            steps = min(max(round((now - self._steered) / _STEP_SECONDS), 1), _LATE_STEPS)
            self._steered = now
            return self.wheel.turn(self._in_use(), steps, model)

    def forget(self) -> None:
        """Begin anew with another car; take-overs are counted on."""
        with self._lock:
            self.wheel = Wheel(self.wheel.count)

    def join(self, page: object) -> None:
        with self._lock:
            self.pages.append(page)

    def leave(self, page: object) -> None:
        """Remove a page that has closed; if it drove, the page that asks, or else the oldest one,
        drives.
        """
        with self._lock:
            drove = page is self.driving_page
            if page in self.pages:
                self.pages.remove(page)
            if page is self._asking:
                self._asking = None
            elif drove and self._asking is not None:
                self._hand_over()
            if drove:
                self.input = (0, RELEASED)

    def ask(self, page: object) -> None:
        """Let a watching page ask for the wheel, if no other one asks."""
        with self._lock:
            watches = not (self._shared or page is self.driving_page)
            if watches and page in self.pages and self._asking is None:
                self._asking, self._asked_at = page, self._clock()

    def answer(self, page: object, give: bool) -> None:
        """Give the wheel to the page that asks, or keep it; only the page that drives can."""
        with self._lock:
            if page is not self.driving_page or self._asking is None:
                return
            if give:
                self._hand_over()
            self._asking = None

    def check(self) -> None:
        """Hand over when the page that drives is silent, or has not answered in time; call this now
        and then.
        """
        with self._lock:
            late = self._clock() - self._asked_at >= ANSWER_SECONDS
            if self._asking is not None and (late or self.silent_seconds > SILENT_SECONDS):
                self._hand_over()

    def _may_steer(self, page: object) -> bool:
        return page is self.driving_page or (self._shared and self.driving_page is None)

    def _in_use(self) -> HandInput:
        return self.input[1] if self.silent_seconds < SILENT_SECONDS else RELEASED

    def _hand_over(self) -> None:
        """Let the page that asks drive; the one before takes its hands off the wheel."""
        self.pages.remove(self._asking)
        self.pages.insert(0, self._asking)
        self._asking, self.input = None, (0, RELEASED)
