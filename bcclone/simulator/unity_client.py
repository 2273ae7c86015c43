"""World -> drive server and back, over the wire exactly as the Unity simulator does it.

Written from the numbered facts in docs/reference/protocol.md and not from the server's code, so that it can test it.
"""

import base64
import json
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from bcclone.errors import UserError
from bcclone.simulator.unity_websocket import SILENCE_SECONDS, ServerGone, UnitySocket

_PING_SECONDS = 25.0
_END_SECONDS = 1.0
_LOOPS = 2  # of request and response: fact 4


@dataclass(frozen=True)
class CarState:
    """What the car reports. jpeg: its frame; manual: a driving key is held, so it reports nothing else."""

    steering_degrees: float
    throttle: float
    speed_mph: float
    jpeg: bytes
    manual: bool = False


class World(Protocol):
    """A car in its surroundings."""

    def look(self) -> CarState | None:
        """Let the time until the next frame pass and return what the car then reports; None when the drive is over."""

    def steer(self, steering: float, throttle: float) -> None:
        """Set the controls, -1 to 1, that hold until the next ones."""


@dataclass
class DriveReport:
    """What a drive came to. latencies_ms: from each telemetry sent to its answer."""

    telemetries: int = 0
    steers: int = 0
    manuals: int = 0
    pongs: int = 0
    lost_loops: int = 0
    latencies_ms: list[float] = field(default_factory=list)


class UnityClient:
    """Drives a world's car by what a server answers, with the simulator's two request and response loops.

    decimal_comma: the machine's culture writes numbers so, and reads them so; patience_seconds: how long the server may
    be silent.
    """

    def __init__(
        self,
        connection: UnitySocket,
        world: World,
        decimal_comma: bool = False,
        patience_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._connection, self._world, self._decimal_comma = connection, world, decimal_comma
        self._patience_seconds = patience_seconds
        self._asked: deque[float] = deque()
        self._over = False
        self.report = DriveReport()

    def drive(self) -> DriveReport:
        """Drive until the world says that it is over; raises UserError when the server falls silent or babbles."""
        try:
            with _listening(self._connection) as inbox:
                self._send_telemetry()  # fact 4: "open" fires for the websocket
                self._connection.send_text("2")  # fact 9
                self._exchange(inbox)
        except (ServerGone, OSError) as error:
            raise UserError(
                f"the drive server ended the connection: {error.strerror or error}; what it printed may say why"
            ) from None
        return self.report

    def _exchange(self, inbox: "queue.Queue[_Arrival]") -> None:
        pinged = heard = time.monotonic()
        while not self._over:
            with suppress(queue.Empty):
                arrival = inbox.get(timeout=0.5)
                if arrival.error is not None:
                    raise arrival.error
                if self._handle(arrival):
                    heard = time.monotonic()
            now = time.monotonic()
            if now - heard > self._patience_seconds and not self._over:
                raise UserError(
                    f"the drive server has not answered for {self._patience_seconds:g} s; is it still running?"
                )
            if now - pinged > _PING_SECONDS:
                pinged = now
                self._connection.send_text("2")
        for farewell in ("41", "1"):  # fact 12
            self._connection.send_text(farewell)

    def _handle(self, arrival: "_Arrival") -> bool:
        """Do what a message asks for; return whether it answered a telemetry."""
        message = arrival.text
        if message.startswith("0"):
            _parsed(message, message[1:], dict)  # fact 3: nothing of it but the sid counts
            self._send_telemetry()  # fact 4: and "open" fires for the packet
        elif message == "2":
            self._connection.send_text("3")
        elif message == "3":
            self.report.pongs += 1
        elif message.startswith("42"):
            return self._handle_event(_parsed(message, message[2:], list), arrival.seconds)
        return False

    def _handle_event(self, event: list[Any], arrived: float) -> bool:
        name, *arguments = event or [None]
        if not isinstance(name, str) or len(arguments) > 1 or not all(isinstance(a, dict) for a in arguments):
            self._connection.close()  # fact 11
            raise ServerGone(f"an event that the simulator cannot read: {event!r}")
        if name not in ("steer", "manual"):
            return False
        if self._asked and arrived > self._asked[0]:  # a server may answer what was not asked
            self.report.latencies_ms.append((arrived - self._asked.popleft()) * 1000)
        if name == "manual":
            self.report.manuals += 1
        else:
            self.report.steers += 1
        if name == "manual" or self._steer(arguments[0] if arguments else {}):
            self._send_telemetry()  # fact 7
        return True

    def _steer(self, controls: dict[str, Any]) -> bool:
        """Set the car's controls; return whether the simulator could read them."""
        try:
            steering, throttle = (self._parse(controls[name]) for name in ("steering_angle", "throttle"))
        except (KeyError, ValueError, TypeError):
            self.report.lost_loops += 1  # fact 8: the exception ends this loop
            if self.report.lost_loops == _LOOPS:
                raise UserError(
                    f"the drive server answered {json.dumps(controls)[:200]}, expected steering_angle and throttle as "
                    "texts with a number each; the simulator cannot read that, and the car stands still"
                ) from None
            return False
        if not (math.isfinite(steering) and math.isfinite(throttle)):
            raise UserError(
                f"the drive server answered steering_angle {steering:g} and throttle {throttle:g}, expected -1 to 1; "
                "is its model trained, and its input whole?"
            )
        self._world.steer(steering, throttle)
        return True

    def _send_telemetry(self) -> None:
        state = self._world.look()
        if state is None:
            self._over = True
            return
        self.report.telemetries += 1
        fields = None if state.manual else {
            "steering_angle": self._format(state.steering_degrees),
            "throttle": self._format(state.throttle),
            "speed": self._format(state.speed_mph),
            "image": base64.b64encode(state.jpeg).decode(),
        }  # fmt: skip
        text = "42" + json.dumps(["telemetry", fields], separators=(",", ":"))
        self._asked.append(time.perf_counter())
        self._connection.send_text(text)

    def _format(self, value: float) -> str:
        text = f"{value:,.4f}"  # "N4" of the machine's culture
        return text.translate(str.maketrans(",.", ".,")) if self._decimal_comma else text

    def _parse(self, text: str) -> float:
        """Read a number as float.Parse does in the machine's culture."""
        if not isinstance(text, str):
            raise TypeError("a number that is no JSON string")
        group, mark = (".", ",") if self._decimal_comma else (",", ".")
        return float(text.replace(group, "").replace(mark, "."))


@dataclass(frozen=True)
class _Arrival:
    """A message and when it came, by the performance counter; or why there are no more."""

    text: str
    seconds: float
    error: Exception | None = None


@contextmanager
def _listening(connection: UnitySocket) -> "Iterator[queue.Queue[_Arrival]]":
    """Yield a queue of what the server sends, each with the moment it came, however busy the world is."""
    inbox: queue.Queue[_Arrival] = queue.Queue()
    over = threading.Event()

    def listen() -> None:
        while not over.is_set():
            try:
                text = connection.receive(timeout=0.2)
            except (OSError, ValueError) as error:  # ServerGone is an OSError
                inbox.put(_Arrival("", time.perf_counter(), error))
                return
            if text is not None:
                inbox.put(_Arrival(text, time.perf_counter()))

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield inbox
    finally:
        over.set()
        listener.join(_END_SECONDS)  # one that waits for the rest of a frame ends when the connection is closed


@contextmanager
def connected(host: str, port: int, patience_seconds: float = 0.0) -> Iterator[UnitySocket]:
    """Connect to a drive server, trying again while it starts; raises UserError when there is none."""
    if not (0 < port <= 65535 and 0 <= patience_seconds < math.inf):
        raise UserError(
            f"port {port}, wait {patience_seconds:g} s; expected a port of 1 to 65535, and 0 s or more to wait"
        )
    until = time.monotonic() + patience_seconds
    while True:
        try:
            connection = UnitySocket(host, port)
            break
        except (OSError, UnicodeError) as error:  # ServerGone is an OSError
            if time.monotonic() >= until:
                reason = getattr(error, "strerror", None) or error
                raise UserError(
                    f"no drive server at {host}:{port}: {reason}; start one with: python drive.py model.h5"
                ) from None
            time.sleep(0.1)
    try:
        yield connection
    finally:
        connection.close()


def _parsed(message: str, text: str, kind: type) -> Any:
    """Return what a packet holds; raises ServerGone when it is no JSON of that kind."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise ServerGone(f"a packet that the simulator cannot read: {message[:100]!r}")
    return value
