"""Serve a WSGI app with eventlet: one thread for all connections, with a greenlet for each.

run() takes an app and a listening socket, and answers requests until a stop is requested. The
functions are those of web_server.Host. This is the only module that imports eventlet, and it does
so without monkey patching (docs/decisions/0007-threads-serve.md).
"""

import contextlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bcclone.system.process import StopSocket
from bcclone.web.web_server import FULL_SECONDS, PASSING_ERRORS, WSGIApp, most_connections
from bcclone.web.websocket import REQUEST_SECONDS

# eventlet warns that it is in maintenance mode; docs/decisions/0019-eventlet-until-april-2027.md
# explains why it is still offered
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import eventlet
    import eventlet.green.threading
    import eventlet.greenio
    import eventlet.hubs
    import eventlet.semaphore
    import eventlet.wsgi
    from eventlet.support.greenlets import GreenletExit

# each of these lets other greenlets run while it waits; those of threading would block them all
sleep = eventlet.sleep
make_lock = eventlet.semaphore.Semaphore
make_event = eventlet.green.threading.Event


def socket_of(environ: dict[str, Any]) -> Any:
    """Return the socket of a request; environ: the request, as WSGI describes it."""
    return environ["eventlet.input"].get_socket()


def end_upgraded() -> list[bytes]:
    """Return the response to a request whose socket became a websocket: nothing more is sent."""
    eventlet.wsgi.WSGI_LOCAL.already_handled = True
    return []


def start(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """Start a function in a greenlet of its own, beside the requests.

    Return a function that waits for its end.
    """
    end: Callable[[], Any] = eventlet.spawn(function, *arguments).wait
    return end


def run(app: WSGIApp, listener: Any, stop: StopSocket) -> None:
    """Serve the listening socket until a stop is requested."""
    # when it is full, no connection is accepted
    requests = eventlet.GreenPool(most_connections())
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        # the server runs in a greenlet of its own, until it fails or is killed below
        server = eventlet.spawn(
            eventlet.wsgi.server,
            _Listener(listener),
            app,
            protocol=_Protocol,
            custom_pool=requests,
            log_output=False,
            debug=False,
            keepalive=False,  # each connection has one request, as in threading_host
            socket_timeout=REQUEST_SECONDS,
            environ={"wsgi.errors": nowhere},
        )
        server.link(lambda _: stop.request())  # called when the server's greenlet ends
        eventlet.hubs.trampoline(stop.socket, read=True)  # waits until a stop is requested
        server.kill()
        # the killed server still waits for its requests to end, which those of websockets would not
        # do by themselves; so all are killed
        for request in list(requests.coroutines_running):
            request.kill()
        with contextlib.suppress(GreenletExit):
            server.wait()  # raises the error that ended the server, if any


class _Listener(eventlet.greenio.GreenSocket):  # type: ignore[misc]
    """A listening socket that goes on after errors that pass, which would end eventlet's server."""

    def accept(self) -> Any:
        while True:
            try:
                return super().accept()
            except OSError as error:
                if error.errno not in PASSING_ERRORS:
                    raise
                sleep(FULL_SECONDS)


class _Protocol(eventlet.wsgi.HttpProtocol):  # type: ignore[misc]
    """Prints nothing about clients, and closes the files of a connection at its end.

    eventlet would leave the files to Python's garbage collector.
    """

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            for file in (self.wfile, self.rfile):
                with contextlib.suppress(OSError, ValueError):
                    file.close()
