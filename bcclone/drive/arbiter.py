"""Decide which of several connections drives, and the reply to each telemetry message.

The id of a connection and its telemetry go in, a Reply comes out. No sockets, no files; the caller
gives the clock.

The newest connection that sends valid telemetry drives. An older one is answered `manual`, and
drives again when the newer one closes: the simulator may leave an old connection open
(docs/reference/protocol.md, fact 12). An unrequested `manual` makes the simulator run one more loop
(fact 7), so it is sent only to connections that are silent.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from bcclone.drive.driver import Decision, Driver
from bcclone.drive.protocol import Control, ProtocolError, Telemetry, format_steer

# A waiting car may stand still; answering each of its loops at once would take time from the car
# that drives.
_WAITING_SECONDS = 0.1
# After 3 s without telemetry a `manual` restarts a car that lost its answers; a second and last one
# follows at 30 s, since each adds a third loop to a car that was only slow.
SILENCES = (3.0, 30.0)
# After a pause this long, earlier frames are no guide to the next one.
_PAUSE_SECONDS = 1.0
# A connection that no longer drives gets `manual` as the answer to its next telemetry, or unasked
# after this time.
_PENDING_SECONDS = 0.5
_RELEASED = Control(0.0, 0.0)


@dataclass(frozen=True)
class Reply:
    """The answer to a telemetry, a Socket.IO event: `steer` with a control, or `manual` without
    one.

    drives: whether the connection drives; telemetry: of the car that drives, None while a driving
    key is held; decision: on its frame, None when the model decided nothing; fault: why its
    telemetry cannot be read, or ""; after: seconds to wait before the reply is sent.
    """

    control: Control | None = None
    drives: bool = False
    telemetry: Telemetry | None = None
    decision: Decision | None = None
    fault: str = ""
    after: float = 0.0

    @property
    def event(self) -> str:
        return "steer" if self.control else "manual"

    @property
    def data(self) -> dict[str, str]:
        comma = self.telemetry is not None and self.telemetry.decimal_comma
        return format_steer(self.control, comma) if self.control else {}


MANUAL = Reply()


class ConnectionArbiter:
    """Chooses which connection drives, and gives every telemetry of every connection one reply.

    driving_sid: the connection that drives, None if there is none; waiting: the number of connected
    cars that do not drive; autonomous: False hands the car over to the person at the simulator;
    wakeups: how often a silent car was woken.
    """

    def __init__(self, driver: Driver, clock: Callable[[], float] = time.monotonic) -> None:
        self.driver, self._clock = driver, clock
        self._order: list[str] = []  # oldest first; the last one drives
        self._pending: dict[
            str, float
        ] = {}  # connections that lost the car -> when to send `manual` unasked
        self._lock = threading.Lock()
        self._autonomous, self._released, self._ended = True, False, False
        self._received, self._wakeups_in_silence, self._answering = clock(), 0, False
        self.wakeups = 0

    @property
    def driving_sid(self) -> str | None:
        order = self._order
        return order[-1] if order else None

    @property
    def waiting(self) -> int:
        return max(len(self._order) - 1, 0)

    @property
    def autonomous(self) -> bool:
        return self._autonomous

    @autonomous.setter
    def autonomous(self, value: bool) -> None:
        with self._lock:
            self._autonomous, self._released = value, False
            self.driver.forget()

    @property
    def silent_seconds(self) -> float:
        """Return the seconds since the driving connection last sent telemetry."""
        return 0.0 if self._answering else self._clock() - self._received

    def answer(
        self, sid: str, telemetry: Telemetry | ProtocolError | None, late: bool = False
    ) -> Reply:
        """Return the reply to a connection's telemetry event. late: it waited for the reply to an
        earlier one.

        A telemetry that cannot be read is answered `manual`, which leaves the controls as they are.
        """
        fault = ""
        if isinstance(telemetry, ProtocolError):
            telemetry, fault = None, f"bad telemetry: {telemetry}"
            self.driver.count_fault(fault)
        with self._lock:
            if self._ended:
                return MANUAL
            if telemetry is not None and sid not in self._order:
                if self.driving_sid is not None:
                    self._pending[self.driving_sid] = self._clock() + _PENDING_SECONDS
                self._order.append(sid)
                self._change()
            if self.driving_sid is None:
                return Reply(fault=fault)
            if sid != self.driving_sid:
                self._pending.pop(sid, None)
                return Reply(fault=fault, after=_WAITING_SECONDS)
            self._answering = True
            try:
                return (
                    Reply(drives=True, fault=fault)
                    if telemetry is None
                    else self._drive(telemetry, late)
                )
            finally:
                self._answering = False
                self._received, self._wakeups_in_silence = self._clock(), 0

    def leave(self, sid: str) -> None:
        with self._lock:
            if sid not in self._order:
                return
            was_driving = sid == self.driving_sid
            self._order.remove(sid)
            self._pending.pop(sid, None)
            if was_driving:
                self._change()

    def end(self) -> None:
        """Decide nothing more: wait for the decision that is being made, and answer later telemetry
        `manual`.

        Python aborts when the process ends while a daemon thread is in the C++ code of TensorFlow
        or OpenCV.
        """
        with self._lock:
            self._ended = True

    def wake(self) -> str | None:
        """Return the driving connection when it has been silent so long that it needs a `manual`,
        else None.
        """
        with self._lock:
            sid, sent = self.driving_sid, self._wakeups_in_silence
            if sid is None or sent == len(SILENCES) or self.silent_seconds < SILENCES[sent]:
                return None
            self._wakeups_in_silence += 1
            self.wakeups += 1
            return sid

    def pending_manual(self) -> list[str]:
        """Return the connections that need an unasked `manual`: they no longer drive, and have not
        sent anything.
        """
        with self._lock:
            due = [sid for sid, at in self._pending.items() if at <= self._clock()]
            for sid in due:
                del self._pending[sid]
            return due

    def _change(self) -> None:
        """Reset the state for the connection that drives now."""
        self.driver.forget()
        self._released = False
        self._pending.pop(self.driving_sid or "", None)
        self._received, self._wakeups_in_silence = self._clock(), 0

    def _drive(self, telemetry: Telemetry, late: bool) -> Reply:
        if self._autonomous:
            if self._clock() - self._received > _PAUSE_SECONDS:
                self.driver.forget_frames()
            decision = self.driver.decide(telemetry, late)
            return Reply(decision.control, True, telemetry, decision)
        control = (
            None if self._released else _RELEASED
        )  # once: otherwise the simulator would keep the last throttle
        self._released = True
        return Reply(control, True, telemetry)
