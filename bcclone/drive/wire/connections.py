"""Accepted sockets -> those that may stay: a client that sends no request in time, or one too many, is hung up on."""

import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from bcclone.drive.wire import limits

Peer = tuple[str, str]  # an address and a port


class Connections:
    """Every open connection of the server, and since when its request is waited for.

    A request must have come within 10 s, however slowly it trickles. Of too many connections the oldest that still
    waits is hung up on, or else the oldest that is served, so that whoever comes next gets in; favoured returns the
    driver's peer, which is never hung up on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[Peer, tuple[Any, float]] = {}
        self._served: dict[Peer, Any] = {}
        self._leaving: list[Any] = []
        self.favoured: Callable[[], Peer | None] = lambda: None

    def accepted(self, sock: Any, address: Sequence[Any]) -> bool:
        """Take note of a new connection, and make room for it; False: it is to be closed, since that takes too long."""
        with self._lock:
            self._forget_closed()
            if len(self._waiting) + len(self._served) >= limits.SOCKETS:
                self._make_room()
            if len(self._leaving) >= limits.SOCKETS_LEAVING:
                return False
            self._waiting[address[0], str(address[1])] = sock, self._clock()
            return True

    def requested(self, environ: dict[str, Any]) -> None:
        """Read a request's body, and take note that the whole request has come."""
        if (length := int(environ.get("CONTENT_LENGTH") or 0)) > 0:
            environ["wsgi.input"] = io.BytesIO(_body(environ["wsgi.input"], length))
        peer = peer_of(environ)
        with self._lock:
            if peer in self._waiting:
                self._served[peer], _ = self._waiting.pop(peer)

    def sweep(self) -> None:
        """Hang up on those whose request has not come in time; to be called every second or so."""
        with self._lock:
            self._forget_closed()
            late = self._clock() - limits.REQUEST_SECONDS
            for peer in [peer for peer, (_, since) in self._waiting.items() if since < late]:
                self._hang_up(self._waiting.pop(peer)[0])

    def hang_up(self) -> None:
        """Hang up on all, at the end."""
        with self._lock:
            self._forget_closed()
            for sock in [*(sock for sock, _ in self._waiting.values()), *self._served.values()]:
                self._hang_up(sock)

    def _forget_closed(self) -> None:
        self._waiting = {peer: (sock, since) for peer, (sock, since) in self._waiting.items() if sock.fileno() != -1}
        self._served = {peer: sock for peer, sock in self._served.items() if sock.fileno() != -1}
        self._leaving = [sock for sock in self._leaving if sock.fileno() != -1]

    def _make_room(self) -> None:
        if self._waiting:
            self._hang_up(self._waiting.pop(next(iter(self._waiting)))[0])
            return
        favoured = self.favoured()
        self._hang_up(self._served.pop(next(peer for peer in self._served if peer != favoured)))

    def _hang_up(self, sock: Any) -> None:
        self._leaving.append(sock)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def peer_of(environ: dict[str, Any]) -> Peer:
    """Return the address and the port that a request comes from."""
    return environ.get("REMOTE_ADDR", ""), str(environ.get("REMOTE_PORT", ""))


def _body(stream: Any, length: int) -> bytes:
    """Return what has come of a body when it is whole, or when its sender is gone or was hung up on."""
    try:
        whole: bytes = stream.read(length)
    except (OSError, ValueError):
        return b""
    return whole
