"""Decide which of several open pages may drive; the others watch, and may ask for the wheel. No sockets."""

import time
from collections.abc import Callable
from dataclasses import dataclass

ANSWER_SECONDS = 10.0  # that a page has to keep the wheel after it was asked for it


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
