"""Decide who steers, a model or a person, and at which page.

For each frame, the control of the car is chosen from the input of a person's hands (keys, mouse,
stick or pad) and the control of the model. Drives and plays share this module, which uses no
sockets and no files, and gets its clock from the caller.
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

SILENT_SECONDS = 1.0  # the page that steers lets go of the wheel after sending nothing this long
ANSWER_SECONDS = 10.0  # how long the page that steers may take to answer a request for the wheel


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


_STEP_SECONDS = 0.02  # one step; a held key changes the steering by KEY_STEP in it
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


_HAND_OVER_CHANGE = 0.05  # most that the steering changes from frame to frame during a hand-over


class Wheel:
    """Chooses between a model's steering and a person's, and hands the wheel over without a jerk.

    A person's hands on the wheel begin a take-over, and taking them off ends it, unless `kept` is
    set: then the person steers until it is cleared. At the begin and at the end of a take-over the
    steering changes by at most 0.05 from frame to frame, until it is what the new driver asks for.
    """

    def __init__(self, count: int = 0) -> None:
        self.kept = False
        self.count = count  # number of take-overs so far, also of earlier cars
        self.by = BY_MODEL  # who steers
        self._hands = HandControls()
        self._driver = ""  # MODEL or HUMAN, "" before the first frame
        self._steering = 0.0  # of the last frame
        self._handing_over = False  # whether changes of the steering are limited

    def turn(self, hands: HandInput, steps: int, model: Control | None) -> Control:
        """Return the control of the next frame.

        hands: the controls in use
        steps: how many steps of 0.02 s they have been in use since the last frame
        model: the model's control, None if there is no model
        """
        person = self._hands.advance(hands, steps)
        # a person steers, or the model does
        if model is None or person.steering is not None or self.kept:
            self._change_driver(HUMAN, takes_over=model is not None)
            steering = person.steering or 0.0
        else:
            self._change_driver(MODEL, takes_over=False)
            steering = model.steering or 0.0  # 0.0 also for -0.0
        if self._handing_over:
            lowest = self._steering - _HAND_OVER_CHANGE
            highest = self._steering + _HAND_OVER_CHANGE
            limited = min(max(steering, lowest), highest)
            self._handing_over = limited != steering
            steering = limited
        self._steering = steering
        # a person's throttle or brake counts more than the model's, whoever steers
        throttle = 0.0
        if person.throttle is not None:
            throttle = person.throttle
        elif model is not None:
            throttle = model.throttle
        return Control(steering, throttle)

    def _change_driver(self, driver: str, takes_over: bool) -> None:
        """Note who steers from now on. takes_over: whether a person takes over from a model."""
        if driver == self._driver:
            return
        self._handing_over = self._driver != ""
        self._driver = driver
        if takes_over:
            self.count += 1
            self.by = DrivenBy(driver, self.count)
        else:
            self.by = DrivenBy(driver)


@dataclass(frozen=True)
class WheelView:
    """What one page is told about the wheel."""

    drives: bool  # whether this page may steer
    asked: bool = False  # whether another page asks this page for the wheel
    asking: bool = False  # whether this page asks for the wheel


_LATE_STEPS = 25  # most steps for one frame, so that held keys do not turn far after a long pause


class PageHands:
    """The open pages, in the order in which they came, and the hands at the page that steers.

    In a drive any page may take over (`shared`): the first page whose hands are on the wheel
    steers, until it lets go. In a play the first page steers, until it leaves or hands over. When
    another page asks it for the wheel, it gives or keeps the wheel; if it does not answer within
    10 s, it loses the wheel, so that a page that nobody looks at does not hold it for ever.

    A page is identified by any object.
    """

    def __init__(self, shared: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self.pages: list[object] = []
        # number of the latest input, and that input
        self.input: tuple[int, HandInput] = (0, RELEASED)
        self.wheel = Wheel()  # all steering of the car goes through it, once a frame
        self._shared = shared
        self._clock = clock  # in seconds
        self._lock = threading.Lock()
        self._asking: object | None = None  # the page that asks for the wheel
        self._asked_at = 0.0
        self._mover: object | None = None  # the page that sent the latest input
        self._moved_at = -math.inf  # when it sent that
        self._steered_at = clock()  # when control() was last called

    @property
    def by(self) -> DrivenBy:
        """Return who steers."""
        return self.wheel.by

    @property
    def steering_page(self) -> object | None:
        """Return the page that steers; in a drive, None while no hands are on the wheel."""
        if self._shared:
            return None if self._hands_in_use() == RELEASED else self._mover
        return self.pages[0] if self.pages else None

    @property
    def silent_seconds(self) -> float:
        """Return the seconds since the page that steers sent anything."""
        return self._clock() - self._moved_at

    def view(self, page: object) -> WheelView:
        """Return what to tell a page about the wheel."""
        with self._lock:
            drives = self._may_steer(page)
            asked = drives and self._asking is not None
            return WheelView(drives, asked, asking=page is self._asking)

    def may_set(self, page: object) -> bool:
        """Return whether a page may set controls."""
        return self._shared or page is self.steering_page

    def move(self, page: object, hands: HandInput, number: int = 0) -> None:
        """Take what the hands at a page do; raises ValueError if the page may not steer.

        number: number of this input, which the page has chosen
        """
        with self._lock:
            if not self._may_steer(page):
                raise ValueError("another page steers; this one only watches")
            self._mover = page
            self.input = (number, hands)
            self._moved_at = self._clock()

    def control(self, model: Control) -> Control:
        """Return the control of the next frame of a drive; `by` says who steers.

        A play has steps and a model of its own, and calls wheel.turn() itself.

        model: the model's control
        """
        with self._lock:
            now = self._clock()
            steps = round((now - self._steered_at) / _STEP_SECONDS)
            steps = min(max(steps, 1), _LATE_STEPS)
            self._steered_at = now
            return self.wheel.turn(self._hands_in_use(), steps, model)

    def forget(self) -> None:
        """Begin anew with another car; only the count of take-overs goes on."""
        with self._lock:
            self.wheel = Wheel(self.wheel.count)

    def join(self, page: object) -> None:
        """Add a page that has opened."""
        with self._lock:
            self.pages.append(page)

    def leave(self, page: object) -> None:
        """Remove a page that has closed.

        If it steered, the page that asks for the wheel steers next, or else the oldest page.
        """
        with self._lock:
            steered = page is self.steering_page
            if page in self.pages:
                self.pages.remove(page)
            if page is self._asking:
                self._asking = None
            elif steered and self._asking is not None:
                self._hand_over()
            if steered:
                self.input = (0, RELEASED)

    def ask(self, page: object) -> None:
        """Let a watching page ask for the wheel, if no other one asks."""
        with self._lock:
            watches = not (self._shared or page is self.steering_page)
            if watches and page in self.pages and self._asking is None:
                self._asking = page
                self._asked_at = self._clock()

    def answer(self, page: object, give: bool) -> None:
        """Give the wheel to the page that asks, or keep it; only the page that steers can."""
        with self._lock:
            if page is not self.steering_page or self._asking is None:
                return
            if give:
                self._hand_over()
            self._asking = None

    def hand_over_if_due(self) -> None:
        """Hand over if the page that steers was asked, and is silent or has not answered in time.

        Call this with each frame that is sent.
        """
        with self._lock:
            if self._asking is None:
                return
            is_late = self._clock() - self._asked_at >= ANSWER_SECONDS
            if is_late or self.silent_seconds > SILENT_SECONDS:
                self._hand_over()

    def _may_steer(self, page: object) -> bool:
        steering_page = self.steering_page
        return page is steering_page or (self._shared and steering_page is None)

    def _hands_in_use(self) -> HandInput:
        """Return the latest input, or RELEASED if the page that sent it has been silent since."""
        _, hands = self.input
        return hands if self.silent_seconds < SILENT_SECONDS else RELEASED

    def _hand_over(self) -> None:
        """Let the page that asks for the wheel steer; input of the page before counts no more."""
        self.pages.remove(self._asking)
        self.pages.insert(0, self._asking)
        self._asking = None
        self.input = (0, RELEASED)
