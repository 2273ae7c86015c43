"""Pages of the drive server as benchmarks open them: processes that read, and the controls of the page."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bcclone.system.errors import UserError

_WATCH = """
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1]) as events:
    events.readline()
    print("watching", flush=True)
    while events.read(65536):
        pass
"""


@contextmanager
def watching(port: int, pages: int, saliency: bool) -> Iterator[None]:
    """Open pages, each read by a process of its own, for the time of the `with` block.

    saliency: with the saliency overlay, which is turned off at the end. Raises UserError at the end if a page is gone.
    """
    control(port, {"saliency": saliency})
    command = [sys.executable, "-c", _WATCH, f"http://127.0.0.1:{port}/events"]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(pages)]
    try:
        for reader in readers:
            if reader.stdout is not None:
                reader.stdout.readline()
        yield
        if gone := sum(reader.poll() is not None for reader in readers):
            raise UserError(f"the drive server closed {gone} of {pages} pages; measure again")
    finally:
        for reader in readers:
            reader.kill()
            reader.communicate()
        control(port, {"saliency": False})


def control(port: int, changes: Mapping[str, bool]) -> None:
    """Set controls as the page does, such as saliency and recording."""
    body, headers = json.dumps(changes).encode(), {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/control", body, headers)).close()


def state(port: int) -> dict[str, Any]:
    """Return the state that the page shows."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/state") as answer:
        found: dict[str, Any] = json.load(answer)
    return found
