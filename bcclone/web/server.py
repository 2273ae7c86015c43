"""Listen on an address, check each request, and serve an app and its websockets until stopped.

werkzeug serves, with a thread for each connection, or eventlet, with all connections in one thread.
"""

import contextlib
import errno
import logging
import math
import os
import re
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from bcclone.system.errors import UserError, printable, shown
from bcclone.system.interrupts import noting_interrupts
from bcclone.system.progress import Notify
from bcclone.system.settings import SIMULATOR_PORT
from bcclone.web.access import SOCKETIO_PATH, WRONG_TOKEN_SECONDS, Access, is_this_machine
from bcclone.web.websocket import Websocket

logger = logging.getLogger(__name__)

WSGIApp = Callable[[dict[str, Any], Any], Any]

_REQUEST_SECONDS = 10.0  # longest time without data, after which a request is ended
_MOST_GREENLETS = 256  # most connections at a time with eventlet; further ones wait for their turn
_CHECK_SECONDS = 0.5  # time between two calls of the app's check, see show()
_STOP_SECONDS = 0.1  # time between two looks whether the server is to stop
_ENDING_SECONDS = 10.0  # longest wait for the server's thread at the end
_LOADING_SECONDS = 0.05  # how often a waiting request checks whether the app is there
_STEP_SECONDS = 1.0  # longest wait of the page that asks what is loaded
# longest time for which a thread that serves a page or writes a frame keeps the driving thread from
# running; Python's default is 5 ms
_SWITCH_SECONDS = 0.0005
_PROBE_SECONDS = 1.0  # longest wait for the answer of a program that uses our port
_PROBE_BYTES = 4096
_MOST_STRANGERS = 3  # clients without HTTP of which the log tells
_SHOWN_BYTES = 60
HEADERS = {  # headers of every response, which limit what a browser does with it
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with "no-referrer" the login form has the origin "null"
    "Cache-Control": "no-store",
}
# of the page that is shown until the app is there: path -> its file, in this folder, and its type
_LOADING_FILES = {
    "/": ("templates/loading.html", "text/html; charset=utf-8"),
    "/static/loading.js": ("static/loading.js", "text/javascript; charset=utf-8"),
    "/static/style.css": ("static/style.css", "text/css; charset=utf-8"),
    "/static/icon.svg": ("static/icon.svg", "image/svg+xml"),
}
_STEP_PATH = "/state"  # where that page asks for the step
# key in a request's environ of the websocket that its socket became, so that no response follows
_UPGRADED = "bcclone.websocket"


class WebServer:
    """A context manager that answers requests on an address, in a thread of its own, until stopped.

    Until show() gives it an app, browsers are told what is being loaded, and cars that connect wait
    for an answer. Entering the block raises UserError if the address cannot be used.

    sleep() and the classes of `threads`, those of the module threading, let other requests be
    answered meanwhile, in each of the modes; use no others in a request.
    """

    def __init__(
        self,
        address: tuple[str, int],
        access: Access,
        notify: Notify,
        stop: threading.Event | None = None,
        async_mode: str = "threading",
    ) -> None:
        """Make a server, which serves within its `with` block.

        address: host name or IP address, and port; 0 for any free port
        notify: called with lines for the user, never by two threads at a time, and not after the
            block
        stop: an event that any thread may set to end the server
        async_mode: "threading", or "eventlet", which raises UserError where it is not installed
        """
        if async_mode == "eventlet" and find_spec("eventlet") is None:
            raise UserError(
                "--async-mode eventlet needs a package that is not installed: pip install "
                "eventlet; or leave the option out, to serve with threads"
            )
        self.access = access
        self.threads: Any = threading
        self.sleep: Callable[[float], Any] = time.sleep
        self._async_mode = async_mode
        self._address = address
        self._notify = notify
        self._lock = threading.Lock()  # held while notify runs
        self._ended = False  # from the end of the block on, no line is passed on
        self._stop = stop or threading.Event()
        self._closing = threading.Event()  # set at the end of the block
        self._app: WSGIApp | None = None
        self._step = ""  # what is done until show(), in a sentence
        self._check: Callable[[], None] = lambda: None
        self._served: Future[None] = Future()  # done when the server has ended; has its error

    def __enter__(self) -> Self:
        self._listener = listen(*self._address)
        self._address = self._listener.getsockname()[:2]  # port 0 has become a real port
        # it is never joined: the thread that imports eventlet ends without a word to those that
        # join it, because eventlet makes another module threading
        threading.Thread(target=self._serve, name="bcclone-server", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # complete a line that is being printed, and drop later lines: if the process ends while a
        # daemon thread prints, Python may abort
        with self._lock:
            self._ended = True
        self._closing.set()
        with suppress(Exception):  # wait() has raised it
            self._served.result(_ENDING_SECONDS)
        self._listener.close()

    @property
    def port(self) -> int:
        return self._address[1]

    @property
    def address(self) -> str:
        """Return host and port as they stand in a URL."""
        host, port = self._address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def url(self) -> str:
        """Return the URL of the page, for a browser on this machine."""
        # 0.0.0.0 is every address of this machine
        return f"http://{self.address.replace('0.0.0.0', '127.0.0.1')}/"

    def notify(self, text: str) -> None:
        """Pass a line on to the user; any thread may call this."""
        # an OSError, such as that of a closed pipe, must not end the request of a car
        with self._lock, suppress(OSError):
            if not self._ended:
                self._notify(text)

    def stop(self) -> None:
        """Let wait() return; any thread may call this."""
        self._stop.set()

    def loading(self, what: str, how_long: str) -> None:
        """Tell browsers, until show(), what is being done, and how long that usually takes.

        what: a sentence; where a token is needed it is not told, since none has been asked for yet
        """
        self._step = printable(how_long if self.access.token else f"{what} {how_long}")

    def show(self, app: WSGIApp, check: Callable[[], None] = lambda: None) -> None:
        """Serve an app from now on.

        check: called every half second, so that the app can check its connections
        """
        if not is_this_machine(self._address[0]):
            self.notify(
                "warning: every machine that knows the token can drive; "
                "the token is sent unencrypted"
            )
        if self.access.allow_host:
            names = ", ".join(sorted(self.access.allow_host))
            self.notify(f"warning: whoever reaches {names} and knows the token has this page")
        self._check = check
        self._app = app

    def wait(self, said: str = "") -> None:
        """Wait for stop(), the program's event, or, in the main thread, Ctrl-C or SIGTERM.

        Raises the error that ended the server, if any.

        said: a line for the user; whoever has read it can end the wait
        """
        with noting_interrupts() as interrupted:
            if said:
                self.notify(said)
            while not interrupted() and not self._served.done():
                if self._stop.wait(_STOP_SECONDS):
                    return
        if self._served.done():
            self._served.result()

    def accept_websocket(self, environ: dict[str, Any]) -> Websocket:
        """Return the websocket that a request opens, and whose end closes it.

        Raises BadHandshake or OSError.
        """
        websocket = Websocket(environ, self.threads)
        environ[_UPGRADED] = websocket
        return websocket

    def _serve(self) -> None:
        """Answer requests until the end of the block; runs in the server's thread."""
        serve = self._serve_with_threads
        if self._async_mode == "eventlet":
            serve = self._serve_with_eventlet
        before = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_SECONDS)
        try:
            serve()
            self._served.set_result(None)
        except BaseException as error:
            self._served.set_exception(error)
        finally:
            sys.setswitchinterval(before)

    def _serve_with_threads(self) -> None:
        server = _ThreadedServer(*self._address, self._checked, self._listener)
        with server, self._checking():
            forever = partial(server.serve_forever, _STOP_SECONDS)
            threading.Thread(target=forever, name="bcclone-requests", daemon=True).start()
            self._closing.wait()
            server.shutdown()
            server.shut_down_connections()

    def _serve_with_eventlet(self) -> None:
        """Serve in this thread alone, without monkey patching."""
        with warnings.catch_warnings():
            # that it is in maintenance mode: docs/decisions/0019-eventlet-until-april-2027.md
            warnings.simplefilter("ignore")
            import eventlet.green.threading
            import eventlet.wsgi
        self.threads = eventlet.green.threading
        self.sleep = eventlet.sleep

        def app(environ: dict[str, Any], start_response: Any) -> Any:
            try:
                return self._checked(environ, start_response)
            except ConnectionAbortedError:
                eventlet.wsgi.WSGI_LOCAL.already_handled = True
                return []

        requests = eventlet.GreenPool(_MOST_GREENLETS)
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere, self._checking():
            server = eventlet.spawn(
                eventlet.wsgi.server,
                eventlet.greenio.GreenSocket(self._listener),
                app,
                nowhere,
                {"wsgi.errors": nowhere},
                custom_pool=requests,
                debug=False,
                keepalive=False,
                socket_timeout=_REQUEST_SECONDS,
            )
            while not self._closing.is_set() and not server.dead:
                eventlet.sleep(_STOP_SECONDS)
            server.kill()
            # it still waits for its requests, and those of websockets do not end by themselves
            for request in list(requests.coroutines_running):
                request.kill()
            with suppress(eventlet.greenlet.GreenletExit):
                server.wait()  # raises the error that ended it, if any

    @contextlib.contextmanager
    def _checking(self) -> Any:
        """Call the app's check every half second within the block."""
        ended = self.threads.Event()

        def watch() -> None:
            while not ended.wait(_CHECK_SECONDS):
                try:
                    self._check()
                except Exception:  # a fault must not prevent the next check
                    logger.exception("a check of the connections failed; it goes on")

        thread = self.threads.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _checked(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer a request, or refuse it. Errors of the app are logged, since hosts print none."""
        try:
            refusal = self.access.refusal(environ)
            if refusal is None:
                return self._answer(environ, start_response)
            status, reason = refusal
            if status.startswith("401"):  # the token is wrong: let whoever guesses wait
                self.sleep(WRONG_TOKEN_SECONDS)
            start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
            return [f"{reason}\n".encode()]
        except OSError:  # the client has gone
            raise
        except Exception:
            logger.exception("the server failed on a request")
            raise

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Return the app's response; while the app loads, cars wait, and browsers ask again."""
        path = environ.get("PATH_INFO", "")
        self._await_app(path)
        if self._app is None:
            return self._answer_while_loading(path, start_response)
        try:
            response = self._app(environ, start_response)
        finally:
            if _UPGRADED in environ:
                environ[_UPGRADED].close()
        if _UPGRADED in environ:
            raise ConnectionAbortedError  # then nothing is sent, as if the client had gone
        return response

    def _await_app(self, path: str) -> None:
        """Let a car wait until the app is there, and the page that asks until there is news."""
        seconds = math.inf if path.startswith(SOCKETIO_PATH) else 0.0
        step: str | None = None
        if path == _STEP_PATH:
            seconds, step = _STEP_SECONDS, self._step
        until = time.monotonic() + seconds
        while self._app is None and not self._closing.is_set() and time.monotonic() < until:
            if step not in (None, self._step):
                return
            self.sleep(_LOADING_SECONDS)

    def _answer_while_loading(self, path: str, start_response: Any) -> list[bytes]:
        """Return the page that tells what is done, or a file of it, or else the step alone."""
        body = self._step.encode()
        kind = "text/plain; charset=utf-8"
        if path in _LOADING_FILES:
            name, kind = _LOADING_FILES[path]
            body = (Path(__file__).parent / name).read_bytes()
        is_page = path == "/"
        if is_page:
            body = body.replace(b"STEP", escape(self._step).encode())
        is_file = path in _LOADING_FILES and not is_page
        status = "200 OK" if is_file else "503 Service Unavailable"
        headers = HEADERS | {"Content-Type": kind, "Retry-After": "1"}
        start_response(status, list(headers.items()))
        return [body]


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises UserError if the address is not one of this machine, or its port is in use.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, TypeError) as error:  # TypeError: no machine can have that name
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise UserError(
                f"port {port} of {host} is in use, {_user_of(host, port)}; "
                "end that, or choose another --port "
                f"(the simulator itself always connects to {SIMULATOR_PORT})"
            ) from None
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot listen on {host}:{port}: {reason}; choose another --host or --port"
        ) from None


def _user_of(host: str, port: int) -> str:
    """Return in words which program uses a port, as far as its answer to a request tells it."""
    answer = b""
    end = time.monotonic() + _PROBE_SECONDS
    with suppress(OSError), socket.create_connection((host, port), _PROBE_SECONDS) as probe:
        probe.settimeout(_PROBE_SECONDS)
        probe.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        while (
            len(answer) < _PROBE_BYTES
            and time.monotonic() < end
            and (more := probe.recv(_PROBE_BYTES))
        ):
            answer += more
    text = answer.decode("utf-8", "replace")
    named = re.search(r"<title>\s*([^<]+)", text) or re.search(r"(?im)^server: *(.+)", text)
    if what := named[1].strip() if named else text.partition("\n")[0].strip():
        return f"by a program that answers {shown(what)}"
    return "perhaps by another drive.py or bcclone play"


class _Handler(WSGIRequestHandler):
    """Ends silent requests, and prints nothing about clients, but for what is not HTTP."""

    timeout = _REQUEST_SECONDS
    protocol_version = "HTTP/1.0"  # one request for each connection

    def send_error(self, code: int, message: Any = None, explain: Any = None) -> None:
        """Refuse what is not a request of HTTP, and log the first ones."""
        if self.server.strangers < _MOST_STRANGERS:  # type: ignore[attr-defined]
            self.server.strangers += 1  # type: ignore[attr-defined]
            sent = self.raw_requestline[:_SHOWN_BYTES]
            what = "TLS: open the page by http://" if sent.startswith(b"\x16\x03") else repr(sent)
            logger.warning("a client sent no request of HTTP, but %s", what)
        super().send_error(code, message, explain)

    def log(self, *_: Any) -> None:
        """Print nothing."""


class _ThreadedServer(ThreadedWSGIServer):
    """werkzeug's server, which knows its connections, and prints nothing about clients."""

    def __init__(self, host: str, port: int, app: WSGIApp, listener: socket.socket) -> None:
        super().__init__(host, port, app, _Handler, fd=listener.fileno())
        self.strangers = 0  # clients that sent something else than HTTP
        self._connections: set[socket.socket] = set()

    def get_request(self) -> tuple[Any, Any]:
        try:
            connection, address = super().get_request()
        except OSError:  # such as: no file is free; the next try would come at once
            time.sleep(_STOP_SECONDS)
            raise
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def shut_down_connections(self) -> None:
        """Shut all connections down, so that their threads end."""
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def log(self, *_: Any) -> None:
        """Print nothing; WebServer logs the faults of the app."""

    def handle_error(self, *_: Any) -> None:
        """Print nothing about a client that has gone, is too slow or does not speak HTTP."""
