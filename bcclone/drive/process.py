"""Model -> a drive server in a process of its own, as a user starts it, for as long as it is needed."""

import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bcclone.errors import UserError

_END_SECONDS = 20


@dataclass
class ServerProcess:
    """A drive server that was started on `port`."""

    port: int
    _process: subprocess.Popen[bytes]

    def check(self) -> None:
        """Raise UserError when the server has ended."""
        if (code := self._process.poll()) is not None:
            raise UserError(f"the drive server ended with exit code {code}")


@contextmanager
def served(arguments: Sequence[object]) -> Iterator[ServerProcess]:
    """Run `bcclone drive` with the arguments on a free port of this machine, and end it with the block.

    What it says goes on standard error when it fails, and nowhere otherwise.
    """
    port = _free_port()
    command = [sys.executable, "-m", "bcclone", "drive", *map(str, arguments), "--port", str(port)]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        server = ServerProcess(port, process)
        try:
            yield server
        except UserError:
            if process.poll() not in (None, 0):
                said.seek(0)
                raise UserError(_last_words(said.read())) from None
            raise
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_words(output: bytes) -> str:
    """Return the error that a command ended with, without the word before it."""
    _, mark, error = output.decode(errors="replace").rpartition("error: ")
    return error.strip() if mark else "the drive server ended without a word"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
