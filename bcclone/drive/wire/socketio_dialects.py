"""Serve the Unity simulator's Socket.IO 2 and today's Socket.IO 4 with one python-socketio 5.

The simulator requests EIO=4 but speaks Engine.IO 3: it never sends CONNECT, and it sends the pings that the server
should send. python-socketio accepts such a websocket and then waits forever, and the car does not move. A Translator
between engineio and each websocket converts the messages of both sides. docs/reference/protocol.md numbers the facts.
"""

import re
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import engineio.packet
import socketio.packet

from bcclone.drive.arbiter import Reply
from bcclone.drive.driver import Decision
from bcclone.drive.protocol import ProtocolError
from bcclone.drive.wire import limits
from bcclone.drive.wire.limits import RefusedPacket
from bcclone.drive.wire.websocket import Websocket

TELEMETRY = "telemetry"
_TELEMETRY_EVENT = re.compile(r'2(?P<id>\d{0,10})\s*\[\s*"telemetry"\s*[,\]]')
_IGNORED = ["ignored"]
_PACKET = re.compile(r"[0-6]")
_EVENT, _CONNECT = "42", "40"
_PACKETS_PER_SECOND = 300  # apart from telemetry; the simulator sends one in 25 s


class Translator:
    """A websocket as engineio expects it (wait, send, close), for a client of either dialect.

    eio3: whether the client requested Engine.IO 3; then the server speaks first, does not ping, and sends a shorter
    CONNECT reply. on_answer is called when a reply to a telemetry has been sent, with the decision that it carried and
    the seconds since that telemetry had arrived whole. peer: address and port of the client.
    """

    def __init__(
        self,
        websocket: Websocket,
        engine_socket: Any,
        eio3: bool,
        on_answer: Callable[[Decision | None, float], None],
        peer: tuple[str, str],
    ) -> None:
        self._websocket, self._engine_socket, self._eio3, self._on_answer = websocket, engine_socket, eio3, on_answer
        self.dialect = "Socket.IO 2 (Engine.IO 3)" if eio3 else "Socket.IO 3 to 5"
        self.peer = peer
        self._waiting: deque[tuple[str, float | None]] = deque()  # messages, and when a telemetry arrived
        self._received: float | None = None
        self._late = 0
        self._packets, self._packets_since = 0, 0.0
        self._joined = bool(engine_socket.connected)  # after an upgrade from polling, CONNECT came there
        if eio3:
            self._join()

    def wait(self) -> str | None:
        """Return the next message as engineio expects it; None at the end of the connection.

        A message that would make engineio raise, and leave the connection open, ends the connection here.
        """
        while not self._waiting:
            self._engine_socket.server.sleep(0)  # a client that sends without pause must not block the others
            message = self._websocket.wait()
            if not isinstance(message, str) or not self._is_sane(message):
                return None
            self._translate(message)
        message, self._received = self._waiting.popleft()
        return message

    def take_received(self) -> float | None:
        """Return when the telemetry that wait() returned last had arrived whole, by time.perf_counter(); once."""
        received, self._received = self._received, None
        return received

    def look_ahead(self) -> None:
        """Note how many telemetries wait for the reply to the last one, before it is sent: they will be late."""
        messages, one_begun = self._websocket.look_ahead()
        waiting = sum(received is not None for _, received in self._waiting)
        self._late = waiting + sum(isinstance(one, str) and _holds_telemetry(one) for one in messages) + one_begun

    def take_late(self) -> bool:
        """Return whether the telemetry that wait() returned last is late; once for each telemetry."""
        late, self._late = self._late > 0, max(self._late - 1, 0)
        return late

    def send(self, message: str | bytes) -> None:
        """Send a packet, except packets that an Engine.IO 3 client does not support."""
        if self._eio3 and isinstance(message, str):
            if message == "2":
                return
            if message.startswith("40{"):
                message = _CONNECT
        self._websocket.send(message)
        if isinstance(message, ReplyText) and message.received is not None:
            self._on_answer(message.decision, time.perf_counter() - message.received)

    def close(self) -> None:
        """Close the connection."""
        self._websocket.close()

    def _is_sane(self, message: str) -> bool:
        """Return whether engineio can read the message, and the client reads its answers."""
        if self._engine_socket.queue.qsize() > limits.QUEUED_ANSWERS or not _PACKET.match(message):
            return False
        if message.startswith(_EVENT):
            return True
        now = time.monotonic()
        if now - self._packets_since > 1.0:
            self._packets, self._packets_since = 0, now
        self._packets += 1
        # engineio parses JSON of any depth after a packet's type, unless a digit comes first
        sane_length = len(message) <= limits.CONTROL_BYTES
        return self._packets <= _PACKETS_PER_SECOND and sane_length and (message[0] != "4" or message[1:2].isdigit())

    def _translate(self, message: str) -> None:
        received = None
        if message[0] == "2" and message != "2probe":  # fact 9: the client pings; a pong proves that it is alive
            self._engine_socket.send(engineio.packet.Packet(engineio.packet.PONG, message[1:]))
            self._waiting.append(("3", None))
            return
        if message.startswith(_CONNECT):
            self._joined = True
        elif message.startswith(_EVENT) and not message.startswith("42/"):
            if _holds_telemetry(message):
                received = self._websocket.arrived
            if not self._joined:
                self.dialect = "Unity simulator"
                self._join()  # fact 4: an event without a CONNECT before it
        self._waiting.append((message, received))

    def _join(self) -> None:
        self._joined = True
        self._waiting.append((_CONNECT, None))


class ReplyText(str):
    """The text of a reply on its way to a websocket.

    decision: the one that it carries, if any; received: when the telemetry that it answers had arrived whole, by
    time.perf_counter(); None when that is not known or it answers none.
    """

    decision: Decision | None
    received: float | None


class ReplyPacket(engineio.packet.Packet):  # type: ignore[misc]
    """An Engine.IO packet with a reply, which stays with its text until that is sent, so that latency is per frame."""

    def __init__(self, reply: Reply, received: float | None) -> None:
        event = TelemetryPacket(socketio.packet.EVENT, [reply.event, reply.data], namespace="/")
        super().__init__(engineio.packet.MESSAGE, event.encode())
        self._reply, self._received = reply, received

    def encode(self, b64: bool = False) -> ReplyText:
        """Return the packet's text."""
        text = ReplyText(super().encode(b64))
        text.decision, text.received = self._reply.decision, self._received
        return text


class TelemetryPacket(socketio.packet.Packet):  # type: ignore[misc]
    """A Socket.IO packet; other events than telemetry are ignored, unreadable telemetry has an error as its object."""

    def decode(self, encoded_packet: Any) -> int:
        """Parse a packet; raises ValueError, which ends the connection."""
        if not isinstance(encoded_packet, str) or encoded_packet[:1] not in ("0", "1", "2", "3", "4"):
            raise RefusedPacket("binary events are not supported; send the image as base64 text")
        if encoded_packet[0] != str(socketio.packet.EVENT):
            return _decode_within_limits(super().decode, encoded_packet)
        self.packet_type, self.id, self.namespace, self.attachment_count = socketio.packet.EVENT, None, "/", 0
        if not is_telemetry(encoded_packet):
            self.data: Any = _IGNORED
            return 0
        try:
            _decode_within_limits(super().decode, encoded_packet)
            if not isinstance(self.data, list) or self.data[:1] != [TELEMETRY]:
                raise RefusedPacket("it is not a list")
        except (ValueError, RecursionError) as error:  # the car needs an answer all the same
            self.namespace, self.data = "/", [TELEMETRY, ProtocolError(f"unreadable JSON: {error}")]
        return 0


def is_telemetry(packet: str) -> bool:
    """Return whether a Socket.IO packet is a telemetry event, which is answered."""
    return _TELEMETRY_EVENT.match(packet) is not None


def _holds_telemetry(message: str) -> bool:
    """Return whether an Engine.IO message holds a telemetry event."""
    return message.startswith(_EVENT) and is_telemetry(message[1:])


def _decode_within_limits(decode: Callable[[str], int], encoded_packet: str) -> int:
    if encoded_packet[0] != str(socketio.packet.EVENT) and len(encoded_packet) > limits.CONTROL_BYTES:
        # parts of such a packet would be sent back
        raise RefusedPacket(f"{len(encoded_packet)} characters in a packet that is not an event")
    openings = encoded_packet.count("[") + encoded_packet.count("{")
    if openings > limits.OPENING_BRACKETS:
        raise RefusedPacket(f"{openings} brackets, expected at most {limits.OPENING_BRACKETS}")
    return decode(encoded_packet)
