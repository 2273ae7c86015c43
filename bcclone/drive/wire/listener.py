"""Listen on an address, tell the user about it, and watch over the requests that come in."""

import errno
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from bcclone.drive.wire.access import Connections, WSGIApp
from bcclone.system.errors import UserError
from bcclone.system.settings import SIMULATOR_PORT

logger = logging.getLogger(__name__)

_BACKLOG = 128


def listen(host: str, port: int, for_simulator: bool = True) -> socket.socket:
    """Return a listening socket, which the caller closes; raises UserError when the address cannot be used.

    for_simulator: the Unity program shall connect, which knows only one port.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            hint = f" (the simulator itself always connects to {SIMULATOR_PORT})" if for_simulator else ""
            raise UserError(
                f"port {port} of {host} is in use, perhaps by another drive.py or bcclone play; end that, or choose "
                f"another --port{hint}"
            ) from None
        reason = str(error.strerror or error).partition(" (while")[0]  # Python adds the address
        raise UserError(f"cannot listen on {host}:{port}: {reason}; choose another --host or --port") from None


def address_of(listener: socket.socket) -> str:
    """Return the address and the port that a socket listens on, as in a URL."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url_of(listener: socket.socket) -> str:
    """Return the URL of the page for a browser on this machine."""
    return f"http://{address_of(listener).replace('0.0.0.0', '127.0.0.1')}/"


class Notifier:
    """Passes lines of all threads on to the user, one at a time, until it is closed.

    Python may abort when the process ends while a daemon thread prints.
    """

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._notify, self._lock, self._closed = notify, threading.Lock(), False

    def notify(self, text: str) -> None:
        """Pass a line on; an OSError, as of a closed pipe, must not cost the car its answer."""
        with self._lock, suppress(OSError):
            if not self._closed:
                self._notify(text)

    def close(self) -> None:
        """Wait for the line that is being passed on; drop later ones."""
        with self._lock:
            self._closed = True


def marking_requests(app: WSGIApp, connections: Connections) -> WSGIApp:
    """Return the app; the connection of each request that has arrived whole is marked as served."""

    def marking(environ: dict[str, Any], start_response: Any) -> Any:
        connections.requested(environ)
        return app(environ, start_response)

    return marking


def logging_errors(app: WSGIApp) -> WSGIApp:
    """Return the app; its own errors are logged, since the hosts print nothing."""

    def logging_app(environ: dict[str, Any], start_response: Any) -> Any:
        try:
            return app(environ, start_response)
        except OSError:  # the client has gone
            raise
        except Exception:
            logger.exception("the server failed on a request")
            raise

    return logging_app
