"""Drive session -> the state that the page shows, and the controls that it sets; without a web server."""

import base64
import json
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

from bcclone.drive.session import DriveSession, RecordingFigures
from bcclone.drive.settings import HIGHEST_SPEED_MPH
from bcclone.drive.stats import DriveFigures
from bcclone.drive.wire.service import DriveService
from bcclone.errors import UserError

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

    figures: DriveFigures
    connection: str
    dialect: str
    clients: int
    waiting_cars: int
    answered: int
    faults: int
    wakeups: int
    autonomous: bool
    set_speed_mph: float
    min_speed_mph: float
    slow_in_corners: bool
    recording: RecordingFigures
    saliency: SaliencyState
    sees: str
    region: tuple[float, float, float, float]

    def as_json(self) -> dict[str, Any]:
        """Return one flat object for JSON: the figures, then the other fields."""
        fields = asdict(self)
        figures: dict[str, Any] = fields.pop("figures")
        return figures | fields


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
            set_speed_mph=controller.set_speed_mph,
            min_speed_mph=controller.min_speed_mph,
            slow_in_corners=controller.slow_in_corners,
            recording=session.recording.figures(),
            saliency=SaliencyState(session.saliency.on, session.saliency.unavailable),
            sees=session.sees,
            region=session.region,
        )

    def history(self) -> list[dict[str, Any]]:
        """Return the points of the last 60 seconds for the plots, ready for JSON."""
        return [asdict(point) for point in self._session.stats.history()]

    def event(self) -> tuple[int, bytes]:
        """Return the newest server-sent event, with camera image and overlay, and its number."""
        with self._lock:
            now = time.monotonic()
            if now - self._made >= EVERY_SECONDS * 0.9:
                self._event, self._made = self._make_event(), now
                self._number += 1
            return self._number, self._event

    def set(self, changes: Any) -> None:
        """Set some controls from a JSON object; raises ValueError with the reason when that is not possible."""
        setters = {  # those that may fail come first, so that nothing is half done
            "saliency": self._set_saliency,
            "recording": self._set_recording,
            "set_speed_mph": self._set_speed,
            "autonomous": self._set_autonomous,
        }
        if not isinstance(changes, dict) or not changes or not set(changes) <= set(setters):
            raise ValueError(f"expected an object with some of {', '.join(setters)}")
        for name, value in changes.items():
            _check(name, value)
        try:
            for name, setter in setters.items():
                if name in changes:
                    setter(changes[name])
        finally:
            self._made = 0.0  # so that the next event shows it

    def _set_speed(self, value: float) -> None:
        self._session.arbiter.driver.controller.set_speed_mph = float(value)

    def _set_recording(self, value: bool) -> None:
        try:
            self._session.recording.turn(value)
        except UserError as error:
            raise ValueError(str(error)) from None

    def _set_autonomous(self, value: bool) -> None:
        self._session.arbiter.autonomous = value

    def _set_saliency(self, value: bool) -> None:
        self._session.saliency.on = value

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


def _check(name: str, value: Any) -> None:
    """Raise ValueError for a value that a control does not accept."""
    if name != "set_speed_mph":
        if not isinstance(value, bool):
            raise ValueError(f"{name} {value!r}, expected true or false")
    elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= HIGHEST_SPEED_MPH:
        raise ValueError(f"set speed {value!r}, expected 0 to {HIGHEST_SPEED_MPH:g} mph")
