"""This machine -> what of it bcclone can use, as checks; nothing is changed or downloaded, and nothing printed."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class Check:
    """What was looked at, whether it will do, what was found there, and what to do about it ("": nothing)."""

    name: str
    state: State
    found: str
    advice: str = ""

    def __post_init__(self) -> None:
        if self.state not in ("ok", "warning", "failed"):
            raise ValueError(f"state {self.state}, expected ok, warning or failed")
        if self.state != "ok" and not self.advice:
            raise ValueError(f"{self.name}: {self.state} without advice")
