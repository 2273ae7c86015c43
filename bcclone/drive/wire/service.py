"""Reply to Socket.IO events with the arbiter's decisions; remove closed connections, and wake silent cars."""

import contextlib
import logging
from collections.abc import Callable
from typing import Any

from engineio.exceptions import SocketIsClosedError

from bcclone.drive.arbiter import MANUAL, Reply
from bcclone.drive.driver import Decision
from bcclone.drive.session import DriveSession
from bcclone.drive.wire.access import Connections, Peer
from bcclone.drive.wire.engine import Host, TranslatingEngine, make_socketio_server
from bcclone.drive.wire.socketio_dialects import TELEMETRY, ReplyPacket

logger = logging.getLogger(__name__)

_WATCH_SECONDS = 0.5


class DriveService:
    """A Socket.IO server for the cars of a drive session.

    notify is called with a line when a car has come or gone. server: the Socket.IO server; connections: the TCP
    connections, for the host.
    """

    def __init__(self, session: DriveSession, async_mode: str, host: Host, notify: Callable[[str], None]) -> None:
        self._session, self._arbiter, self._notify = session, session.arbiter, notify
        self.connections = Connections(self._driving_peer)
        self.server = make_socketio_server(async_mode, host, self._driving_engine_sid, self._on_answer)
        self._engine: TranslatingEngine = self.server.eio
        self._stopped = False
        self.server.on(TELEMETRY, self._on_telemetry)
        self.server.on("disconnect", self._on_disconnect)

    @property
    def clients(self) -> int:
        """Return the number of open Engine.IO sessions of any kind."""
        return len(self._engine.sockets)

    @property
    def dialect(self) -> str:
        """Return the dialect of the connection that drives, "" when none does."""
        engine_sid = self._driving_engine_sid()
        if engine_sid is None:
            return ""
        translator = self._engine.translators.get(engine_sid)
        return translator.dialect if translator else "Socket.IO by polling"

    def watch(self) -> None:
        """Wake a silent car and close idle connections every half second, until stop()."""
        while not self._stopped:
            self.server.sleep(_WATCH_SECONDS)
            try:
                self._check_connections()
            except Exception:  # the next round must take place all the same
                logger.exception("the watch failed; it goes on")

    def stop(self) -> None:
        """Wait for the decision that is being made, make no more, and let watch() return."""
        self._stopped = True
        self._arbiter.end()

    def _check_connections(self) -> None:
        self.connections.close_late()
        self._engine.ping()
        if (silent := self._arbiter.wake()) is not None:
            self._session.stats.warn("the car was silent for 3 s; a message was sent to wake it")
            self._send(silent, MANUAL)
        for sid in self._arbiter.pending_manual():
            self._send(sid, MANUAL)

    def _on_telemetry(self, sid: str, payload: Any = None, *_: Any) -> None:
        translator = self._engine.translators.get(self._engine_sid(sid) or "")
        received, late = (translator.take_received(), translator.take_late()) if translator else (None, False)
        before = self._arbiter.driving_sid
        reply = self._arbiter.answer(sid, payload, late)
        inferred = reply.decision is not None and not reply.decision.repeated
        if translator and inferred and self._arbiter.driver.too_slow:
            translator.look_ahead()
        if self._arbiter.driving_sid != before:
            self._notify("a car is connected" if before is None else "another car is connected, and drives")
        if reply.after:
            self.server.sleep(reply.after)
        self._send(sid, reply, received)
        if not self.server.manager.is_connected(sid, "/"):
            self._on_disconnect(sid)  # closed by another thread meanwhile; it would be driving forever

    def _on_disconnect(self, sid: str, *_: Any) -> None:
        was_driving = self._arbiter.driving_sid == sid
        self._arbiter.leave(sid)
        if was_driving:
            driver = self._arbiter.driver
            self._notify(f"the car has left; {driver.answered} frames answered, {driver.faults} faults")

    def _send(self, sid: str, reply: Reply, received: float | None = None) -> None:
        """Send a reply. received: when the telemetry that it answers had arrived whole."""
        if (engine_sid := self._engine_sid(sid)) is not None:
            with contextlib.suppress(SocketIsClosedError):  # it left just now
                self._engine.send_packet(engine_sid, ReplyPacket(reply, received))

    def _on_answer(self, engine_sid: str, decision: Decision | None, seconds: float) -> None:
        """Count an answer to the car that drives."""
        if engine_sid != self._driving_engine_sid():
            return
        stats = self._session.stats
        first = stats.first_answer_seconds is None
        self._session.answered(decision, seconds)
        if first:
            self._notify(
                f"first frame answered in {seconds * 1000:.1f} ms, {stats.first_answer_seconds:.1f} s after the start"
            )

    def _engine_sid(self, sid: str) -> str | None:
        """Return the Engine.IO session of a connection, None when it is gone."""
        try:
            engine_sid: str | None = self.server.manager.eio_sid_from_sid(sid, "/")
        except KeyError:  # the last client is leaving in another thread
            return None
        return engine_sid

    def _driving_engine_sid(self) -> str | None:
        sid = self._arbiter.driving_sid
        return None if sid is None else self._engine_sid(sid)

    def _driving_peer(self) -> Peer | None:
        translator = self._engine.translators.get(self._driving_engine_sid() or "")
        return translator.peer if translator else None
