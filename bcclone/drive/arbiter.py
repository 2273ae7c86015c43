"""Decide which of several connections drives, and the reply to each telemetry message.

A `ConnectionArbiter` takes the id of a connection and its telemetry, and returns a `Reply`. It uses
no sockets and no files, and gets its clock from the caller.

The newest connection that sends valid telemetry drives. An older one is answered `manual`, and
drives again when the newer one closes: the simulator may leave an old connection open
(docs/reference/protocol.md, fact 12). An unrequested `manual` makes the simulator run one more loop
(fact 7), so it is sent only to a car that drives and is silent.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from bcclone.drive.driver import Decision, Driver
from bcclone.drive.protocol import Control, ProtocolError, Telemetry, format_steer

# Seconds without telemetry after which a `manual` is sent: the first one restarts a car that lost
# its answers. Only two are sent: a simulator that was merely slow would run one more loop for each.
SILENT_SECONDS = 3.0
_WAKE_AFTER_SECONDS = (SILENT_SECONDS, 30.0)
# Delay of the answers to a car that does not drive: it may stand still, and answering each of its
# loops at once would take time from the car that drives.
_WAITING_SECONDS = 0.1
# After a pause this long, earlier frames are no guide to the next one.
_PAUSE_SECONDS = 1.0
_RELEASED = Control(0.0, 0.0)  # lets the car roll straight on


@dataclass(frozen=True)
class Reply:
    """The answer to a telemetry, a Socket.IO event: `steer` with a control, else `manual`."""

    control: Control | None = None
    drives: bool = False  # whether the connection that is answered drives
    # what is answered, if the connection drives; None while a person holds a driving key, since the
    # car then reports nothing
    telemetry: Telemetry | None = None
    decision: Decision | None = None  # on the telemetry's frame, None if the model was not asked
    fault: str = ""  # why the telemetry cannot be read, or ""
    delay_seconds: float = 0.0  # how long to wait before the reply is sent

    @property
    def event(self) -> str:
        """Return the name of the event."""
        return "steer" if self.control else "manual"

    @property
    def data(self) -> dict[str, str]:
        """Return the object of the event."""
        if self.control is None:
            return {}
        comma = self.telemetry is not None and self.telemetry.decimal_comma
        return format_steer(self.control, comma)


MANUAL = Reply()


class ConnectionArbiter:
    """Chooses which connection drives, and gives every telemetry of every connection one reply.

    A connection is known by its session id, `sid`.
    """

    def __init__(self, driver: Driver, clock: Callable[[], float] = time.monotonic) -> None:
        self.driver = driver
        self._clock = clock
        self._lock = threading.Lock()
        self._order: list[str] = []  # oldest first; the last one drives
        self._autonomous = True
        self._released = False  # whether _RELEASED was sent since a person got the car
        self._ended = False
        self._answering = False  # whether a telemetry of the driving connection is being answered
        self._received = clock()  # when the driving connection last sent telemetry
        self._woken = 0  # how often the car was woken since then

    @property
    def driving_sid(self) -> str | None:
        """Return the connection that drives, None if there is none."""
        order = self._order
        return order[-1] if order else None

    @property
    def waiting(self) -> int:
        """Return the number of connected cars that do not drive."""
        return max(len(self._order) - 1, 0)

    @property
    def autonomous(self) -> bool:
        """Return whether the model drives; False hands the car to the person at the simulator."""
        return self._autonomous

    @autonomous.setter
    def autonomous(self, value: bool) -> None:
        with self._lock:
            self._autonomous = value
            self._released = False
            self.driver.forget()

    @property
    def silent_seconds(self) -> float:
        """Return the seconds since the driving connection last sent telemetry."""
        return 0.0 if self._answering else self._clock() - self._received

    def answer(
        self, sid: str, telemetry: Telemetry | ProtocolError | None, late: bool = False
    ) -> Reply:
        """Return the reply to a connection's telemetry event.

        A telemetry that cannot be read is answered `manual`, which leaves the controls as they are.

        telemetry: see TelemetryEvent
        late: whether it waited for the reply to an earlier telemetry
        """
        fault = ""
        if isinstance(telemetry, ProtocolError):
            fault = f"bad telemetry: {telemetry}"
            telemetry = None
            self.driver.count_fault(fault)
        with self._lock:
            if self._ended:
                return MANUAL
            # the first valid telemetry of a connection makes it drive
            if telemetry is not None and sid not in self._order:
                self._order.append(sid)
                self._begin_driving()
            # all connections but the last in the order wait; before the first valid telemetry, all
            if self.driving_sid is None:
                return Reply(fault=fault)
            if sid != self.driving_sid:
                return Reply(fault=fault, delay_seconds=_WAITING_SECONDS)
            # while the answer is made, the car is not silent, however long the model takes
            self._answering = True
            try:
                if telemetry is None:
                    return Reply(drives=True, fault=fault)
                return self._drive(telemetry, late)
            finally:
                self._answering = False
                self._note_telemetry()

    def leave(self, sid: str) -> None:
        """Forget a connection that has closed; the newest of the remaining ones drives."""
        with self._lock:
            if sid not in self._order:
                return
            was_driving = sid == self.driving_sid
            self._order.remove(sid)
            if was_driving:
                self._begin_driving()

    def end(self) -> None:
        """Decide nothing more: wait for the present decision; later telemetry is answered `manual`.

        Python aborts when the process ends while a daemon thread is in the C++ code of TensorFlow
        or OpenCV.
        """
        with self._lock:
            self._ended = True

    def wake(self) -> str | None:
        """Return the driving connection if a `manual` is due to wake its car."""
        with self._lock:
            sid = self.driving_sid
            sent = self._woken
            if sid is None or sent == len(_WAKE_AFTER_SECONDS):
                return None
            if self.silent_seconds < _WAKE_AFTER_SECONDS[sent]:
                return None
            self._woken += 1
            return sid

    def _begin_driving(self) -> None:
        """Reset the state for the connection that drives now."""
        self.driver.forget()
        self._released = False
        self._note_telemetry()

    def _note_telemetry(self) -> None:
        """Note that the driving connection is not silent."""
        self._received = self._clock()
        self._woken = 0

    def _drive(self, telemetry: Telemetry, late: bool) -> Reply:
        """Return the reply to a telemetry of the connection that drives."""
        if self._autonomous:
            if self._clock() - self._received > _PAUSE_SECONDS:
                self.driver.forget_frames()
            decision = self.driver.decide(telemetry, late)
            return Reply(decision.control, drives=True, telemetry=telemetry, decision=decision)
        if self._released:
            return Reply(drives=True, telemetry=telemetry)
        # the first answer after the person got the car: the simulator would keep the last throttle
        self._released = True
        return Reply(_RELEASED, drives=True, telemetry=telemetry)
