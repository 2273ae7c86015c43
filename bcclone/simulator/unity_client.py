"""Play the Unity program's part: let a drive server drive the car of a world.

Each frame of the world goes to the server as a telemetry message, and the server's answer sets the
car's controls, until the drive ends with a `DriveReport`.

The client follows the numbered facts in docs/reference/protocol.md, not the server's code, so it
can test the server. wsproto makes and reads the frames of the websocket. The handshake's request is
written here, byte for byte as the simulator's, because the headers of wsproto's request are in
another order.
"""

import base64
import json
import math
import queue
import re
import select
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection, ConnectionState
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Message,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import RemoteProtocolError

from bcclone.recording.run_tables import write_trace
from bcclone.simulator.score import Score
from bcclone.simulator.traced import RecordedWorld, write_world
from bcclone.simulator.track import load_track
from bcclone.simulator.world import World, open_world
from bcclone.simulator.world_settings import Conditions, ServerSettings, SimulationSettings
from bcclone.system.errors import UserError, shown_command
from bcclone.system.values import part_of

# ---- the websocket


_SILENCE_SECONDS = 10.0  # how long a server may be silent
# longest wait for the answer to the handshake, as in the Unity program: a server that still loads
# its model answers late
_HANDSHAKE_SECONDS = 90.0

_TARGET = "/socket.io/?EIO=4&transport=websocket"
_LONGEST_REFUSAL = 600  # bytes of the text with which a server refuses, as an error repeats it
_FRAME_BYTES = 1016  # largest payload of a frame
_LARGEST_READ = 65_536  # most bytes that are read from the socket at once


class ServerGone(ConnectionError):
    """The server closed the connection, or sent what the simulator cannot read."""


class Refused(ServerGone):
    """The server answered that it serves no websocket, or not to this client."""


class UnitySocket:
    """The simulator's websocket: text messages in masked frames of at most 1,016 bytes.

    It connects when it is made. The end of a `with` block closes the TCP connection without a
    closing handshake, as a crash does.
    """

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), _HANDSHAKE_SECONDS)
        # held while a frame is sent, since a listening thread answers pings in between
        self._sending = threading.Lock()
        self._message = bytearray()  # the parts of a message that is not complete yet
        self._protocol = WSConnection(ConnectionType.CLIENT)
        try:
            self._handshake(f"{host}:{port}")
        except BaseException:
            self._socket.close()
            raise
        self._socket.settimeout(_SILENCE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send_text(self, text: str) -> None:
        self.send_frames(text_frames(text))

    def send_frames(self, frames: Sequence[bytes]) -> None:
        """Send frames of text_frames(), each by a write of its own."""
        for frame in frames:
            with self._sending:
                self._socket.sendall(frame)

    def receive(self, timeout: float) -> str | None:
        """Return the next message, None if none arrives in time.

        A binary message is returned as an empty text. Raises ServerGone at the connection's end.
        """
        until = time.monotonic() + timeout
        while True:
            while (event := next(self._protocol.events(), None)) is not None:
                if (text := self._handle(event)) is not None:
                    return text
            seconds = until - time.monotonic()
            if seconds <= 0 or not select.select([self._socket], [], [], seconds)[0]:
                return None
            self._read()

    def _handle(self, event: Event) -> str | None:
        """Handle what the server sent; return the text of a message when it is complete."""
        if isinstance(event, CloseConnection):
            # wsproto also gives this event if it could not read what came; then the connection is
            # still open
            if self._protocol.state is ConnectionState.OPEN:
                raise ServerGone(
                    f"the server sent bytes that are not a websocket message: {event.reason}"
                )
            raise ServerGone("the server sent a close frame")
        if isinstance(event, Ping):
            self.send_frames([self._protocol.send(event.response())])
        elif isinstance(event, Message):
            part = event.data
            self._message += part.encode() if isinstance(part, str) else part
            if event.message_finished:
                message = bytes(self._message)
                self._message.clear()
                # the simulator ignores binary messages, and callers ignore an empty text
                return message.decode() if isinstance(event, TextMessage) else ""
        return None

    def _read(self) -> None:
        """Hand what the server sends next to wsproto; raises ServerGone at the connection's end."""
        data = self._socket.recv(_LARGEST_READ)
        if not data:
            raise ServerGone("the server closed the connection")
        self._protocol.receive_data(data)

    def _handshake(self, host: str) -> None:
        """Ask for a websocket; raises ServerGone if the server does not offer exactly that.

        The request has the key that wsproto chose, because wsproto checks the answer by this key.
        """
        request = self._protocol.send(Request(host=host, target=_TARGET))
        key = re.findall(rb"Sec-WebSocket-Key: (\S+)", request, re.IGNORECASE)[0]
        self._socket.sendall(
            b"GET %s HTTP/1.1\r\n"
            b"User-Agent: websocket-sharp/1.0\r\n"
            b"Host: %s\r\n"
            b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n"
            % (_TARGET.encode(), host.encode(), key)
        )
        try:
            while (event := next(self._protocol.events(), None)) is None:
                self._read()
        except RemoteProtocolError as error:
            raise ServerGone(f"no websocket there: {error}") from None
        if isinstance(event, RejectConnection):
            raise Refused(f"{event.status_code}: {self._refusal()}")
        if not isinstance(event, AcceptConnection):
            raise ServerGone(f"no websocket there: {event}")

    def _refusal(self) -> str:
        """Return the text with which the server refuses the websocket, in one line."""
        text = b""
        with suppress(OSError, RemoteProtocolError):  # the server may end it without its length
            while len(text) < _LONGEST_REFUSAL:
                event = next(self._protocol.events(), None)
                if event is None:
                    self._read()
                elif isinstance(event, RejectData):
                    text += event.data
                    if event.body_finished:
                        break
        return " ".join(text[:_LONGEST_REFUSAL].decode(errors="replace").split())


def text_frames(text: str) -> list[bytes]:
    """Return the masked frames of a text message, at most 1,016 bytes of payload each.

    The split is exact for ASCII only, which is all that the simulator sends.
    """
    connection = Connection(ConnectionType.CLIENT)
    starts = range(0, max(len(text), 1), _FRAME_BYTES)  # an empty text is sent as one frame, too
    frames = []
    for start in starts:
        part = text[start : start + _FRAME_BYTES]
        finished = start == starts[-1]
        frames.append(connection.send(TextMessage(part, message_finished=finished)))
    return frames


@contextmanager
def connected(host: str, port: int, patience_seconds: float = 0.0) -> Iterator[UnitySocket]:
    """Connect to a drive server, trying again while it starts; raises UserError if there is none.

    patience_seconds: how long to try again; 0 for a single try
    """
    until = time.monotonic() + patience_seconds
    while True:
        try:
            connection = UnitySocket(host, port)
            break
        except Refused as error:
            raise UserError(f"the server at {host}:{port} refuses the car: {error}") from None
        # OSError includes ServerGone; a host that is not a valid name raises UnicodeError
        except (OSError, UnicodeError) as error:
            if time.monotonic() >= until:
                reason = getattr(error, "strerror", None) or error  # not every error has the field
                raise UserError(
                    f"no drive server at {host}:{port}: {reason}; start one with: "
                    f"{shown_command('drive', 'model.h5')}"
                ) from None
            time.sleep(0.1)
    with connection:
        yield connection


# ---- a drive


@dataclass(frozen=True)
class DriveReport:
    """Counts of a drive's messages, and how long the answers took."""

    telemetries: int
    steers: int
    manuals: int
    lost_loops: int  # answers that the simulator could not read; each ends a loop of UnityClient
    latencies_ms: tuple[float, ...]  # time from each telemetry to its answer

    def as_json(self) -> dict[str, Any]:
        """Return the counts, and the latency's median and 99th percentile, None without answers."""
        p50 = None
        p99 = None
        if self.latencies_ms:
            p50, p99 = np.percentile(self.latencies_ms, [50, 99]).round(3).tolist()
        return {
            "telemetries": self.telemetries,
            "steers": self.steers,
            "manuals": self.manuals,
            "lost_loops": self.lost_loops,
            "request_to_steer_ms": {"p50": p50, "p99": p99},
        }


_PING_SECONDS = 25.0  # time between two pings
_LOOPS = 2


class UnityClient:
    """Drives a world's car by a server's answers, as the simulator does.

    The simulator has two loops: each sends a telemetry, waits for the answer, and sends the next.
    """

    def __init__(self, connection: UnitySocket, world: World) -> None:
        self._connection = connection
        self._world = world
        self._sent: deque[float] = deque()  # send times of unanswered telemetries, oldest first
        self._ended = False
        self._counts: Counter[str] = Counter()
        self._latencies_ms: list[float] = []

    @property
    def report(self) -> DriveReport:
        """Return the counts so far; another thread may ask while the car drives."""
        counts = self._counts
        return DriveReport(
            counts["telemetry"],
            counts["steer"],
            counts["manual"],
            counts["lost loop"],
            tuple(self._latencies_ms),
        )

    def drive(self) -> DriveReport:
        """Drive to the end of the world's drive.

        Raises UserError if the server is silent or sends nonsense.
        """
        try:
            with _listening(self._connection) as inbox:
                self._send_telemetry()  # fact 4: one is sent when the websocket opens
                self._connection.send_text("2")  # fact 9: a ping
                self._exchange(inbox)
        except (ServerGone, OSError) as error:
            raise UserError(
                f"the drive server ended the connection: {error.strerror or error}; its output may "
                "show the reason; start it again"
            ) from None
        return self.report

    def _exchange(self, inbox: "queue.SimpleQueue[_Arrival]") -> None:
        """Answer the server's messages, and ping it, until the drive has ended."""
        pinged = time.monotonic()
        answered = pinged
        while not self._ended:
            with suppress(queue.Empty):
                arrival = inbox.get(timeout=0.5)
                if isinstance(arrival, Exception):
                    raise arrival
                message, arrived = arrival
                if self._handle(message, arrived):
                    answered = time.monotonic()
            now = time.monotonic()
            if now - answered > _SILENCE_SECONDS and not self._ended:
                raise UserError(
                    f"the drive server has not answered for {_SILENCE_SECONDS:g} s; is it "
                    "still running? its output may show the reason; start it again"
                )
            if now - pinged > _PING_SECONDS:
                pinged = now
                self._connection.send_text("2")  # fact 9: a ping
        for farewell in ("41", "1"):  # fact 12
            self._connection.send_text(farewell)

    def _handle(self, message: str, arrived: float) -> bool:
        """Handle a message; return whether it answers a telemetry."""
        if message.startswith("0"):
            # fact 3: the simulator reads the sid only, so the packet is checked and thrown away
            _parsed(message, dict)
            # fact 4: "open" fires again, for the packet, and the second loop begins
            self._send_telemetry()
        elif message == "2":
            self._connection.send_text("3")  # fact 9: the answer to a ping
        elif message.startswith("42"):
            return self._handle_event(_parsed(message, list), arrived)
        return False

    def _handle_event(self, event: list[Any], arrived: float) -> bool:
        """Handle an event; return whether it answers a telemetry.

        event: the event's name, then at most one argument, a JSON object
        """
        name, *arguments = event or [None]  # [None]: an event without a name
        are_objects = all(isinstance(argument, dict) for argument in arguments)
        if not isinstance(name, str) or len(arguments) > 1 or not are_objects:
            # fact 11
            raise ServerGone(f"an event that the simulator cannot read: {ascii(event)[:100]}")
        if name not in ("steer", "manual"):
            return False
        # the event answers the oldest waiting telemetry, unless it arrived before that was sent;
        # then it has no latency
        if self._sent and arrived > self._sent[0]:
            self._latencies_ms.append((arrived - self._sent.popleft()) * 1000)
        self._counts[name] += 1
        controls = arguments[0] if arguments else {}
        if name == "manual" or self._steer(controls):
            self._send_telemetry()  # fact 7
        return True

    def _steer(self, controls: dict[str, Any]) -> bool:
        """Set the car's controls; return whether the simulator could read them."""
        try:
            steering = _number(controls["steering_angle"])
            throttle = _number(controls["throttle"])
        except (KeyError, ValueError, TypeError):
            self._counts["lost loop"] += 1  # fact 8: the exception ends this loop
            if self._counts["lost loop"] == _LOOPS:
                raise UserError(
                    f"the drive server answered {json.dumps(controls)[:200]}, expected "
                    "steering_angle and throttle as texts with a number each; the simulator cannot "
                    "read it, and the car stands still"
                ) from None
            return False
        if not (math.isfinite(steering) and math.isfinite(throttle)):
            raise UserError(
                f"the drive server answered steering_angle {steering:g} and throttle {throttle:g}, "
                "expected -1 to 1; is its model trained, and is its input complete?"
            )
        self._world.steer(steering, throttle)
        return True

    def _send_telemetry(self) -> None:
        """Advance the world to its next frame, and send it; after the drive's end, send nothing."""
        state = self._world.observe()
        if state is None:
            self._ended = True
            return
        self._counts["telemetry"] += 1
        fields = None  # while a driving key is held
        if not state.manual:
            # fact 5; .NET's format "N4" writes numbers such as 1,234.5000
            fields = {
                "steering_angle": f"{state.steering_degrees:,.4f}",
                "throttle": f"{state.throttle:,.4f}",
                "speed": f"{state.speed_mph:,.4f}",
                "image": base64.b64encode(state.jpeg).decode(),
            }
        text = "42" + json.dumps(["telemetry", fields], separators=(",", ":"))
        self._sent.append(time.perf_counter())
        self._connection.send_text(text)


def _number(text: str) -> float:
    """Return the number in a text as .NET's float.Parse reads it."""
    if not isinstance(text, str):
        raise TypeError("a number that is no JSON string")
    return float(text.replace(",", ""))


# a message and the time of its arrival, by time.perf_counter(); or the error that ended the
# connection
_Arrival = tuple[str, float] | Exception
_END_SECONDS = 1.0  # longest wait for the listening thread to end


@contextmanager
def _listening(connection: UnitySocket) -> "Iterator[queue.SimpleQueue[_Arrival]]":
    """Yield a queue of the server's messages.

    A thread receives the messages, so that their times are right even while the world is busy.
    """
    inbox: queue.SimpleQueue[_Arrival] = queue.SimpleQueue()
    ended = threading.Event()

    def listen() -> None:
        while not ended.is_set():
            try:
                text = connection.receive(timeout=0.2)
            # OSError includes ServerGone; ValueError: another thread has closed the connection
            except (OSError, ValueError) as error:
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


def _parsed(message: str, kind: type) -> Any:
    """Return the JSON value of a packet; raises ServerGone for no JSON or a value of another kind.

    message: the packet: digits for its type, then its JSON value
    """
    with suppress(ValueError, RecursionError):
        value = json.loads(message.lstrip("0123456789"))
        if isinstance(value, kind):
            return value
    raise ServerGone(f"a packet that the simulator cannot read: {ascii(message[:100])}")


# ---- a drive in the simulated world

_RECORDER_SECONDS = 5.0  # longest wait for a server to write its last frames


@dataclass(frozen=True)
class ServedDrive:
    """The result of a drive by a drive server."""

    score: Score
    report: DriveReport
    traced: int | None  # number of frames whose position was added; None without a run folder


def simulate(settings: SimulationSettings, server: ServerSettings) -> ServedDrive:
    """Let a drive server drive in a simulated world; raises UserError."""
    track = load_track(settings.track, settings.reverse)
    folder = settings.run_folder
    with (
        connected(server.host, server.port, server.wait) as connection,
        open_world(track, settings=settings, conditions=settings) as world,
    ):
        # the server makes its run folder when it starts
        if folder is not None and not folder.is_dir():
            raise UserError(
                f"{folder}: no such folder; name the one that drive.py records into, or leave "
                "--run out"
            )
        frames = 0 if folder is None else _count_frames(folder)
        report = UnityClient(connection, world).drive()
    if folder is None:
        return ServedDrive(world.score(), report, None)
    frames += report.steers  # the server records one frame for each steer message
    until = time.monotonic() + _RECORDER_SECONDS
    while _count_frames(folder) < frames and time.monotonic() < until:
        time.sleep(0.1)
    write_world(folder, RecordedWorld(settings.reverse, part_of(settings, Conditions)))
    return ServedDrive(world.score(), report, write_trace(folder, world.shown))


def _count_frames(folder: Path) -> int:
    return len(list(folder.glob("*.jpg")))
