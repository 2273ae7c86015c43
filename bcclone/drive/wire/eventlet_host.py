"""A WSGI app on eventlet: one thread for all connections. The only module that knows eventlet (docs/decisions/0007)."""

import contextlib
import warnings
from typing import Any

from bcclone.drive.wire import limits
from bcclone.drive.wire.access import Connections, WSGIApp
from bcclone.drive.wire.log import Quiet
from bcclone.drive.wire.websocket import leaving_taken_sockets
from bcclone.interrupts import StopSocket

with warnings.catch_warnings():  # that it is maintained and no more; the decision says why it is offered
    warnings.simplefilter("ignore")
    import eventlet
    import eventlet.greenio
    import eventlet.hubs
    import eventlet.semaphore
    import eventlet.wsgi
    from eventlet.support.greenlets import GreenletExit


def socket_of(environ: dict[str, Any]) -> Any:
    """Return the socket of a request."""
    return environ["eventlet.input"].get_socket()


def make_lock() -> Any:
    """Return a lock that lets others run while it waits; Python's own would stop them all."""
    return eventlet.semaphore.Semaphore()


def run(app: WSGIApp, listener: Any, connections: Connections, end: StopSocket) -> None:
    """Serve what comes to the listening socket, until the end is asked for."""
    requests = eventlet.GreenPool()
    server = eventlet.spawn(
        eventlet.wsgi.server,
        _Listener(eventlet.greenio.GreenSocket(listener), connections),
        leaving_taken_sockets(app, _leave),
        protocol=_Protocol,
        custom_pool=requests,
        log_output=False,
        debug=False,
        keepalive=False,  # one request a connection, as the other host has it: a second one could come in for ever
        socket_timeout=limits.REQUEST_SECONDS,
        minimum_chunk_size=1,  # otherwise the page waits until enough has come together
        environ={"wsgi.errors": Quiet()},
    )
    server.link(lambda _: end.request())
    eventlet.hubs.trampoline(end.socket, read=True)
    end.restore_signals()
    server.kill()
    for request in list(requests.coroutines_running):
        request.kill()  # the server waits for all, and a page's events have no end
    with contextlib.suppress(GreenletExit):
        server.wait()  # raises what the server itself ended by, if it did


class _Listener:
    """A listening socket that tells of each connection."""

    def __init__(self, sock: Any, connections: Connections) -> None:
        self._sock, self._connections = sock, connections

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def accept(self) -> tuple[Any, Any]:
        """Return the next connection."""
        while True:
            sock, address = self._sock.accept()
            if self._connections.accepted(sock, address):
                return sock, address
            sock.close()


def _leave() -> list[bytes]:
    eventlet.wsgi.WSGI_LOCAL.already_handled = True
    return []


class _Protocol(eventlet.wsgi.HttpProtocol):  # type: ignore[misc]
    """Closes what it opened, also of a client that has gone; eventlet leaves that to the garbage collector."""

    def finish(self) -> None:
        """End a connection."""
        try:
            super().finish()
        finally:
            for file in (self.wfile, self.rfile):
                with contextlib.suppress(OSError, ValueError):
                    file.close()
