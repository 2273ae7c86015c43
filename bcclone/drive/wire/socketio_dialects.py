"""The old simulator's Socket.IO 2 and today's Socket.IO 4, on one port of python-socketio 5.

The simulator says EIO=4 and speaks Engine.IO 3: it never sends CONNECT, and it pings where the server should.
python-socketio accepts such a socket and then waits for ever, and the car does not move. Between engineio and
each websocket sits a translator that makes the one look like the other. Facts by number: docs/reference/protocol.md.
"""

import re
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import engineio.packet
import socketio.packet

from bcclone.drive.wire import limits
from bcclone.drive.wire.log import Refused
from bcclone.drive.wire.websocket import Websocket
from bcclone.protocol import ProtocolError

TELEMETRY = "telemetry"
_TELEMETRY_EVENT = re.compile(r'2(?P<id>\d{0,10})\s*\[\s*"telemetry"\s*[,\]]')
_IGNORED = ["ignored"]


def is_telemetry(packet: str) -> bool:
    """Return whether the text of a Socket.IO packet gets through, and so is answered."""
    return _TELEMETRY_EVENT.match(packet) is not None


class TelemetryPacket(socketio.packet.Packet):  # type: ignore[misc]
    """A Socket.IO packet; an event that is not telemetry is ignored, and unreadable telemetry says so as its object."""

    def decode(self, encoded_packet: Any) -> int:
        """Read a packet; raises ValueError for what ends the connection."""
        if not isinstance(encoded_packet, str) or encoded_packet[:1] not in ("0", "1", "2", "3", "4"):
            raise Refused("binary events are not understood here; send the image as base64 text")
        if encoded_packet[0] != str(socketio.packet.EVENT):
            return _within_limits(super().decode, encoded_packet)
        self.packet_type, self.id, self.namespace, self.attachment_count = socketio.packet.EVENT, None, "/", 0
        match = _TELEMETRY_EVENT.match(encoded_packet)
        if match is None:
            self.data: Any = _IGNORED
            return 0
        try:
            _within_limits(super().decode, encoded_packet)
            if not isinstance(self.data, list) or self.data[:1] != [TELEMETRY]:
                raise Refused("it is no list")
        except (ValueError, RecursionError) as error:  # the car must be answered all the same
            self.namespace, self.data = "/", [TELEMETRY, ProtocolError(f"no JSON that we read: {error}")]
        return 0


def _within_limits(decode: Any, encoded_packet: str) -> int:
    if encoded_packet[0] != str(socketio.packet.EVENT) and len(encoded_packet) > limits.CONTROL_BYTES:
        raise Refused(f"{len(encoded_packet)} characters in what is no event")  # and some would be sent back
    openings = encoded_packet.count("[") + encoded_packet.count("{")
    if openings > limits.OPENING_BRACKETS:
        raise Refused(f"{openings} brackets, expected at most {limits.OPENING_BRACKETS}")
    count: int = decode(encoded_packet)
    return count


_PACKET = re.compile(r"[0-6]")
_EVENT, _CONNECT = "42", "40"
_ANSWERS = ('42["steer"', '42["manual"')
_FLOOD_PER_SECOND = 300  # packets that are no telemetry; the simulator sends one in 25 s


class Translator:
    """A websocket (wait, send, close) between engineio's loop and the one that carries the bytes.

    eio3: the client said so; then the server speaks first, does not ping, and shortens its CONNECT reply.
    on_answer is called with the seconds from each event, whole, to its answer, sent.
    """

    def __init__(
        self, websocket: Websocket, engine_socket: Any, eio3: bool, on_answer: Callable[[float], None]
    ) -> None:
        self._websocket, self._engine_socket, self._eio3, self._on_answer = websocket, engine_socket, eio3, on_answer
        self.dialect = "Socket.IO 2 (Engine.IO 3)" if eio3 else "Socket.IO 3 to 5"
        self.peer: tuple[str, str] | None = None  # whose connection it is
        self._waiting: deque[str] = deque()
        self._asked: deque[float] = deque(maxlen=limits.QUEUED_ANSWERS)
        self._flood, self._flood_since = 0, 0.0
        # after an upgrade from polling, CONNECT came there
        self._joined = bool(engine_socket.connected)
        if eio3:
            self._join()

    def wait(self) -> str | None:
        """Return the next message as engineio expects it; None when the connection is at its end.

        What engineio would raise out of its loop for, and forget to close, ends the connection here.
        """
        while not self._waiting:
            self._engine_socket.server.sleep(0)  # a client that sends without end must not keep the others waiting
            message = self._websocket.wait()
            if not isinstance(message, str) or not self._is_sane(message):
                return None
            self._translate(message)
        return self._waiting.popleft()

    def send(self, message: str | bytes) -> None:
        """Send a packet, unless it is one that an Engine.IO 3 client does not know."""
        if self._eio3 and isinstance(message, str):
            if message == "2":
                return
            if message.startswith("40{"):
                message = _CONNECT
        self._websocket.send(message)
        if isinstance(message, str) and message.startswith(_ANSWERS) and self._asked:
            self._on_answer(time.perf_counter() - self._asked.popleft())

    def close(self) -> None:
        """End the connection."""
        self._websocket.close()

    def _is_sane(self, message: str) -> bool:
        """Return whether engineio can read a message, and the client reads what it is sent."""
        if self._engine_socket.queue.qsize() > limits.QUEUED_ANSWERS or not _PACKET.match(message):
            return False
        if message.startswith(_EVENT):
            return True
        now = time.monotonic()
        if now - self._flood_since > 1.0:
            self._flood, self._flood_since = 0, now
        self._flood += 1
        # engineio reads JSON behind a packet's type, of any depth, unless a digit comes first
        sane_length = len(message) <= limits.CONTROL_BYTES
        return self._flood <= _FLOOD_PER_SECOND and sane_length and (message[0] != "4" or message[1:2].isdigit())

    def _translate(self, message: str) -> None:
        if message[0] == "2" and message != "2probe":  # fact 9: the client pings; its pong is proof of life
            self._engine_socket.send(engineio.packet.Packet(engineio.packet.PONG, message[1:]))
            self._waiting.append("3")
            return
        if message.startswith(_CONNECT):
            self._joined = True
        elif message.startswith(_EVENT) and not message.startswith("42/"):
            if is_telemetry(message[1:]):
                self._asked.append(time.perf_counter())
            if not self._joined:
                self.dialect = "Unity simulator"
                self._join()  # fact 4: an event without a CONNECT before it
        self._waiting.append(message)

    def _join(self) -> None:
        self._joined = True
        self._waiting.append(_CONNECT)
