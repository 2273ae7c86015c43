"""A WSGI app on the standard library's server, one thread a connection."""

import select
import socketserver
import sys
import threading
from typing import Any
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

from bcclone.drive.wire import limits
from bcclone.drive.wire.access import Connections, WSGIApp
from bcclone.drive.wire.log import Quiet
from bcclone.drive.wire.websocket import leaving_taken_sockets
from bcclone.interrupts import StopSocket

_SOCKET = "bcclone.socket"
# A thread that computes for a page or writes a frame gives way to the driver's after this, and not after Python's 5 ms.
_SWITCH_SECONDS = 0.0005
_POLL_SECONDS = 0.1


def socket_of(environ: dict[str, Any]) -> Any:
    """Return the socket of a request."""
    return environ[_SOCKET]


make_lock = threading.Lock


def run(app: WSGIApp, listener: Any, connections: Connections, end: StopSocket) -> None:
    """Serve what comes to the listening socket, until the end is asked for."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        with _Server(app, listener, connections) as server:
            thread = threading.Thread(target=_accept, args=(server, end), name="bcclone-server", daemon=True)
            thread.start()
            select.select([end.socket], [], [])
            end.restore_signals()
            server.shutdown()
            thread.join()
            connections.hang_up()
    finally:
        sys.setswitchinterval(before)


def _accept(server: "_Server", end: StopSocket) -> None:
    try:
        server.serve_forever(_POLL_SECONDS)
    finally:
        end.request()


class _Handler(WSGIRequestHandler):
    """Hands the app the socket, and says nothing about what clients do.

    Responses are in HTTP/1.0: the end of the connection is the end of the body, also of one without end.
    """

    timeout = limits.REQUEST_SECONDS

    def get_environ(self) -> dict[str, Any]:
        return super().get_environ() | {_SOCKET: self.connection, "REMOTE_PORT": str(self.client_address[1])}

    def handle(self) -> None:
        """Handle the one request of a connection."""
        try:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or len(self.raw_requestline) > 65536 or not self.parse_request():
                return
            wsgi: Any = ServerHandler(self.rfile, self.wfile, Quiet(), self.get_environ(), multithread=True)  # type: ignore[arg-type]
            wsgi.request_handler = self
            wsgi.run(self.server.get_app())  # type: ignore[attr-defined]
        except (OSError, ValueError):  # gone, or too slow, or no HTTP
            return

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """One thread a connection; they end with the process."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, app: WSGIApp, listener: Any, connections: Connections) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self._connections = connections
        self.server_name, self.server_port = map(str, listener.getsockname()[:2])  # type: ignore[assignment]
        self.setup_environ()
        self.set_app(leaving_taken_sockets(app, _leave))

    def get_request(self) -> tuple[Any, Any]:
        sock, address = super().get_request()
        if not self._connections.accepted(sock, address):
            sock.close()
            raise ConnectionAbortedError
        return sock, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about what a client did; what the app does wrong is logged where it does it."""


def _leave() -> list[bytes]:
    raise ConnectionAbortedError  # which the server takes for a client that has gone
