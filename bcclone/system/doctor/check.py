"""The result of one check of this machine."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class Check:
    """The result of a check: name, state, what was found, and how to fix it. advice: may be "" only if all is well."""

    name: str
    state: State
    found: str
    advice: str = ""

    def __post_init__(self) -> None:
        if self.state not in ("ok", "warning", "failed"):
            raise ValueError(f"state {self.state}, expected ok, warning or failed")
        if self.state != "ok" and not self.advice:
            raise ValueError(f"{self.name}: {self.state} without advice")
