"""Serve the cars of a drive over websockets.

Each telemetry of a car is answered with a reply, which is recorded and counted once. Silent cars
are woken.
"""

import logging
import secrets
import time
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

from bcclone.drive.arbiter import MANUAL, SILENT_SECONDS, ConnectionArbiter, Reply
from bcclone.drive.protocol import RefusedPacket, SocketIOConnection, TelemetryEvent, event_text
from bcclone.drive.run_writer import RunWriter, record_decision
from bcclone.drive.stats import DriveStats
from bcclone.recording.run_folder import Recorder
from bcclone.web.access import SOCKETIO_PATH
from bcclone.web.server import WebServer, WSGIApp
from bcclone.web.websocket import BadHandshake, Websocket

logger = logging.getLogger(__name__)

_NEEDED = (
    "this server speaks over websockets only: connect with transports: ['websocket'], and EIO=3 "
    "or 4"
)
_LAST_ANSWER_SECONDS = 1.0  # longest wait at the end of a drive for a client that does not read


class _Car:
    """One client's websocket and its packets."""

    def __init__(self, websocket: Websocket, protocol: SocketIOConnection) -> None:
        self.sid = secrets.token_urlsafe(15)
        self.websocket = websocket
        self.protocol = protocol
        self.notice = ""  # what the user was told about the client
        # messages that waited, when the model had been asked, of those that will be read next: they
        # are late on a machine where the model is too slow
        self.late = 0

    def send(self, reply: Reply) -> float:
        """Send a reply; return the seconds since the telemetry that it answers had been read."""
        self.websocket.send(event_text(reply.event, reply.data))
        return time.perf_counter() - self.websocket.arrived


class Cars:
    """The cars of a drive, over Socket.IO; the user is told when a car has come or gone."""

    def __init__(
        self,
        arbiter: ConnectionArbiter,
        stats: DriveStats,
        recorder: Recorder[RunWriter],
        server: WebServer,
    ) -> None:
        self.arbiter = arbiter
        self.stats = stats
        self.recorder = recorder
        self._server = server
        self._cars: dict[str, _Car] = {}
        self._has_refused = False  # whether a client was named whose connection this server refuses
        self._answering: set[str] = set()  # the sids whose telemetry is being answered

    @property
    def count(self) -> int:
        """Return the number of connections."""
        return len(self._cars)

    @property
    def dialect(self) -> str:
        """Return the dialect of the car that drives, "" if none does."""
        driving = self._cars.get(self.arbiter.driving_sid or "")
        return driving.protocol.dialect if driving else ""

    def with_page(self, page: WSGIApp) -> WSGIApp:
        """Return the WSGI app of cars and page."""

        def app(environ: dict[str, Any], start_response: Any) -> Any:
            if environ.get("PATH_INFO", "").startswith(f"{SOCKETIO_PATH}/"):
                return self._serve(environ, start_response)
            return page(environ, start_response)

        return app

    def check(self) -> None:
        """Ping the clients, and wake a silent car; call this about twice a second."""
        for car in list(self._cars.values()):
            if ping := car.protocol.ping():
                self._send_unasked(car.sid, ping)
        silent = self.arbiter.wake()
        if silent is not None:
            self.stats.warn(
                f"the car was silent for {SILENT_SECONDS:g} s; a message was sent to wake it"
            )
            # a car answers a `manual` with its next telemetry
            self._send_unasked(silent, event_text(MANUAL.event, MANUAL.data))

    def answer(self, car: _Car, event: TelemetryEvent, late: bool = False) -> None:
        """Answer a telemetry of a car. late: whether it waited for the answer to an earlier one."""
        self._answering.add(car.sid)
        try:
            before = self.arbiter.driving_sid
            reply = self.arbiter.answer(car.sid, event.telemetry, late)
            was_asked = reply.decision is not None and not reply.decision.repeated
            if was_asked and self.arbiter.driver.too_slow:
                car.late = car.websocket.read_ahead()
            if self.arbiter.driving_sid != before:
                if before is None:
                    self._server.notify("a car is connected")
                else:
                    self._server.notify("another car is connected, and drives")
            if reply.delay_seconds:
                self._server.sleep(reply.delay_seconds)
            # a reply is recorded and counted also if it cannot be sent because its client has gone
            seconds = None
            try:
                seconds = car.send(reply)
            finally:
                self._report(car.sid, reply, seconds)
        finally:
            self._answering.discard(car.sid)

    def finish(self) -> None:
        """Decide nothing more, and wait until the last answers are sent and recorded."""
        self.arbiter.end()
        until = time.monotonic() + _LAST_ANSWER_SECONDS
        while self._answering and time.monotonic() < until:
            time.sleep(0.005)

    def _report(self, sid: str, reply: Reply, seconds: float | None) -> None:
        """Record and count a reply; a failure is only logged: the car must get its next answer.

        seconds: from telemetry to reply, None if it could not be sent
        """
        is_first = self.stats.first_answer_seconds is None
        try:
            if reply.decision is not None:
                record_decision(self.recorder, reply.decision, seconds)
            self.stats.answered(sid, reply, seconds)
        except Exception:
            logger.exception("an answer could not be recorded or counted")
        if is_first and seconds is not None and self.stats.first_answer_seconds is not None:
            self._server.notify(
                f"first frame answered in {seconds * 1000:.1f} ms, "
                f"{self.stats.first_answer_seconds:.1f} s after the start"
            )

    def _serve(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Serve the websocket that a request opens until it closes."""
        query = parse_qs(environ.get("QUERY_STRING", ""))
        try:
            if query.get("transport") != ["websocket"] or query.get("EIO") not in (["3"], ["4"]):
                raise BadHandshake(_NEEDED)
            websocket = self._server.accept_websocket(environ)
        except (BadHandshake, OSError) as error:
            # once: such a client tries again and again
            if isinstance(error, BadHandshake) and not self._has_refused:
                self._has_refused = True
                self._warn(f"a client is refused: {error}")
            start_response("400 Bad Request", [("Content-Type", "text/plain")])
            return [f"{error}\n".encode()]
        car = _Car(websocket, SocketIOConnection(eio3=query["EIO"] == ["3"]))
        self._cars[car.sid] = car
        try:
            with suppress(OSError):  # the client has gone
                self._converse(car)
        except RefusedPacket as error:
            logger.warning("a client's connection is closed: %s", error)
        finally:
            del self._cars[car.sid]
            self._leave(car.sid)
        return []

    def _warn(self, text: str) -> None:
        """Warn on the page and on the console."""
        self.stats.warn(text)
        self._server.notify(f"warning: {text}")

    def _converse(self, car: _Car) -> None:
        """Exchange messages until the client leaves, or its connection ends."""
        websocket = car.websocket
        protocol = car.protocol
        for packet in protocol.open(car.sid):
            websocket.send(packet)
        while (text := websocket.wait()) is not None:
            if not isinstance(text, str):  # no packet of Socket.IO is binary
                return
            is_late = car.late > 0
            car.late -= is_late
            reaction = protocol.receive(text)
            if car.notice != protocol.notice:
                car.notice = protocol.notice
                self._warn(f"a client is connected: {car.notice}")
            for packet in reaction.send:
                websocket.send(packet)
            if reaction.event is not None:
                self.answer(car, reaction.event, is_late)
                if reaction.event.ack:
                    websocket.send(reaction.event.ack)
            if reaction.left:
                self._leave(car.sid)
            if reaction.close:
                return
            self._server.sleep(0)  # lets the others go on: this client may send without pause

    def _leave(self, sid: str) -> None:
        """Let a car go, and tell the user if it drove."""
        was_driving = self.arbiter.driving_sid == sid
        self.arbiter.leave(sid)
        if was_driving:
            driver = self.arbiter.driver
            self._server.notify(
                f"the car has left; {driver.answered} frames answered, {driver.faults} faults"
            )

    def _send_unasked(self, sid: str, text: str) -> None:
        """Send a text that no telemetry asked for."""
        with suppress(OSError, KeyError):  # the client has gone
            self._cars[sid].websocket.send(text)
