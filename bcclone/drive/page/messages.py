"""Read what pages send: drawn frames, what hands do, controls to set, wishes for the wheel; pack what they get.

Reading raises ValueError with the reason. docs/reference/page.md describes the messages. No sockets.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from bcclone.drive.controller import HIGHEST_SPEED_MPH
from bcclone.drive.wheel import HandInput


@dataclass(frozen=True)
class ControlChanges:
    """Controls to set; None: a control stays as it is.

    autonomous: in a drive, the model drives, or the car is handed over; kept: in a play, the person keeps the wheel;
    put_back: put the car back on the road.
    """

    saliency: bool | None = None
    recording: bool | None = None
    set_speed_mph: float | None = None
    autonomous: bool | None = None
    paused: bool | None = None
    kept: bool | None = None
    put_back: bool | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "set_speed_mph" and not isinstance(value, bool | None):
                raise ValueError(f"{field.name} {value!r}, expected true or false")
        speed = self.set_speed_mph
        if speed is not None and (
            isinstance(speed, bool) or not isinstance(speed, int | float) or not 0 <= speed <= HIGHEST_SPEED_MPH
        ):
            raise ValueError(f"set speed {speed!r}, expected 0 to {HIGHEST_SPEED_MPH:g} mph")

    @classmethod
    def parse(cls, values: Any, names: Sequence[str]) -> Self:
        """Return the changes in a JSON value. names: of the controls that there are."""
        if not isinstance(values, dict) or not values or not set(values) <= set(names):
            raise ValueError(f"expected an object with some of {', '.join(names)}")
        if missing := [name for name, value in values.items() if value is None]:
            raise ValueError(f"{missing[0]} null, expected true or false, or a speed")
        return cls(**values)


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
class WheelRequest:
    """What the page wants of the wheel: `ask` for it, `give` it, or `keep` it."""

    wish: str

    def __post_init__(self) -> None:
        if self.wish not in ("ask", "give", "keep"):
            raise ValueError(f"wheel {self.wish!r}, expected ask, give or keep")


PageMessage = Drawn | HandsMoved | ControlChanges | WheelRequest


def parse_message(text: str | bytes, controls: Sequence[str]) -> PageMessage:
    """Return the message in a page's JSON text; raises ValueError. controls: names of those that there are."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("a message that is no JSON, expected an object") from None
    if not isinstance(values, dict) or not values:
        raise ValueError("expected an object with drawn, input, set or wheel")
    kind, *_ = values
    if kind == "drawn":
        return Drawn(_number(values, "drawn"))
    if kind == "input":
        return HandsMoved(_number(values, "input"), HandInput.parse(values.get("hands")))
    if kind == "set":
        return ControlChanges.parse(values["set"], controls)
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
