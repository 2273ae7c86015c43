"""Collect the state that the web page shows, and apply the controls that it sets; without a web server."""

import base64
import json
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

from bcclone.drive.dashboard.page_messages import DriveChanges, HandsAtPage
from bcclone.drive.recorder import RecordingFigures
from bcclone.drive.session import DriveSession
from bcclone.drive.stats import HistoryPoint, LiveFigures
from bcclone.drive.wire.service import DriveService
from bcclone.system.errors import UserError

EVERY_SECONDS = 0.1  # between two events
_SILENT_SECONDS = 3.0


@dataclass(frozen=True)
class SaliencyState:
    """Whether the saliency overlay is on; unavailable: why it cannot be shown, or ""."""

    on: bool
    unavailable: str


@dataclass(frozen=True)
class DashboardState:
    """The fields that the page shows besides the figures; docs/reference/dashboard.md describes them."""

    figures: LiveFigures
    connection: str
    dialect: str
    clients: int
    waiting_cars: int
    answered: int
    faults: int
    wakeups: int
    autonomous: bool
    driver: str
    take_over: int | None
    set_speed_mph: float
    speed_rule: str
    recording: RecordingFigures
    saliency: SaliencyState
    sees: str
    region: tuple[float, float, float, float]

    def as_json(self) -> dict[str, Any]:
        """Return one flat object for JSON: the figures, then the other fields."""
        others = asdict(self)
        del others["figures"]
        return asdict(self.figures) | others


class Dashboard:
    """The state and the controls of a drive; any number of pages costs as much as one."""

    def __init__(self, session: DriveSession, service: DriveService) -> None:
        self._session, self._service = session, service
        self._lock = threading.Lock()
        self._event, self._number, self._made = b"", 0, 0.0

    def state(self) -> DashboardState:
        """Return the current state."""
        session = self._session
        arbiter, controller = session.arbiter, session.arbiter.driver.controller
        by = session.hands.by
        return DashboardState(
            figures=session.stats.figures(),
            connection=self._connection(),
            dialect=self._service.dialect,
            clients=self._service.clients,
            waiting_cars=arbiter.waiting,
            answered=arbiter.driver.answered,
            faults=arbiter.driver.faults,
            wakeups=arbiter.wakeups,
            autonomous=arbiter.autonomous,
            driver=by.driver,
            take_over=by.take_over,
            set_speed_mph=controller.set_speed_mph,
            speed_rule=controller.settings.rule,
            recording=session.recording.figures(),
            saliency=SaliencyState(session.saliency.on, session.saliency.unavailable),
            sees=session.sees,
            region=session.region,
        )

    def history(self) -> list[HistoryPoint]:
        """Return the points of the last 60 seconds for the plots."""
        return self._session.stats.history()

    def event(self) -> tuple[int, bytes]:
        """Return the newest server-sent event, with camera image and overlay, and its number."""
        with self._lock:
            now = time.monotonic()
            if now - self._made >= EVERY_SECONDS * 0.9:
                self._event, self._made = self._make_event(), now
                self._number += 1
            return self._number, self._event

    def set(self, changes: DriveChanges) -> None:
        """Set some controls; raises ValueError with the reason when that is not possible."""
        session = self._session
        try:  # what may fail comes first, so that nothing is half done
            if changes.saliency is not None:
                session.saliency.on = changes.saliency
            if changes.recording is not None:
                self._set_recording(changes.recording)
            if changes.set_speed_mph is not None:
                session.arbiter.driver.controller.set_speed_mph = float(changes.set_speed_mph)
            if changes.autonomous is not None:
                session.arbiter.autonomous = changes.autonomous
        finally:
            self._made = 0.0  # so that the next event shows it

    def move_hands(self, moved: HandsAtPage) -> None:
        """Let the hands at a page steer; raises WheelTaken if those of another page do."""
        self._session.hands.move(moved.page, moved.hands)

    def _set_recording(self, on: bool) -> None:
        try:
            self._session.recording.turn(on)
        except UserError as error:
            raise ValueError(str(error)) from None

    def _connection(self) -> str:
        arbiter = self._session.arbiter
        if arbiter.driving_sid is None:
            return "none"
        if arbiter.silent_seconds > _SILENT_SECONDS:
            return "silent"
        if not arbiter.autonomous:
            return "handed over"
        return "key held" if self._session.stats.key_held else "driving"

    def _make_event(self) -> bytes:
        number, jpeg = self._session.stats.jpeg
        mask_of, mask = self._session.saliency.png
        data = self.state().as_json() | {
            "frame": {"number": number, "jpeg": base64.b64encode(jpeg).decode()},
            "mask": {"frame": mask_of, "png": base64.b64encode(mask).decode()},
        }
        return b"data: " + json.dumps(data, allow_nan=False).encode() + b"\n\n"
