"""This machine -> what of it bcclone can use, as checks; nothing is changed or downloaded, and nothing printed."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


def read(path: Path) -> str:
    """Return the text of a file, "" where it is not there: /proc is only on Linux."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def output_of(line: Sequence[str], seconds: float) -> str:
    """Return what a program prints, "" when it cannot be started, fails, or takes too long."""
    try:
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace")


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
