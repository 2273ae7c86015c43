"""Engine.IO and Socket.IO servers with our websocket, our dialects and our limits built in."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import engineio
import socketio
from engineio.exceptions import SocketIsClosedError
from engineio.packet import PING, Packet

from bcclone.drive.wire import limits
from bcclone.drive.wire.access import peer_of
from bcclone.drive.wire.log import wire_logger
from bcclone.drive.wire.socketio_dialects import TelemetryPacket, Translator
from bcclone.drive.wire.websocket import TAKEN, BadHandshake, Websocket

_EIO3 = "bcclone.eio3"


class TranslatingEngine(engineio.Server):  # type: ignore[misc]
    """An Engine.IO server that puts a Translator on every websocket, and bounds its sessions.

    translators: of the websockets, by session. favoured: returns the session that is not closed to make room
    for a new one. on_answer is called with a session and the seconds that it waited for an answer.
    """

    # returns the socket of a request; returns a lock that waits as the server does; set by the module that serves
    socket_of: Callable[[dict[str, Any]], Any]
    make_lock: Callable[[], Any]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.translators: dict[str, Translator] = {}
        self.favoured: Callable[[], str | None] = lambda: None
        self.on_answer: Callable[[str, float], None] = lambda sid, seconds: None
        self._pings: deque[tuple[float, Any]] = deque()
        self._getting: set[tuple[str, bool]] = set()
        self._getting_lock = threading.Lock()
        self._new_sessions = _Allowance(limits.NEW_SESSIONS_PER_SECOND, limits.NEW_SESSIONS_AT_ONCE)
        self._async: dict[str, Any] = {**self._async, "websocket": self._make_websocket_app}

    def handle_request(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Admit Engine.IO 3 over websocket too, which engineio itself refuses; make room for a new session."""
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
        """Start a task, but for a session's next ping: engineio has a thread wait for each, when it has left too."""
        if getattr(target, "__name__", "") == "_send_ping":
            self._pings.append((time.monotonic() + self.ping_interval, target.__self__))  # type: ignore[attr-defined]
            return None
        return super().start_background_task(target, *args, **kwargs)

    def ping(self) -> None:
        """Ping the sessions whose time has come; to be called every second or so."""
        while self._pings and self._pings[0][0] <= time.monotonic():
            _, engine_socket = self._pings.popleft()
            if not (engine_socket.closing or engine_socket.closed):
                engine_socket.last_ping = time.time()
                with contextlib.suppress(SocketIsClosedError):
                    engine_socket.send(Packet(PING))

    def disconnect(self, sid: str | None = None) -> None:
        """Close a session, or all, and wait for nobody: engineio waits until the client has fetched its farewell."""
        for gone in [sid] if sid is not None else list(self.sockets):
            if (old := self.sockets.pop(gone, None)) is not None:
                old.close(wait=False)

    def _continue_session(self, sid: str, environ: dict[str, Any], start_response: Any) -> Any:
        """Let a session's next request in, one GET at a time: each waits in a thread of its own for what comes next.

        A session that asks twice at once is closed, as the protocol has it; so is one that posts and never fetches.
        """
        engine_socket = self.sockets.get(sid)
        if engine_socket is not None and engine_socket.queue.qsize() > limits.QUEUED_ANSWERS:
            self.disconnect(sid)
        key = sid, "HTTP_UPGRADE" in environ
        if environ["REQUEST_METHOD"] != "GET":
            response = super().handle_request(environ, start_response)
            if engine_socket is not None and engine_socket.closed:
                self.sockets.pop(sid, None)  # engineio itself looks for those once a minute
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
        """Close the oldest sessions but the driver's, so that whoever comes next always finds a place."""
        favoured = self.favoured()
        others = [sid for sid in list(self.sockets) if sid != favoured]
        for sid in others[: max(len(self.sockets) - limits.SESSIONS + 1, 0)]:
            self.disconnect(sid)

    def _make_websocket_app(self, handler: Any, *_: Any) -> Callable[..., Any]:
        """Return the WSGI app that engineio calls with the request that becomes a websocket."""
        engine_socket = handler.__self__

        def app(environ: dict[str, Any], start_response: Any) -> Any:
            try:
                sock, lock = self.socket_of(environ), self.make_lock()
                websocket = Websocket(sock, _headers(environ), lock, lambda: self.sleep(0))
            except (BadHandshake, OSError) as error:
                engine_socket.close(wait=False, abort=True)
                start_response("400 Bad Request", [("Content-Type", "text/plain")])
                return [f"{error}\n".encode()]
            environ[TAKEN] = True
            sid = engine_socket.sid
            translator = Translator(websocket, engine_socket, _EIO3 in environ, lambda s: self.on_answer(sid, s))
            translator.peer = peer_of(environ)
            self.translators[sid] = translator
            try:
                handler(translator)
            finally:
                self.translators.pop(sid, None)
                websocket.close()
            return []

        return app


def make_socketio_server(
    async_mode: str, socket_of: Callable[[dict[str, Any]], Any], make_lock: Callable[[], Any]
) -> socketio.Server:
    """Return a Socket.IO server that speaks both dialects; its `eio` is a TranslatingEngine.

    Pings every 25 s, 60 s for an answer: an idle Engine.IO 3 client pings no more often. Handlers run one
    after the other, so that replies keep the order of the telemetry.
    """

    class Engine(TranslatingEngine):
        pass

    Engine.socket_of, Engine.make_lock = staticmethod(socket_of), staticmethod(make_lock)

    class Server(socketio.Server):  # type: ignore[misc]
        def _engineio_server_class(self) -> type[engineio.Server]:
            return Engine

    return Server(
        async_mode=async_mode,
        serializer=TelemetryPacket,
        ping_interval=25,
        ping_timeout=60,
        max_http_buffer_size=limits.MESSAGE_BYTES,
        async_handlers=False,
        logger=wire_logger(),
        engineio_logger=wire_logger(),
    )


def _headers(environ: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name[5:].replace("_", "-"), value) for name, value in environ.items() if name.startswith("HTTP_")]


class _Allowance:
    """So many a second, and so many at once after a rest; says how long to wait for the next."""

    def __init__(self, per_second: float, at_once: float) -> None:
        self._per_second, self._at_once = per_second, at_once
        self._left, self._at = at_once, time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Take one; return the seconds to wait until it is there."""
        with self._lock:
            now = time.monotonic()
            self._left = min(self._left + (now - self._at) * self._per_second, self._at_once) - 1.0
            self._left, self._at = max(self._left, -limits.LONGEST_WAIT_SECONDS * self._per_second), now
            return max(-self._left / self._per_second, 0.0)
