"""Start a drive server in a child process, which ends with the `with` block that started it."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from bcclone.system.errors import UserError

_END_SECONDS, _POLL_SECONDS = 20.0, 0.05
_CONNECTED = "a car is connected\n"
_LISTENING = re.compile(r"listening on \S+:(\d+);")


@dataclass(frozen=True)
class ServerProcess:
    """A running drive server: its port on this machine, and its process id."""

    port: int
    pid: int


@contextmanager
def server_process(
    arguments: Sequence[object],
    program: Sequence[str] = ("-P", "-m", "bcclone", "drive"),  # -P: no module of the current folder
    start_seconds: float = 120.0,
) -> Iterator[ServerProcess]:
    """Run `bcclone drive` with the arguments on a free port of this machine, and end it with the block.

    It also ends when this process is killed. What it prints after a car has connected goes to standard error. Raises
    UserError with its error when it ends before it listens, or does not listen in time. program: another one that takes
    the same options; start_seconds: how long to wait until it listens.
    """
    command = [sys.executable, *program, *map(str, arguments), "--port", "0", "--end-with-stdin"]
    with tempfile.TemporaryFile("a+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output)
        try:
            yield ServerProcess(_port(process, output, start_seconds), process.pid)
        finally:
            _end(process)
            _, _, after = _read(output).partition(_CONNECTED)
            # the caller reports an interrupt itself
            lines = [line for line in after.splitlines() if not line.startswith("interrupted: ")]
            print("\n".join(lines).strip(), file=sys.stderr, flush=True)


def end_with_stdin() -> None:
    """End this process as on Ctrl-C when its standard input ends, because the program that started it has ended."""

    def wait() -> None:
        while os.read(0, 65536):  # sys.stdin would hold its lock when the process ends
            pass
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=wait, daemon=True).start()


def _port(process: subprocess.Popen[bytes], output: IO[str], seconds: float) -> int:
    """Wait until the server listens and return its port."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended = process.poll() is not None
        text = _read(output)
        if listening := _LISTENING.search(text):
            return int(listening[1])
        if ended:
            _, mark, error = text.rpartition("error: ")
            if mark:
                raise UserError(error.strip())
            raise UserError(
                f"the drive server ended with exit code {process.returncode}; start it by itself to see why: bcclone "
                "drive MODEL"
            )
        time.sleep(_POLL_SECONDS)
    raise UserError(f"the drive server does not listen after {seconds:g} s; close other programs and try again")


def _read(output: IO[str]) -> str:
    output.seek(0)
    return output.read()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
