"""What the pages of a drive see and set.

In: the drive's service, and controls that pages set. Out: its state and newest frame, at most about
ten times a second.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from bcclone.drive.drive_settings import DriveSettings
from bcclone.drive.driver import SteeringPolicy
from bcclone.drive.page.page_state import (
    ControlChanges,
    PageContents,
    PageFrame,
    PageSession,
    SaliencyThread,
    seen_region_of,
)
from bcclone.drive.page_hands import PageHands
from bcclone.drive.service import DriveService
from bcclone.drive.stats import HistoryPoint
from bcclone.model.policy import Policy
from bcclone.system.errors import shown_command

# shortest time between two frames for the pages; a little less than the 0.1 s between two looks for
# a new frame (routes.py), so that each look finds one
_PAGE_SECONDS = 0.09


class DrivePage(PageSession):
    """What the pages of a drive see and set; any number of pages costs as much as one."""

    controls = ("saliency", "recording", "set_speed_mph", "autonomous")

    def __init__(
        self,
        service: DriveService,
        hands: PageHands,
        saliency: SaliencyThread,
        policy: SteeringPolicy,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        contents = PageContents(
            program="drive.py",
            command=shown_command("drive", "model.h5"),
            default_port=DriveSettings.port,
            has_model=True,
        )
        if isinstance(policy, Policy):
            sees = policy.preprocessing.describe()
            contents = replace(contents, sees=sees, region=seen_region_of(policy))
        super().__init__(contents, hands, service.recorder, service.arbiter.driver, saliency)
        self.service = service
        self._clock = clock  # in seconds
        self._lock = threading.Lock()
        self._frame: PageFrame | None = None
        self._next_at = -math.inf  # when the next frame is made

    def state(self) -> dict[str, Any]:
        """Return the state of the drive."""
        service = self.service
        return self.state_with(service.stats.figures(service.dialect, service.clients))

    def newest(self) -> PageFrame:
        """Return the newest frame and state, which all pages share."""
        with self._lock:
            now = self._clock()
            frame = self._frame
            if frame is None or now >= self._next_at:
                number = 1 if frame is None else frame.number + 1
                _, jpeg = self.service.stats.last_frame
                frame = PageFrame(number, jpeg, self.overlay(), self.state())
                self._frame = frame
                self._next_at = now + _PAGE_SECONDS
            return frame

    def set(self, changes: ControlChanges) -> None:
        """Set some controls; raises ValueError or UserError with the reason why it cannot."""
        try:
            super().set(changes)  # may raise, so it comes first: nothing is half done
            if changes.autonomous is not None:
                self.service.arbiter.autonomous = changes.autonomous
        finally:
            self._next_at = -math.inf  # newest() makes a frame at once, which shows the change

    def history(self) -> Sequence[HistoryPoint]:
        """Return the points of the plots."""
        return self.service.stats.history()
