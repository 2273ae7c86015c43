"""Exchange text messages over a socket: the server side of a websocket, for both hosts (docs/decisions/0007)."""

import contextlib
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, CloseConnection, Event, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from bcclone.drive.wire import limits

UPGRADED = "bcclone.websocket"  # in a request's environ: its socket became a websocket, so no response follows
_READ_BYTES = 65_536
_LOCK_SECONDS = 0.05
_YIELD_EVERY = 64  # fragments and control frames; under eventlet they would block all other connections


def without_upgraded(app: Callable[..., Any], end_response: Callable[[], list[bytes]]) -> Callable[..., Any]:
    """Return the WSGI app; end_response() replaces the response when the request's socket became a websocket."""

    def without_response(environ: dict[str, Any], start_response: Any) -> Any:
        response = app(environ, start_response)
        return end_response() if UPGRADED in environ else response

    return without_response


def headers_of(environ: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the headers of a request, for a Websocket."""
    return [(name[5:].replace("_", "-"), value) for name, value in environ.items() if name.startswith("HTTP_")]


class BadHandshake(Exception):
    """A request that is not a valid websocket handshake; the text is the reason."""


class Websocket:
    """The server side of a websocket: wait(), send(), close(). Raises BadHandshake.

    It offers no extensions: the simulator rejects them, and a compressed message may be a bomb. Data is read only
    while wait() or look_ahead() runs. The socket belongs to the caller; close() shuts its traffic down.
    lock: one of the host's, held while sending, including pongs. yield_to_others: called during floods of small
    frames, to let other connections run. max_bytes: limit of a message. arrived: when the message that wait() returned
    last had been read whole, by time.perf_counter().
    """

    def __init__(
        self,
        sock: Any,
        headers: list[tuple[str, str]],
        lock: Any,
        yield_to_others: Callable[[], Any] = lambda: None,
        max_bytes: int = limits.MESSAGE_BYTES,
    ) -> None:
        self._socket, self._lock, self._yield, self._max_bytes = sock, lock, yield_to_others, max_bytes
        self.arrived = 0.0
        self._events = 0
        self._messages: deque[tuple[str | bytes, float]] = deque()  # and when each had been read whole
        self._close_frame: CloseConnection | None = None  # one that comes after these messages
        self._message = bytearray()  # as far as it has come; each fragment as an object would cost many times its size
        self._protocol = WSConnection(ConnectionType.SERVER)
        self._handshake(headers)
        sock.settimeout(limits.SILENT_SECONDS)
        # otherwise an answer waits until the client has acknowledged the one before, which takes 40 ms
        with contextlib.suppress(OSError):  # closed meanwhile
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def wait(self) -> str | bytes | None:
        """Return the next message; None at the end of the connection, whatever the reason."""
        try:
            return self._next_message()
        except (OSError, ValueError, LocalProtocolError):  # timeout, reset, or closed by this side
            return None

    def look_ahead(self) -> tuple[list[str | bytes], bool]:
        """Return the next messages that have arrived by now, and whether another one has begun to arrive.

        For the thread that calls wait(), which returns them later. At most `limits.MESSAGES_AHEAD` are read.
        """
        with contextlib.suppress(OSError, ValueError, LocalProtocolError):  # wait() will meet it again
            while (
                not self._take_in(limits.MESSAGES_AHEAD)
                and not self._is_full()
                and self._is_ready(selectors.EVENT_READ)
            ):
                data = self._read()
                if not data:
                    break
                self._protocol.receive_data(data)
        return [message for message, _ in self._messages], bool(self._message)

    def send(self, message: str | bytes) -> None:
        """Send a message; raises OSError when the connection is at its end."""
        try:
            self._send(Message(data=message))
        except LocalProtocolError:
            raise ConnectionResetError("the websocket is closed") from None

    def send_if_read(self, message: str) -> None:
        """Send a short message, unless the client does not read: then it would wait until the client does."""
        with contextlib.suppress(OSError, ValueError, LocalProtocolError):
            self._send_without_waiting(Message(data=message))

    def close(self, reason: CloseReason = CloseReason.NORMAL_CLOSURE) -> None:
        """Send a close frame if the client reads, and shut the traffic down both ways, so that wait() returns."""
        with contextlib.suppress(OSError, ValueError, LocalProtocolError):
            if self._protocol.state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
                self._send_without_waiting(CloseConnection(code=reason))
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
        while not self._messages:
            if self._take_in(1):
                return None
            if not self._messages:
                data = self._read()
                if not data:
                    return None
                self._protocol.receive_data(data)
        message, self.arrived = self._messages.popleft()
        return message

    def _take_in(self, most: int) -> bool:
        """Keep messages of the data at hand until there are `most`; return whether the connection has ended.

        A close frame waits until the messages before it have been returned, though they can no longer be answered.
        """
        while len(self._messages) < most and (event := self._next_event()) is not None:
            self._events += 1
            if self._events % _YIELD_EVERY == 0:
                self._yield()
            if isinstance(event, Message) and (message := self._add(event)) is not None:
                self._messages.append((message, time.perf_counter()))
            elif isinstance(event, CloseConnection) and self._messages:
                self._close_frame = event
                break
            elif self._ends(event):
                return True
        return False

    def _next_event(self) -> Event | None:
        """Return the next event of the data at hand, None when there is none."""
        event, self._close_frame = self._close_frame, None
        return event or next(self._protocol.events(), None)

    def _is_full(self) -> bool:
        """Return whether nothing more is read before a message is returned."""
        return self._close_frame is not None or len(self._messages) >= limits.MESSAGES_AHEAD

    def _is_ready(self, event: int) -> bool:
        """Return whether the socket can be read, or written, without waiting."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, event)
            return bool(selector.select(0))

    def _ends(self, event: Any) -> bool:
        """Answer pings and close frames; return whether the connection has ended."""
        if isinstance(event, CloseConnection):
            self._end(event)
            return True
        if isinstance(event, Ping):
            self._send(event.response())
        if len(self._message) > self._max_bytes:
            self.close(CloseReason.MESSAGE_TOO_BIG)
            return True
        return False

    def _end(self, event: CloseConnection) -> None:
        """Answer the client's close frame, or send the reason when it broke the protocol."""
        if self._protocol.state is ConnectionState.REMOTE_CLOSING:
            self._send(event.response())
        self.close(CloseReason(event.code) if event.code in set(CloseReason) else CloseReason.PROTOCOL_ERROR)

    def _add(self, event: Any) -> str | bytes | None:
        """Add a fragment; return the message when it is complete."""
        is_text = isinstance(event, TextMessage)
        self._message += event.data.encode() if is_text else event.data
        if not event.message_finished or len(self._message) > self._max_bytes:
            return None
        message, self._message = self._message, bytearray()
        return message.decode() if is_text else bytes(message)

    def _read(self) -> bytes:
        """Return all data that has arrived."""
        data: bytes = self._socket.recv(_READ_BYTES)
        self._acknowledge_at_once()
        return data

    def _send(self, event: Any) -> None:
        with self._lock:
            self._socket.sendall(self._protocol.send(event))
        self._acknowledge_at_once()

    def _send_without_waiting(self, event: Any) -> None:
        if not self._lock.acquire(timeout=_LOCK_SECONDS):  # another thread sends to a client that does not read
            return
        try:
            if self._is_ready(selectors.EVENT_WRITE):
                self._socket.sendall(self._protocol.send(event))
        finally:
            self._lock.release()

    def _acknowledge_at_once(self) -> None:
        """Ask the system to acknowledge the next data at once; it forgets this after each receive and send.

        Otherwise the simulator's many small writes wait 44 ms for each other's acknowledgement (fact 2).
        """
        if hasattr(socket, "TCP_QUICKACK"):  # Linux
            with contextlib.suppress(OSError):  # closed meanwhile
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
