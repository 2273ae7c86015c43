"""Decide which open page has the wheel, and follow the hands at that page.

Pages that come and go, their input and their wishes go in; the control of the next frame comes out.
No sockets, no files; the caller gives the clock. In a drive, all pages share the wheel; in a play,
one page has it. Threads of the pages and of the car call at the same time.
"""

import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from bcclone.drive.hand_input import RELEASED, STEP_SECONDS, HandInput
from bcclone.drive.protocol import Control
from bcclone.drive.wheel import Wheel
from bcclone.recording.run_tables import BY_MODEL, DrivenBy

SILENT_SECONDS = 1.0  # the page that steers lets go of the wheel after sending nothing this long
ANSWER_SECONDS = 10.0  # how long the page that steers may take to answer a request for the wheel


@dataclass(frozen=True)
class WheelView:
    """What one page is told about the wheel."""

    drives: bool  # whether this page may steer
    asked: bool = False  # whether another page asks this page for the wheel
    asking: bool = False  # whether this page asks for the wheel


class PageHands(ABC):
    """The open pages, and the hands at the page that steers.

    A page is identified by any object. Methods whose name begins with _ are called with the lock
    held.
    """

    def __init__(self, by: DrivenBy, clock: Callable[[], float]) -> None:
        """Begin without pages.

        by: who is to steer, until the first frame
        clock: in seconds
        """
        self._clock = clock
        self._lock = threading.Lock()  # held while anything below is read or changed
        # in the order in which they came; in a play, the page that steers is moved to the front
        self._pages: list[object] = []
        self._wheel = Wheel(by=by)  # all steering of the car goes through it, once a frame
        self._input: tuple[int, HandInput] = (0, RELEASED)
        self._mover: object | None = None  # the page that sent the latest input
        self._moved_at = -math.inf  # when it sent that

    @property
    def by(self) -> DrivenBy:
        """Return who steers."""
        with self._lock:
            return self._wheel.by

    @property
    def input(self) -> tuple[int, HandInput]:
        """Return the number of the latest input, and that input."""
        with self._lock:
            return self._input

    @property
    def steering_page(self) -> object | None:
        """Return the page that steers, None if none does."""
        with self._lock:
            return self._steering_page()

    def view(self, page: object) -> WheelView:
        """Return what to tell a page about the wheel."""
        with self._lock:
            return self._view(page)

    def may_set(self, page: object) -> bool:
        """Return whether a page may set controls."""
        with self._lock:
            return self._may_set(page)

    def move(self, page: object, hands: HandInput, number: int = 0) -> None:
        """Take what the hands at a page do; raises ValueError if the page may not steer.

        number: number of this input, which the page has chosen
        """
        with self._lock:
            if not self._may_steer(page):
                raise ValueError("another page steers; this one only watches")
            self._mover = page
            self._input = (number, hands)
            self._moved_at = self._clock()

    def join(self, page: object) -> None:
        """Add a page that has opened."""
        with self._lock:
            self._pages.append(page)

    def leave(self, page: object) -> None:
        """Remove a page that has closed; what its hands did counts no more."""
        with self._lock:
            steered = page is self._steering_page()
            if page in self._pages:
                self._pages.remove(page)
            self._note_left(page, steered)
            if steered:
                self._input = (0, RELEASED)

    @abstractmethod
    def ask(self, page: object) -> None:
        """Let a watching page ask for the wheel, if no other one asks."""

    @abstractmethod
    def answer(self, page: object, give: bool) -> None:
        """Give the wheel to the page that asks, or keep it; only the page that steers can."""

    @abstractmethod
    def hand_over_if_due(self) -> None:
        """Hand over if the page that steers was asked, and is silent or has not answered in time.

        Call this with each frame that is sent.
        """

    @abstractmethod
    def _steering_page(self) -> object | None:
        """Return the page that steers, None if none does."""

    @abstractmethod
    def _may_steer(self, page: object) -> bool:
        """Return whether a page's hands may be on the wheel."""

    @abstractmethod
    def _may_set(self, page: object) -> bool:
        """Return whether a page may set controls."""

    @abstractmethod
    def _view(self, page: object) -> WheelView:
        """Return what to tell a page about the wheel."""

    @abstractmethod
    def _note_left(self, page: object, steered: bool) -> None:
        """Change what else depends on a page that has left. steered: whether that page steered."""

    def _silent_seconds(self) -> float:
        return self._clock() - self._moved_at


_LATE_STEPS = 25  # most steps for one frame, so that held keys do not turn far after a long pause


class DriveHands(PageHands):
    """The pages of a drive, which share the wheel: nobody needs to ask for it.

    The first page whose hands are on the wheel steers, until it lets go or falls silent.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(BY_MODEL, clock)
        self._steered_at = clock()  # when control() was last called

    def control(self, model: Control) -> Control:
        """Return the control of the next frame; afterwards the property `by` says who steers.

        model: the model's control
        """
        with self._lock:
            now = self._clock()
            steps = round((now - self._steered_at) / STEP_SECONDS)
            steps = min(max(steps, 1), _LATE_STEPS)
            self._steered_at = now
            return self._wheel.turn(self._hands_in_use(), steps, model)

    def forget(self) -> None:
        """Begin anew with another car; only the count of take-overs goes on."""
        with self._lock:
            self._wheel = Wheel(self._wheel.count)

    def ask(self, page: object) -> None:
        """Do nothing."""

    def answer(self, page: object, give: bool) -> None:
        """Do nothing."""

    def hand_over_if_due(self) -> None:
        """Do nothing."""

    def _hands_in_use(self) -> HandInput:
        """Return the latest input, or RELEASED if the page that sent it has been silent since."""
        _, hands = self._input
        return hands if self._silent_seconds() < SILENT_SECONDS else RELEASED

    def _steering_page(self) -> object | None:
        return None if self._hands_in_use() == RELEASED else self._mover

    def _may_steer(self, page: object) -> bool:
        steering_page = self._steering_page()
        return steering_page is None or page is steering_page

    def _may_set(self, page: object) -> bool:
        return True

    def _view(self, page: object) -> WheelView:
        return WheelView(self._may_steer(page))

    def _note_left(self, page: object, steered: bool) -> None:
        """Do nothing."""


class PlayHands(PageHands):
    """The pages of a play, of which the first steers, until it leaves or hands over.

    When another page asks it for the wheel, it gives or keeps the wheel; if it does not answer
    within 10 s, it loses the wheel, so that a page that nobody looks at does not hold it for ever.
    """

    def __init__(self, by: DrivenBy, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without pages. Arguments as those of PageHands()."""
        super().__init__(by, clock)
        self._asking: object | None = None  # the page that asks for the wheel
        self._asked_at = 0.0

    @property
    def is_watched(self) -> bool:
        """Return whether a page is open."""
        with self._lock:
            return bool(self._pages)

    @property
    def silent_seconds(self) -> float:
        """Return the seconds since the page that steers sent anything."""
        with self._lock:
            return self._silent_seconds()

    @property
    def kept(self) -> bool:
        """Return whether the person keeps the wheel also with the hands off; see Wheel."""
        with self._lock:
            return self._wheel.kept

    @kept.setter
    def kept(self, value: bool) -> None:
        with self._lock:
            self._wheel.kept = value

    def turn(self, hands: HandInput, steps: int, model: Control | None) -> Control:
        """Return the control of the next frame, as Wheel.turn() does; then `by` says who steers."""
        with self._lock:
            return self._wheel.turn(hands, steps, model)

    def ask(self, page: object) -> None:
        with self._lock:
            watches = page in self._pages and page is not self._steering_page()
            if watches and self._asking is None:
                self._asking = page
                self._asked_at = self._clock()

    def answer(self, page: object, give: bool) -> None:
        with self._lock:
            if page is not self._steering_page() or self._asking is None:
                return
            if give:
                self._hand_over()
            self._asking = None

    def hand_over_if_due(self) -> None:
        with self._lock:
            if self._asking is None:
                return
            is_late = self._clock() - self._asked_at >= ANSWER_SECONDS
            if is_late or self._silent_seconds() > SILENT_SECONDS:
                self._hand_over()

    def _steering_page(self) -> object | None:
        return self._pages[0] if self._pages else None

    def _may_steer(self, page: object) -> bool:
        return page is self._steering_page()

    def _may_set(self, page: object) -> bool:
        return page is self._steering_page()

    def _view(self, page: object) -> WheelView:
        drives = self._may_steer(page)
        asked = drives and self._asking is not None
        return WheelView(drives, asked, asking=page is self._asking)

    def _note_left(self, page: object, steered: bool) -> None:
        """Let the page that asks for the wheel steer next, or else the oldest page."""
        if page is self._asking:
            self._asking = None
        elif steered and self._asking is not None:
            self._hand_over()

    def _hand_over(self) -> None:
        """Let the page that asks for the wheel steer; input of the page before counts no more."""
        self._pages.remove(self._asking)
        self._pages.insert(0, self._asking)
        self._asking = None
        self._input = (0, RELEASED)
