"""Serve a WSGI app with the standard library's server: one thread for each connection.

The functions are those of web_server.Host. The main one, run(), passes the requests that arrive at
a listening socket to the app, until a stop is requested.
"""

import contextlib
import io
import select
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from bcclone.system.process import StopSocket
from bcclone.web.web_server import FULL_SECONDS, WSGIApp, most_connections
from bcclone.web.websocket import REQUEST_SECONDS

_SOCKET = "bcclone.socket"  # key of the connection's socket in a request's environ
# longest time for which a thread that serves a page or writes a frame keeps the driving thread from
# running; Python's default is 5 ms
_SWITCH_SECONDS = 0.0005

# each of these, while it waits, blocks only the request that calls it
sleep = time.sleep
make_lock = threading.Lock
make_event = threading.Event


def socket_of(environ: dict[str, Any]) -> Any:
    """Return the socket of a request; environ: the request, as WSGI describes it."""
    return environ[_SOCKET]


def end_upgraded() -> list[bytes]:
    """End a request whose socket became a websocket, without a response."""
    raise ConnectionAbortedError  # then the server sends nothing, as if the client had gone


def start(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """Start a function in a thread of its own, beside the requests.

    Return a function that waits for its end.
    """
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread.join


def run(app: WSGIApp, listener: Any, stop: StopSocket) -> None:
    """Serve the listening socket until a stop is requested."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        with _ThreadingServer(app, listener) as server:
            while not server.is_stopped(stop):
                server.handle_request()
            server.shut_down_connections()
    finally:
        sys.setswitchinterval(before)


class _Handler(WSGIRequestHandler):
    """Adds the socket to the app's environ, and prints nothing about clients.

    Responses are HTTP/1.0, so that the end of the connection ends the body.
    """

    timeout = REQUEST_SECONDS

    def get_environ(self) -> dict[str, Any]:
        return super().get_environ() | {_SOCKET: self.connection}

    def get_stderr(self) -> Any:
        """Return a stream that nobody reads; WebServer logs the faults of the app."""
        return io.StringIO()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


class _ThreadingServer(socketserver.ThreadingMixIn, WSGIServer):
    """A server with one thread for each connection; the threads end with the process."""

    daemon_threads = True
    block_on_close = False
    # handle_request() is called when a connection is there, and so never waits, unless the client
    # has gone again before it is accepted; then it returns at once
    timeout = 0

    def __init__(self, app: WSGIApp, listener: Any) -> None:
        address = listener.getsockname()[:2]
        super().__init__(address, _Handler, bind_and_activate=False)
        # the listener is bound already, so replace the socket that WSGIServer has made, and set
        # what its method for binding would set
        self.socket.close()
        self.socket = listener
        host, port = address
        self.server_name = host
        self.server_port = port
        self._connections: set[socket.socket] = set()
        self._most_connections = most_connections()
        self.setup_environ()
        self.set_app(app)

    def is_stopped(self, stop: StopSocket) -> bool:
        """Wait for a connection or the stop; return whether it is the stop.

        Accepts no connection while as many as may be open are being served.
        """
        while len(self._connections) >= self._most_connections:
            if select.select([stop.socket], [], [], FULL_SECONDS)[0]:
                return True
        return stop.socket in select.select([self.socket, stop.socket], [], [])[0]

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection; raises OSError, after a pause: the next try may come at once."""
        try:
            connection, address = super().get_request()
        except OSError:
            time.sleep(FULL_SECONDS)
            raise
        self._connections.add(connection)
        return connection, address

    def close_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().close_request(request)

    def shut_down_connections(self) -> None:
        """Shut all connections down, so that their threads end."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing about a client that has gone, is too slow or does not speak HTTP."""
