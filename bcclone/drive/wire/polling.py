"""Serve Socket.IO by long polling, with python-socketio: requests in, telemetry events out.

Current clients begin by polling, and then upgrade to a websocket, which takes over the session. Only the documented
interface of python-socketio is used; its requests are answered one GET at a time for each session, and a session that
posts without fetching its answers is closed.
"""

import io
import re
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import socketio
from engineio.packet import NOOP, Packet
from socketio.packet import EVENT
from socketio.packet import Packet as SocketIOPacket

from bcclone.drive.arbiter import Reply
from bcclone.drive.protocol import PING_SECONDS, PING_TIMEOUT_SECONDS, TELEMETRY, TelemetryEvent, read_telemetry
from bcclone.drive.wire import limits
from bcclone.drive.wire.access import Peer, peer_of
from bcclone.drive.wire.limits import RefusedPacket, client_logger

_SESSION = "bcclone.session"  # in the environ of a session's first request, which python-socketio keeps
_SID = re.compile(rb'sid\\?":\\?"([\w-]+)')  # also in the JavaScript of JSONP
_IGNORED = ["ignored"]


class PollingServer:
    """python-socketio's server for the sessions that poll.

    on_open: called with each new session; on_telemetry: answers an event; on_leave: its client has left, with True when
    the session has ended, too.
    """

    def __init__(
        self,
        async_mode: str,
        on_open: Callable[["PollingSession"], None],
        on_telemetry: Callable[["PollingSession", TelemetryEvent], None],
        on_leave: Callable[["PollingSession", bool], None],
    ) -> None:
        self._on_open, self._on_leave = on_open, on_leave
        self._sessions: dict[str, PollingSession] = {}
        self.server = socketio.Server(
            async_mode=async_mode,
            serializer=TelemetryPacket,
            async_handlers=False,  # replies keep the order of the telemetry
            logger=client_logger(),
            engineio_logger=client_logger(),
            ping_interval=PING_SECONDS,
            ping_timeout=PING_TIMEOUT_SECONDS,
            max_http_buffer_size=limits.MESSAGE_BYTES,
            cors_allowed_origins=[],  # no check of its own, which believes X-Forwarded-Host; access.py has checked
        )
        self.server.on("connect", _keep_client)
        self.server.on(TELEMETRY, lambda client, event, *_: on_telemetry(self._session_of(client), event))
        self.server.on("disconnect", lambda client, *_: on_leave(self._session_of(client), False))

    def get(self, sid: str) -> "PollingSession | None":
        """Return an open session by its Engine.IO id."""
        return self._sessions.get(sid)

    def handle(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer a request, as WSGI."""
        session = self.get(parse_qs(environ.get("QUERY_STRING", "")).get("sid", [""])[0])
        if session is None:
            return self._open(environ, start_response)
        method = environ["REQUEST_METHOD"]
        if not session.begin(method):
            session.close()
        try:
            self._forget_if_closed(session)
            return self.server.handle_request(environ, start_response)
        finally:
            session.end(method)
            self._forget_if_closed(session)

    def close_idle(self) -> None:
        """Close the sessions that request nothing any more; call this about once a second."""
        for session in list(self._sessions.values()):
            if session.idle_seconds > limits.SILENT_SECONDS:
                session.close()
                self._forget_if_closed(session)

    def _open(self, environ: dict[str, Any], start_response: Any) -> Any:
        session = environ[_SESSION] = PollingSession(self.server, peer_of(environ))
        response = self.server.handle_request(environ, start_response)
        opened = _SID.search(response[0]) if environ["REQUEST_METHOD"] == "GET" else None
        if opened and "sid" not in parse_qs(environ.get("QUERY_STRING", "")):
            session.sid = opened[1].decode()
            self._sessions[session.sid] = session
            self._on_open(session)
        return response

    def _forget_if_closed(self, session: "PollingSession") -> None:
        if not session.is_open and self._sessions.pop(session.sid, None) is not None:
            self._on_leave(session, True)

    def _session_of(self, client: str) -> "PollingSession":
        session: PollingSession = self.server.get_environ(client)[_SESSION]
        return session


def _keep_client(client: str, environ: dict[str, Any], *_: Any) -> None:
    environ[_SESSION].client = client


class PollingSession:
    """One session that polls. sid: of Engine.IO; client: of Socket.IO, "" before CONNECT; peer: where it came from."""

    dialect = "Socket.IO by polling"

    def __init__(self, server: socketio.Server, peer: Peer) -> None:
        self.sid = self.client = ""
        self.peer = peer
        self._server = server
        self._lock = threading.Lock()
        self._fetching, self._posts, self._seen = False, 0, time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """Return the seconds since the last request; 0 while one waits for answers."""
        return 0.0 if self._fetching else time.monotonic() - self._seen

    @property
    def is_open(self) -> bool:
        """Return whether the session goes on; python-engineio forgets it otherwise, and refuses its requests."""
        try:
            self._server.eio.get_session(self.sid)
        except KeyError:
            return False
        return True

    def begin(self, method: str) -> bool:
        """Take note of a request; return False if the session must not make it: each GET waits in a thread."""
        with self._lock:
            self._seen = time.monotonic()
            if method == "GET":
                begins, self._fetching, self._posts = not self._fetching, True, 0
                return begins
            self._posts += 1
            return self._posts <= limits.POSTS_UNFETCHED

    def end(self, method: str) -> None:
        """Take note that a request that began is answered."""
        if method == "GET":
            self._fetching, self._seen = False, time.monotonic()

    def send(self, reply: Reply) -> None:
        """Queue an event."""
        self._server.emit(reply.event, reply.data, to=self.client)

    send_unasked = send

    def close(self) -> None:
        """End the session at once, as the client's own CLOSE packet does."""
        if self.is_open:
            self._request("POST", b"1")

    def release(self) -> None:
        """Let the client's waiting GET return, so that it can upgrade."""
        self._server.eio.send_packet(self.sid, Packet(NOOP))

    def take_over(self) -> list[str]:
        """End the session; return the packets that were not fetched."""
        self.release()  # so that the next request does not wait
        packets = self._request("GET").decode().split("\x1e")
        self.close()
        return [packet for packet in packets if packet[:1] == "4"]

    def _request(self, method: str, body: bytes = b"") -> bytes:
        environ = {
            "REQUEST_METHOD": method,
            "QUERY_STRING": f"EIO=4&transport=polling&sid={self.sid}",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
        return b"".join(self._server.handle_request(environ, lambda status, headers: None))


class TelemetryPacket(SocketIOPacket):  # type: ignore[misc]
    """A Socket.IO packet; other events than telemetry are ignored, and a telemetry event has itself as its object."""

    data: Any

    def decode(self, encoded_packet: Any) -> int:
        """Parse a packet; raises ValueError."""
        if not isinstance(encoded_packet, str) or encoded_packet[:1] not in ("0", "1", "2", "3", "4"):
            raise RefusedPacket("binary events are not supported; send the image as base64 text")
        if encoded_packet[0] != str(EVENT):
            if (openings := encoded_packet.count("[") + encoded_packet.count("{")) > limits.OPENING_BRACKETS:
                raise RefusedPacket(f"{openings} brackets, expected at most {limits.OPENING_BRACKETS}")
            if len(encoded_packet) > limits.CONTROL_BYTES:  # parts of it would be sent back
                length, most = len(encoded_packet), limits.CONTROL_BYTES
                raise RefusedPacket(f"{length} characters in a packet that is not an event, expected at most {most}")
            count: int = super().decode(encoded_packet)
            return count
        self.packet_type, self.id, self.namespace, self.attachment_count = EVENT, None, "/", 0
        event = read_telemetry(encoded_packet)
        self.data = _IGNORED if event is None else [TELEMETRY, event]
        if event is not None and event.ack:
            self.id = int(event.ack[2:-2])
        return 0
