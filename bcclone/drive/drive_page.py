"""What the page of a drive shows and sets: the state of its session and its cars, at most ten times a second."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bcclone.drive.drive_settings import DriveSettings
from bcclone.drive.page.messages import ControlChanges
from bcclone.drive.page.page_state import PageContents, PageFrame, PageState
from bcclone.drive.session import DriveSession
from bcclone.drive.stats import HistoryPoint
from bcclone.drive.wire.service import DriveService

_EVERY_SECONDS = 0.09  # between two states
_SILENT_SECONDS = 3.0


@dataclass(frozen=True)
class CarFigures:
    """What a drive adds to the state besides its statistics; docs/reference/page.md describes the fields."""

    connection: str
    dialect: str
    clients: int
    waiting_cars: int
    answered: int
    faults: int
    wakeups: int
    autonomous: bool
    speed_rule: str


class DrivePage:
    """A drive as its pages know it (PageSession); any number of pages costs as much as one."""

    controls = ("saliency", "recording", "set_speed_mph", "autonomous")

    def __init__(self, session: DriveSession, service: DriveService) -> None:
        self._session, self._service, self.hands = session, service, session.hands
        self.contents = PageContents("drive.py", "python drive.py model.h5", DriveSettings.port, has_model=True)
        self._lock = threading.Lock()
        self._frame: PageFrame | None = None
        self._next_at = 0.0

    def state(self) -> PageState:
        """Return the current state."""
        session = self._session
        arbiter, controller = session.arbiter, session.arbiter.driver.controller
        cars = CarFigures(
            connection=self._connection(),
            dialect=self._service.dialect,
            clients=self._service.clients,
            waiting_cars=arbiter.waiting,
            answered=arbiter.driver.answered,
            faults=arbiter.driver.faults,
            wakeups=arbiter.wakeups,
            autonomous=arbiter.autonomous,
            speed_rule=controller.settings.rule,
        )
        return PageState(
            driver=self.hands.by.driver,
            take_over=self.hands.by.take_over,
            set_speed_mph=controller.set_speed_mph,
            recording=session.recording.figures(),
            saliency=session.saliency.state,
            sees=session.sees,
            region=session.region,
            figures=(session.stats.figures(), cars),
        )

    def newest(self) -> PageFrame:
        """Return the newest frame and state, which all pages share."""
        with self._lock:
            now = time.monotonic()
            if self._frame is None or now >= self._next_at:
                number = self._frame.number + 1 if self._frame else 1
                _, jpeg = self._session.stats.jpeg
                self._frame = PageFrame(number, jpeg, self._session.saliency.png, self.state())
                self._next_at = now + _EVERY_SECONDS
            return self._frame

    def set(self, changes: ControlChanges) -> None:
        """Set some controls; raises ValueError or UserError with the reason when that is not possible."""
        session = self._session
        try:  # what may fail comes first, so that nothing is half done
            if changes.saliency is not None:
                session.saliency.on = changes.saliency
            if changes.recording is not None:
                session.recording.turn(changes.recording)
            if changes.set_speed_mph is not None:
                session.arbiter.driver.controller.set_speed_mph = float(changes.set_speed_mph)
            if changes.autonomous is not None:
                session.arbiter.autonomous = changes.autonomous
        finally:
            self._next_at = 0.0  # so that the next frame shows it

    def history(self) -> Sequence[HistoryPoint]:
        """Return the points of the last 60 seconds for the plots."""
        return self._session.stats.history()

    def _connection(self) -> str:
        arbiter = self._session.arbiter
        if arbiter.driving_sid is None:
            return "none"
        if arbiter.silent_seconds > _SILENT_SECONDS:
            return "silent"
        if not arbiter.autonomous:
            return "handed over"
        return "key held" if self._session.stats.key_held else "driving"
