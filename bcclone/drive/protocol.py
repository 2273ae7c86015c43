"""Parse the packets that cars send, and format the packets that the server sends.

A `SocketIOConnection` takes each text that a client sends, and returns a `Reaction`: the texts to
send back, and the telemetry, if any. It uses no sockets and no files, and gets its clock from the
caller.

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
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

from bcclone.system.codec import MESSAGE_BYTES
from bcclone.system.errors import shown

PING_SECONDS = 25
PING_TIMEOUT_SECONDS = 60  # more than the 25 s in which an idle Engine.IO 3 client pings


@cache
def packets_of(package: str) -> Any:
    """Return the module `packet` of the package engineio or socketio.

    It is imported on first use: that takes half a second, because the package loads its clients.
    """
    return import_module(f"{package}.packet")


class RefusedPacket(ValueError):
    """A packet that the server refuses; it then ends the connection. The text is the reason."""


class ProtocolError(ValueError):
    """A telemetry message with missing or invalid fields; the text is the reason."""


@dataclass(frozen=True)
class Telemetry:
    """What the car reports.

    parse_telemetry() has checked the values of a car. They are not checked again here, because that
    would take time for every frame.
    """

    steering_degrees: float  # angle of its wheels, right is positive
    throttle: float
    speed_mph: float
    jpeg: bytes  # the camera frame as JPEG, b"" when it was not valid base64
    decimal_comma: bool = False  # the simulator's machine writes and reads 0,5 for 0.5
    # names of fields that the simulator does not send, as other programs do
    others: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Control:
    """A command for the car."""

    steering: float  # -1 (left) to 1 (right)
    throttle: float  # -1 (brake) to 1

    def __post_init__(self) -> None:
        for name in ("steering", "throttle"):
            value = getattr(self, name)
            if not -1.0 <= value <= 1.0:  # NaN fails, too
                raise ValueError(f"{name} {value}, expected -1 to 1")


@dataclass(frozen=True)
class TelemetryEvent:
    """A telemetry event."""

    # None while a person drives the car, which then reports nothing; for a message that cannot be
    # read, the error
    telemetry: Telemetry | ProtocolError | None
    ack: str = ""  # the packet that acknowledges the event, "" if the client expects none


@dataclass(frozen=True)
class Reaction:
    """How to react to a packet."""

    send: tuple[str, ...] = ()  # texts to send, in this order
    event: TelemetryEvent | None = None  # the event to answer, if any
    left: bool = False  # the car has left; its connection stays open
    close: bool = False  # the client wants to close the connection


class SocketIOConnection:
    """One client's websocket, without the socket."""

    def __init__(self, eio3: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin a connection that has not been opened.

        eio3: whether the client requested Engine.IO 3; then the server speaks first, does not ping,
            and sends a shorter CONNECT reply
        clock: returns the time in seconds
        """
        self.dialect = "Socket.IO 2 (Engine.IO 3)" if eio3 else "Socket.IO 3 to 5"  # in words
        # what has shown that the client is another program than the simulator; "" if nothing has
        self.notice = ""
        self._eio3 = eio3
        self._joined = False
        self._left = False
        self._clock = clock
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
        opened = engine.Packet(engine.OPEN, fields).encode()
        if self._eio3:
            return (opened, self._join())
        return (opened,)

    def ping(self) -> str | None:
        """Return the ping that is due now, if any."""
        if self._eio3 or self._clock() - self._pinged < PING_SECONDS:
            return None
        self._pinged = self._clock()
        return "2"  # the packet of Engine.IO that is a ping

    def receive(self, text: str) -> Reaction:
        """Return the reaction to a packet; raises RefusedPacket, which ends the connection."""
        # The first digit is the kind of the Engine.IO packet; after 4, a message, the second digit
        # is the kind of the Socket.IO packet. 42 is an event, as nearly all packets are.
        if text.startswith("42"):
            return self._receive_event(text)
        kind = text[:1]
        is_packet = kind in _KINDS and (kind != "4" or text[1:2] in _KINDS)
        if not is_packet:
            raise RefusedPacket(
                'a text that is no packet of Socket.IO, expected one such as 42["telemetry",{...}]'
            )
        if kind == "2":  # fact 9: the client pings, and gets a pong (3)
            return Reaction(send=(f"3{text[1:]}",))
        if kind == "4":
            return self._receive_message(text)
        if kind == "1":  # the client closes the connection
            return Reaction(close=True)
        return Reaction()  # the other kinds, such as 3 (a pong), need no reaction

    def _receive_event(self, text: str) -> Reaction:
        """Return the reaction to an event; the Unity simulator joins by its first event."""
        joining: tuple[str, ...] = ()
        # 42/ begins an event of another namespace, which nobody can join: clients name a namespace
        # only if it is not the main one
        if not self._joined and not text.startswith("42/"):
            self.dialect = "Unity simulator"
            joining = (self._join(),)  # fact 4: an event without a CONNECT before it
        if self._left:
            return Reaction(joining)
        event = read_telemetry(text[1:])
        self.notice = self.notice or _notice_of(text[1:], event)
        return Reaction(joining, event)

    def _receive_message(self, text: str) -> Reaction:
        """Return the reaction to a message other than an event: join, leave or acknowledge."""
        packets = packets_of("socketio")
        try:
            packet = packets.Packet(encoded_packet=text[1:])
        except (ValueError, RecursionError):
            # Its JSON is broken, or nested too deeply. It is ignored, because a car can drive all
            # the same: the server needs none of that data, and the first event joins, too.
            return Reaction()
        is_main = packet.namespace in (None, "/")
        if packet.packet_type == packets.CONNECT:
            if is_main:
                return Reaction((self._join(),))
            refusal = _message_text("CONNECT_ERROR", "Unable to connect", packet.namespace)
            return Reaction((refusal,))
        if packet.packet_type == packets.DISCONNECT and is_main:
            self._left = True
            return Reaction(left=True)
        # leaving another namespace, or acknowledging an event, does not concern this server
        if packet.packet_type in (packets.DISCONNECT, packets.ACK):
            return Reaction()
        # what is left: binary events and their acknowledgements; and CONNECT_ERROR, which no client
        # sends
        raise RefusedPacket("binary events are not supported; send the image as base64 text")

    def _join(self) -> str:
        """Let the client join, and return the packet that says so."""
        self._joined = True
        self._left = False
        session = None if self._eio3 else {"sid": secrets.token_urlsafe(15)}
        return _message_text("CONNECT", session)


_KINDS = tuple("0123456")  # kinds of Engine.IO packets, and of Socket.IO packets, see receive()
_TELEMETRY_EVENT = re.compile(r'2(?P<id>\d{0,10})\s*\[\s*"telemetry"\s*[,\]]')


def read_telemetry(packet: str) -> TelemetryEvent | None:
    """Return the telemetry event in a Socket.IO packet; None for other events: ignore them."""
    event = _TELEMETRY_EVENT.match(packet)
    if event is None:
        return None
    ack = ""
    if event["id"]:
        ack = _message_text("ACK", [], number=int(event["id"]))
    telemetry: Telemetry | ProtocolError | None
    try:
        _, *arguments = packets_of("socketio").Packet(encoded_packet=packet).data
        telemetry = parse_telemetry(arguments[0] if arguments else None)
    except ProtocolError as error:  # the car needs an answer all the same
        telemetry = error
    except (ValueError, RecursionError) as error:
        telemetry = ProtocolError(f"unreadable JSON: {error}; expected a name and an object")
    return TelemetryEvent(telemetry, ack)


def _notice_of(packet: str, event: TelemetryEvent | None) -> str:
    """Return what shows that a client is another program than the simulator; "" if nothing does.

    event: the telemetry event in its Socket.IO packet, None for another event
    """
    if event is not None:
        others = event.telemetry.others if isinstance(event.telemetry, Telemetry) else ()
        if not others:
            return ""
        return (
            f"its telemetry also has {_names(others)}; the simulator of term 1 (Behavioral "
            "Cloning) does not send that; if its car does not move, it is another program, which "
            "expects other answers: start that simulator"
        )
    if packet.startswith("2/"):  # of another namespace
        return ""
    try:
        name, *arguments = packets_of("socketio").Packet(encoded_packet=packet).data
    except (ValueError, TypeError, RecursionError):
        return ""
    fields = ""
    if arguments and isinstance(arguments[0], dict):
        fields = f" with {_names(arguments[0])}"
    return (
        f"it sends the event {shown(name)}{fields}, expected 'telemetry': another program, which "
        "this server does not drive; start the simulator of term 1 (Behavioral Cloning)"
    )


def _names(fields: Iterable[Any]) -> str:
    """Return the first names of an object's fields, for a message."""
    return ", ".join(repr(str(name)[:20]) for name in list(fields)[:6])


def parse_telemetry(payload: Any) -> Telemetry | None:
    """Return the telemetry in the object of a telemetry event; raises ProtocolError.

    Returns None if a person drives the car, which then reports nothing.
    """
    if payload is None or payload == {}:
        return None
    if not isinstance(payload, dict):
        raise ProtocolError(f"telemetry is a {type(payload).__name__}, expected an object")
    if "image" not in payload:
        raise ProtocolError(
            f"telemetry without an image, but with {_names(payload)}; start the simulator of term "
            "1 (Behavioral Cloning) in autonomous mode: Udacity's others send no image"
        )
    speed, speed_comma = _parse_number(payload, "speed")
    steering, steering_comma = _parse_number(payload, "steering_angle")
    throttle, throttle_comma = _parse_number(payload, "throttle")
    image = payload["image"]
    if not isinstance(image, str):
        raise ProtocolError("telemetry without an image, expected base64 text")
    try:
        jpeg = base64.b64decode(image, validate=True)
    except ValueError:
        jpeg = b""  # treated like any other frame that cannot be decoded
    has_comma = speed_comma or steering_comma or throttle_comma
    others: tuple[str, ...] = ()
    if len(payload) > len(_FIELDS):
        others = tuple(str(name) for name in payload if name not in _FIELDS)
    return Telemetry(steering, throttle, speed, jpeg, has_comma, others)


def format_steer(control: Control, decimal_comma: bool) -> dict[str, str]:
    """Return the object of a steer event, in the number format of the car's machine.

    The numbers are texts without an exponent: the simulator stops the car when it gets JSON numbers
    or exponents.
    """
    fields = {"steering_angle": f"{control.steering:.6f}", "throttle": f"{control.throttle:.6f}"}
    if not decimal_comma:
        return fields
    return {name: text.replace(".", ",") for name, text in fields.items()}


def event_text(name: str, fields: dict[str, str]) -> str:
    """Return the packet of an event with one object."""
    return _message_text("EVENT", [name, fields])


def _message_text(
    kind: str, data: Any, namespace: str | None = None, number: int | None = None
) -> str:
    """Return a packet of Socket.IO as the text of a message of Engine.IO.

    kind: name of the packet's kind in socketio.packet, such as "CONNECT"
    number: of the event that the packet acknowledges
    """
    packets = packets_of("socketio")
    packet = packets.Packet(getattr(packets, kind), data, namespace, number)
    return f"4{packet.encode()}"


_FIELDS = ("steering_angle", "throttle", "speed", "image")  # of the simulator's telemetry
_LONGEST_NUMBER = 40  # most characters of a number in a telemetry
# The format "N4" in any culture: optional marks between thousands, then a decimal mark and four
# decimals. So a number has a decimal mark, and a single mark is that one: 1,234 is 1.234.
_GROUPING = r"[.,' \u00a0\u202f]"
_NUMBER = re.compile(
    rf"(?P<whole>[-+]?(?:\d+|\d{{1,3}}(?:{_GROUPING}\d{{3}})+))"
    r"(?:(?P<mark>[.,])(?P<decimals>\d*))?"
)


def _parse_number(payload: dict[str, Any], name: str) -> tuple[float, bool]:
    """Return a field's number, and whether it is written with a decimal comma."""
    if name not in payload:
        raise ProtocolError(
            f"telemetry without {name}, but with {_names(payload)}; expected a number as text, as "
            "the simulator of term 1 (Behavioral Cloning) sends it"
        )
    value = payload[name]
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ProtocolError(
            f"{name} is {str(value)[:_LONGEST_NUMBER]!r}, expected a number as text"
        )
    text = str(value).strip().replace("\u2212", "-")
    if len(text) > _LONGEST_NUMBER:
        raise ProtocolError(
            f"{name} has {len(text)} characters, expected a number of at most {_LONGEST_NUMBER}"
        )
    has_comma = False
    if match := _NUMBER.fullmatch(text):
        has_comma = match["mark"] == ","
        whole = re.sub(_GROUPING, "", match["whole"])
        decimals = match["decimals"] or "0"
        text = f"{whole}.{decimals}"
    try:
        number = float(text)  # a text that _NUMBER does not match may have an exponent, or be NaN
    except ValueError:
        raise ProtocolError(f"{name} is {text!r}, expected a number") from None
    if not math.isfinite(number):
        raise ProtocolError(f"{name} is not finite, expected a number such as 12.5")
    return number, has_comma
