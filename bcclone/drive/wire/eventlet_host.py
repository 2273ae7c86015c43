"""Serve a WSGI app with eventlet: one thread for all connections.

The only module that imports eventlet, without monkey patching (docs/decisions/0007).
"""

import contextlib
import warnings
from collections.abc import Callable
from typing import Any

from bcclone.drive.wire import limits
from bcclone.drive.wire.access import Connections, WSGIApp
from bcclone.drive.wire.limits import NullStream
from bcclone.drive.wire.websocket import without_upgraded
from bcclone.system.interrupts import StopSocket

with warnings.catch_warnings():  # that eventlet is in maintenance mode; the decision explains why it is offered
    warnings.simplefilter("ignore")
    import engineio.async_drivers.eventlet  # noqa: F401, loaded in the same thread; see load_host()
    import eventlet
    import eventlet.green.threading
    import eventlet.greenio
    import eventlet.hubs
    import eventlet.semaphore
    import eventlet.wsgi
    from eventlet.support.greenlets import GreenletExit

sleep = eventlet.sleep  # pauses only the current request


def socket_of(environ: dict[str, Any]) -> Any:
    """Return the socket of a request."""
    return environ["eventlet.input"].get_socket()


def make_lock() -> Any:
    """Return a lock that lets other greenlets run while it waits; a threading.Lock would block them all."""
    return eventlet.semaphore.Semaphore()


def make_event() -> Any:
    """Return an event that lets other greenlets run while it waits."""
    return eventlet.green.threading.Event()


def start(function: Callable[..., Any], *arguments: Any) -> None:
    """Run a function in parallel to the requests, in a greenlet of its own."""
    eventlet.spawn(function, *arguments)


def run(app: WSGIApp, listener: Any, connections: Connections, stop: StopSocket) -> None:
    """Serve the listening socket until a stop is requested."""
    requests = eventlet.GreenPool()
    server = eventlet.spawn(
        eventlet.wsgi.server,
        _Listener(eventlet.greenio.GreenSocket(listener), connections),
        without_upgraded(app, _end_response),
        protocol=_Protocol,
        custom_pool=requests,
        log_output=False,
        debug=False,
        keepalive=False,  # as under threading_host: a client could send its second request slowly, forever
        socket_timeout=limits.REQUEST_SECONDS,
        minimum_chunk_size=1,  # otherwise events wait in a buffer until it is full
        environ={"wsgi.errors": NullStream()},
    )
    server.link(lambda _: stop.request())
    eventlet.hubs.trampoline(stop.socket, read=True)
    server.kill()
    for request in list(requests.coroutines_running):
        request.kill()  # the server waits for all requests, and websockets do not end
    with contextlib.suppress(GreenletExit):
        server.wait()  # raises the error that ended the server, if any


class _Listener:
    """A listening socket that adds each accepted socket to the connections."""

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


def _end_response() -> list[bytes]:
    eventlet.wsgi.WSGI_LOCAL.already_handled = True
    return []


class _Protocol(eventlet.wsgi.HttpProtocol):  # type: ignore[misc]
    """Closes its files even when the client has gone; eventlet leaves that to the garbage collector."""

    def finish(self) -> None:
        """End a connection."""
        try:
            super().finish()
        finally:
            for file in (self.wfile, self.rfile):
                with contextlib.suppress(OSError, ValueError):
                    file.close()
