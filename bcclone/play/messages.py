"""Parse what a page sends, and make what it gets; docs/reference/play.md describes both. No sockets."""

import json
from dataclasses import dataclass, fields
from typing import Any

from bcclone.drive.controller import HIGHEST_SPEED_MPH
from bcclone.drive.hand_controls import HandInput


@dataclass(frozen=True)
class Drawn:
    """The page has drawn a frame, and may get another one."""

    number: int


@dataclass(frozen=True)
class HandsMoved:
    """What the person's hands do. number: of the input, from 1, by which the page finds the frame that shows it."""

    number: int
    hands: HandInput


@dataclass(frozen=True)
class PlayChanges:
    """The controls that the page sets; None: a control stays as it is. put_back: put the car back on the road."""

    recording: bool | None = None
    paused: bool | None = None
    kept: bool | None = None
    saliency: bool | None = None
    put_back: bool | None = None
    set_speed_mph: float | None = None

    def __post_init__(self) -> None:
        for name in ("recording", "paused", "kept", "saliency", "put_back"):
            if not isinstance(value := getattr(self, name), bool | None):
                raise ValueError(f"{name} {value!r}, expected true or false")
        speed = self.set_speed_mph
        if speed is not None and not (_is_number(speed) and 0 <= speed <= HIGHEST_SPEED_MPH):
            raise ValueError(f"set speed {speed!r}, expected 0 to {HIGHEST_SPEED_MPH:g} mph")


@dataclass(frozen=True)
class WheelRequest:
    """What the page wants of the wheel: `ask` for it, `give` it, or `keep` it."""

    wish: str

    def __post_init__(self) -> None:
        if self.wish not in ("ask", "give", "keep"):
            raise ValueError(f"wheel {self.wish!r}, expected ask, give or keep")


PageMessage = Drawn | HandsMoved | PlayChanges | WheelRequest


def parse_message(text: str | bytes) -> PageMessage:
    """Return the message in a page's JSON text; raises ValueError with the reason when it is not valid."""
    try:
        values = json.loads(text)
    except ValueError:
        raise ValueError("a message that is no JSON, expected an object") from None
    if not isinstance(values, dict) or not values:
        raise ValueError("expected an object with drawn, input, set or wheel")
    kind, *_ = values
    if kind == "drawn":
        return Drawn(_number(values, "drawn"))
    if kind == "input":
        return HandsMoved(_number(values, "input"), HandInput.parse(values.get("hands")))
    if kind == "set":
        return _changes(values["set"])
    if kind == "wheel":
        return WheelRequest(str(values["wheel"]))
    raise ValueError(f"{kind!r}, expected drawn, input, set or wheel")


def with_pictures(state: dict[str, Any], *pictures: bytes) -> bytes:
    """Return a binary message: the length of the state, 4 bytes, the state as JSON, then the pictures.

    The state gets their lengths as `pictures`.
    """
    text = json.dumps(state | {"pictures": [len(picture) for picture in pictures]}, allow_nan=False).encode()
    return b"".join([len(text).to_bytes(4, "big"), text, *pictures])


def _number(values: dict[str, Any], name: str) -> int:
    value = values[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} {value!r}, expected a number from 0")
    return value


def _changes(values: Any) -> PlayChanges:
    names = [field.name for field in fields(PlayChanges)]
    if not isinstance(values, dict) or not values or not set(values) <= set(names):
        raise ValueError(f"expected an object with some of {', '.join(names)}")
    return PlayChanges(**values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
