"""Let a person at the web page take over from the model, until the person lets go. No sockets, no files."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from bcclone.drive.hand_controls import RELEASED, HandControls, HandInput
from bcclone.drive.protocol import Control
from bcclone.drive.take_over import TakeOver
from bcclone.recording.drivers import BY_MODEL, DrivenRow

SILENT_SECONDS = 1.0  # without a message of the page whose hands are on the wheel, they are off it
_STEP_SECONDS = 0.02
_MOST_STEPS = 25  # of a pause between two frames


class WheelTaken(ValueError):
    """Another page steers."""


@dataclass(frozen=True)
class SteeredBy:
    """A control, and who gave its steering."""

    control: Control
    by: DrivenRow


class PageHands:
    """The hands of the persons at the web pages: those of one page count, the first that takes over, until it lets go.

    All steering of the car goes through control(), once a frame.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._page, self._hands, self._moved = "", RELEASED, -SILENT_SECONDS
        self._controls, self._take_over, self._steered = HandControls(), TakeOver(), clock()
        self._by = BY_MODEL

    @property
    def by(self) -> DrivenRow:
        """Return who steers."""
        return self._by

    def move(self, page: str, hands: HandInput) -> None:
        """Take what the hands at a page do; raises WheelTaken if those of another page steer."""
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
            wanted = self._controls.advance(self._in_use(), steps)
            turn = self._take_over.steer(model.steering, wanted.steering)
            self._by = turn.by
            throttle = model.throttle if wanted.throttle is None else wanted.throttle
            return SteeredBy(Control(turn.steering, throttle), turn.by)

    def forget(self) -> None:
        """Begin anew with another car; take-overs are counted on."""
        with self._lock:
            count = self._take_over.count
            self._controls, self._take_over, self._by = HandControls(), TakeOver(), BY_MODEL
            self._take_over.count = count

    def _in_use(self) -> HandInput:
        return self._hands if self._clock() - self._moved < SILENT_SECONDS else RELEASED
