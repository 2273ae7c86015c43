"""Play the Unity program's part: a world and a drive server -> a drive by the server's answers, and
its latencies.

The client follows the numbered facts in docs/reference/protocol.md, not the server's code, so it
can test the server.
"""

import base64
import json
import math
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bcclone.simulator.unity_websocket import SILENCE_SECONDS, ServerGone, UnitySocket
from bcclone.system.errors import UserError

_PING_SECONDS = 25.0
_END_SECONDS = 1.0
_HANDSHAKE_SECONDS = (
    90.0  # a server that loads its model answers late; the Unity program waits as long
)
# A message and when it arrived, by the performance counter; or the error that ended the connection
_Arrival = tuple[str, float] | Exception


@dataclass(frozen=True)
class CarState:
    """What the car reports. jpeg: its frame; manual: a driving key is held, and nothing else is
    reported.
    """

    steering_degrees: float
    throttle: float
    speed_mph: float
    jpeg: bytes
    manual: bool = False


class World(Protocol):
    """A car in its surroundings."""

    def observe(self) -> CarState | None:
        """Advance to the next frame and return the car's state; None after the end of the drive."""

    def steer(self, steering: float, throttle: float) -> None:
        """Set the controls, -1 to 1, that hold until the next ones."""


@dataclass(frozen=True)
class DriveReport:
    """Counts of a drive's messages. latencies_ms: milliseconds from each telemetry to its answer."""

    telemetries: int
    steers: int
    manuals: int
    lost_loops: int
    latencies_ms: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the counts, and median and 99th percentile of the latency, None without an answer."""
        p50, p99 = (
            np.percentile(self.latencies_ms, [50, 99]).round(3).tolist()
            if self.latencies_ms
            else (None, None)
        )
        return {
            "telemetries": self.telemetries,
            "steers": self.steers,
            "manuals": self.manuals,
            "lost_loops": self.lost_loops,
            "request_to_steer_ms": {"p50": p50, "p99": p99},
        }

    def summary(self) -> str:
        latency = self.as_json()["request_to_steer_ms"]
        return (
            f"{self.telemetries} telemetries, {self.steers} steers, {self.manuals} manuals; "
            f"request to steer p50 {latency['p50']} ms, p99 {latency['p99']} ms"
        )


class UnityClient:
    """Drives a world's car by a server's answers, with the simulator's two request and response
    loops.

    decimal_comma: write and read numbers with a decimal comma; patience_seconds: how long the
    server may be silent; loops: 1 to wait for each answer before the next frame, so that it takes
    effect where it was asked for.
    """

    def __init__(
        self,
        connection: UnitySocket,
        world: World,
        decimal_comma: bool = False,
        patience_seconds: float = SILENCE_SECONDS,
        loops: int = 2,
    ) -> None:
        self._connection, self._world, self._decimal_comma = connection, world, decimal_comma
        self._patience_seconds, self._loops = patience_seconds, loops
        self._sent: deque[float] = deque()
        self._ended = False
        self._counts: Counter[str] = Counter()
        self._latencies_ms: list[float] = []

    @property
    def report(self) -> DriveReport:
        """Return the counts so far; another thread may ask while the car drives."""
        telemetries, steers, manuals, lost = map(
            self._counts.__getitem__, ("telemetry", "steer", "manual", "lost loop")
        )
        return DriveReport(telemetries, steers, manuals, lost, tuple(self._latencies_ms))

    def drive(self) -> DriveReport:
        """Drive to the end of the world's drive; raises UserError if the server is silent or sends
        nonsense.
        """
        try:
            with _listening(self._connection) as inbox:
                self._send_telemetry()  # fact 4: "open" fires for the websocket
                self._connection.send_text("2")  # fact 9
                self._exchange(inbox)
        except (ServerGone, OSError) as error:
            raise UserError(
                f"the drive server ended the connection: {error.strerror or error}; its output may show the reason"
            ) from None
        return self.report

    def _exchange(self, inbox: "queue.SimpleQueue[_Arrival]") -> None:
        pinged = answered = time.monotonic()
        while not self._ended:
            with suppress(queue.Empty):
                arrival = inbox.get(timeout=0.5)
                if isinstance(arrival, Exception):
                    raise arrival
                if self._handle(*arrival):
                    answered = time.monotonic()
            now = time.monotonic()
            if now - answered > self._patience_seconds and not self._ended:
                raise UserError(
                    f"the drive server has not answered for {self._patience_seconds:g} s; is it still running? "
                    "its output may show the reason; start it again"
                )
            if now - pinged > _PING_SECONDS:
                pinged = now
                self._connection.send_text("2")
        for farewell in ("41", "1"):  # fact 12
            self._connection.send_text(farewell)

    def _handle(self, message: str, arrived: float) -> bool:
        """Handle a message; return whether it answers a telemetry."""
        if message.startswith("0"):
            _parsed(message, 1, dict)  # fact 3: only the sid matters
            if self._loops > 1:
                self._send_telemetry()  # fact 4: "open" fires for the packet, too
        elif message == "2":
            self._connection.send_text("3")
        elif message.startswith("42"):
            return self._handle_event(_parsed(message, 2, list), arrived)
        return False

    def _handle_event(self, event: list[Any], arrived: float) -> bool:
        name, *arguments = event or [None]
        if (
            not isinstance(name, str)
            or len(arguments) > 1
            or not all(isinstance(a, dict) for a in arguments)
        ):
            raise ServerGone(
                f"an event that the simulator cannot read: {ascii(event)[:100]}"
            )  # fact 11
        if name not in ("steer", "manual"):
            return False
        if self._sent and arrived > self._sent[0]:  # a server may send what was not requested
            self._latencies_ms.append((arrived - self._sent.popleft()) * 1000)
        self._counts[name] += 1
        if name == "manual" or self._steer(arguments[0] if arguments else {}):
            self._send_telemetry()  # fact 7
        return True

    def _steer(self, controls: dict[str, Any]) -> bool:
        """Set the car's controls; return whether the simulator could read them."""
        try:
            steering, throttle = (
                self._parse(controls[name]) for name in ("steering_angle", "throttle")
            )
        except (KeyError, ValueError, TypeError):
            self._counts["lost loop"] += 1  # fact 8: the exception ends this loop
            if self._counts["lost loop"] == self._loops:
                raise UserError(
                    f"the drive server answered {json.dumps(controls)[:200]}, expected steering_angle and throttle as "
                    "texts with a number each; the simulator cannot read it, and the car stands still"
                ) from None
            return False
        if not (math.isfinite(steering) and math.isfinite(throttle)):
            raise UserError(
                f"the drive server answered steering_angle {steering:g} and throttle {throttle:g}, expected -1 to 1; "
                "is its model trained, and is its input complete?"
            )
        self._world.steer(steering, throttle)
        return True

    def _send_telemetry(self) -> None:
        state = self._world.observe()
        if state is None:
            self._ended = True
            return
        self._counts["telemetry"] += 1
        fields = None if state.manual else {
            "steering_angle": self._format(state.steering_degrees),
            "throttle": self._format(state.throttle),
            "speed": self._format(state.speed_mph),
            "image": base64.b64encode(state.jpeg).decode(),
        }  # fmt: skip
        text = "42" + json.dumps(["telemetry", fields], separators=(",", ":"))
        self._sent.append(time.perf_counter())
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


@contextmanager
def _listening(connection: UnitySocket) -> "Iterator[queue.SimpleQueue[_Arrival]]":
    """Yield a queue of the server's messages, which a thread timestamps however busy the world is."""
    inbox: queue.SimpleQueue[_Arrival] = queue.SimpleQueue()
    ended = threading.Event()

    def listen() -> None:
        while not ended.is_set():
            try:
                text = connection.receive(timeout=0.2)
            except (
                OSError,
                ValueError,
            ) as error:  # ServerGone is an OSError; closed by another thread
                inbox.put(error)
                return
            if text is not None:
                inbox.put((text, time.perf_counter()))

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield inbox
    finally:
        ended.set()
        listener.join(_END_SECONDS)  # it ends at the latest when the connection is closed


@contextmanager
def connected(host: str, port: int, patience_seconds: float = 0.0) -> Iterator[UnitySocket]:
    """Connect to a drive server, trying again while it starts; raises UserError if there is none."""
    until = time.monotonic() + patience_seconds
    while True:
        try:
            connection = UnitySocket(host, port, _HANDSHAKE_SECONDS)
            break
        except (OSError, UnicodeError) as error:  # ServerGone, too; or a host that is no name
            if time.monotonic() >= until:
                reason = getattr(error, "strerror", None) or error
                raise UserError(
                    f"no drive server at {host}:{port}: {reason}; start one with: bcclone drive model.h5"
                ) from None
            time.sleep(0.1)
    try:
        yield connection
    finally:
        connection.close()


def _parsed(message: str, start: int, kind: type) -> Any:
    """Return the JSON value of a packet, from a character on; raises ServerGone if it is not of
    that kind.
    """
    try:
        if isinstance(value := json.loads(message[start:]), kind):
            return value
    except (ValueError, RecursionError):
        pass
    raise ServerGone(f"a packet that the simulator cannot read: {ascii(message[:100])}")
