"""Listen on an address, check each request, and serve an app until the server is stopped.

A `WebServer` is given its address, the rules of access, and later a WSGI app. It answers requests
with the app's responses, or with the reason for a refusal. The app may take seconds to load; until
it is there, the server answers browsers with a page that says so. `bcclone drive`, `bcclone play`
and `bcclone edit` use this.
"""

import errno
import logging
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from importlib import import_module
from typing import Any, Protocol, Self

from bcclone.system.errors import UserError
from bcclone.system.process import Notify, StopSocket
from bcclone.system.settings import SIMULATOR_PORT
from bcclone.web.access import SOCKETIO_PATH, WRONG_TOKEN_SECONDS, Access
from bcclone.web.websocket import Websocket

logger = logging.getLogger(__name__)

WSGIApp = Callable[[dict[str, Any], Any], Any]


class Host(Protocol):
    """The functions of the modules threading_host and eventlet_host, which serve a WSGI app.

    One of these modules is the host of a server. While a request waits by sleep(), or by what
    make_lock() and make_event() return, other requests are answered.
    """

    def sleep(self, seconds: float, /) -> Any: ...
    def make_lock(self) -> Any: ...
    def make_event(self) -> Any: ...
    def socket_of(self, environ: dict[str, Any]) -> Any: ...
    def end_upgraded(self) -> list[bytes]: ...
    def start(self, function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]: ...
    def run(self, app: WSGIApp, listener: socket.socket, stop: StopSocket) -> None: ...


def load_host(async_mode: str) -> Host:
    """Return the module threading_host or eventlet_host; raises UserError without its package.

    eventlet makes a copy of the module `threading` when it is imported; after that, join() on the
    thread that has imported it never returns. So unless this is the main thread, a new thread
    imports it.

    async_mode: "threading" or "eventlet"
    """
    name = f"bcclone.web.{async_mode}_host"
    loaded: Future[Any] = Future()

    def load() -> None:
        try:
            loaded.set_result(import_module(name))
        except BaseException as error:
            loaded.set_exception(error)

    if threading.current_thread() is threading.main_thread():
        load()
    else:
        threading.Thread(target=load, daemon=True).start()
    try:
        host: Host = loaded.result()
        return host
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] != async_mode:
            raise
        raise UserError(
            f"--async-mode {async_mode} needs a package that is not installed: "
            f"pip install {async_mode}; or leave the option out, to serve with threads"
        ) from None


_CHECK_SECONDS = 0.5  # time between two calls of the app's check, see show()
# longest wait for the server's thread at the end: after Ctrl-C during an import, the thread may
# wait for the lock of that import for ever
_ENDING_SECONDS = 10.0
# key in a request's environ that says: the socket became a websocket, so no response follows
_UPGRADED = "bcclone.websocket"
_LOADING_SECONDS = 0.05  # how often a waiting car's request checks whether the app is there
_LOADING = b"""<!doctype html>
<html lang="en"><title>bcclone: loading</title><meta name="viewport" content="width=device-width">
<p>bcclone is loading its model. This page shows the drive as soon as it is there.
"""


class WebServer:
    """A context manager that answers requests on an address, in a thread of its own, until stopped.

    Until show() gives it an app, browsers are told that the app is being loaded, and cars that
    connect wait for an answer. Entering the block raises UserError if the address cannot be used.
    """

    def __init__(
        self,
        host: Host,
        address: tuple[str, int],
        access: Access,
        notify: Notify,
        stop: threading.Event | None = None,
    ) -> None:
        """Make a server, which serves within its `with` block.

        host: the module that serves, see load_host()
        address: host name or IP address, and port; 0 for any free port
        access: decides who may send requests
        notify: called with lines for the user, never by two threads at a time, and not after the
            block
        stop: an event that any thread may set to end the server
        """
        self.host = host
        self.access = access
        self._address = address
        self._notify = notify
        self._lock = threading.Lock()  # held while notify runs
        self._ended = False  # from the end of the block on, no line is passed on
        self._stop = StopSocket(stop)
        self._resources = ExitStack()
        self._app: WSGIApp | None = None
        self._check: Callable[[], None] = lambda: None
        self._served: Future[None] = Future()  # done when the server has ended; has its error

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            self._listener = resources.enter_context(listen(*self._address))
            self._address = self._listener.getsockname()[:2]  # port 0 has become a real port
            resources.enter_context(self._stop)
            thread = threading.Thread(target=self._serve, name="bcclone-server", daemon=True)
            resources.callback(thread.join, _ENDING_SECONDS)
            resources.callback(self.stop)
            thread.start()
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        # wait until a line that is being printed is complete, and drop later lines: if the process
        # ends while a daemon thread prints, Python may abort
        with self._lock:
            self._ended = True
        self._resources.close()

    @property
    def address(self) -> str:
        """Return host and port as they stand in a URL."""
        host, port = self._address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def port(self) -> int:
        return self._address[1]

    @property
    def url(self) -> str:
        """Return the URL of the page, for a browser on this machine."""
        host, _ = self._address
        if host == "0.0.0.0":  # every address of this machine
            return f"http://127.0.0.1:{self.port}/"
        return f"http://{self.address}/"

    def notify(self, text: str) -> None:
        """Pass a line on to the user; any thread may call this."""
        # an OSError, such as that of a closed pipe, must not end the request of a car
        with self._lock, suppress(OSError):
            if not self._ended:
                self._notify(text)

    def stop(self) -> None:
        """Stop the server, and let wait() return; any thread may call this."""
        self._stop.request()

    def stop_on_signals(self) -> None:
        """Let Ctrl-C and SIGTERM stop the server from now on, if this is the main thread."""
        self._stop.take_signals()

    def show(self, app: WSGIApp, check: Callable[[], None] = lambda: None) -> None:
        """Serve an app from now on.

        check: called every half second, so that the app can check its connections
        """
        self._check = check
        self._app = app

    def wait(self) -> None:
        """Wait until the server is stopped; raises the error that ended it, if any."""
        self._stop.wait()
        self._served.result()

    def _serve(self) -> None:
        """Answer requests until the server is stopped; runs in the server's thread."""
        ended = self.host.make_event()
        end_of_checks = self.host.start(self._watch, ended)
        try:
            self.host.run(self._checked, self._listener, self._stop)
            self._served.set_result(None)
        except BaseException as error:
            self._served.set_exception(error)
        finally:
            self._stop.request()
            ended.set()
            end_of_checks()

    def _watch(self, ended: Any) -> None:
        """Call the app's check every half second until the server has ended.

        ended: an event of the host, which is then set
        """
        while not ended.wait(_CHECK_SECONDS):
            try:
                self._check()
            except Exception:  # a fault must not prevent the next check
                logger.exception("a check of the connections failed; it goes on")

    def accept_websocket(self, environ: dict[str, Any]) -> Websocket:
        """Return the websocket that a request opens; raises BadHandshake or OSError."""
        headers = [
            (name[5:].replace("_", "-"), value)
            for name, value in environ.items()
            if name.startswith("HTTP_")
        ]
        websocket = Websocket(self.host.socket_of(environ), headers, self.host.make_lock())
        environ[_UPGRADED] = True
        return websocket

    def _checked(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer a request, or refuse it. Errors of the app are logged, since hosts print none."""
        try:
            refusal = self.access.refusal(environ)
            if refusal is not None:
                return self._refuse(refusal, start_response)
            return self._answer(environ, start_response)
        except OSError:  # the client has gone
            raise
        except Exception:
            logger.exception("the server failed on a request")
            raise

    def _refuse(self, refusal: tuple[str, str], start_response: Any) -> list[bytes]:
        """Return the response to a refused request; refusal: as Access.refusal() returns it."""
        status, reason = refusal
        if status.startswith("401"):  # the token is wrong: let whoever guesses wait
            self.host.sleep(WRONG_TOKEN_SECONDS)
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{reason}\n".encode()]

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Return the app's response; while the app loads, cars wait, and browsers ask again."""
        is_car = environ.get("PATH_INFO", "").startswith(SOCKETIO_PATH)
        while is_car and self._app is None and not self._served.done():
            self.host.sleep(_LOADING_SECONDS)
        if self._app is None:
            headers = [("Content-Type", "text/html"), ("Retry-After", "1"), ("Refresh", "1")]
            start_response("503 Service Unavailable", headers)
            return [_LOADING]
        response = self._app(environ, start_response)
        if _UPGRADED in environ:
            return self.host.end_upgraded()
        return response


_BACKLOG = 128  # most connections that may wait until they are accepted
_MOST_CONNECTIONS = 256  # where the system sets no limit on open files
# share of the files that a process may have open, for connections: the recording, the model and the
# pages need files, too, and a connection may have two for a moment
_CONNECTIONS_SHARE = 1 / 4
# errors of accept() that pass: the client has gone again, or no file or memory is free just now
PASSING_ERRORS = frozenset(
    (
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.ENOTCONN,
        errno.EPIPE,
        errno.EPROTO,
        errno.ESHUTDOWN,
    )
)
FULL_SECONDS = 0.05  # how long a server that can accept no connection waits until it tries again


def most_connections() -> int:
    """Return how many connections a server serves at a time; further ones wait for their turn."""
    if sys.platform == "win32":
        return _MOST_CONNECTIONS
    import resource

    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(1, min(_MOST_CONNECTIONS, round(files * _CONNECTIONS_SHARE)))


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket, which the caller has to close.

    Raises UserError if the address is not one of this machine, or its port is in use.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, TypeError) as error:  # TypeError: no machine can have that name
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise UserError(
                f"port {port} of {host} is in use, perhaps by another drive.py or bcclone play; "
                "end that, or choose another --port "
                f"(the simulator itself always connects to {SIMULATOR_PORT})"
            ) from None
        text = str(getattr(error, "strerror", None) or error)
        reason, _, _ = text.partition(" (while")  # Python may add "(while attempting to bind ...)"
        raise UserError(
            f"cannot listen on {host}:{port}: {reason}; choose another --host or --port"
        ) from None
