"""Parse the simulator's telemetry, and format controls for it; no sockets, no files.

docs/reference/protocol.md lists the facts about the simulator that these rules follow from.
"""

import base64
import math
import re
from dataclasses import dataclass
from typing import Any

_LONGEST_NUMBER = 40
_TOO_LARGE = 10**30
# the format "N4" in any culture: optional marks between thousands, then a decimal mark and decimals
_GROUPING = r"[.,' \u00a0\u202f]"
_NUMBER = re.compile(rf"(?P<whole>[-+]?(?:\d+|\d{{1,3}}(?:{_GROUPING}\d{{3}})+))(?:(?P<mark>[.,])(?P<decimals>\d*))?")


class ProtocolError(ValueError):
    """A telemetry message with missing or invalid fields; the text is the reason."""


@dataclass(frozen=True)
class Telemetry:
    """What the car reports.

    steering_degrees: angle of its wheels, right is positive; jpeg: its camera frame, b"" when that was not valid
    base64; decimal_comma: whether its machine writes and reads numbers with a decimal comma.
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


def parse_telemetry(payload: Any) -> Telemetry | None:
    """Return the telemetry in the object of a telemetry event; None when the car is driven by hand and sends nothing.

    Raises ProtocolError for anything else.
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
    """Return the object of a steer event: both numbers as text, in the number format of the car's machine.

    The numbers are texts without an exponent: the simulator stops the car when it gets JSON numbers or exponents.
    """
    fields = {"steering_angle": f"{control.steering:.6f}", "throttle": f"{control.throttle:.6f}"}
    return {name: text.replace(".", ",") for name, text in fields.items()} if decimal_comma else fields


def _parse_number(payload: dict[str, Any], name: str) -> tuple[float, bool]:
    """Return a field's number, and whether it is written with a decimal comma."""
    value = payload.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        number, comma = float(value) if abs(value) < _TOO_LARGE else math.inf, False
    elif isinstance(value, str):
        number, comma = _parse_text(name, value.strip().replace("\u2212", "-"))
    else:
        raise ProtocolError(f"{name} is {str(value)[:_LONGEST_NUMBER]!r}, expected a number as text")
    if not math.isfinite(number):
        raise ProtocolError(f"{name} is not finite")
    return number, comma


def _parse_text(name: str, text: str) -> tuple[float, bool]:
    if len(text) > _LONGEST_NUMBER:
        raise ProtocolError(f"{name} has {len(text)} characters, expected a number")
    if match := _NUMBER.fullmatch(text):
        whole = re.sub(_GROUPING, "", match["whole"])
        return float(f"{whole}.{match['decimals'] or 0}"), match["mark"] == ","
    try:
        return float(text), False  # an exponent, or NaN
    except ValueError:
        raise ProtocolError(f"{name} is {text!r}, expected a number") from None
