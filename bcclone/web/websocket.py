"""Exchange messages over the socket of a request: a websocket of simple-websocket, made quick.

It serves both modes of web/server.py, which docs/decisions/0007-threads-serve.md explains.
"""

import selectors
import socket
import time
from contextlib import suppress
from typing import Any

import simple_websocket
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from bcclone.system.codec import MESSAGE_BYTES

_READ_BYTES = 65_536  # most bytes of one read
_MESSAGES_AHEAD = 8  # most messages that are read before wait() returns them
# longest time without data, after which a websocket is ended; clients send a ping every 25 s
_SILENT_SECONDS = 85.0
# longest wait to send a message to a client that does not read; then its connection is ended
_SENDING_SECONDS = 1.0


class BadHandshake(Exception):
    """A request that is not a valid websocket handshake; the text is the reason."""


class Websocket(simple_websocket.Server):  # type: ignore[misc]  # it carries no types
    """The server side of a websocket: wait() for messages, send() them, and close() it.

    Data is read only while wait() or read_ahead() runs: simple-websocket's own thread would read
    whatever a client sends, and an answer would take longer. There are no extensions, such as
    compression: the simulator rejects them, and a small compressed message may expand to gigabytes.
    """

    def __init__(self, environ: dict[str, Any], locks: Any) -> None:
        """Answer the handshake of a request; raises BadHandshake.

        environ: the request, as WSGI describes it
        locks: the module threading, or what serves as such
        """
        sock = environ.get("werkzeug.socket") or environ["eventlet.input"].get_socket()
        # held while a message becomes a frame and is sent: frames leave in the order they are made
        self._sending = locks.Lock()
        headers = {name: text for name, text in environ.items() if name.startswith("HTTP_")}
        headers.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
        try:
            super().__init__(
                headers | {"werkzeug.socket": _QuickSocket(sock, locks.Lock())},
                max_message_size=MESSAGE_BYTES,
                thread_class=_NoThread,
            )
        except (RemoteProtocolError, LocalProtocolError, simple_websocket.ConnectionError) as error:
            raise BadHandshake(str(error)) from None

    @property
    def arrived(self) -> float:
        """Return time.perf_counter() when data was read last."""
        arrived: float = self.sock.arrived
        return arrived

    def wait(self) -> str | bytes | None:
        """Return the next message, after waiting for it; None if the connection has ended."""
        while not self.input_buffer:
            if not self.connected:
                return None
            self._read()
        message: str | bytes = self.input_buffer.pop(0)
        return message

    def read_ahead(self) -> int:
        """Read messages that have arrived by now; return how many wait() will return at once.

        Only the thread that calls wait() may call this.
        """
        with suppress(OSError, ValueError), selectors.DefaultSelector() as selector:
            selector.register(self.sock.fileno(), selectors.EVENT_READ)
            while self.connected and len(self.input_buffer) < _MESSAGES_AHEAD:
                if not selector.select(0):
                    break
                self._read()
        return len(self.input_buffer)

    def send(self, message: str | bytes) -> None:
        """Send a message; raises OSError if the connection has ended.

        It is ended here if the client does not read, so that the message cannot be sent in a
        second.
        """
        try:
            with self._sending:
                super().send(message)
        except (simple_websocket.ConnectionClosed, LocalProtocolError):
            raise ConnectionResetError("the websocket is closed") from None

    def close(self, reason: int | None = None, message: str | None = None) -> None:
        """Send a close frame, and end the traffic both ways, so that wait() returns."""
        with suppress(OSError, simple_websocket.ConnectionClosed, LocalProtocolError):
            super().close(reason, message)
        self.connected = False
        self.sock.close()

    def _read(self) -> None:
        """Read data, after waiting for some; put messages into the queue, and answer pings."""
        try:
            data = self.sock.recv(_READ_BYTES)
            if not data:
                raise ConnectionResetError
            self.ws.receive_data(data)
            self.connected = self._handle_events()  # as simple-websocket's thread would do
        except (OSError, LocalProtocolError):  # timeout, reset, or closed by this side
            self.connected = False


class _NoThread:
    """In place of the thread in which simple-websocket would read."""

    name = ""

    def __init__(self, target: object) -> None: ...

    def start(self) -> None: ...


class _QuickSocket:
    """A request's socket, as a websocket uses it: it sends all data, and acknowledges at once.

    The simulator sends a message by many small writes, and waits 44 ms for an acknowledgement
    unless it comes at once (fact 2 of docs/reference/protocol.md).
    """

    def __init__(self, sock: socket.socket, lock: Any) -> None:
        """lock: held while bytes are sent, those of pongs too, which pass by Websocket.send()"""
        self.arrived = 0.0
        self.fileno = sock.fileno
        self._socket = sock
        self._lock = lock
        sock.settimeout(_SENDING_SECONDS)  # recv() waits longer, by several tries
        # without this option, the system holds an answer back until the client has acknowledged the
        # answer before it, which takes 40 ms
        with suppress(OSError):  # closed meanwhile
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def recv(self, count: int) -> bytes:
        """Return the next data; raises TimeoutError after 85 s without any."""
        until = time.monotonic() + _SILENT_SECONDS
        while True:
            try:
                data = self._socket.recv(count)
                break
            except TimeoutError:
                if time.monotonic() > until:
                    raise
        self.arrived = time.perf_counter()
        self._acknowledge_at_once()
        return data

    def send(self, data: bytes) -> None:
        with self._lock:
            try:
                self._socket.sendall(data)
            except OSError:  # a part may have been sent
                self.close()
                raise
        self._acknowledge_at_once()

    def close(self) -> None:
        """End the traffic both ways; the server of the request closes its socket."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _acknowledge_at_once(self) -> None:
        """Ask the system to acknowledge the next data at once; it forgets this after each call."""
        if hasattr(socket, "TCP_QUICKACK"):  # Linux
            with suppress(OSError):  # closed meanwhile
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
