"""Other processes: what they started, what they import, and when they have come to something."""

import subprocess
import sys
import time
from pathlib import Path

import pytest


def wait_for(condition, seconds=40, every_seconds=0.05):
    """Return what the condition returns once it is true; fail where that takes too long."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(every_seconds)
    return found


def children_of(pid):
    """Return the processes that a process started, by Linux's own list."""
    found = Path(f"/proc/{pid}/task/{pid}/children")
    if not found.exists():
        pytest.skip("this system does not list a process's children")
    return [int(child) for child in found.read_text().split()]


def imported_by(*line):
    """Run a command under Python's own record of imports; return the top-level names imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *map(str, line[1:])], capture_output=True, text=True, check=True
    )
    lines = [text for text in done.stderr.splitlines() if text.startswith("import time:")]
    return {text.rpartition("|")[2].strip().partition(".")[0] for text in lines}
