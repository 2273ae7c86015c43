"""Text messages <-> the simulator's websocket: RFC 6455 as its client speaks it (docs/reference/protocol.md)."""

import base64
import hashlib
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Sequence

SILENCE_SECONDS = 10.0

_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
_FRAGMENT = 1016
_LONGEST_MESSAGE = 1_000_000
_CONTINUED, _TEXT, _CLOSE, _PING, _PONG = 0, 1, 8, 9, 10


class ServerGone(ConnectionError):
    """The server closed the connection."""


class UnitySocket:
    """The simulator's websocket: RFC 6455 client frames, masked, texts over 1,016 bytes in fragments."""

    def __init__(self, host: str, port: int, timeout: float = SILENCE_SECONDS) -> None:
        self._socket = socket.create_connection((host, port), timeout)
        self._received = self._message = b""
        self._sending = threading.Lock()  # a listening thread answers pings
        try:
            self._handshake(host, port, timeout)
        except BaseException:
            self._socket.close()
            raise

    def send_text(self, text: str) -> None:
        """Send a text message, each frame by a write of its own (fact 2)."""
        self.send_frames(text_frames(text))

    def send_frames(self, frames: Sequence[bytes]) -> None:
        """Send frames that are ready, each by a write of its own."""
        for frame in frames:
            with self._sending:
                self._socket.sendall(frame)

    def send_frame(self, opcode: int, payload: bytes, final: bool = True) -> None:
        """Send one masked frame."""
        self.send_frames([_masked_frame(opcode, payload, final)])

    def receive(self, timeout: float) -> str | None:
        """Return the next text message, or None when none came in time; raises ServerGone when there is no more."""
        until = time.monotonic() + timeout
        while self._has_data(until - time.monotonic()):
            opcode, payload, final = self._frame()
            if opcode == _CLOSE:
                raise ServerGone("the server said that it ends")
            if opcode == _PING:
                self.send_frame(_PONG, payload)
            elif opcode in (_CONTINUED, _TEXT):
                self._message += payload
                if final:
                    return self._take_message()
        return None

    def _has_data(self, seconds: float) -> bool:
        """Return whether something has come, within the time that is left."""
        return seconds > 0 and (bool(self._received) or bool(select.select([self._socket], [], [], seconds)[0]))

    def _take_message(self) -> str:
        message, self._message = self._message, b""
        try:
            return message.decode()
        except UnicodeDecodeError:
            raise ServerGone(f"a text that is no UTF-8: {message[:40]!r}") from None

    def close(self) -> None:
        """Close the TCP connection without a word, as a crash does."""
        self._socket.close()

    def _handshake(self, host: str, port: int, timeout: float) -> None:
        key = base64.b64encode(os.urandom(16))
        self._socket.sendall(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
            b"User-Agent: websocket-sharp/1.0\r\n"
            b"Host: %s:%d\r\n"
            b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n" % (host.encode(), port, key)
        )
        until = time.monotonic() + timeout
        while b"\r\n\r\n" not in self._received:
            if time.monotonic() > until:
                raise ServerGone(f"its handshake takes more than {timeout:g} s")
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

    def _frame(self) -> tuple[int, bytes, bool]:
        """Take one frame off the stream: its opcode, its payload, and whether its message ends with it."""
        self._need(2)
        first, length, start = self._received[0], self._received[1], 2
        if length >= 126:
            start = 4 if length == 126 else 10
            self._need(start)
            length = int.from_bytes(self._received[2:start], "big")
        if length + len(self._message) > _LONGEST_MESSAGE:
            raise ServerGone(f"a message of {length} bytes; the simulator expects a few hundred")
        self._need(start + length)
        payload, self._received = self._received[start : start + length], self._received[start + length :]
        return first & 0x0F, payload, bool(first & 0x80)

    def _need(self, count: int) -> None:
        while len(self._received) < count:
            self._fill()

    def _fill(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ServerGone("the server closed the connection")
        self._received += data


def text_frames(text: str) -> list[bytes]:
    """Return the masked frames of a text message, 1,016 bytes each but the last (fact 2)."""
    data = text.encode()
    pieces = [data[start : start + _FRAGMENT] for start in range(0, len(data), _FRAGMENT)] or [b""]
    last = len(pieces) - 1
    return [_masked_frame(_CONTINUED if n else _TEXT, piece, n == last) for n, piece in enumerate(pieces)]


def _masked_frame(opcode: int, payload: bytes, final: bool) -> bytes:
    mask = os.urandom(4)
    head = bytes([(0x80 if final else 0) | opcode])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    else:
        head += b"\xfe" + struct.pack("!H", len(payload))
    return head + mask + _xor(payload, mask)


def _xor(data: bytes, mask: bytes) -> bytes:
    repeated = (mask * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")).to_bytes(len(data), "little")
