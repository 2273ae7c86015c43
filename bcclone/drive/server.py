"""Driver's seat -> a server on a port: Socket.IO for the cars, the page for people, one door for both."""

import errno
import logging
import socket
import sys
from collections.abc import Callable
from typing import Any

import socketio

from bcclone.drive.dashboard.app import make_page
from bcclone.drive.dashboard.state import Panel
from bcclone.drive.session import Cockpit
from bcclone.drive.settings import DriveSettings
from bcclone.drive.wire import limits
from bcclone.drive.wire.access import Access, Connections, WSGIApp, guarded
from bcclone.drive.wire.engine import make_socketio_server
from bcclone.drive.wire.service import DriveService
from bcclone.errors import UserError
from bcclone.interrupts import StopSocket

logger = logging.getLogger(__name__)

_BACKLOG = 128


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket, to be closed by the caller; raises UserError when the address cannot be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"port {port} of {host} is in use, perhaps by another drive.py; end that, or choose another --port "
                "(the simulator itself always connects to 4567)"
            ) from None
        reason = str(error.strerror or error).partition(" (while")[0]  # Python adds the address
        raise UserError(f"cannot listen on {host}:{port}: {reason}; choose another --host or --port") from None


def _allow_files() -> None:
    """Allow this process as many open files as its limits may need, where the system counts them."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.FILES if hard == resource.RLIM_INFINITY else min(limits.FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def serve(cockpit: Cockpit, listener: socket.socket, settings: DriveSettings, tell: Callable[[str], None]) -> None:
    """Serve what comes to the listening socket, until Ctrl-C or SIGTERM. tell: says in words what happens."""
    if settings.async_mode == "eventlet":
        from bcclone.drive.wire import eventlet_host as host
    else:
        from bcclone.drive.wire import threading_host as host  # type: ignore[no-redef]
    _allow_files()
    connections = Connections()
    server = make_socketio_server(settings.async_mode, host.socket_of, host.make_lock)
    service = DriveService(server, cockpit.seat, cockpit.monitor, connections, tell)
    access = Access(settings.host, settings.token, settings.allow_from)
    page = make_page(Panel(cockpit, service), access, server.sleep)
    with StopSocket() as end:
        inner = _noting(socketio.WSGIApp(server, page), connections)
        app = _telling_faults(guarded(inner, access, server.sleep))
        server.start_background_task(service.watch)
        tell(_announcement(listener))
        host.run(app, listener, connections, end)
        service.stop()


def _noting(app: WSGIApp, connections: Connections) -> WSGIApp:
    """Return the app, each of whose requests has come whole."""

    def noted(environ: dict[str, Any], start_response: Any) -> Any:
        connections.requested(environ)
        return app(environ, start_response)

    return noted


def _telling_faults(app: WSGIApp) -> WSGIApp:
    """Return the app; what it fails on by our fault is logged, since the hosts keep quiet."""

    def told(environ: dict[str, Any], start_response: Any) -> Any:
        try:
            return app(environ, start_response)
        except OSError:  # the client has gone
            raise
        except Exception:
            logger.exception("the server failed on a request")
            raise

    return told


def _announcement(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return (
        f"listening on {shown}:{port}; start the simulator, choose a track and AUTONOMOUS MODE\n"
        f"watch it drive: http://{shown.replace('0.0.0.0', '127.0.0.1')}:{port}/"
    )
