"""Cockpit -> what the page shows, as JSON, and what it may set. No web server in here."""

import base64
import json
import threading
import time
from typing import Any

from bcclone.drive.session import Cockpit
from bcclone.drive.settings import HIGHEST_SPEED_MPH
from bcclone.drive.wire.service import DriveService
from bcclone.errors import UserError

EVERY_SECONDS = 0.1  # between two pictures of the page
_SILENT_SECONDS = 3.0


class Panel:
    """The figures of a drive and its switches, for any number of pages at the cost of one."""

    def __init__(self, cockpit: Cockpit, service: DriveService) -> None:
        self._cockpit, self._service = cockpit, service
        self._lock = threading.Lock()
        self._event, self._number, self._made = b"", 0, 0.0

    def state(self) -> dict[str, Any]:
        """Return all figures, ready for JSON; docs/reference/dashboard.md names them."""
        cockpit = self._cockpit
        seat, viewer = cockpit.seat, cockpit.viewer
        controller = seat.driver.controller
        return cockpit.monitor.figures() | {
            "connection": self._connection(),
            "dialect": self._service.dialect,
            "clients": self._service.clients,
            "waiting_cars": seat.waiting,
            "answered": seat.driver.answered,
            "faults": seat.driver.faults,
            "woken": seat.wakings,
            "autonomous": seat.autonomous,
            "set_speed_mph": controller.set_speed_mph,
            "min_speed_mph": controller.min_speed_mph,
            "slow_in_corners": controller.slow_in_corners,
            "recording": cockpit.recording.figures(),
            "saliency": {"on": viewer.on, "unavailable": viewer.unavailable},
            "sees": cockpit.sees,
            "region": cockpit.region,
        }

    def history(self) -> list[dict[str, Any]]:
        """Return the moments of the last 60 seconds, for the plots."""
        return self._cockpit.monitor.history()

    def event(self) -> tuple[int, bytes]:
        """Return the newest state, with the camera image and the mask, as a server-sent event, and its number."""
        with self._lock:
            now = time.monotonic()
            if now - self._made >= EVERY_SECONDS * 0.9:
                self._event, self._made = self._make_event(), now
                self._number += 1
            return self._number, self._event

    def set(self, changes: Any) -> None:
        """Do what the page asks for; raises ValueError with the reason when it cannot be done."""
        switches = {  # those first that may refuse, so that nothing is done by half
            "saliency": self._set_saliency,
            "recording": self._set_recording,
            "set_speed_mph": self._set_speed,
            "autonomous": self._set_autonomous,
        }
        if not isinstance(changes, dict) or not changes or not set(changes) <= set(switches):
            raise ValueError(f"expected an object with some of {', '.join(switches)}")
        for name, value in changes.items():
            _check(name, value)
        try:
            for name, switch in switches.items():
                if name in changes:
                    switch(changes[name])
        finally:
            self._made = 0.0  # the next event shows it

    def _set_speed(self, value: float) -> None:
        self._cockpit.seat.driver.controller.set_speed_mph = float(value)

    def _set_recording(self, value: bool) -> None:
        try:
            self._cockpit.recording.turn(value)
        except UserError as error:
            raise ValueError(str(error)) from None

    def _set_autonomous(self, value: bool) -> None:
        self._cockpit.seat.autonomous = value

    def _set_saliency(self, value: bool) -> None:
        self._cockpit.viewer.on = value

    def _connection(self) -> str:
        seat = self._cockpit.seat
        if seat.sid is None:
            return "none"
        if seat.silent_seconds > _SILENT_SECONDS:
            return "silent"
        if not seat.autonomous:
            return "handed over"
        return "key held" if self._cockpit.monitor.key_held else "driving"

    def _make_event(self) -> bytes:
        number, jpeg = self._cockpit.monitor.jpeg
        mask_of, mask = self._cockpit.viewer.png
        data = self.state() | {
            "frame": {"number": number, "jpeg": base64.b64encode(jpeg).decode()},
            "mask": {"frame": mask_of, "png": base64.b64encode(mask).decode()},
        }
        return b"data: " + json.dumps(data, allow_nan=False).encode() + b"\n\n"


def _check(name: str, value: Any) -> None:
    """Raise ValueError for a value that a switch cannot be set to."""
    if name != "set_speed_mph":
        if not isinstance(value, bool):
            raise ValueError(f"{name} {value!r}, expected true or false")
    elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= HIGHEST_SPEED_MPH:
        raise ValueError(f"set speed {value!r}, expected 0 to {HIGHEST_SPEED_MPH:g} mph")
