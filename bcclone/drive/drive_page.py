"""What the page of a drive shows and sets: the state of the drive and its cars, at most ten times a second."""

import threading
import time
from collections.abc import Sequence

from bcclone.drive.drive_settings import DriveSettings
from bcclone.drive.driver import ModelPolicy
from bcclone.drive.page.page_state import ControlChanges, PageContents, PageFrame, PageState
from bcclone.drive.saliency_thread import SaliencyThread, seen_region_of
from bcclone.drive.stats import HistoryPoint
from bcclone.drive.wheel import PageHands
from bcclone.drive.wire.service import DriveService

_EVERY_SECONDS = 0.09  # between two states


class DrivePage:
    """A drive as its pages know it (PageSession); any number of pages costs as much as one."""

    controls = ("saliency", "recording", "set_speed_mph", "autonomous")

    def __init__(self, cars: DriveService, hands: PageHands, saliency: SaliencyThread, policy: ModelPolicy) -> None:
        self.hands, self.cars, self._saliency = hands, cars, saliency
        self.contents = PageContents("drive.py", "python drive.py model.h5", DriveSettings.port, has_model=True)
        self._sees, self._region = policy.preprocessing.describe(), seen_region_of(policy)
        self._lock = threading.Lock()
        self._frame: PageFrame | None = None
        self._next_at = 0.0

    def state(self) -> PageState:
        """Return the current state."""
        cars = self.cars
        return PageState(
            driver=self.hands.by.driver,
            take_over=self.hands.by.take_over,
            set_speed_mph=cars.arbiter.driver.controller.set_speed_mph,
            recording=cars.recorder.figures(),
            saliency=self._saliency.state,
            sees=self._sees,
            region=self._region,
            figures=cars.stats.figures(cars.dialect, cars.clients),
        )

    def newest(self) -> PageFrame:
        """Return the newest frame and state, which all pages share."""
        with self._lock:
            now = time.monotonic()
            if self._frame is None or now >= self._next_at:
                number = self._frame.number + 1 if self._frame else 1
                _, jpeg = self.cars.stats.jpeg
                self._frame = PageFrame(number, jpeg, self._saliency.png, self.state())
                self._next_at = now + _EVERY_SECONDS
            return self._frame

    def set(self, changes: ControlChanges) -> None:
        """Set some controls; raises ValueError or UserError with the reason when that is not possible."""
        try:  # what may fail comes first, so that nothing is half done
            if changes.saliency is not None:
                self._saliency.on = changes.saliency
            if changes.recording is not None:
                self.cars.recorder.turn(changes.recording)
            if changes.set_speed_mph is not None:
                self.cars.arbiter.driver.controller.set_speed_mph = float(changes.set_speed_mph)
            if changes.autonomous is not None:
                self.cars.arbiter.autonomous = changes.autonomous
        finally:
            self._next_at = 0.0  # so that the next frame shows it

    def history(self) -> Sequence[HistoryPoint]:
        """Return the points of the last 60 seconds for the plots."""
        return self.cars.stats.history()
