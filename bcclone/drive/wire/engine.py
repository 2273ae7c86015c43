"""Engine.IO and Socket.IO servers with our websocket, both dialects and our limits built in."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import parse_qs

import engineio
import socketio
from engineio.exceptions import SocketIsClosedError
from engineio.packet import PING, Packet

from bcclone.drive.driver import Decision
from bcclone.drive.wire import limits
from bcclone.drive.wire.access import Connections, WSGIApp, peer_of
from bcclone.drive.wire.limits import client_logger
from bcclone.drive.wire.socketio_dialects import TelemetryPacket, Translator
from bcclone.drive.wire.websocket import UPGRADED, BadHandshake, Websocket, headers_of
from bcclone.system.interrupts import StopSocket

_EIO3 = "bcclone.eio3"


class Host(Protocol):
    """A module that serves a WSGI app: threading_host or eventlet_host."""

    def socket_of(self, environ: dict[str, Any]) -> Any:
        """Return the socket of a request."""

    def make_lock(self) -> Any:
        """Return a lock that blocks only the current request."""

    def run(self, app: WSGIApp, listener: Any, connections: Connections, stop: StopSocket) -> None:
        """Serve the listening socket until a stop is requested."""


def make_socketio_server(
    async_mode: str,
    host: Host,
    driving_session: Callable[[], str | None],
    on_answer: Callable[[str, Decision | None, float], None],
) -> socketio.Server:
    """Return a Socket.IO server for both dialects; its `eio` is a TranslatingEngine, which gets the last three values.

    It pings every 25 s and waits 60 s for the answer, since an idle Engine.IO 3 client pings no more often. Handlers
    run one after the other, so that replies keep the order of the telemetry.
    """
    return _SocketIOServer(
        async_mode=async_mode,
        serializer=TelemetryPacket,
        async_handlers=False,
        logger=client_logger(),
        ping_interval=25,
        ping_timeout=60,
        max_http_buffer_size=limits.MESSAGE_BYTES,
        engineio_logger=client_logger(),
        host=host,
        driving_session=driving_session,
        on_answer=on_answer,
    )


class _SocketIOServer(socketio.Server):  # type: ignore[misc]
    def _engineio_server_class(self) -> type[engineio.Server]:
        return TranslatingEngine


class TranslatingEngine(engineio.Server):  # type: ignore[misc]
    """An Engine.IO server that puts a Translator on every websocket, and limits its sessions.

    driving_session: returns the session that drives, which is never closed to make room for a new one. on_answer is
    called with a session, the decision that was sent to it, if any, and the latency in seconds. translators: those of
    the open websockets, by session.
    """

    def __init__(
        self,
        host: Host,
        driving_session: Callable[[], str | None],
        on_answer: Callable[[str, Decision | None, float], None],
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.translators: dict[str, Translator] = {}
        self._host, self._driving_session, self._on_answer = host, driving_session, on_answer
        self._pings: deque[tuple[float, Any]] = deque()
        self._getting: set[tuple[str, bool]] = set()
        self._getting_lock = threading.Lock()
        self._new_sessions = _RateLimit(limits.NEW_SESSIONS_PER_SECOND, limits.NEW_SESSIONS_AT_ONCE)
        self._async: dict[str, Any] = {**self._async, "websocket": self._make_websocket_app}

    def handle_request(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Accept Engine.IO 3 over websocket too, which engineio refuses; make room for a new session."""
        query = parse_qs(environ.get("QUERY_STRING", ""))
        if "sid" in query:
            return self._continue_session(query["sid"][0], environ, start_response)
        self.sleep(self._new_sessions.take())
        self._make_room()
        if query.get("EIO") == ["3"] and query.get("transport") == ["websocket"]:
            environ["QUERY_STRING"] = environ["QUERY_STRING"].replace("EIO=3", "EIO=4")
            environ[_EIO3] = True
        return super().handle_request(environ, start_response)

    def start_background_task(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Start a task; pings are scheduled for ping() instead, since engineio keeps a thread waiting for each."""
        if getattr(target, "__name__", "") == "_send_ping":
            self._pings.append((time.monotonic() + self.ping_interval, target.__self__))  # type: ignore[attr-defined]
            return None
        return super().start_background_task(target, *args, **kwargs)

    def ping(self) -> None:
        """Ping the sessions that are due; call this about once a second."""
        while self._pings and self._pings[0][0] <= time.monotonic():
            _, engine_socket = self._pings.popleft()
            if not (engine_socket.closing or engine_socket.closed):
                engine_socket.last_ping = time.time()
                with contextlib.suppress(SocketIsClosedError):
                    engine_socket.send(Packet(PING))

    def disconnect(self, sid: str | None = None) -> None:
        """Close a session, or all, at once; engineio would wait until the client has fetched the close packet."""
        for gone in [sid] if sid is not None else list(self.sockets):
            if (old := self.sockets.pop(gone, None)) is not None:
                old.close(wait=False)

    def _continue_session(self, sid: str, environ: dict[str, Any], start_response: Any) -> Any:
        """Handle a session's next request; one GET at a time, since each waits in a thread of its own.

        A session that sends a second GET meanwhile is closed, as the protocol demands; so is one that posts and never
        fetches its answers.
        """
        engine_socket = self.sockets.get(sid)
        if engine_socket is not None and engine_socket.queue.qsize() > limits.QUEUED_ANSWERS:
            self.disconnect(sid)
        key = sid, "HTTP_UPGRADE" in environ
        if environ["REQUEST_METHOD"] != "GET":
            response = super().handle_request(environ, start_response)
            if engine_socket is not None and engine_socket.closed:
                self.sockets.pop(sid, None)  # engineio removes closed ones only once a minute
            return response
        with self._getting_lock:
            busy = key in self._getting
            self._getting.add(key)
        if busy:
            self.disconnect(sid)
            return super().handle_request(environ, start_response)
        try:
            return super().handle_request(environ, start_response)
        finally:
            self._getting.discard(key)

    def _make_room(self) -> None:
        """Close the oldest sessions, except the one that drives, so that a new client always gets in."""
        driving = self._driving_session()
        others = [sid for sid in list(self.sockets) if sid != driving]
        for sid in others[: max(len(self.sockets) - limits.SESSIONS + 1, 0)]:
            self.disconnect(sid)

    def _make_websocket_app(self, handler: Any, *_: Any) -> Callable[..., Any]:
        """Return the WSGI app that engineio calls with the request that becomes a websocket."""
        engine_socket = handler.__self__

        def app(environ: dict[str, Any], start_response: Any) -> Any:
            try:
                sock, lock = self._host.socket_of(environ), self._host.make_lock()
                websocket = Websocket(sock, headers_of(environ), lock, lambda: self.sleep(0))
            except (BadHandshake, OSError) as error:
                engine_socket.close(wait=False, abort=True)
                start_response("400 Bad Request", [("Content-Type", "text/plain")])
                return [f"{error}\n".encode()]
            environ[UPGRADED] = True
            sid = engine_socket.sid

            def on_answer(decision: Decision | None, seconds: float) -> None:
                self._on_answer(sid, decision, seconds)

            translator = Translator(websocket, engine_socket, _EIO3 in environ, on_answer, peer_of(environ))
            self.translators[sid] = translator
            try:
                handler(translator)
            finally:
                self.translators.pop(sid, None)
                websocket.close()
            return []

        return app


class _RateLimit:
    """A token bucket: per_second on average, and at_once after a pause."""

    def __init__(self, per_second: float, at_once: float) -> None:
        self._per_second, self._at_once = per_second, at_once
        self._left, self._at = at_once, time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Take one; return the seconds to wait until it is available."""
        with self._lock:
            now = time.monotonic()
            self._left = min(self._left + (now - self._at) * self._per_second, self._at_once) - 1.0
            self._left, self._at = max(self._left, -limits.LONGEST_WAIT_SECONDS * self._per_second), now
            return max(-self._left / self._per_second, 0.0)
