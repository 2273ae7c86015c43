"""Requests -> who may come in: this machine freely, others by the token, and no web page of another site."""

import hmac
import ipaddress
import re
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from bcclone.drive.settings import is_this_machine
from bcclone.drive.wire import limits

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
