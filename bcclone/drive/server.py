"""Run a drive server: open the model, listen, and serve the car and the web page until the server is stopped."""

import errno
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import socketio

from bcclone.drive.dashboard.app import make_app
from bcclone.drive.dashboard.state import Dashboard
from bcclone.drive.session import open_session
from bcclone.drive.settings import DriveResult, DriveSettings, is_this_machine
from bcclone.drive.wire import limits
from bcclone.drive.wire.access import Access, Connections, WSGIApp, guarded
from bcclone.drive.wire.engine import Host
from bcclone.drive.wire.service import DriveService
from bcclone.errors import UserError
from bcclone.interrupts import StopSocket
from bcclone.protocol import SIMULATOR_PORT

if TYPE_CHECKING:
    from bcclone.policy import Policy

logger = logging.getLogger(__name__)

_BACKLOG = 128


def serve(
    settings: DriveSettings, notify: Callable[[str], None] = print, stop: threading.Event | None = None
) -> DriveResult:
    """Serve a model to the simulators that connect, until Ctrl-C, SIGTERM or `stop`; return the result.

    notify: called with lines for the user, never by two threads at a time, and not after serve() has returned; stop: an
    event that any thread may set to end the drive. Signals are handled if this is called in the main thread. Raises
    UserError when the model, the address or the run folder cannot be used.
    """
    began = time.monotonic()
    from bcclone.tensorflow_quietly import describe_devices, load_tensorflow

    load_tensorflow(threads=1)  # for single frames a fifth faster than two, and leaves a core to the simulator
    from bcclone.policy import load_policy

    policy = load_policy(settings.model, settings.preprocess)
    notify(f"{settings.model}: frames are prepared as {policy.preprocessing.describe()}")
    if settings.run_folder is None:
        notify(f"nothing is recorded; name a folder to record into: python drive.py {settings.model} run1")
    if (device := describe_devices()) != "CPU":
        notify(f"driving on {device}")
    if not is_this_machine(settings.host):
        notify(f"warning: every machine that knows the token can use {settings.host}; the token is sent unencrypted")
    return serve_policy(policy, settings, notify, stop, began)


def serve_policy(
    policy: "Policy",
    settings: DriveSettings,
    notify: Callable[[str], None] = print,
    stop: threading.Event | None = None,
    began: float | None = None,
) -> DriveResult:
    """Do as serve() does, with a policy that is open already. began: when the program began, by time.monotonic()."""
    host = _host(settings.async_mode)
    with (
        closing(listen(settings.host, settings.port)) as listener,
        open_session(policy, settings, began) as session,
        closing(_Notifier(notify)) as notifier,
    ):
        _allow_files()
        service = DriveService(session, settings.async_mode, host, notifier.notify)
        access = Access(settings.host, settings.token, settings.allow_from)
        page = make_app(Dashboard(session, service), access, service.server.sleep)
        inner = _marking_requests(socketio.WSGIApp(service.server, page), service.connections)
        app = _logging_errors(guarded(inner, access, service.server.sleep))
        with StopSocket(stop) as stop_socket:
            service.server.start_background_task(service.watch)
            notifier.notify(_listening(listener))
            host.run(app, listener, service.connections, stop_socket)
            service.stop()
    return session.result()


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket, which the caller closes; raises UserError when the address cannot be used."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"port {port} of {host} is in use, perhaps by another drive.py; end that, or choose another --port "
                f"(the simulator itself always connects to {SIMULATOR_PORT})"
            ) from None
        reason = str(error.strerror or error).partition(" (while")[0]  # Python adds the address
        raise UserError(f"cannot listen on {host}:{port}: {reason}; choose another --host or --port") from None


class _Notifier:
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


def _host(async_mode: str) -> Host:
    """Return the module that serves in this mode.

    eventlet makes a copy of `threading` when it is imported, and join() on the importing thread then never returns.
    So a thread of its own imports it, unless this is the main thread.
    """
    name = f"bcclone.drive.wire.{async_mode}_host"
    if threading.current_thread() is threading.main_thread():
        return cast(Host, import_module(name))
    loaded: Future[Any] = Future()

    def load() -> None:
        try:
            loaded.set_result(import_module(name))
        except BaseException as error:
            loaded.set_exception(error)

    threading.Thread(target=load, daemon=True).start()
    return cast(Host, loaded.result())


def _allow_files() -> None:
    """Raise the limit of open files for this process to what `limits` needs, where the system has one."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.FILES if hard == resource.RLIM_INFINITY else min(limits.FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _marking_requests(app: WSGIApp, connections: Connections) -> WSGIApp:
    """Return the app; the connection of each request that has arrived whole is marked as served."""

    def marking(environ: dict[str, Any], start_response: Any) -> Any:
        connections.requested(environ)
        return app(environ, start_response)

    return marking


def _logging_errors(app: WSGIApp) -> WSGIApp:
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


def _listening(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return (
        f"listening on {shown}:{port}; start the simulator, choose a track and AUTONOMOUS MODE\n"
        f"watch it drive: http://{shown.replace('0.0.0.0', '127.0.0.1')}:{port}/"
    )
