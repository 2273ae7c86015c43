"""Sockets <-> driver. The only module that knows eventlet and flask (docs/decisions/0003)."""

import contextlib
import errno
import signal
import socket
import warnings
from types import TracebackType
from typing import Any, Self

import flask
import socketio

from bcclone.drive.dialect import make_socketio_server
from bcclone.drive.driver import Driver
from bcclone.errors import UserError

with warnings.catch_warnings():  # that it is maintained and no more; decision 0003 says why it is used
    warnings.simplefilter("ignore")
    import eventlet
    import eventlet.hubs
    import eventlet.wsgi
    from eventlet.support.greenlets import GreenletExit
    from eventlet.websocket import FailedConnectionError, RFC6455WebSocket


_LARGEST_READ = 65_536
_SOCKET_TIMEOUT = 120.0  # seconds; above the simulator's 60


class _EagerSocket:
    """A socket that takes all that has come at once, and acknowledges it at once.

    eventlet asks for each frame in four pieces, and a camera frame comes in 17 or more; and the simulator's many
    small writes wait 44 ms for each other unless each is acknowledged.
    """

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._come = memoryview(b"")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv(self, size: int) -> bytes:
        """Return up to `size` bytes; b"" when the connection is at its end."""
        if not self._come:
            self._come = memoryview(self._sock.recv(_LARGEST_READ))
            if hasattr(socket, "TCP_QUICKACK"):  # Linux
                with contextlib.suppress(OSError):  # closed meanwhile
                    self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # does not last beyond this recv
        data, self._come = self._come[:size], self._come[size:]
        return bytes(data)


def listen(host: str, port: int) -> Any:
    """Return a listening socket, to be closed by the caller; raises UserError when the address cannot be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return eventlet.listen((host, port), family, reuse_port=False)  # its default shares the port with others
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"port {port} of {host} is in use, perhaps by another drive.py; end that, or choose another --port "
                "(the simulator itself always connects to 4567)"
            ) from None
        raise UserError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --host or --port"
        ) from None


def serve(driver: Driver, listener: Any) -> None:
    """Serve what comes to the listening socket, until Ctrl-C or SIGTERM."""
    host, port = listener.getsockname()[:2]
    with _End() as end:
        server = eventlet.spawn(
            eventlet.wsgi.server,
            listener,
            _make_app(driver),
            log_output=False,
            socket_timeout=_SOCKET_TIMEOUT,
            environ={"wsgi.errors": _Unheard()},
        )
        server.link(lambda _: end.ask())
        _tell(f"listening on {host}:{port}; start the simulator, choose a track and AUTONOMOUS MODE")
        end.wait()
        server.kill()
        with contextlib.suppress(GreenletExit):
            server.wait()  # raises what the server itself ended by, if it did


def _tell(text: str) -> None:
    """Print, unless nobody reads it any more; the car must get its answer all the same."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def _make_app(driver: Driver) -> Any:
    server = make_socketio_server("eventlet", _tune)
    drivers: set[str] = set()

    @server.on("telemetry")  # type: ignore[untyped-decorator]
    def on_telemetry(sid: str, payload: Any = None, *_: Any) -> None:
        if sid not in drivers:
            drivers.add(sid)
            _tell("a car is connected")
        reply = driver.reply(payload)
        server.emit(reply.event, reply.data, to=sid)

    @server.on("disconnect")  # type: ignore[untyped-decorator]
    def on_disconnect(sid: str, *_: Any) -> None:
        if sid in drivers:
            drivers.discard(sid)
            _tell(f"the car has left; {driver.answered} frames answered, {driver.faults} faults")

    page = flask.Flask(__name__)

    @page.get("/")
    def status() -> dict[str, Any]:
        return {"cars": len(drivers), "answered": driver.answered, "faults": driver.faults}

    return socketio.WSGIApp(server, page)


def _tune(websocket: Any) -> None:
    """Make eventlet's websocket fast enough for 17 kB messages in 17 masked frames."""
    websocket.socket = _EagerSocket(websocket.socket)
    if hasattr(websocket, "_apply_mask"):
        websocket._apply_mask = _unmask  # eventlet's own takes 3 ms a frame, byte by byte
        websocket.Message = _BoundedMessage


class _BoundedMessage(RFC6455WebSocket.Message):  # type: ignore[misc]
    """A message in fragments, which together may be as long as one frame may; eventlet bounds each frame alone."""

    length = 0

    def push(self, data: bytes, final: bool = False) -> None:
        """Add a fragment; a message that grows too long ends the connection."""
        self.length += len(data)
        super().push(data, final)
        if self.length > self.max_frame_length:
            raise FailedConnectionError(1009, f"a message of more than {self.max_frame_length} bytes")


def _unmask(data: bytes, mask: Any, length: int | None = None, offset: int = 0) -> bytes:
    """Return data XOR the repeated mask, as one operation on one large integer."""
    size = len(data)
    turned = bytes(mask[(offset + place) % 4] for place in range(4))
    repeated = (turned * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")).to_bytes(size, "little")


class _End:
    """Ctrl-C, SIGTERM, or the server's own end, waited for in the event loop.

    Not by an exception: that would come up in whatever the server is doing, and engineio swallows it there.
    Python writes to a socket when a signal comes, which wakes the event loop on every system. A second Ctrl-C
    ends the process at once.
    """

    def __enter__(self) -> Self:
        self._told, self._telling = socket.socketpair()
        self._told.setblocking(False)
        self._telling.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._telling.fileno(), warn_on_full_buffer=False)
        self._handlers = {which: signal.signal(which, lambda *_: None) for which in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        self._told.close()
        self._telling.close()

    def ask(self) -> None:
        """Let wait() return."""
        with contextlib.suppress(OSError):  # it has, and all is closed
            self._telling.send(b"0")

    def wait(self) -> None:
        """Return when the end is asked for, by a signal or by ask()."""
        eventlet.hubs.trampoline(self._told, read=True)
        self._restore()

    def _restore(self) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for which, handler in self._handlers.items():
            signal.signal(which, handler)


class _Unheard:
    """Takes eventlet's complaints about sockets that closed before it closed them."""

    def write(self, text: str) -> None:
        """Drop the text."""

    def flush(self) -> None:
        """Do nothing."""
