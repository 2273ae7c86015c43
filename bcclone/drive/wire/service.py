"""Serve the cars of a drive: websockets and polling sessions in, replies out, each recorded and counted once.

A websocket is served here, in either dialect; python-socketio serves the sessions that poll (polling.py). Silent cars
are woken, connections that are late or too many are closed.
"""

import logging
import secrets
import threading
import time
from typing import Any
from urllib.parse import parse_qs

from bcclone.drive.arbiter import MANUAL, ConnectionArbiter, Reply
from bcclone.drive.protocol import SocketIOConnection, TelemetryEvent, event_text, holds_telemetry
from bcclone.drive.recorder import Recorder
from bcclone.drive.run_folder import RunRow
from bcclone.drive.stats import DriveStats
from bcclone.drive.wire import limits
from bcclone.drive.wire.access import Peer, WSGIApp, peer_of
from bcclone.drive.wire.limits import RefusedPacket, client_logger
from bcclone.drive.wire.polling import PollingServer, PollingSession
from bcclone.drive.wire.web_server import WebServer
from bcclone.drive.wire.websocket import BadHandshake, Websocket

logger = logging.getLogger(__name__)

_PATH = "/socket.io/"
_LONGEST_ANSWER_SECONDS = 1.0  # that the end of a drive waits for an answer which its client does not read


class WebsocketSession:
    """One websocket, and where it came from; sends in the thread that reads, except what nobody asked for."""

    def __init__(self, sid: str, websocket: Websocket, protocol: SocketIOConnection, peer: Peer) -> None:
        self.sid, self.websocket, self.protocol, self.peer = sid, websocket, protocol, peer
        self._late = 0

    @property
    def dialect(self) -> str:
        """Return the dialect of the client."""
        return self.protocol.dialect

    def send(self, reply: Reply) -> float:
        """Send the reply to the last telemetry; return the seconds since that had been read whole."""
        self.websocket.send(event_text(reply.event, reply.data))
        return time.perf_counter() - self.websocket.arrived

    def send_unasked(self, reply: Reply) -> None:
        """Send a reply that no telemetry asked for, unless the client does not read."""
        self.websocket.send_if_read(event_text(reply.event, reply.data))

    def ping(self) -> None:
        """Ping when it is time."""
        if ping := self.protocol.ping():
            self.websocket.send_if_read(ping)

    def close(self) -> None:
        """Close the websocket; the thread that reads ends."""
        self.websocket.close()

    def look_ahead(self) -> None:
        """Note how many telemetries wait for the reply to the last one, before it is sent: they will be late."""
        messages, one_begun = self.websocket.look_ahead()
        self._late = sum(map(holds_telemetry, messages)) + one_begun

    def take_late(self) -> bool:
        """Return whether the telemetry that was read last is late; once for each telemetry."""
        late, self._late = self._late > 0, max(self._late - 1, 0)
        return late


Session = WebsocketSession | PollingSession


class DriveService:
    """The cars of a drive, over Socket.IO. The server notifies its user when a car has come or gone."""

    def __init__(
        self,
        arbiter: ConnectionArbiter,
        stats: DriveStats,
        recorder: Recorder[RunRow],
        server: WebServer,
        async_mode: str,
    ) -> None:
        self.arbiter, self.stats, self.recorder = arbiter, stats, recorder
        self._server, self._notify, self._sleep = server, server.notify, server.host.sleep
        self._sessions: dict[str, Session] = {}  # open ones, oldest first
        self._answering: set[str] = set()  # the sids whose telemetry is being answered
        self._polling = PollingServer(async_mode, self._open_polling, self.answer, self._leave_polling)
        self._new_sessions = _RateLimit(limits.NEW_SESSIONS_PER_SECOND, limits.NEW_SESSIONS_AT_ONCE)

    @property
    def clients(self) -> int:
        """Return the number of open sessions of any kind."""
        return len(self._sessions)

    @property
    def dialect(self) -> str:
        """Return the dialect of the connection that drives, "" when none does."""
        driving = self._driving_session()
        return driving.dialect if driving else ""

    def with_page(self, page: WSGIApp) -> WSGIApp:
        """Return the WSGI app of cars and page."""

        def app(environ: dict[str, Any], start_response: Any) -> Any:
            if not environ.get("PATH_INFO", "").startswith(_PATH):
                return page(environ, start_response)
            if "sid=" not in environ.get("QUERY_STRING", ""):
                self._sleep(self._new_sessions.take())
                self._make_room()
            if "websocket" in environ.get("HTTP_UPGRADE", "").lower():
                return self._serve_websocket(environ, start_response)
            return self._polling.handle(environ, start_response)

        return app

    def driving_peer(self) -> Peer | None:
        """Return the client that drives."""
        driving = self._driving_session()
        return driving.peer if driving else None

    def check_sessions(self) -> None:
        """Wake a silent car and close idle sessions; call this about twice a second."""
        self._polling.close_idle()
        for session in list(self._sessions.values()):
            if isinstance(session, WebsocketSession):
                session.ping()
        if (silent := self.arbiter.wake()) is not None:
            self.stats.warn("the car was silent for 3 s; a message was sent to wake it")
            self._send_manual(silent)
        for sid in self.arbiter.pending_manual():
            self._send_manual(sid)

    def answer(self, session: Session, event: TelemetryEvent, late: bool = False) -> None:
        """Answer a telemetry of a car. late: it waited for the answer to an earlier one."""
        self._answering.add(session.sid)
        try:
            self._answer(session, event, late)
        finally:
            self._answering.discard(session.sid)

    def finish(self) -> None:
        """Decide nothing more, and wait until the answers that are on their way are sent and recorded."""
        self.arbiter.end()
        until = time.monotonic() + _LONGEST_ANSWER_SECONDS
        while self._answering and time.monotonic() < until:
            self._sleep(0.005)

    def _answer(self, session: Session, event: TelemetryEvent, late: bool) -> None:
        before = self.arbiter.driving_sid
        reply = self.arbiter.answer(session.sid, event.telemetry, late)
        inferred = reply.decision is not None and not reply.decision.repeated
        if inferred and self.arbiter.driver.too_slow and isinstance(session, WebsocketSession):
            session.look_ahead()
        if self.arbiter.driving_sid != before:
            self._notify("a car is connected" if before is None else "another car is connected, and drives")
        if reply.after:
            self._sleep(reply.after)
        seconds = None
        try:
            seconds = session.send(reply)
        finally:
            self._report(session.sid, reply, seconds)
        if session.sid not in self._sessions:
            self._leave(session.sid)  # closed by another thread meanwhile; it would be driving forever

    def _report(self, sid: str, reply: Reply, seconds: float | None) -> None:
        """Record and count a reply; a failure of that must not cost the car its next answer."""
        first = self.stats.first_answer_seconds is None
        try:
            if reply.decision is not None and reply.decision.frame_readable:
                self.recorder.record(RunRow(reply.decision, seconds))
            self.stats.answered(sid, reply, seconds)
        except Exception:
            logger.exception("an answer could not be recorded or counted")
        if first and seconds is not None and (after := self.stats.first_answer_seconds) is not None:
            self._notify(f"first frame answered in {seconds * 1000:.1f} ms, {after:.1f} s after the start")

    def _open_polling(self, session: PollingSession) -> None:
        self._sessions[session.sid] = session

    def _leave_polling(self, session: PollingSession, closed: bool) -> None:
        """Take note that the client of a polling session has left, unless a websocket has taken the session over."""
        if self._sessions.get(session.sid) is session:
            if closed:
                del self._sessions[session.sid]
            self._leave(session.sid)

    def _serve_websocket(self, environ: dict[str, Any], start_response: Any) -> Any:
        query = parse_qs(environ.get("QUERY_STRING", ""))
        sid = query.get("sid", [""])[0]
        polling = self._polling.get(sid)
        is_valid = polling is not None if sid else query.get("EIO") in (["3"], ["4"])
        try:
            if not (is_valid and query.get("transport") == ["websocket"]):
                raise BadHandshake(
                    "no websocket for this request; expected transport=websocket, and EIO=3 or 4 or a known sid"
                )
            websocket = self._server.accept_websocket(environ)
        except (BadHandshake, OSError) as error:
            start_response("400 Bad Request", [("Content-Type", "text/plain")])
            return [f"{error}\n".encode()]
        sid = sid or secrets.token_urlsafe(15)
        try:
            if polling is None or self._upgrade(websocket, polling):
                # not before: the client's CONNECT may arrive by polling while it opens its websocket
                joined = polling is not None and bool(polling.client)
                protocol = SocketIOConnection(query.get("EIO") == ["3"], joined)
                session = self._sessions[sid] = WebsocketSession(sid, websocket, protocol, peer_of(environ))
                self._converse(session, opening=protocol.open(sid) if polling is None else ())
        except RefusedPacket:
            client_logger().exception("a packet is refused")
        except OSError:  # the client has gone
            pass
        finally:
            open_one = self._sessions.get(sid)
            if isinstance(open_one, WebsocketSession) and open_one.websocket is websocket:
                del self._sessions[sid]
                self._leave(sid)
            websocket.close()
        return []

    def _upgrade(self, websocket: Websocket, polling: PollingSession) -> bool:
        """Let a websocket take over a polling session; return whether the client did its part."""
        if websocket.wait() != "2probe":
            return False
        websocket.send("3probe")
        polling.release()
        if websocket.wait() != "5" or not polling.is_open:
            return False
        self._sessions.pop(polling.sid, None)  # as the polling session: it goes on as a websocket
        for packet in polling.take_over():
            websocket.send(packet)
        return True

    def _converse(self, session: WebsocketSession, opening: tuple[str, ...]) -> None:
        """Exchange messages until the client leaves, or its connection ends."""
        websocket = session.websocket
        for packet in opening:
            websocket.send(packet)
        while isinstance(text := websocket.wait(), str):
            reaction = session.protocol.receive(text)
            for answer in reaction.send:
                websocket.send(answer)
            if reaction.event is not None:
                self.answer(session, reaction.event, session.take_late())
                if reaction.event.ack:
                    websocket.send(reaction.event.ack)
            if reaction.left:
                self._leave(session.sid)
            if reaction.close:
                return
            self._sleep(0)  # a client that sends without pause must not block the others

    def _leave(self, sid: str) -> None:
        was_driving = self.arbiter.driving_sid == sid
        self.arbiter.leave(sid)
        if was_driving:
            driver = self.arbiter.driver
            self._notify(f"the car has left; {driver.answered} frames answered, {driver.faults} faults")

    def _send_manual(self, sid: str) -> None:
        if (session := self._sessions.get(sid)) is not None:
            session.send_unasked(MANUAL)

    def _make_room(self) -> None:
        """Close the oldest sessions, except the one that drives, so that a new client always gets in."""
        driving = self.arbiter.driving_sid
        others = [session for sid, session in list(self._sessions.items()) if sid != driving]
        for session in others[: max(len(self._sessions) - limits.SESSIONS + 1, 0)]:
            self._sessions.pop(session.sid, None)
            self._leave(session.sid)
            session.close()

    def _driving_session(self) -> Session | None:
        return self._sessions.get(self.arbiter.driving_sid or "")


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
