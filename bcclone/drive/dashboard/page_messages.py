"""Read what pages send: controls to set, what hands do, wishes for the wheel; and make what a play's page gets.

Reading raises ValueError with the reason. docs/reference/dashboard.md and play.md describe the messages. No sockets.
"""

import json
from dataclasses import dataclass, fields
from typing import Any, Self

from bcclone.drive.controller import HIGHEST_SPEED_MPH
from bcclone.drive.hand_controls import HandInput

_LONGEST_PAGE = 40


@dataclass(frozen=True)
class ControlChanges:
    """The controls that every page sets; None: a control stays as it is."""

    saliency: bool | None = None
    recording: bool | None = None
    set_speed_mph: float | None = None

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
    def parse(cls, values: Any) -> Self:
        """Return the changes in a JSON value."""
        names = [field.name for field in fields(cls)]
        if not isinstance(values, dict) or not values or not set(values) <= set(names):
            raise ValueError(f"expected an object with some of {', '.join(names)}")
        if missing := [name for name, value in values.items() if value is None]:
            raise ValueError(f"{missing[0]} null, expected true or false, or a speed")
        return cls(**values)


@dataclass(frozen=True)
class DriveChanges(ControlChanges):
    """The controls of a drive. autonomous: the model drives, or the car is handed over."""

    autonomous: bool | None = None


@dataclass(frozen=True)
class PlayChanges(ControlChanges):
    """The controls of a play. kept: the person keeps the wheel; put_back: put the car back on the road."""

    paused: bool | None = None
    kept: bool | None = None
    put_back: bool | None = None


@dataclass(frozen=True)
class HandsAtPage:
    """What the hands at a page do. page: a text that tells it from other pages."""

    page: str
    hands: HandInput

    def __post_init__(self) -> None:
        if not isinstance(self.page, str) or not 0 < len(self.page) <= _LONGEST_PAGE:
            raise ValueError(
                f"page {str(self.page)[:_LONGEST_PAGE]!r}, expected a text of 1 to {_LONGEST_PAGE} characters"
            )

    @classmethod
    def parse(cls, values: Any) -> Self:
        """Return what is in a JSON value."""
        if not isinstance(values, dict) or set(values) != {"page", "hands"}:
            raise ValueError("expected an object with page and hands")
        return cls(values["page"], HandInput.parse(values["hands"]))


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
        return PlayChanges.parse(values["set"])
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
