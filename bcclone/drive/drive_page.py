"""Tell the pages of a drive its state, at most ten times a second, and set the controls that they change.

The figures of the drive and its newest frame go in, a PageFrame for all pages comes out.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from bcclone.drive.drive_settings import DriveSettings
from bcclone.drive.driver import ModelPolicy
from bcclone.drive.page.page_state import ControlChanges, PageContents, PageFrame, PageSession
from bcclone.drive.saliency_thread import SaliencyThread, seen_region_of
from bcclone.drive.stats import HistoryPoint
from bcclone.drive.wheel import PageHands
from bcclone.drive.wire.service import DriveService

_EVERY_SECONDS = 0.09  # between two states


class DrivePage(PageSession):
    """A drive as its pages know it; any number of pages costs as much as one. clock: returns seconds."""

    controls = ("saliency", "recording", "set_speed_mph", "autonomous")

    def __init__(
        self,
        cars: DriveService,
        hands: PageHands,
        saliency: SaliencyThread,
        policy: ModelPolicy,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        sees, region = policy.preprocessing.describe(), seen_region_of(policy)
        contents = PageContents("drive.py", "bcclone drive model.h5", DriveSettings.port, True, sees, region)
        super().__init__(contents, hands, cars.recorder, cars.arbiter.driver, saliency)
        self.cars, self._clock, self._lock = cars, clock, threading.Lock()
        self._frame: PageFrame | None = None
        self._next_at = -math.inf

    def state(self) -> dict[str, Any]:
        return self.state_with(self.cars.stats.figures(self.cars.dialect, self.cars.clients))

    def newest(self) -> PageFrame:
        """Return the newest frame and state, which all pages share."""
        with self._lock:
            now = self._clock()
            if self._frame is None or now >= self._next_at:
                number = self._frame.number + 1 if self._frame else 1
                _, jpeg = self.cars.stats.jpeg
                self._frame = PageFrame(number, jpeg, self.overlay(), self.state())
                self._next_at = now + _EVERY_SECONDS
            return self._frame

    def set(self, changes: ControlChanges) -> None:
        """Set some controls; raises ValueError or UserError with the reason when that is not possible."""
        try:
            super().set(changes)  # what may fail comes first, so that nothing is half done
            if changes.autonomous is not None:
                self.cars.arbiter.autonomous = changes.autonomous
        finally:
            self._next_at = -math.inf  # so that the next frame shows it

    def history(self) -> Sequence[HistoryPoint]:
        """Return the points of the last 60 seconds for the plots."""
        return self.cars.stats.history()
