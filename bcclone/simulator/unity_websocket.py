"""Speak the simulator's websocket: texts -> masked frames, and back (docs/reference/protocol.md, facts 1 and 2).

wsproto makes and reads the frames: sent with `message_finished=False`, a part of a text becomes a masked frame
without FIN, so a text can be split into frames of 1,016 bytes. wsproto takes texts only, so the split is exact for
ASCII only, which is all that the simulator sends. wsproto cannot send the handshake: it has another order of headers
and puts User-Agent last. So the handshake is written here, byte for byte as the simulator's.
"""

import base64
import hashlib
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Event, Message, Ping, TextMessage

SILENCE_SECONDS = 10.0

_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
_FRAME_BYTES = 1016
_MESSAGE_BYTES = 1_000_000
_LARGEST_READ = 65_536


class ServerGone(ConnectionError):
    """The server closed the connection, or sent what the simulator cannot read."""


class UnitySocket:
    """The simulator's websocket: text messages in masked frames of at most 1,016 bytes."""

    def __init__(self, host: str, port: int, timeout: float = SILENCE_SECONDS) -> None:
        self._socket = socket.create_connection((host, port), timeout)
        self._sending = threading.Lock()  # a listening thread answers pings
        self._events: deque[Event] = deque()
        self._message = bytearray()
        try:
            rest = self._handshake(host, port, timeout)
            self._socket.settimeout(min(timeout, SILENCE_SECONDS))
            self._protocol = Connection(ConnectionType.CLIENT)
            self._feed(rest)
        except BaseException:
            self._socket.close()
            raise

    def send_text(self, text: str) -> None:
        """Send a text message, each frame by a write of its own."""
        self.send_frames(text_frames(text))

    def send_frames(self, frames: Sequence[bytes]) -> None:
        """Send frames of text_frames(), each by a write of its own."""
        for frame in frames:
            with self._sending:
                self._socket.sendall(frame)

    def receive(self, timeout: float) -> str | None:
        """Return the next text message, None if none arrives in time; raises ServerGone at the end."""
        until = time.monotonic() + timeout
        while True:
            while self._events:
                if (text := self._handle(self._events.popleft())) is not None:
                    return text
            seconds = until - time.monotonic()
            if seconds <= 0 or not select.select([self._socket], [], [], seconds)[0]:
                return None
            self._feed(self._read())

    def close(self) -> None:
        """Close the TCP connection without a closing handshake, as a crash does."""
        self._socket.close()

    def _handle(self, event: Event) -> str | None:
        """Handle what the server sent; return the text of a message when it is complete."""
        if isinstance(event, CloseConnection):
            if self._protocol.state is ConnectionState.OPEN:  # wsproto could not read what came
                raise ServerGone(f"the server sent bytes that are no websocket message: {event.reason}")
            raise ServerGone("the server sent a close frame")
        if isinstance(event, Ping):
            self.send_frames([self._protocol.send(event.response())])
        elif isinstance(event, Message):
            self._message += event.data.encode() if isinstance(event, TextMessage) else event.data
            if len(self._message) > _MESSAGE_BYTES:
                raise ServerGone(f"a message of over {_MESSAGE_BYTES} bytes; the simulator expects a few hundred")
            if event.message_finished:
                message, self._message = self._message, bytearray()
                return message.decode() if isinstance(event, TextMessage) else ""
        return None

    def _feed(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        self._events.extend(self._protocol.events())

    def _read(self) -> bytes:
        data = self._socket.recv(_LARGEST_READ)
        if not data:
            raise ServerGone("the server closed the connection")
        return data

    def _handshake(self, host: str, port: int, timeout: float) -> bytes:
        """Ask for a websocket and check the answer; return the bytes received after it."""
        key = base64.b64encode(os.urandom(16))
        self._socket.sendall(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
            b"User-Agent: websocket-sharp/1.0\r\n"
            b"Host: %s:%d\r\n"
            b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n" % (host.encode(), port, key)
        )
        until, received = time.monotonic() + timeout, b""
        while b"\r\n\r\n" not in received:
            if time.monotonic() > until:
                raise ServerGone(f"its handshake takes more than {timeout:g} s")
            if len(received) > 8192:
                raise ServerGone("the handshake's headers are over 8,192 bytes")
            received += self._read()
        head, _, rest = received.partition(b"\r\n\r\n")
        _check_answer(head.decode("latin-1"), key)
        return rest


def text_frames(text: str) -> list[bytes]:
    """Return the masked frames of a text message, at most 1,016 bytes of payload each."""
    connection = Connection(ConnectionType.CLIENT)
    starts = range(0, max(len(text), 1), _FRAME_BYTES)
    return [
        connection.send(TextMessage(text[start : start + _FRAME_BYTES], message_finished=start == starts[-1]))
        for start in starts
    ]


def _check_answer(head: str, key: bytes) -> None:
    """Raise ServerGone unless the head of a response accepts the handshake."""
    status, *lines = head.split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    accept = base64.b64encode(hashlib.sha1(key + _ACCEPT_GUID).digest()).decode()  # noqa: S324 the RFC demands SHA-1
    if " 101 " not in status or headers.get("sec-websocket-accept") != accept:
        raise ServerGone(f"no websocket there: {ascii(status[:100])}")
    for header in ("sec-websocket-extensions", "sec-websocket-protocol"):
        if header in headers:
            raise ServerGone(f"the server answers with {header}, which was not requested")
