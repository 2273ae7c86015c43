"""Speak the simulator's websocket: texts -> masked frames, and back.

It follows facts 1 and 2 of docs/reference/protocol.md.

wsproto makes and reads the frames. It turns a part of a text that is sent with
`message_finished=False` into a masked frame without FIN, so a text can be split into frames of
1,016 bytes. The split is exact for ASCII only, which is all that the simulator sends.

The handshake's request is written here, byte for byte as the simulator's, because the headers of
wsproto's request are in another order. The request has the key that wsproto chose, because wsproto
checks the answer by this key.
"""

import re
import select
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any, Self

from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection, ConnectionState
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Message,
    Ping,
    Request,
    TextMessage,
)
from wsproto.utilities import RemoteProtocolError

SILENCE_SECONDS = 10.0  # how long a server may be silent

_TARGET = "/socket.io/?EIO=4&transport=websocket"
_FRAME_BYTES = 1016  # largest payload of a frame
_LARGEST_READ = 65_536  # most bytes that are read from the socket at once


class ServerGone(ConnectionError):
    """The server closed the connection, or sent what the simulator cannot read."""


class UnitySocket:
    """The simulator's websocket: text messages in masked frames of at most 1,016 bytes.

    It connects when it is made. The end of a `with` block closes the TCP connection without a
    closing handshake, as a crash does.
    """

    def __init__(self, host: str, port: int, handshake_seconds: float = SILENCE_SECONDS) -> None:
        self._socket = socket.create_connection((host, port), handshake_seconds)
        # held while a frame is sent, since a listening thread answers pings in between
        self._sending = threading.Lock()
        self._message = bytearray()  # the parts of a message that is not complete yet
        self._protocol = WSConnection(ConnectionType.CLIENT)
        try:
            self._handshake(f"{host}:{port}")
        except BaseException:
            self._socket.close()
            raise
        # the handshake may take longer than any later answer
        self._socket.settimeout(min(handshake_seconds, SILENCE_SECONDS))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send_text(self, text: str) -> None:
        """Send a text message, each frame by a write of its own."""
        self.send_frames(text_frames(text))

    def send_frames(self, frames: Sequence[bytes]) -> None:
        """Send frames of text_frames(), each by a write of its own."""
        for frame in frames:
            with self._sending:
                self._socket.sendall(frame)

    def receive(self, timeout: float) -> str | None:
        """Return the next message, None if none arrives in time; a binary one as an empty text.

        Raises ServerGone at the end of the connection.
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
            # wsproto asks to close, too, if it could not read what came; then the connection is
            # still open
            if self._protocol.state is ConnectionState.OPEN:
                raise ServerGone(
                    f"the server sent bytes that are no websocket message: {event.reason}"
                )
            raise ServerGone("the server sent a close frame")
        if isinstance(event, Ping):
            self.send_frames([self._protocol.send(event.response())])
        elif isinstance(event, Message):
            self._message += _bytes_of(event)
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
        """Ask for a websocket; raises ServerGone if the server does not offer exactly that."""
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
        if not isinstance(event, AcceptConnection):
            raise ServerGone(f"no websocket there: {event}")


def text_frames(text: str) -> list[bytes]:
    """Return the masked frames of a text message, at most 1,016 bytes of payload each."""
    connection = Connection(ConnectionType.CLIENT)
    starts = range(0, max(len(text), 1), _FRAME_BYTES)  # an empty text is sent as one frame, too
    frames = []
    for start in starts:
        part = text[start : start + _FRAME_BYTES]
        finished = start == starts[-1]
        frames.append(connection.send(TextMessage(part, message_finished=finished)))
    return frames


def _bytes_of(event: Message[Any]) -> bytes:
    """Return a part of a message as bytes."""
    return event.data.encode() if isinstance(event, TextMessage) else event.data
