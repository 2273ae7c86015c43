"""Serve a WSGI app with the standard library's server: one thread for each connection."""

import select
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from typing import Any
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

from bcclone.drive.wire import limits
from bcclone.drive.wire.access import Connections, WSGIApp
from bcclone.drive.wire.limits import NullStream
from bcclone.drive.wire.websocket import without_upgraded
from bcclone.system.interrupts import StopSocket

_SOCKET = "bcclone.socket"
# Threads that serve a page or write a frame yield to the driving thread after this time; Python's default is 5 ms.
_SWITCH_SECONDS = 0.0005

sleep = time.sleep  # pauses only the current request


def socket_of(environ: dict[str, Any]) -> Any:
    """Return the socket of a request."""
    return environ[_SOCKET]


def make_lock() -> Any:
    """Return a lock that blocks only the current request."""
    return threading.Lock()


def make_event() -> Any:
    """Return an event whose wait() blocks only the current request."""
    return threading.Event()


def start(function: Callable[..., Any], *arguments: Any) -> None:
    """Run a function in parallel to the requests, in a thread of its own."""
    threading.Thread(target=function, args=arguments, daemon=True).start()


def run(app: WSGIApp, listener: Any, connections: Connections, stop: StopSocket) -> None:
    """Serve the listening socket until a stop is requested."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        with _ThreadingServer(app, listener, connections) as server:
            while stop.socket not in select.select([listener, stop.socket], [], [])[0]:
                server.handle_request()
            connections.close_all()
    finally:
        sys.setswitchinterval(before)


class _Handler(WSGIRequestHandler):
    """Adds the socket to the app's environ, and prints nothing about clients.

    Responses are HTTP/1.0, so that the end of the connection ends the body, which also suits long polling.
    """

    timeout = limits.REQUEST_SECONDS

    def get_environ(self) -> dict[str, Any]:
        return super().get_environ() | {_SOCKET: self.connection, "REMOTE_PORT": str(self.client_address[1])}

    def handle(self) -> None:
        """Handle the one request of a connection."""
        body, self.rfile = self.rfile, _Head(self.rfile)  # type: ignore[assignment]
        try:
            self.raw_requestline = self.rfile.readline()
            if not self.raw_requestline or not self.parse_request():
                return
            wsgi: Any = ServerHandler(body, self.wfile, NullStream(), self.get_environ(), multithread=True)  # type: ignore[arg-type]
            wsgi.request_handler = self
            wsgi.run(self.server.get_app())  # type: ignore[attr-defined]
        except (OSError, ValueError):  # the client has gone, is too slow, or does not speak HTTP
            return
        finally:
            self.rfile = body

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


class _Head:
    """The lines of a request before its body; raises ValueError for too many bytes: the library takes 6 million."""

    def __init__(self, file: Any) -> None:
        self._file, self._left = file, limits.HEAD_BYTES

    def readline(self, most: int = limits.HEAD_BYTES) -> bytes:
        """Return the next line."""
        line: bytes = self._file.readline(min(most, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise ValueError(f"more than {limits.HEAD_BYTES} bytes before the body of a request")
        return line


class _ThreadingServer(socketserver.ThreadingMixIn, WSGIServer):
    """A server with one thread for each connection; the threads end with the process."""

    daemon_threads = True
    block_on_close = False
    timeout = 0  # of handle_request(), for a connection that has gone before it is accepted

    def __init__(self, app: WSGIApp, listener: Any, connections: Connections) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self._connections = connections
        self.server_name, self.server_port = map(str, listener.getsockname()[:2])  # type: ignore[assignment]
        self.setup_environ()
        self.set_app(without_upgraded(app, _end_response))

    def get_request(self) -> tuple[Any, Any]:
        sock, address = super().get_request()
        if not self._connections.accepted(sock, address):
            sock.close()
            raise ConnectionAbortedError
        return sock, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing about a client's faults; faults of the app are logged by WebServer."""


def _end_response() -> list[bytes]:
    raise ConnectionAbortedError  # the server treats this like a client that has gone
