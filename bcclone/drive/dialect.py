"""The old simulator's Socket.IO 2 and today's Socket.IO 4, on one port of python-socketio 5.

The simulator says EIO=4 and speaks Engine.IO 3: it never sends CONNECT, and it pings where the server should.
python-socketio accepts such a socket and then waits for ever, and the car does not move. Between engineio and
each websocket sits a translator that makes the one look like the other. Facts by number: docs/protocol.md.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import engineio
import socketio
from engineio.packet import PONG, Packet

_PACKET_TYPES = "0123456b"
_EIO3 = "bcclone.eio3"

WebSocketApp = Callable[..., Any]


class Translator:
    """A websocket (wait, send, close) between engineio's loop and the one that carries the bytes.

    eio3: the client said so; then the server speaks first, does not ping, and shortens its CONNECT reply.
    """

    def __init__(self, websocket: Any, engine_socket: Any, eio3: bool) -> None:
        self._websocket, self._engine_socket, self._eio3 = websocket, engine_socket, eio3
        self._waiting: deque[str] = deque()
        # after an upgrade from polling, CONNECT came there
        self._joined = bool(engine_socket.connected)
        if eio3:
            self._join()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._websocket, name)

    def wait(self) -> str | bytes | None:
        """Return the next message as engineio expects it; None when the connection is at its end."""
        while not self._waiting:
            message: str | bytes | None = self._websocket.wait()
            if not isinstance(message, str):
                return message  # None, or the bytes of an attachment
            if message[:1] not in _PACKET_TYPES or not message:
                return None  # no packet: engineio would raise out of its loop and forget to close
            self._translate(message)
        return self._waiting.popleft()

    def send(self, message: str | bytes) -> Any:
        """Send a packet, unless it is one that an Engine.IO 3 client does not know."""
        if self._eio3 and isinstance(message, str):
            if message == "2":
                return None
            if message.startswith("40{"):
                message = "40"
        return self._websocket.send(message)

    def _translate(self, message: str) -> None:
        if message[0] == "2" and message != "2probe":  # fact 9: the client pings; its pong is proof of life
            self._engine_socket.send(Packet(PONG, message[1:]))
            self._waiting.append("3")
            return
        if message.startswith("40"):
            self._joined = True
        elif message.startswith("42") and not self._joined and not message.startswith("42/"):
            self._join()  # fact 4: an event without a CONNECT before it
        self._waiting.append(message)

    def _join(self) -> None:
        self._joined = True
        self._waiting.append("40")


class TranslatingEngine(engineio.Server):  # type: ignore[misc]
    """An Engine.IO server that puts a Translator on every websocket."""

    # what prepares the bytes' own websocket, if the server needs that; set by the server module
    tune_websocket: Callable[[Any], None] = staticmethod(lambda websocket: None)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._async: dict[str, Any]
        native = self._async["websocket"]

        def make_app(handler: Any, *rest: Any) -> WebSocketApp:
            def app(environ: dict[str, Any], start_response: Any) -> Any:
                def handle(websocket: Any) -> Any:
                    self.tune_websocket(websocket)
                    return handler(Translator(websocket, handler.__self__, _EIO3 in environ))

                return native(handle, *rest)(environ, start_response)

            return app

        self._async = {**self._async, "websocket": make_app}

    def handle_request(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Admit Engine.IO 3 over websocket too; engineio itself refuses it."""
        query = parse_qs(environ.get("QUERY_STRING", ""))
        if query.get("EIO") == ["3"] and query.get("transport") == ["websocket"] and "sid" not in query:
            environ["QUERY_STRING"] = environ["QUERY_STRING"].replace("EIO=3", "EIO=4")
            environ[_EIO3] = True
        return super().handle_request(environ, start_response)


def make_socketio_server(async_mode: str, tune_websocket: Callable[[Any], None]) -> socketio.Server:
    """Return a Socket.IO server that speaks both dialects.

    Pings every 25 s, 60 s for an answer: an idle Engine.IO 3 client pings no more often. Handlers run one
    after the other, so that replies keep the order of the telemetry.
    """

    class Engine(TranslatingEngine):
        pass

    Engine.tune_websocket = staticmethod(tune_websocket)

    class Server(socketio.Server):  # type: ignore[misc]
        def _engineio_server_class(self) -> type[engineio.Server]:
            return Engine

    return Server(
        async_mode=async_mode,
        ping_interval=25,
        ping_timeout=60,
        async_handlers=False,
        engineio_logger=_wire_logger(),
    )


def _wire_logger() -> logging.Logger:
    """Return a logger that tells in one line, and without a traceback, what a client sent that cannot be read."""

    def in_one_line(record: logging.LogRecord) -> bool:
        if record.exc_info:
            error = record.exc_info[1]
            record.msg, record.args = "a message that cannot be read: %s: %.200s", (type(error).__name__, error)
            record.exc_info = None
        return True

    logger = logging.getLogger(f"{__name__}.wire")
    logger.setLevel(logging.ERROR)
    logger.addFilter(in_one_line)
    return logger
