"""Read and write Socket.IO packets on one websocket, in both dialects: texts in, texts and telemetry events out.

Today's clients speak Socket.IO 3 to 5 over Engine.IO 4: they send CONNECT (`40`) first, and the server pings. The Unity
simulator requests Engine.IO 4 too, but speaks Engine.IO 3: it sends events without a CONNECT, and pings the server. So
a client's dialect shows in its first packets only. docs/reference/protocol.md numbers the facts. No sockets.
"""

import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bcclone.drive.protocol import ProtocolError
from bcclone.drive.wire import limits
from bcclone.drive.wire.limits import RefusedPacket

PING_SECONDS, PING_TIMEOUT_SECONDS = 25, 60  # an idle Engine.IO 3 client pings no more often
TELEMETRY = "telemetry"
_TELEMETRY_EVENT = re.compile(r'2(?P<id>\d{0,10})\s*(?P<data>\[\s*"telemetry"\s*[,\]].*)', re.DOTALL)
_CONNECT_ELSEWHERE = re.compile(r"40(?P<namespace>/[^,?]+)")
_EVENT, _CONNECT, _DISCONNECT = "42", "40", "41"
_PACKETS_PER_SECOND = 300  # apart from events; the simulator sends one in 25 s


@dataclass(frozen=True)
class TelemetryEvent:
    """A telemetry event. payload: its object, a ProtocolError if unreadable; ack: the packet that acknowledges it."""

    payload: Any
    ack: str = ""


@dataclass(frozen=True)
class Reaction:
    """What follows from a packet: texts to send, a telemetry to answer, whether the car has left or wants to close."""

    send: tuple[str, ...] = ()
    telemetry: TelemetryEvent | None = None
    left: bool = False
    close: bool = False


class SocketIOConnection:
    """One client's websocket, without the socket.

    eio3: whether the client requested Engine.IO 3; then the server speaks first, does not ping, and sends a shorter
    CONNECT reply. joined: whether it sent CONNECT already, by polling.
    """

    def __init__(self, eio3: bool = False, joined: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._eio3, self._joined, self._left, self._clock = eio3, joined, False, clock
        self.dialect = "Socket.IO 2 (Engine.IO 3)" if eio3 else "Socket.IO 3 to 5"
        self._packets, self._packets_since = 0, 0.0
        self._pinged = clock()

    def open(self, sid: str) -> tuple[str, ...]:
        """Return the texts that open the session `sid`."""
        fields = {
            "sid": sid,
            "upgrades": [],
            "pingTimeout": PING_TIMEOUT_SECONDS * 1000,
            "pingInterval": PING_SECONDS * 1000,
            "maxPayload": limits.MESSAGE_BYTES,
        }
        return ("0" + _json(fields), *(self._join() if self._eio3 else ()))

    def ping(self) -> str | None:
        """Return the ping that is due now, if any."""
        if self._eio3 or self._clock() - self._pinged < PING_SECONDS:
            return None
        self._pinged = self._clock()
        return "2"

    def receive(self, text: str) -> Reaction:
        """Return the reaction to a packet; raises RefusedPacket, which ends the connection."""
        if text.startswith(_EVENT):
            return self._event(text)
        self._check(text)
        if text[0] == "2":  # fact 9: the client pings
            return Reaction(("3" + text[1:],))
        if text[0] == "4":
            return self._message(text)
        return Reaction(close=text[0] == "1")

    def _event(self, text: str) -> Reaction:
        joining: tuple[str, ...] = ()
        if not self._joined and not text.startswith("42/"):
            self.dialect = "Unity simulator"
            joining = self._join()  # fact 4: an event without a CONNECT before it
        return Reaction(joining, None if self._left else read_telemetry(text[1:]))

    def _message(self, text: str) -> Reaction:
        if elsewhere := _CONNECT_ELSEWHERE.match(text):
            return Reaction((f'44{elsewhere["namespace"]},"Unable to connect"',))
        if text.startswith(_CONNECT):
            return Reaction(self._join())
        if text == _DISCONNECT:
            self._left = True
            return Reaction(left=True)
        if text[1] not in "13":  # a packet for another namespace, or an acknowledgement of nothing
            raise RefusedPacket("binary events are not supported; send the image as base64 text")
        return Reaction()

    def _join(self) -> tuple[str, ...]:
        self._joined, self._left = True, False
        return (_CONNECT if self._eio3 else _CONNECT + _json({"sid": secrets.token_urlsafe(15)}),)

    def _check(self, text: str) -> None:
        """Raise RefusedPacket for what is no packet, and for too many packets."""
        if text[:1] not in tuple("0123456") or (text[0] == "4" and text[1:2] not in tuple("0123456")):
            raise RefusedPacket("a text that is no packet of Socket.IO")
        if len(text) > limits.CONTROL_BYTES:  # parts of it would be sent back
            raise RefusedPacket(f"{len(text)} characters in a packet that is not an event")
        now = self._clock()
        if now - self._packets_since > 1.0:
            self._packets, self._packets_since = 0, now
        self._packets += 1
        if self._packets > _PACKETS_PER_SECOND:
            raise RefusedPacket(f"more than {_PACKETS_PER_SECOND} packets a second")


def read_telemetry(packet: str) -> TelemetryEvent | None:
    """Return the telemetry event in a Socket.IO packet; None for any other event, which is ignored."""
    event = _TELEMETRY_EVENT.fullmatch(packet)
    if event is None:
        return None
    ack = f"43{event['id']}[]" if event["id"] else ""
    openings = packet.count("[") + packet.count("{")
    if openings > limits.OPENING_BRACKETS:
        return TelemetryEvent(ProtocolError(f"{openings} brackets, expected at most {limits.OPENING_BRACKETS}"), ack)
    try:
        _, *arguments = json.loads(event["data"])
    except (ValueError, RecursionError) as error:  # the car needs an answer all the same
        return TelemetryEvent(ProtocolError(f"unreadable JSON: {error}"), ack)
    return TelemetryEvent(arguments[0] if arguments else None, ack)


def holds_telemetry(text: str | bytes) -> bool:
    """Return whether a websocket's message is a telemetry event, which is answered."""
    return isinstance(text, str) and text.startswith(_EVENT) and _TELEMETRY_EVENT.match(text, 1) is not None


def event_text(name: str, fields: dict[str, str]) -> str:
    """Return the packet of an event with one object."""
    return _EVENT + _json([name, fields])


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
