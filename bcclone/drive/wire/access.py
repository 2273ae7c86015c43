"""Decide which requests are allowed, by token, host name and origin: a request's headers -> a reason to refuse it.

This machine has access without a token, other machines with it, and pages of other web sites never.
"""

import hashlib
import hmac
import ipaddress
import logging
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from bcclone.drive.drive_settings import is_this_machine

logger = logging.getLogger(__name__)

WSGIApp = Callable[[dict[str, Any], Any], Any]

WRONG_TOKEN_SECONDS = 1.0  # after a wrong token, in which no other one is looked at
SOCKETIO_PATH = "/socket.io"
_HOST = re.compile(r"^([^:]+|\[[^]]*\])(?::\d*)?$")


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
        self._lock, self._closed_until = threading.Lock(), 0.0

    def refusal(self, environ: dict[str, Any]) -> tuple[str, str] | None:
        """Return the status and the reason for refusing a request, or None to accept it.

        The page asks for the token itself (page/app.py): a browser cannot send one with its first request.
        """
        if not self._names_this_server(environ.get("HTTP_HOST", "")):
            # DNS rebinding: a foreign page whose name points to this machine would count as ours
            return "403 Forbidden", "this server answers to its address or to localhost, not to other names"
        if _is_of_another_site(environ):
            return "403 Forbidden", "pages of other sites have no access"
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
            logger.warning("a client sent a wrong token; none is looked at for a second")
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
