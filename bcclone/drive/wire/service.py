"""Socket.IO events <-> the driver's seat: what comes is answered, whoever leaves is forgotten, who stalls is woken."""

import contextlib
import logging
from collections.abc import Callable
from typing import Any

import socketio
from engineio.exceptions import SocketIsClosedError

from bcclone.drive.arbiter import MANUAL, DriverSeat, Reply
from bcclone.drive.stats import Monitor
from bcclone.drive.wire.access import Connections, Peer
from bcclone.drive.wire.engine import TranslatingEngine
from bcclone.drive.wire.socketio_dialects import TELEMETRY

logger = logging.getLogger(__name__)

_WATCH_SECONDS = 0.5


class DriveService:
    """Serves the cars that connect to a Socket.IO server. tell: says in words that one has come or gone."""

    def __init__(
        self,
        server: socketio.Server,
        seat: DriverSeat,
        monitor: Monitor,
        connections: Connections,
        tell: Callable[[str], None],
    ) -> None:
        self._server, self._seat, self._monitor, self._connections = server, seat, monitor, connections
        self._tell = tell
        self._engine: TranslatingEngine = server.eio
        self._stopped = False
        self._engine.favoured = self._driving_session
        self._engine.on_answer = self._answered
        connections.favoured = self._driving_peer
        server.on(TELEMETRY, self._on_telemetry)
        server.on("disconnect", self._on_disconnect)

    @property
    def clients(self) -> int:
        """Return how many sessions are open, of whatever kind."""
        return len(self._engine.sockets)

    @property
    def dialect(self) -> str:
        """Return what the driving connection speaks, "" when nobody drives."""
        session = self._driving_session()
        if session is None:
            return ""
        translator = self._engine.translators.get(session)
        return translator.dialect if translator else "Socket.IO by polling"

    def watch(self) -> None:
        """Wake a driver that has stalled, and hang up on connections that ask for nothing; runs until stop()."""
        while not self._stopped:
            self._server.sleep(_WATCH_SECONDS)
            try:
                self._look_after_all()
            except Exception:  # it must look after the others the next time
                logger.exception("the watch failed; it goes on")

    def stop(self) -> None:
        """Let watch() end."""
        self._stopped = True

    def _look_after_all(self) -> None:
        self._connections.sweep()
        self._engine.ping()
        if (silent := self._seat.wake()) is not None:
            self._monitor.warn("the car was silent for 3 s; a message was sent to wake it")
            self._send(silent, MANUAL)
        for sid in self._seat.untold():
            self._send(sid, MANUAL)

    def _on_telemetry(self, sid: str, payload: Any = None, *_: Any) -> None:
        before = self._seat.sid
        reply = self._seat.answer(sid, payload)
        if self._seat.sid != before:
            self._tell("a car is connected" if before is None else "another car is connected, and drives")
        if reply.after:
            self._server.sleep(reply.after)
        self._send(sid, reply)
        if not self._server.manager.is_connected(sid, "/"):
            self._on_disconnect(sid)  # closed by another thread meanwhile; it would keep the seat for ever

    def _on_disconnect(self, sid: str, *_: Any) -> None:
        drove = self._seat.sid == sid
        self._seat.leave(sid)
        if drove:
            driver = self._seat.driver
            self._tell(f"the car has left; {driver.answered} frames answered, {driver.faults} faults")

    def _send(self, sid: str, reply: Reply) -> None:
        with contextlib.suppress(SocketIsClosedError, KeyError):  # it left at this moment
            self._server.emit(reply.event, reply.data, to=sid)

    def _answered(self, session: str, seconds: float) -> None:
        if session == self._driving_session():
            first = self._monitor.first_answer_seconds is None
            self._monitor.answered(seconds)
            if first:
                self._tell(
                    f"first frame answered in {seconds * 1000:.1f} ms, {self._monitor.first_answer_seconds:.1f} s "
                    "after the start"
                )

    def _driving_session(self) -> str | None:
        """Return the Engine.IO session of the driver."""
        sid = self._seat.sid
        if sid is None:
            return None
        try:
            session: str | None = self._server.manager.eio_sid_from_sid(sid, "/")
        except KeyError:  # the last client is leaving in another thread
            return None
        return session

    def _driving_peer(self) -> Peer | None:
        translator = self._engine.translators.get(self._driving_session() or "")
        return translator.peer if translator else None
