"""Accepted sockets -> those that may stay: a client that sends no request in time, or one too many, is hung up on."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from bcclone.drive.wire import limits


class Connections:
    """Every open connection of the server, and since when its request is waited for.

    A request must have come within 10 s, however slowly it trickles; of too many connections the oldest that still
    waits is closed, so that whoever comes next always gets in.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[Any, float] = {}
        self._served: dict[tuple[str, str], Any] = {}

    def accepted(self, sock: Any) -> None:
        """Take note of a new connection, and make room for it."""
        with self._lock:
            self._forget_closed()
            if len(self._waiting) + len(self._served) >= limits.SOCKETS and self._waiting:
                self._hang_up(next(iter(self._waiting)))
            self._waiting[sock] = self._clock()

    def requested(self, environ: dict[str, Any]) -> None:
        """Take note that a whole request has come."""
        peer = environ.get("REMOTE_ADDR", ""), str(environ.get("REMOTE_PORT", ""))
        with self._lock:
            for sock in list(self._waiting):
                if _peer(sock) == peer:
                    del self._waiting[sock]
                    self._served[peer] = sock
                    return

    def sweep(self) -> None:
        """Hang up on those whose request has not come in time; to be called every second or so."""
        with self._lock:
            self._forget_closed()
            late = self._clock() - limits.REQUEST_SECONDS
            for sock in [sock for sock, since in self._waiting.items() if since < late]:
                self._hang_up(sock)

    @property
    def count(self) -> int:
        """Return how many connections are open."""
        with self._lock:
            self._forget_closed()
            return len(self._waiting) + len(self._served)

    def _forget_closed(self) -> None:
        self._waiting = {sock: since for sock, since in self._waiting.items() if sock.fileno() != -1}
        self._served = {peer: sock for peer, sock in self._served.items() if sock.fileno() != -1}

    def _hang_up(self, sock: Any) -> None:
        del self._waiting[sock]
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _peer(sock: Any) -> tuple[str, str] | None:
    try:
        address = sock.getpeername()
    except OSError:
        return None
    return address[0], str(address[1])
