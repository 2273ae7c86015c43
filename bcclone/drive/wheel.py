"""Decide who has the wheel: a model or a person who takes over, and the person at which page. No sockets, no files.

Drives and plays share Wheel, through which all steering of a car goes, once a frame. In a drive, any page may take over
from the model (PageHands); in a play, one page drives, and others may ask it for the wheel (Seat).
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from bcclone.drive.hand_controls import RELEASED, HandControls, HandInput
from bcclone.drive.protocol import Control
from bcclone.recording.drivers import BY_MODEL, HUMAN, MODEL, DrivenRow

MOST_CHANGE = 0.05  # of the steering from frame to frame, at a hand-over
SILENT_SECONDS = 1.0  # without a message of the page whose hands are on the wheel, they are off it
ANSWER_SECONDS = 10.0  # that a page has to keep the wheel after it was asked for it
_STEP_SECONDS = 0.02
_MOST_STEPS = 25  # of a pause between two frames


@dataclass(frozen=True)
class SteeredBy:
    """A control, and who gave its steering."""

    control: Control
    by: DrivenRow


class Wheel:
    """Chooses between a model's steering and a person's, and hands the wheel over without a jerk.

    A person's hands on the wheel begin a take-over, and taking them off ends it, unless `kept` is set: then the person
    steers until it is cleared. After either hand-over the steering changes by at most 0.05 from frame to frame until it
    is the new driver's. count: take-overs so far, also with cars before; by: who steers.
    """

    def __init__(self, count: int = 0) -> None:
        self.kept = False
        self.count = count
        self.by, self._hands = BY_MODEL, HandControls()
        self._driver = ""
        self._steering, self._handing_over = 0.0, False

    def turn(self, hands: HandInput, steps: int, model: Control | None) -> SteeredBy:
        """Return the control of the next frame, after so many steps of 0.02 s. model: the model's, None without one."""
        person = self._hands.advance(hands, steps)
        driver = HUMAN if model is None or person.steering is not None or self.kept else MODEL
        if driver != self._driver:
            self._handing_over = bool(self._driver)
            self._driver = driver
            self.count += driver == HUMAN and model is not None
        steering = person.steering if driver == HUMAN else model.steering if model else None
        self._steering = self._limited(steering or 0.0)
        self.by = DrivenRow(driver, self.count if driver == HUMAN and model is not None else None)
        throttle = (model.throttle if model else 0.0) if person.throttle is None else person.throttle
        return SteeredBy(Control(self._steering, throttle), self.by)

    def _limited(self, steering: float) -> float:
        if not self._handing_over:
            return steering
        limited = min(max(steering, self._steering - MOST_CHANGE), self._steering + MOST_CHANGE)
        self._handing_over = limited != steering
        return limited


class WheelTaken(ValueError):
    """Another page steers."""


class PageHands:
    """The hands of the persons at the web pages: those of one page count, the first that takes over, until it lets go.

    All steering of the car goes through control(), once a frame.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._page, self._hands, self._moved = "", RELEASED, -SILENT_SECONDS
        self._wheel, self._steered = Wheel(), clock()

    @property
    def by(self) -> DrivenRow:
        """Return who steers."""
        return self._wheel.by

    def move(self, page: str, hands: HandInput) -> None:
        """Take what the hands at a page do; raises WheelTaken if another page's steer."""
        with self._lock:
            if page != self._page and self._in_use() != RELEASED:
                raise WheelTaken("another page steers; it has the wheel until its keys are released")
            self._page, self._hands, self._moved = page, hands, self._clock()

    def control(self, model: Control) -> SteeredBy:
        """Return the control of the next frame, and who steers. model: the model's."""
        with self._lock:
            now = self._clock()
            steps = min(max(round((now - self._steered) / _STEP_SECONDS), 1), _MOST_STEPS)
            self._steered = now
            return self._wheel.turn(self._in_use(), steps, model)

    def forget(self) -> None:
        """Begin anew with another car; take-overs are counted on."""
        with self._lock:
            self._wheel = Wheel(self._wheel.count)

    def _in_use(self) -> HandInput:
        return self._hands if self._clock() - self._moved < SILENT_SECONDS else RELEASED


@dataclass(frozen=True)
class SeatView:
    """What a page is told: whether it drives; whether another page asks it for the wheel; whether it asks itself."""

    drives: bool
    asked: bool = False
    asking: bool = False


class Seat:
    """The pages in the order in which they came; the first one drives, until it leaves or hands over.

    A page is any object. One that is asked for the wheel gives it, keeps it, or loses it when it does not answer within
    10 s, so that a page that nobody looks at does not hold it for ever. Callers hold a lock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pages: list[object] = []
        self._asking: object | None = None
        self._asked_at = 0.0

    @property
    def driver(self) -> object | None:
        """Return the page that drives."""
        return self._pages[0] if self._pages else None

    @property
    def pages(self) -> int:
        """Return the number of open pages."""
        return len(self._pages)

    def view(self, page: object) -> SeatView:
        """Return what to tell a page."""
        drives = page is self.driver
        return SeatView(drives, asked=drives and self._asking is not None, asking=page is self._asking)

    def join(self, page: object) -> None:
        """Add a page."""
        self._pages.append(page)

    def leave(self, page: object) -> None:
        """Remove a page that has closed; if it drove, the page that asks, or else the oldest one, drives."""
        drove = page is self.driver
        if page in self._pages:
            self._pages.remove(page)
        if page is self._asking:
            self._asking = None
        elif drove and self._asking is not None:
            self._hand_over()

    def ask(self, page: object) -> None:
        """Let a watching page ask for the wheel, if no other one asks."""
        if page is self.driver or page not in self._pages or self._asking is not None:
            return
        self._asking, self._asked_at = page, self._clock()

    def answer(self, page: object, give: bool) -> None:
        """Give the wheel to the page that asks, or keep it; only the page that drives can."""
        if page is not self.driver or self._asking is None:
            return
        if give:
            self._hand_over()
        self._asking = None

    def check(self, asleep: bool = False) -> None:
        """Hand over when the page that drives has not answered in time, or is asleep; call this now and then."""
        if self._asking is not None and (asleep or self._clock() - self._asked_at >= ANSWER_SECONDS):
            self._hand_over()

    def _hand_over(self) -> None:
        self._pages.remove(self._asking)
        self._pages.insert(0, self._asking)
        self._asking = None
