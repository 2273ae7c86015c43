"""Exchange messages over a socket: the server side of a websocket.

A `Websocket` takes the socket and the headers of a request. It returns the client's messages, one
after the other, as text or bytes, and sends the server's messages.

It serves both hosts, threading_host and eventlet_host, which docs/decisions/0007-threads-serve.md
explains. wsproto parses and makes the frames; this module reads and writes the socket.
"""

import contextlib
import selectors
import socket
import time
from collections import deque
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, CloseConnection, Event, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from bcclone.web.access import MESSAGE_BYTES

REQUEST_SECONDS = 10.0  # longest time without data, after which a request is ended
# most messages that look_ahead() reads before wait() returns them; of the simulator, at most one
# message is usually waiting
MESSAGES_AHEAD = 8
# longest time without data, after which a websocket is ended; clients send a ping every 25 s
_SILENT_SECONDS = 85.0
_CLOSING_SECONDS = 0.05  # longest wait to send a close frame to a client that does not read
# longest wait to send a message to a client that does not read; then its connection is ended
_SENDING_SECONDS = 1.0
_READ_BYTES = 65_536  # most bytes of one read


class BadHandshake(Exception):
    """A request that is not a valid websocket handshake; the text is the reason."""


class Websocket:
    """The server side of a websocket: wait() for messages, send() them, and close() it.

    The server offers no extensions, such as compression: the simulator rejects them, and a small
    compressed message may expand to gigabytes. Data is read only while wait() or look_ahead() runs.
    The caller has to close the socket; close() only shuts its traffic down.
    """

    def __init__(
        self, sock: Any, headers: list[tuple[str, str]], lock: Any, max_bytes: int = MESSAGE_BYTES
    ) -> None:
        """Answer the handshake; raises BadHandshake.

        sock: the socket of the request
        headers: names, with hyphens, and values of the request's headers
        lock: made by the host's make_lock(); held while anything is sent, pongs included
        max_bytes: most bytes of a message, also of one that is not complete yet
        """
        # time.perf_counter() when the message that wait() returned last was complete
        self.arrived = 0.0
        self._socket = sock
        self._lock = lock
        self._max_bytes = max_bytes
        # complete messages that wait() has not returned yet, and the time when each was complete
        self._messages: deque[tuple[str | bytes, float]] = deque()
        # a close frame that came after these messages
        self._close_frame: CloseConnection | None = None
        # the begin of the next message, joined: a list of small fragments would take many times
        # the memory
        self._message = bytearray()
        self._protocol = WSConnection(ConnectionType.SERVER)
        self._accept(headers)
        sock.settimeout(_SENDING_SECONDS)  # _read() waits longer, by several tries
        # without this option, the system holds an answer back until the client has acknowledged the
        # answer before it, which takes 40 ms
        with contextlib.suppress(OSError):  # closed meanwhile
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def wait(self) -> str | bytes | None:
        """Return the next message, after waiting for it; None if the connection has ended."""
        try:
            while not self._messages:
                if self._take_in(1):
                    return None
                if not self._messages and not self._read():
                    return None
        except (OSError, ValueError, LocalProtocolError):  # timeout, reset, or closed by this side
            return None
        message, self.arrived = self._messages.popleft()
        return message

    def look_ahead(self) -> tuple[list[str | bytes], bool]:
        """Return the messages that have arrived by now, and whether one more has begun to arrive.

        At most MESSAGES_AHEAD messages are read; wait() returns them later. Only the thread that
        calls wait() may call this.
        """
        # ignored here, because wait() will meet the same error
        expected = (OSError, ValueError, LocalProtocolError)
        with contextlib.suppress(*expected), selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            while not self._take_in(MESSAGES_AHEAD):
                if self._close_frame is not None or len(self._messages) >= MESSAGES_AHEAD:
                    break
                if not selector.select(0) or not self._read():
                    break
        return [message for message, _ in self._messages], bool(self._message)

    def send(self, message: str | bytes) -> None:
        """Send a message; raises OSError if the connection has ended.

        It is ended here if the client does not read, so that the message cannot be sent in a
        second.
        """
        try:
            self._send(Message(data=message))
        except LocalProtocolError:
            raise ConnectionResetError("the websocket is closed") from None

    def close(self, reason: CloseReason = CloseReason.NORMAL_CLOSURE) -> None:
        """Send a close frame, and shut the traffic down both ways, so that wait() returns."""
        with contextlib.suppress(OSError, ValueError, LocalProtocolError):
            if self._protocol.state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
                self._socket.settimeout(_CLOSING_SECONDS)
                self._send(CloseConnection(code=reason))
        self._shut_down()

    def _shut_down(self) -> None:
        """Shut the traffic down both ways."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _accept(self, headers: list[tuple[str, str]]) -> None:
        """Shake hands; raises BadHandshake."""
        try:
            encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            # wsproto wants a path, of which it makes no use
            self._protocol.initiate_upgrade_connection(encoded, "/")
            list(self._protocol.events())  # takes the request out of its queue of events
            self._send(AcceptConnection())
        except (RemoteProtocolError, LocalProtocolError, ValueError) as error:
            raise BadHandshake(str(error)) from None

    def _take_in(self, most: int) -> bool:
        """Take messages out of the data that was read; return whether the connection has ended.

        A close frame waits until the messages before it have been returned, so that no message is
        lost that has arrived; answers to them no longer reach the client.

        most: stop when this many messages wait to be returned
        """
        while len(self._messages) < most:
            event = self._close_frame or next(self._protocol.events(), None)
            self._close_frame = None
            if event is None:
                return False
            if isinstance(event, Message):
                self._take_fragment(event)
            elif isinstance(event, CloseConnection) and self._messages:
                self._close_frame = event
                return False
            if self._react(event):
                return True
        return False

    def _take_fragment(self, event: Message[Any]) -> None:
        """Add a fragment to the next message; put the message into the queue if it is complete.

        A message that is too long stays: _react() finds it there, and closes the connection.
        """
        is_text = isinstance(event, TextMessage)
        self._message += event.data.encode() if is_text else event.data
        if not event.message_finished or len(self._message) > self._max_bytes:
            return
        message = self._message.decode() if is_text else bytes(self._message)
        self._message = bytearray()
        self._messages.append((message, time.perf_counter()))

    def _react(self, event: Event) -> bool:
        """Answer a ping or a close frame, and close the connection if the message is too long.

        Returns whether the connection has ended.
        """
        if isinstance(event, CloseConnection):
            if self._protocol.state is ConnectionState.REMOTE_CLOSING:
                self._send(event.response())
            # in any other state, wsproto has found a fault of the client; close() sends the reason
            reason = CloseReason.PROTOCOL_ERROR
            if event.code in set(CloseReason):
                reason = CloseReason(event.code)
            self.close(reason)
            return True
        if isinstance(event, Ping):
            self._send(event.response())
        if len(self._message) > self._max_bytes:
            self.close(CloseReason.MESSAGE_TOO_BIG)
            return True
        return False

    def _read(self) -> bool:
        """Read data, after waiting for some; return False if the connection has ended.

        Raises TimeoutError if the client is silent for too long.
        """
        data = self._receive()
        self._acknowledge_at_once()
        if data:
            self._protocol.receive_data(data)
        return bool(data)

    def _receive(self) -> bytes:
        """Return the next data of the client; raises TimeoutError after 85 s without any."""
        until = time.monotonic() + _SILENT_SECONDS
        while True:
            try:
                data: bytes = self._socket.recv(_READ_BYTES)
            except TimeoutError:
                if time.monotonic() > until:
                    raise
            else:
                return data

    def _send(self, event: Any) -> None:
        """Send a frame; event: wsproto's description of it.

        Raises OSError if it cannot be sent, and shuts the traffic down: a part of the frame may
        have been sent.
        """
        with self._lock:
            try:
                self._socket.sendall(self._protocol.send(event))
            except OSError:
                self._shut_down()
                raise
        self._acknowledge_at_once()

    def _acknowledge_at_once(self) -> None:
        """Ask the system to acknowledge the next data at once.

        The system forgets this after each receive and send. The simulator sends a message by many
        small writes. Without this, it waits 44 ms for the acknowledgement of some before it sends
        the others (fact 2 of docs/reference/protocol.md).
        """
        if hasattr(socket, "TCP_QUICKACK"):  # Linux
            with contextlib.suppress(OSError):  # closed meanwhile
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
