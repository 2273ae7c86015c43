"""The result of one check of this machine, and how checks read files and run programs."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
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


def read_text(path: Path) -> str:
    """Return the text of a file, "" if it cannot be read: only Linux has /proc."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def output_of(line: Sequence[str], seconds: float) -> str:
    """Return what a program prints, "" if it cannot be started, fails or takes longer than some seconds."""
    try:
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace")
