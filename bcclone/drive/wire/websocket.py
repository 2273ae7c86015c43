"""A socket <-> text messages: the server's side of a websocket, the same under every server (docs/decisions/0007)."""

import contextlib
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, CloseConnection, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from bcclone.drive.wire import limits

TAKEN = "bcclone.websocket"  # in a request's environ: its socket carries a websocket, and no response follows
_LARGEST_READ = 65_536
_BREATHE_EVERY = 64  # pieces of which none ends a message: under eventlet they keep all others waiting


def leaving_taken_sockets(app: Callable[..., Any], leave: Callable[[], list[bytes]]) -> Callable[..., Any]:
    """Return the WSGI app; `leave` ends the response of a request whose socket carried a websocket."""

    def leaving(environ: dict[str, Any], start_response: Any) -> Any:
        response = app(environ, start_response)
        return leave() if TAKEN in environ else response

    return leaving


class BadHandshake(Exception):
    """A request that asks for no websocket that we know; the text says why."""


class Websocket:
    """A websocket of the server, as engineio wants it: wait(), send(), close().

    It offers no extension: the simulator rejects them, and a compressed message may be a bomb. What comes is only
    read while somebody waits for it. Raises BadHandshake. The socket belongs to the caller; close() ends its traffic.
    lock: held while something is sent, answers and the pongs of who reads; it must wait as the server waits. breathe:
    lets others run, in the midst of a client's endless pings or crumbs of a message. largest: bytes of a message.
    """

    def __init__(
        self,
        sock: Any,
        headers: list[tuple[str, str]],
        lock: AbstractContextManager[Any],
        breathe: Callable[[], Any] = lambda: None,
        largest: int = limits.MESSAGE_BYTES,
    ) -> None:
        self._socket, self._sending, self._breathe, self._largest = sock, lock, breathe, largest
        self._pieces = 0
        self._parts: list[str | bytes] = []
        self._length = 0
        self._protocol = WSConnection(ConnectionType.SERVER)
        self._handshake(headers)
        sock.settimeout(limits.SILENT_SECONDS)
        # an answer must not wait for the client to acknowledge the one before, which takes it 40 ms
        with contextlib.suppress(OSError):  # closed meanwhile
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def wait(self) -> str | bytes | None:
        """Return the next message; None at the end of the connection, whoever ended it and why."""
        try:
            return self._next_message()
        except (OSError, ValueError, LocalProtocolError):  # timeouts and resets; closed meanwhile from this side
            return None

    def send(self, message: str | bytes) -> None:
        """Send a message; raises OSError when the connection is at its end."""
        try:
            self._send(Message(data=message))
        except LocalProtocolError:
            raise ConnectionResetError("the websocket is closed") from None

    def close(self, reason: CloseReason = CloseReason.NORMAL_CLOSURE, text: str = "") -> None:
        """Say goodbye, and end the traffic both ways, so that who waits returns."""
        with contextlib.suppress(OSError, LocalProtocolError):
            if self._protocol.state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
                self._send(CloseConnection(code=reason, reason=text))
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _handshake(self, headers: list[tuple[str, str]]) -> None:
        try:
            encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            self._protocol.initiate_upgrade_connection(encoded, "/")
            list(self._protocol.events())
            self._send(AcceptConnection())
        except (RemoteProtocolError, LocalProtocolError, ValueError) as error:
            raise BadHandshake(str(error)) from None

    def _next_message(self) -> str | bytes | None:
        while True:
            for event in self._protocol.events():
                self._pieces += 1
                if self._pieces % _BREATHE_EVERY == 0:
                    self._breathe()
                if isinstance(event, Message) and (whole := self._add(event)) is not None:
                    return whole
                if self._ends(event):
                    return None
            data = self._read()
            if not data:
                return None
            self._protocol.receive_data(data)

    def _ends(self, event: Any) -> bool:
        """Answer what asks for an answer; return whether the connection is at its end now."""
        if isinstance(event, CloseConnection):
            self._end(event)
            return True
        if isinstance(event, Ping):
            self._send(event.response())
        if self._length > self._largest:
            self.close(CloseReason.MESSAGE_TOO_BIG)
            return True
        return False

    def _end(self, event: CloseConnection) -> None:
        """Answer the other side's goodbye, or say what it did wrong."""
        if self._protocol.state is ConnectionState.REMOTE_CLOSING:
            self._send(event.response())
        self.close(CloseReason(event.code) if event.code in set(CloseReason) else CloseReason.PROTOCOL_ERROR)

    def _add(self, event: Any) -> str | bytes | None:
        """Add a piece; return the message when it is whole."""
        if event.data:  # empty ones would never come to a length that ends them
            self._parts.append(event.data)
        self._length += len(event.data)
        if not event.message_finished or self._length > self._largest:
            return None
        parts, self._parts, self._length = self._parts, [], 0
        return "".join(parts) if isinstance(event, TextMessage) else b"".join(parts)  # type: ignore[arg-type]

    def _read(self) -> bytes:
        """Take all that has come at once."""
        data: bytes = self._socket.recv(_LARGEST_READ)
        self._acknowledge_at_once()
        return data

    def _send(self, event: Any) -> None:
        with self._sending:
            self._socket.sendall(self._protocol.send(event))
        self._acknowledge_at_once()

    def _acknowledge_at_once(self) -> None:
        """Have what comes next acknowledged at once; to be asked for anew after each receive and send.

        The simulator's many small writes wait 44 ms for each other unless each is acknowledged (fact 2).
        """
        if hasattr(socket, "TCP_QUICKACK"):  # Linux
            with contextlib.suppress(OSError):  # closed meanwhile
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
