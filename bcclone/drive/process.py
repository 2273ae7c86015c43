"""Model -> a drive server in a process of its own, as a user starts it, for as long as it is needed; both its ends."""

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

from bcclone.errors import UserError

_START_SECONDS, _END_SECONDS, _POLL_SECONDS = 120.0, 20.0, 0.05
_CONNECTED = "a car is connected\n"
_LISTENING = re.compile(r"listening on \S+:(\d+);")


@dataclass(frozen=True)
class ServerProcess:
    """A running drive server: its port on this machine, and its process."""

    port: int
    pid: int


@contextmanager
def server_process(
    arguments: Sequence[object],
    program: Sequence[str] = ("-m", "bcclone", "drive"),
    start_seconds: float = _START_SECONDS,
) -> Iterator[ServerProcess]:
    """Run `bcclone drive` with the arguments on a free port of this machine, and end it with the block.

    It ends, too, when this process is killed. What it says at its end goes to standard error. Raises UserError with
    its own words when it ends before it listens. program: another one that takes the same options; start_seconds: how
    long it may take until it listens.
    """
    command = [sys.executable, *program, *map(str, arguments), "--port", "0", "--end-with-stdin"]
    with tempfile.TemporaryFile("a+", encoding="utf-8", errors="replace") as said:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=said)
        try:
            yield ServerProcess(_port(process, said, start_seconds), process.pid)
        finally:
            _end(process)
            _, _, after = _output(said).partition(_CONNECTED)
            print(after.strip(), file=sys.stderr, flush=True)


def end_with_stdin() -> None:
    """End this process as on Ctrl-C when whoever holds the other end of standard input is gone."""

    def wait() -> None:
        while os.read(0, 65536):  # not by sys.stdin, whose lock would be held when the process ends
            pass
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=wait, daemon=True).start()


def _port(process: subprocess.Popen[bytes], said: IO[str], start_seconds: float) -> int:
    """Wait until the server listens and return its port."""
    until = time.monotonic() + start_seconds
    while time.monotonic() < until:
        ended = process.poll() is not None
        output = _output(said)
        if listening := _LISTENING.search(output):
            return int(listening[1])
        if ended:
            _, mark, error = output.rpartition("error: ")
            if mark:
                raise UserError(error.strip())
            raise UserError(
                f"the drive server ended with exit code {process.returncode}; start it by itself to see why: python "
                "drive.py MODEL"
            )
        time.sleep(_POLL_SECONDS)
    raise UserError(
        f"the drive server does not listen after {start_seconds:g} s; try again on a machine with less to do"
    )


def _output(said: IO[str]) -> str:
    said.seek(0)
    return said.read()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
