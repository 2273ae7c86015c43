"""A file or a program of the system -> its text, "" where it is not there."""

import subprocess
from collections.abc import Sequence
from pathlib import Path


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
