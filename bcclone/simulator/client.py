"""World -> drive server and back, over the wire exactly as the Unity simulator does it.

Written from the numbered facts in docs/protocol.md and not from the server's code, so that it can test it.
"""

import base64
import hashlib
import json
import math
import os
import queue
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from bcclone.errors import UserError

_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
_FRAGMENT = 1016
_PING_SECONDS = 25.0
_SILENCE_SECONDS = 10.0
_LOOPS = 2  # of request and response: fact 4
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


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


class ServerGone(ConnectionError):
    """The server closed the connection."""


class UnitySocket:
    """The simulator's websocket: RFC 6455 client frames, masked, texts over 1,016 bytes in fragments."""

    def __init__(self, host: str, port: int, timeout: float = _SILENCE_SECONDS) -> None:
        self._socket = socket.create_connection((host, port), timeout)
        self._received = b""
        self._sending = threading.Lock()  # a listening thread answers pings
        try:
            self._handshake(host, port)
        except BaseException:
            self._socket.close()
            raise

    def send_text(self, text: str) -> None:
        """Send a text message, each frame by a write of its own (fact 2)."""
        data = text.encode()
        pieces = [data[start : start + _FRAGMENT] for start in range(0, len(data), _FRAGMENT)] or [b""]
        for number, piece in enumerate(pieces):
            self.send_frame(_TEXT if number == 0 else 0, piece, final=number == len(pieces) - 1)

    def send_frame(self, opcode: int, payload: bytes, final: bool = True) -> None:
        """Send one masked frame."""
        mask = os.urandom(4)
        head = bytes([(0x80 if final else 0) | opcode])
        if len(payload) < 126:
            head += bytes([0x80 | len(payload)])
        else:
            head += b"\xfe" + struct.pack("!H", len(payload))
        with self._sending:
            self._socket.sendall(head + mask + _xor(payload, mask))

    def receive(self, timeout: float) -> str | None:
        """Return the next text message, or None when none came in time; raises ServerGone when there is no more."""
        until = time.monotonic() + timeout
        while self._received or select.select([self._socket], [], [], max(until - time.monotonic(), 0.0))[0]:
            opcode, payload = self._frame()
            if opcode == _CLOSE:
                raise ServerGone("the server closed the connection")
            if opcode == _PING:
                self.send_frame(_PONG, payload)
            elif opcode == _TEXT:
                return payload.decode()
        return None

    def close(self) -> None:
        """Close the TCP connection without a word, as a crash does."""
        self._socket.close()

    def _handshake(self, host: str, port: int) -> None:
        key = base64.b64encode(os.urandom(16))
        self._socket.sendall(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
            b"User-Agent: websocket-sharp/1.0\r\n"
            b"Host: %s:%d\r\n"
            b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n" % (host.encode(), port, key)
        )
        while b"\r\n\r\n" not in self._received:
            if len(self._received) > 8192:
                raise ServerGone("the handshake's headers are over 8,192 bytes")
            self._fill()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        accept = base64.b64encode(hashlib.sha1(key + _ACCEPT_GUID).digest()).decode()  # noqa: S324 the RFC says SHA-1
        if " 101 " not in status or headers.get("sec-websocket-accept") != accept:
            raise ServerGone(f"no websocket there: {status}")
        for header in ("sec-websocket-extensions", "sec-websocket-protocol"):
            if header in headers:
                raise ServerGone(f"the server answers with {header}, which nobody asked for")

    def _frame(self) -> tuple[int, bytes]:
        """Take one unfragmented frame off the stream; what has come of it stays when the time is up."""
        self._need(2)
        opcode, length, start = self._received[0] & 0x0F, self._received[1], 2
        if length >= 126:
            start = 4 if length == 126 else 10
            self._need(start)
            length = int.from_bytes(self._received[2:start], "big")
        self._need(start + length)
        payload, self._received = self._received[start : start + length], self._received[start + length :]
        return opcode, payload

    def _need(self, count: int) -> None:
        while len(self._received) < count:
            self._fill()

    def _fill(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ServerGone("the server closed the connection")
        self._received += data


class UnityClient:
    """Drives a world's car by what a server answers, with the simulator's two request and response loops.

    decimal_comma: the machine's culture writes numbers so, and reads them so.
    """

    def __init__(self, connection: UnitySocket, world: World, decimal_comma: bool = False) -> None:
        self._connection, self._world, self._decimal_comma = connection, world, decimal_comma
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
            raise UserError(f"the drive server ended the connection: {error}") from None
        return self.report

    def _exchange(self, inbox: "queue.Queue[_Arrival]") -> None:
        pinged = heard = time.monotonic()
        while not self._over:
            with suppress(queue.Empty):
                arrival = inbox.get(timeout=0.5)
                if arrival.error is not None:
                    raise arrival.error
                if arrival.text.startswith("42"):
                    heard = time.monotonic()
                self._handle(arrival)
            now = time.monotonic()
            if now - heard > _SILENCE_SECONDS and not self._over:
                raise UserError(f"the drive server has not answered for {_SILENCE_SECONDS:.0f} s; is it still running?")
            if now - pinged > _PING_SECONDS:
                pinged = now
                self._connection.send_text("2")
        for farewell in ("41", "1"):  # fact 12
            self._connection.send_text(farewell)

    def _handle(self, arrival: "_Arrival") -> None:
        message = arrival.text
        if message.startswith("0"):
            _parsed(message, message[1:], dict)  # fact 3: nothing of it but the sid counts
            self._send_telemetry()  # fact 4: and "open" fires for the packet
        elif message == "2":
            self._connection.send_text("3")
        elif message == "3":
            self.report.pongs += 1
        elif message.startswith("42"):
            self._handle_event(_parsed(message, message[2:], list), arrival.seconds)

    def _handle_event(self, event: list[Any], arrived: float) -> None:
        name, *arguments = event or [None]
        if not isinstance(name, str) or len(arguments) > 1 or not all(isinstance(a, dict) for a in arguments):
            self._connection.close()  # fact 11
            raise ServerGone(f"an event that the simulator cannot read: {event!r}")
        if name not in ("steer", "manual"):
            return
        if self._asked:
            self.report.latencies_ms.append((arrived - self._asked.popleft()) * 1000)
        if name == "steer":
            self.report.steers += 1
            if not self._steer(arguments[0] if arguments else {}):
                return
        else:
            self.report.manuals += 1
        self._send_telemetry()  # fact 7

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
        listener.join()


@contextmanager
def connected(
    host: str, port: int, patience_seconds: float = 0.0, check: Callable[[], None] = lambda: None
) -> Iterator[UnitySocket]:
    """Connect to a drive server, trying again while it starts; raises UserError when there is none.

    check: called between two tries; raises when there is nothing to wait for any more.
    """
    until = time.monotonic() + patience_seconds
    while True:
        try:
            connection = UnitySocket(host, port)
            break
        except (OSError, ServerGone) as error:
            if time.monotonic() >= until:
                raise UserError(
                    f"no drive server at {host}:{port}: {error}; start one with: python drive.py model.h5"
                ) from None
            check()
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


def _xor(data: bytes, mask: bytes) -> bytes:
    repeated = (mask * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")).to_bytes(len(data), "little")
