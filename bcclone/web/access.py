"""Decide who may send requests: this machine may, other machines if they send the token.

In: the headers of a request. Out: None, or the reason for a refusal. Requests that a page of
another web site makes a browser send are always refused.
"""

import hashlib
import hmac
import ipaddress
import logging
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from bcclone.system.settings import SettingError

logger = logging.getLogger(__name__)

SOCKETIO_PATH = "/socket.io"
WRONG_TOKEN_SECONDS = 1.0  # how long no token is accepted after a wrong one
SHORTEST_TOKEN = 12  # characters; only for servers that other machines can reach


def check_token(host: str, token: str) -> None:
    """Raise SettingError if other machines can reach a server without a token, or guess its token.

    host: address that the server listens on
    token: "" for none
    """
    if len(token) < SHORTEST_TOKEN and not is_this_machine(host):
        # SettingError puts the names of the settings for {host} and {token}
        raise SettingError(
            "{host} {address} is reachable from other machines; set a secret for them with "
            "{token}, of at least {least} characters that nobody guesses, such as {proposal}, "
            "or listen on 127.0.0.1",
            address=host,
            least=SHORTEST_TOKEN,
            proposal=secrets.token_hex(8),
        )


def is_this_machine(host: str) -> bool:
    """Return whether an address is a loopback address, which only this machine can reach."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])  # without the zone of "fe80::1%eth0"
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)  # only an IPv6 address has the attribute
    return (mapped or address).is_loopback


# value of the header Host: a name or an address, and perhaps a port
_HOST = re.compile(r"^([^:]+|\[[^]]*\])(?::\d*)?$")


class Access:
    """Decides by the headers of a request whether it is answered."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        token: str = "",
        allow_from: tuple[str, ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make the access control of one server.

        host: the address that the server listens on
        token: the secret that other machines must send, "" for none
        allow_from: IP addresses of machines whose simulator needs no token
        """
        self.token = token
        self._host = host
        self._clock = clock
        self._allow_from = {str(ipaddress.ip_address(address)) for address in allow_from}
        self._lock = threading.Lock()  # held while a token is checked
        self._closed_until = 0.0  # before this time, no token is accepted

    def refusal(self, environ: dict[str, Any]) -> tuple[str, str] | None:
        """Return the HTTP status and the reason for refusing a request, or None to accept it.

        The token is checked here only for cars. A browser cannot send a token with its first
        request, so the page asks for it (web/page.py).

        environ: the request, as WSGI describes it
        """
        if not self._names_this_server(environ.get("HTTP_HOST", "")):
            # DNS rebinding: another site may point its own name at this machine, and a browser
            # would then treat that site's page as ours
            reason = "this server answers to its address or to localhost, not to other names"
            return "403 Forbidden", reason
        if _is_of_another_site(environ):
            return "403 Forbidden", "pages of other sites have no access"
        is_car = environ.get("PATH_INFO", "").startswith(SOCKETIO_PATH)
        if is_car and not self._lets_car_in(environ):
            reason = "this server asks other machines for its token: add ?token=... to the address"
            return "401 Unauthorized", reason
        return None

    def accepts(self, token: str) -> bool:
        """Return whether a client's token is right; any token is if the server has none.

        After a wrong token, no token of any client is accepted for a second, so that it is of no
        use to send many guesses at the same time.
        """
        if not self.token:
            return True
        if not token:
            return False
        with self._lock:
            now = self._clock()
            if now < self._closed_until:
                return False
            if hmac.compare_digest(_digest(token), _digest(self.token)):
                return True
            self._closed_until = now + WRONG_TOKEN_SECONDS
            logger.warning("a client sent a wrong token; none is looked at for a second")
            return False

    def _lets_car_in(self, environ: dict[str, Any]) -> bool:
        """Return whether a car may connect: from this machine, an allowed machine, or with a token.

        Udacity's simulator cannot send a token; other programs put it into the URL.
        """
        address = environ.get("REMOTE_ADDR", "")
        if is_this_machine(address) or address in self._allow_from:
            return True
        query = parse_qs(environ.get("QUERY_STRING", ""))
        return self.accepts(query.get("token", [""])[0])

    def _names_this_server(self, host: str) -> bool:
        """Return whether a request's header Host is an IP address, or a name of this server."""
        name = _HOST.sub(r"\1", host.lower())
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            # "": other programs may send no Host; a browser always sends one
            return name in ("", "localhost", self._host.lower(), socket.gethostname().lower())
        return True


def _is_of_another_site(environ: dict[str, Any]) -> bool:
    """Return whether a page of another site made a browser send the request."""
    # with POST and websockets, browsers send the header Origin
    if origin := environ.get("HTTP_ORIGIN"):
        _, mark, host = origin.partition("://")
        return not mark or host != environ.get("HTTP_HOST")
    # with other requests, such as for an image, browsers send Sec-Fetch-Site; other programs do not
    if environ.get("HTTP_SEC_FETCH_SITE", "none") in ("none", "same-origin"):
        return False
    is_link = environ.get("HTTP_SEC_FETCH_MODE") == "navigate" and environ.get("PATH_INFO") == "/"
    return not is_link  # a link on another site that leads to our page is allowed


def _digest(token: str) -> bytes:
    """Return a digest of a token; to compare digests takes the same time for all tokens."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
