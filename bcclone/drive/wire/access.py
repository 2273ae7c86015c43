"""Decide which requests are allowed, by token, host name and origin, and which connections stay open.

This machine has access without a token, other machines with it, and pages of other web sites never.
"""

import contextlib
import hashlib
import hmac
import io
import ipaddress
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs

from bcclone.drive.drive_settings import is_this_machine
from bcclone.drive.wire import limits

logger = logging.getLogger(__name__)

Peer = tuple[str, str]  # address and port of a client
WSGIApp = Callable[[dict[str, Any], Any], Any]

WRONG_TOKEN_SECONDS = 1.0  # after a wrong token, in which no other one is looked at
SOCKETIO_PATH = "/socket.io"
_HOST = re.compile(r"^([^:]+|\[[^]]*\])(?::\d*)?$")
_MAX_LENGTH_DIGITS = 20


class Access:
    """Decides by a request's headers. token: "" for none; allow_from: machines whose simulator needs no token."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        token: str = "",
        allow_from: tuple[str, ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.token, self._host, self._clock = token, host, clock
        self._allow_from = {str(ipaddress.ip_address(address)) for address in allow_from}
        self._lock, self._wrong_tokens, self._closed_until = threading.Lock(), 0, 0.0

    def refusal(self, environ: dict[str, Any]) -> tuple[str, str] | None:
        """Return the status and the reason for refusing a request, or None to accept it.

        The page asks for the token itself (page/app.py): a browser cannot send one with its first request.
        """
        if not self._names_this_server(environ.get("HTTP_HOST", "")):
            # DNS rebinding: a foreign page whose name points to this machine would count as ours
            return "403 Forbidden", "this server answers to its address or to localhost, not to other names"
        if _is_of_another_site(environ):
            return "403 Forbidden", "pages of other sites have no access"
        length = environ.get("CONTENT_LENGTH") or "0"
        if not (length.isascii() and length.isdigit()) or "HTTP_TRANSFER_ENCODING" in environ:
            return "400 Bad Request", "a request needs its length as a number"
        if len(length) > _MAX_LENGTH_DIGITS or int(length) > limits.MESSAGE_BYTES:
            return "413 Content Too Large", f"a request may have {limits.MESSAGE_BYTES} bytes"
        if environ.get("PATH_INFO", "").startswith(SOCKETIO_PATH) and not self._may_drive(environ):
            return "401 Unauthorized", "this server asks other machines for its token: add ?token=... to the address"
        return None

    def accepts(self, token: str) -> bool:
        """Return whether a client's token is the server's; True when the server has none.

        After a wrong one, none is accepted for a second, whoever sends it: guesses at the same time gain nothing.
        """
        if not (self.token and token):
            return not self.token
        with self._lock:
            now = self._clock()
            if now < self._closed_until:
                return False
            if hmac.compare_digest(_digest(token), _digest(self.token)):
                return True
            self._closed_until = now + WRONG_TOKEN_SECONDS
            self._wrong_tokens += 1
            if self._wrong_tokens in (10, 100) or self._wrong_tokens % 1000 == 0:
                logger.warning("%d wrong tokens so far; does somebody guess?", self._wrong_tokens)
            return False

    def _may_drive(self, environ: dict[str, Any]) -> bool:
        """Return whether a simulator may connect; it cannot send a token, so on this machine it needs none."""
        address = environ.get("REMOTE_ADDR", "")
        if not self.token or is_this_machine(address) or address in self._allow_from:
            return True
        offered = parse_qs(environ.get("QUERY_STRING", "")).get("token", [""])[0]
        return self.accepts(offered)

    def _names_this_server(self, host: str) -> bool:
        name = _HOST.sub(r"\1", host.lower())
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name in ("", "localhost", self._host.lower(), socket.gethostname().lower())
        return True


def _is_of_another_site(environ: dict[str, Any]) -> bool:
    """Return whether a page of another site made a browser send the request; a link to our page may do so.

    Browsers send Origin with POST and websockets, and Sec-Fetch-Site with other requests, such as one for an image.
    """
    if origin := environ.get("HTTP_ORIGIN"):
        _, mark, host = origin.partition("://")
        return not mark or host != environ.get("HTTP_HOST")
    is_link = environ.get("HTTP_SEC_FETCH_MODE") == "navigate" and environ.get("PATH_INFO") == "/"
    return environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("none", "same-origin") and not is_link


def _digest(token: str) -> bytes:
    """Return a digest, whose comparison takes the same time for tokens of any length."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Connections:
    """The open connections of the server; closes slow ones, and the oldest when there are too many.

    A request must have arrived within 10 s. When there are too many connections, the oldest that still waits for its
    request is closed, or else the oldest one of all, so that a new client always gets in. driving_peer returns the
    peer of the car that drives, which is never closed.
    """

    def __init__(
        self, driving_peer: Callable[[], Peer | None] = lambda: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._driving_peer, self._clock = driving_peer, clock
        self._lock = threading.Lock()
        self._waiting: dict[Peer, tuple[Any, float]] = {}  # without a whole request yet, and since when
        self._served: dict[Peer, Any] = {}
        self._closing: list[Any] = []

    def accepted(self, sock: Any, address: Sequence[Any]) -> bool:
        """Add a new connection and make room for it; False: there is no room yet, close it."""
        with self._lock:
            self._forget_closed()
            if len(self._waiting) + len(self._served) >= limits.SOCKETS:
                self._make_room()
            if len(self._closing) >= limits.SOCKETS_CLOSING:
                return False
            self._waiting[address[0], str(address[1])] = sock, self._clock()
            return True

    def requested(self, environ: dict[str, Any]) -> None:
        """Read the body of a request, and mark its connection as served."""
        if (length := int(environ.get("CONTENT_LENGTH") or 0)) > 0:
            environ["wsgi.input"] = io.BytesIO(_body(environ["wsgi.input"], length))
        peer = peer_of(environ)
        with self._lock:
            if peer in self._waiting:
                self._served[peer], _ = self._waiting.pop(peer)

    def close_late(self) -> None:
        """Close the connections whose request has not arrived in time; call this about once a second."""
        with self._lock:
            self._forget_closed()
            late = self._clock() - limits.REQUEST_SECONDS
            for peer in [peer for peer, (_, since) in self._waiting.items() if since < late]:
                self._shut_down(self._waiting.pop(peer)[0])

    def close_all(self) -> None:
        """Close all connections."""
        with self._lock:
            self._forget_closed()
            for sock in [*(sock for sock, _ in self._waiting.values()), *self._served.values()]:
                self._shut_down(sock)

    def _forget_closed(self) -> None:
        self._waiting = {peer: (sock, since) for peer, (sock, since) in self._waiting.items() if sock.fileno() != -1}
        self._served = {peer: sock for peer, sock in self._served.items() if sock.fileno() != -1}
        self._closing = [sock for sock in self._closing if sock.fileno() != -1]

    def _make_room(self) -> None:
        if self._waiting:
            self._shut_down(self._waiting.pop(next(iter(self._waiting)))[0])
            return
        driving = self._driving_peer()
        self._shut_down(self._served.pop(next(peer for peer in self._served if peer != driving)))

    def _shut_down(self, sock: Any) -> None:
        self._closing.append(sock)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def peer_of(environ: dict[str, Any]) -> Peer:
    """Return the address and the port that a request comes from."""
    return environ.get("REMOTE_ADDR", ""), str(environ.get("REMOTE_PORT", ""))


def _body(stream: Any, length: int) -> bytes:
    """Return the body of a request; less, or nothing, when its connection closed."""
    try:
        body: bytes = stream.read(length)
    except (OSError, ValueError):
        return b""
    return body
