"""Messages of several connections -> who drives, and what each is answered. No sockets, no files.

A connection takes the driver's seat with its first valid telemetry; whoever sat there is told `manual`, and gets the
seat back when the newer one leaves (docs/reference/protocol.md, fact 12: the simulator may leave a connection behind).
A `manual` that answers nothing makes the simulator go on with one more loop (fact 7), so it is sent only to who is
silent.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bcclone.drive.driver import Driver
from bcclone.protocol import Control, ProtocolError, Telemetry, format_steer, parse_telemetry

# A car that waits may stand; each of its loops would otherwise cost the driver time at every frame it draws.
_WAITING_SECONDS = 0.1
# Silence until the driver is sent a `manual`, which restarts a car that lost its answers; and until the second and
# last: one that was only slow gets a third loop by each.
_SILENCES = (3.0, 30.0)
# After such a silence the frames before it say nothing of what comes.
_PAUSE_SECONDS = 1.0
# Whoever has lost the seat is told so by the answer to its next telemetry, or unasked when none has come by then.
_TELL_SECONDS = 0.5
_RELEASED = Control(0.0, 0.0)


@dataclass(frozen=True)
class Reply:
    """What is sent to a connection: a Socket.IO event and its object, `after` so many seconds."""

    event: str
    data: dict[str, str] = field(default_factory=dict)
    after: float = 0.0


MANUAL = Reply("manual")


class DriverSeat:
    """Decides for each message of each connection what is answered; every telemetry gets one answer.

    autonomous: False hands the car over to the person at the simulator. on_manual is called with what the driver
    reports meanwhile; with None while a driving key is held, when it reports nothing. on_fault is called with why a
    telemetry cannot be read; it is answered with `manual`, which leaves the controls as they are. on_change is called
    when another connection drives, or none any more.
    """

    def __init__(
        self,
        driver: Driver,
        on_manual: Callable[[Telemetry | None], None] = lambda telemetry: None,
        on_fault: Callable[[str], None] = lambda fault: None,
        on_change: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.driver = driver
        self._on_manual, self._on_fault, self._on_change, self._clock = on_manual, on_fault, on_change, clock
        self._order: list[str] = []  # the last one drives
        self._to_tell: dict[str, float] = {}  # connections that lost the seat, and when they are told unasked
        self._lock = threading.Lock()
        self._autonomous, self._released = True, False
        self._heard, self._woken, self._answering = clock(), 0, False
        self.wakings = 0

    @property
    def sid(self) -> str | None:
        """Return the connection that drives, None when there is none."""
        order = self._order
        return order[-1] if order else None

    @property
    def waiting(self) -> int:
        """Return how many cars are connected and do not drive."""
        return max(len(self._order) - 1, 0)

    @property
    def autonomous(self) -> bool:
        """Return whether the model drives."""
        return self._autonomous

    @autonomous.setter
    def autonomous(self, value: bool) -> None:
        with self._lock:
            self._autonomous, self._released = value, False
            self.driver.forget()

    @property
    def silent_seconds(self) -> float:
        """Return for how long the driver has said nothing."""
        return 0.0 if self._answering else self._clock() - self._heard

    def answer(self, sid: str, payload: Any) -> Reply:
        """Return the answer to a connection's telemetry event."""
        fault = ""
        try:
            telemetry = parse_telemetry(payload)
        except ProtocolError as error:
            telemetry, fault = None, f"bad telemetry: {error}"
            self.driver.count_fault(fault)
            self._on_fault(fault)
        with self._lock:
            if telemetry is not None:
                self._take_seat(sid)
            if self.sid is None:
                return MANUAL
            if sid != self.sid:
                self._to_tell.pop(sid, None)
                return Reply("manual", after=_WAITING_SECONDS)
            self._answering = True
            try:
                return MANUAL if fault else self._drive(telemetry)
            finally:
                self._answering = False
                self._heard, self._woken = self._clock(), 0

    def leave(self, sid: str) -> None:
        """Take a connection that has closed from the list."""
        with self._lock:
            if sid not in self._order:
                return
            drove = sid == self.sid
            self._order.remove(sid)
            self._to_tell.pop(sid, None)
            if drove:
                self._change()

    def wake(self) -> str | None:
        """Return the driver if it has been silent for so long that a `manual` is to restart it, else None."""
        with self._lock:
            sid = self.sid
            if sid is None or self._woken == len(_SILENCES) or self.silent_seconds < _SILENCES[self._woken]:
                return None
            self._woken += 1
            self.wakings += 1
            return sid

    def untold(self) -> list[str]:
        """Return the connections that are to be sent a `manual`, since they lost the seat and have not asked since."""
        with self._lock:
            late = [sid for sid, by in self._to_tell.items() if by <= self._clock()]
            for sid in late:
                del self._to_tell[sid]
            return late

    def _take_seat(self, sid: str) -> None:
        if sid in self._order:
            return
        if self.sid is not None:
            self._to_tell[self.sid] = self._clock() + _TELL_SECONDS
        self._order.append(sid)
        self._change()

    def _change(self) -> None:
        self.driver.forget()
        self._on_change()
        self._released = False
        self._to_tell.pop(self.sid or "", None)
        self._heard, self._woken = self._clock(), 0

    def _drive(self, telemetry: Telemetry | None) -> Reply:
        """Answer the driver; None: it reports no values, since a driving key is held."""
        if telemetry is None:
            self._on_manual(None)
            return MANUAL
        if self._autonomous:
            if self._clock() - self._heard > _PAUSE_SECONDS:
                self.driver.forget_frames()
            return _steer(self.driver.decide(telemetry), telemetry)
        self._on_manual(telemetry)
        if self._released:
            return MANUAL
        self._released = True  # otherwise the simulator would go on with the last throttle
        return _steer(_RELEASED, telemetry)


def _steer(control: Control, telemetry: Telemetry) -> Reply:
    return Reply("steer", format_steer(control, telemetry.decimal_comma))
