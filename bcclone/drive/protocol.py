"""Parse the packets that cars send, and format the packets that the server sends.

Texts go in; telemetry, and texts to send, come out. No sockets, no files; the caller gives the
clock.

Today's clients speak Socket.IO 3 to 5 over Engine.IO 4: they send CONNECT (`40`) first, and the
server pings. The Unity simulator requests Engine.IO 4 too, but speaks Engine.IO 3: it sends events
without a CONNECT, and pings the server. So only a client's first packets show its dialect. Comments
cite the numbered facts of docs/reference/protocol.md.
"""

import base64
import math
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from bcclone.web.access import MESSAGE_BYTES

PING_SECONDS, PING_TIMEOUT_SECONDS = (
    25,
    60,
)  # an idle Engine.IO 3 client pings every 25 s, so the timeout is longer
_TELEMETRY_EVENT = re.compile(r'2(?P<id>\d{0,10})\s*\[\s*"telemetry"\s*[,\]]')
_LONGEST_NUMBER = 40
# the format "N4" in any culture: optional marks between thousands, then a decimal mark and decimals
_GROUPING = r"[.,' \u00a0\u202f]"
_NUMBER = re.compile(
    rf"(?P<whole>[-+]?(?:\d+|\d{{1,3}}(?:{_GROUPING}\d{{3}})+))(?:(?P<mark>[.,])(?P<decimals>\d*))?"
)


@cache
def packets_of(package: str) -> Any:
    """Return the module `packet` of engineio or socketio, whose first import takes half a second:
    it loads clients.
    """
    return import_module(f"{package}.packet")


class RefusedPacket(ValueError):
    """A packet of a client that is not read, which ends its connection; the text is the reason."""


class ProtocolError(ValueError):
    """A telemetry message with missing or invalid fields; the text is the reason."""


@dataclass(frozen=True)
class Telemetry:
    """What the car reports.

    steering_degrees: angle of its wheels, right is positive; jpeg: its camera frame, b"" when that
    was not valid base64; decimal_comma: whether its machine writes and reads numbers with a decimal
    comma.
    """

    steering_degrees: float
    throttle: float
    speed_mph: float
    jpeg: bytes
    decimal_comma: bool = False


@dataclass(frozen=True)
class Control:
    """A command for the car. steering: -1 (left) to 1 (right); throttle: -1 (brake) to 1."""

    steering: float
    throttle: float

    def __post_init__(self) -> None:
        for name in ("steering", "throttle"):
            if not -1.0 <= getattr(self, name) <= 1.0:  # NaN fails, too
                raise ValueError(f"{name} {getattr(self, name)}, expected -1 to 1")


@dataclass(frozen=True)
class TelemetryEvent:
    """A telemetry event.

    telemetry: None while a person drives the car, which then reports nothing; a ProtocolError for a
    bad message; ack: the packet that acknowledges the event, "" if the client expects none.
    """

    telemetry: Telemetry | ProtocolError | None
    ack: str = ""


@dataclass(frozen=True)
class Reaction:
    """How to react to a packet: texts to send, an event to answer, whether the car has left or
    wants to close.
    """

    send: tuple[str, ...] = ()
    event: TelemetryEvent | None = None
    left: bool = False
    close: bool = False


class SocketIOConnection:
    """One client's websocket, without the socket.

    eio3: whether the client requested Engine.IO 3; then the server speaks first, does not ping, and
    sends a shorter CONNECT reply. dialect: of the client, in words.
    """

    def __init__(self, eio3: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._eio3, self._joined, self._left, self._clock = eio3, False, False, clock
        self.dialect = "Socket.IO 2 (Engine.IO 3)" if eio3 else "Socket.IO 3 to 5"
        self._pinged = clock()

    def open(self, sid: str) -> tuple[str, ...]:
        """Return the texts that open the session `sid`."""
        fields = {
            "sid": sid,
            "upgrades": [],
            "pingTimeout": PING_TIMEOUT_SECONDS * 1000,
            "pingInterval": PING_SECONDS * 1000,
            "maxPayload": MESSAGE_BYTES,
        }
        engine = packets_of("engineio")
        return (engine.Packet(engine.OPEN, fields).encode(), *(self._join() if self._eio3 else ()))

    def ping(self) -> str | None:
        """Return the ping that is due now, if any."""
        if self._eio3 or self._clock() - self._pinged < PING_SECONDS:
            return None
        self._pinged = self._clock()
        return "2"

    def receive(self, text: str) -> Reaction:
        """Return the reaction to a packet; raises RefusedPacket, which ends the connection."""
        if text.startswith("42"):
            joining: tuple[str, ...] = ()
            if not self._joined and not text.startswith("42/"):
                self.dialect = "Unity simulator"
                joining = self._join()  # fact 4: an event without a CONNECT before it
            return Reaction(joining, None if self._left else read_telemetry(text[1:]))
        if text[:1] not in tuple("0123456") or (
            text[0] == "4" and text[1:2] not in tuple("0123456")
        ):
            raise RefusedPacket(
                'a text that is no packet of Socket.IO, expected one such as 42["telemetry",{...}]'
            )
        if text[0] == "2":  # fact 9: the client pings
            return Reaction(("3" + text[1:],))
        if text[0] == "4":
            return self._message(text)
        return Reaction(close=text[0] == "1")

    def _message(self, text: str) -> Reaction:
        kinds = packets_of("socketio")
        try:
            packet = kinds.Packet(encoded_packet=text[1:])
        except (ValueError, RecursionError):
            return Reaction()
        if packet.packet_type == kinds.CONNECT:
            if packet.namespace in (None, "/"):
                return Reaction(self._join())
            return Reaction(
                (_message_text("CONNECT_ERROR", "Unable to connect", packet.namespace),)
            )
        if packet.packet_type == kinds.DISCONNECT and packet.namespace is None:
            self._left = True
            return Reaction(left=True)
        if packet.packet_type not in (
            kinds.DISCONNECT,
            kinds.ACK,
        ):  # these, of another namespace or event, are ignored
            raise RefusedPacket("binary events are not supported; send the image as base64 text")
        return Reaction()

    def _join(self) -> tuple[str, ...]:
        self._joined, self._left = True, False
        session = None if self._eio3 else {"sid": secrets.token_urlsafe(15)}
        return (_message_text("CONNECT", session),)


def read_telemetry(packet: str) -> TelemetryEvent | None:
    """Return the telemetry event in a Socket.IO packet; None for other events, which the server
    ignores.
    """
    event = _TELEMETRY_EVENT.match(packet)
    if event is None:
        return None
    ack = _message_text("ACK", [], number=int(event["id"])) if event["id"] else ""
    try:
        try:
            _, *arguments = packets_of("socketio").Packet(encoded_packet=packet).data
        except (ValueError, RecursionError) as error:
            raise ProtocolError(
                f"unreadable JSON: {error}; expected a name and an object"
            ) from None
        return TelemetryEvent(parse_telemetry(arguments[0] if arguments else None), ack)
    except ProtocolError as error:  # the car needs an answer all the same
        return TelemetryEvent(error, ack)


def holds_telemetry(text: str | bytes) -> bool:
    """Return whether a message of a websocket is a telemetry event, so that the server must answer
    it.
    """
    return (
        isinstance(text, str)
        and text.startswith("42")
        and _TELEMETRY_EVENT.match(text, 1) is not None
    )


def parse_telemetry(payload: Any) -> Telemetry | None:
    """Return the telemetry in the object of a telemetry event; None when the car is driven by hand
    and sends nothing.

    Raises ProtocolError for missing and invalid fields.
    """
    if payload is None or payload == {}:
        return None
    if not isinstance(payload, dict):
        raise ProtocolError(f"telemetry is a {type(payload).__name__}, expected an object")
    speed, comma = _parse_number(payload, "speed")
    steering, steering_comma = _parse_number(payload, "steering_angle")
    throttle, throttle_comma = _parse_number(payload, "throttle")
    image = payload.get("image")
    if not isinstance(image, str):
        raise ProtocolError("telemetry without an image, expected base64 text")
    try:
        jpeg = base64.b64decode(image, validate=True)
    except ValueError:
        jpeg = b""  # treated like any other frame that cannot be decoded
    return Telemetry(steering, throttle, speed, jpeg, comma or steering_comma or throttle_comma)


def format_steer(control: Control, decimal_comma: bool) -> dict[str, str]:
    """Return the object of a steer event: both numbers as text, in the number format of the car's
    machine.

    The numbers are texts without an exponent: the simulator stops the car when it gets JSON numbers
    or exponents.
    """
    fields = {"steering_angle": f"{control.steering:.6f}", "throttle": f"{control.throttle:.6f}"}
    return (
        {name: text.replace(".", ",") for name, text in fields.items()} if decimal_comma else fields
    )


def event_text(name: str, fields: dict[str, str]) -> str:
    """Return the packet of an event with one object."""
    return _message_text("EVENT", [name, fields])


def _message_text(
    kind: str, data: Any, namespace: str | None = None, number: int | None = None
) -> str:
    """Return a packet of Socket.IO as the text of a message of Engine.IO. number: of the event that
    it acknowledges.
    """
    packets = packets_of("socketio")
    return f"4{packets.Packet(getattr(packets, kind), data, namespace, number).encode()}"


def _parse_number(payload: dict[str, Any], name: str) -> tuple[float, bool]:
    """Return a field's number, and whether it is written with a decimal comma."""
    value = payload.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ProtocolError(
            f"{name} is {str(value)[:_LONGEST_NUMBER]!r}, expected a number as text"
        )
    text = str(value).strip().replace("\u2212", "-")
    if len(text) > _LONGEST_NUMBER:
        raise ProtocolError(
            f"{name} has {len(text)} characters, expected a number of at most {_LONGEST_NUMBER}"
        )
    comma = False
    if match := _NUMBER.fullmatch(text):
        comma = match["mark"] == ","
        text = re.sub(_GROUPING, "", match["whole"]) + f".{match['decimals'] or 0}"
    try:
        number = float(text)  # without a match: an exponent, or NaN
    except ValueError:
        raise ProtocolError(f"{name} is {text!r}, expected a number") from None
    if not math.isfinite(number):
        raise ProtocolError(f"{name} is not finite, expected a number such as 12.5")
    return number, comma
