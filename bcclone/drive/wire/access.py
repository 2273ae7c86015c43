"""Requests -> who may come in: this machine freely, others by the token, and no web page of another site."""

import contextlib
import hmac
import io
import ipaddress
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs

from bcclone.drive.settings import is_this_machine
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


WSGIApp = Callable[[dict[str, Any], Any], Any]

WRONG_TOKEN_SECONDS = 1.0  # so that guessing takes long
_DRIVES = "/socket.io"
_HOST = re.compile(r"^([^:]+|\[[^]]*\])(?::\d*)?$")
_LONGEST_LENGTH = 20  # digits


class Access:
    """Decides by a request's headers. token: "" for none; allow_from: machines whose simulator drives without it."""

    def __init__(self, host: str = "127.0.0.1", token: str = "", allow_from: tuple[str, ...] = ()) -> None:
        self.token = token
        self._host = host
        self._allow_from = {str(ipaddress.ip_address(address)) for address in allow_from}

    def refusal(self, environ: dict[str, Any]) -> tuple[str, str] | None:
        """Return the status and the reason to refuse a request with, or None to let it in.

        The page itself asks for the token (dashboard/page.py), since a browser has nothing to send it with at first.
        """
        if not self._names_this_server(environ.get("HTTP_HOST", "")):
            # a page whose name was made to point at this machine would otherwise be taken for ours
            return "403 Forbidden", "this server answers to its address or to localhost, not to other names"
        length = environ.get("CONTENT_LENGTH") or "0"
        if not (length.isascii() and length.isdigit()) or "HTTP_TRANSFER_ENCODING" in environ:
            return "400 Bad Request", "a request needs its length as a number"
        if len(length) > _LONGEST_LENGTH or int(length) > limits.MESSAGE_BYTES:
            return "413 Content Too Large", f"a request may have {limits.MESSAGE_BYTES} bytes"
        if environ.get("PATH_INFO", "").startswith(_DRIVES) and not self._may_drive(environ):
            return "401 Unauthorized", "this server asks other machines for its token: add ?token=... to the address"
        return None

    def knows(self, token: str) -> bool:
        """Return whether a token is the right one; True when none is asked for."""
        return not self.token or hmac.compare_digest(token.encode(), self.token.encode())

    def is_same_origin(self, environ: dict[str, Any]) -> bool:
        """Return whether a request comes from a page of this server, or from no page."""
        origin = environ.get("HTTP_ORIGIN")
        return not origin or origin.partition("://")[2] == environ.get("HTTP_HOST")

    def _may_drive(self, environ: dict[str, Any]) -> bool:
        """The simulator cannot send a token, so on this machine it needs none."""
        address = environ.get("REMOTE_ADDR", "")
        if not self.token or is_this_machine(address) or address in self._allow_from:
            return True
        offered = parse_qs(environ.get("QUERY_STRING", "")).get("token", [""])[0]
        return self.knows(offered)

    def _names_this_server(self, host: str) -> bool:
        name = _HOST.sub(r"\1", host.lower())
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name in ("", "localhost", self._host.lower(), socket.gethostname().lower())
        return True


def guarded(app: WSGIApp, access: Access, sleep: Callable[[float], Any]) -> WSGIApp:
    """Return the app behind the door: refused requests never reach it. sleep: lets others run meanwhile."""

    def door(environ: dict[str, Any], start_response: Any) -> Any:
        refusal = access.refusal(environ)
        if refusal is None:
            return app(environ, start_response)
        status, reason = refusal
        if status.startswith("401"):
            sleep(WRONG_TOKEN_SECONDS)
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{reason}\n".encode()]

    return door
