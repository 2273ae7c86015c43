"""Decide who may send requests: this machine may, and other machines that send the token.

In: the headers of a request. Out: None, or the reason for a refusal. With --allow-host, this
machine's cars send the token as well. Refused are the requests that pages of other web sites make a
browser send, except those of allowed names.
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
from typing import Annotated, Any
from urllib.parse import parse_qs

from bcclone.system.errors import shown_command
from bcclone.system.settings import Setting, SettingError

logger = logging.getLogger(__name__)

SOCKETIO_PATH = "/socket.io"
WRONG_TOKEN_SECONDS = 1.0  # how long no token is accepted after a wrong one
SHORTEST_TOKEN = 12  # characters; only for servers that other machines can reach
_MOST_LOGGED = 5  # refusals of a kind that are logged, each of another name or address


# of an option: the names besides this machine's own by which browsers may reach a server
AllowedNames = Annotated[
    tuple[str, ...],
    Setting(
        help="name by which browsers reach the page, as of a proxy before it (JupyterHub, "
        "Codespaces, nginx) or of this machine in your network; needs --token; repeatable",
        unit="NAME",
    ),
]
_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")


def check_access(host: str, token: str, allow_host: tuple[str, ...] = ()) -> None:
    """Raise SettingError if others can reach a server without a token, or guess its token.

    host: address that the server listens on
    token: "" for none
    allow_host: names besides this machine's own by which browsers may reach the server
    """
    # SettingError puts the names of the settings for {host}, {token} and {allow_host}
    for name in allow_host:
        if not (_NAME.fullmatch(name.lower()) or _is_address(name)):
            raise SettingError(
                "{allow_host} {name}, expected a name without http://, port and path, such as "
                "car.example.org",
                name=name[:100],
            )
    is_local = is_this_machine(host)
    if len(token) >= SHORTEST_TOKEN or (is_local and not allow_host):
        return
    reason = "{host} {name} is reachable from other machines"
    if is_local:
        reason = "{allow_host} {name} lets browsers on other machines in"
    ending = "" if is_local else ", or listen on 127.0.0.1"
    raise SettingError(
        f"{reason}; set a secret for them with {{token}}, of at least {SHORTEST_TOKEN} characters "
        f"that nobody guesses, such as {secrets.token_hex(8)}{ending}",
        name=allow_host[0] if is_local else host,
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


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


# value of the header Host: a name or an address, and perhaps a port
_HOST = re.compile(r"^([^:]+|\[[^]]*\])(?::\d*)?$")


def _name_in(host: str) -> str:
    """Return the name or address in a header Host, or behind the :// of an Origin."""
    name = _HOST.sub(r"\1", host.lower())
    in_brackets = name[1:-1] if name.startswith("[") and name.endswith("]") else ""
    return in_brackets if _is_address(in_brackets) else name


class Access:
    """Decides by the headers of a request whether it is answered."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        token: str = "",
        allow_from: tuple[str, ...] | None = (),
        allow_host: tuple[str, ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make the access control of one server; check_access() has accepted its settings.

        host: the address that the server listens on
        token: the secret that other machines must send, "" for none
        allow_from: IP addresses of machines whose simulator needs no token; None for a server of
            pages alone, which serves no cars
        allow_host: names besides this machine's own by which browsers may reach the server
        """
        self.token = token
        self.allow_host = frozenset(map(str.lower, allow_host))
        # those by which a request has come through a proxy; this machine's programs use the others
        self._proxied = {name for name in self.allow_host if not is_this_machine(name)}
        self._host = host
        self._clock = clock
        self._serves_cars = allow_from is not None
        self._allow_from = {str(ipaddress.ip_address(address)) for address in allow_from or ()}
        self._lock = threading.Lock()  # held while a token is checked
        self._closed_until = 0.0  # before this time, no token is accepted
        self._wrong_tokens = 0  # how many clients have sent
        # kind of a refusal -> the names or addresses of clients with which it was logged
        self._logged: dict[str, set[str]] = {}

    def refusal(self, environ: dict[str, Any]) -> tuple[str, str] | None:
        """Return the HTTP status and the reason for refusing a request, or None to accept it.

        The token is checked here only for cars. A browser cannot send a token with its first
        request, so the page asks for it (web/page.py).

        environ: the request, as WSGI describes it
        """
        name = _name_in(environ.get("HTTP_HOST", ""))
        if not self._is_ours(name):
            # DNS rebinding: another site may point its own name at this machine, and a browser
            # would then treat that site's page as ours
            return self._unknown(name, "this server answers to its address or to localhost, not to")
        origin = environ.get("HTTP_ORIGIN")  # browsers send it with POST and websockets
        if origin is not None:
            if not self._is_own_origin(origin, environ):
                name = _name_in(origin.partition("://")[2])
                return self._unknown(
                    name, "pages of other sites have no access, such as this one of"
                )
        elif _is_of_another_site(environ):
            reason = "pages of other sites have no access"
            self.log_once("site", "", f"a request was refused: {reason}, such as one open here")
            return "403 Forbidden", reason
        is_car = environ.get("PATH_INFO", "").startswith(SOCKETIO_PATH)
        if is_car and not self._serves_cars:
            drive = shown_command("drive", "MODEL", "--port", environ.get("SERVER_PORT", ""))
            reason = (
                f"this program serves no simulator; to let a model drive one, end it, and: {drive}"
            )
            self.log_once("car", "", f"a simulator's request was refused: {reason}")
            return "404 Not Found", reason
        if is_car and not self._lets_car_in(environ):
            return "401 Unauthorized", self._without_token(environ, name)
        return None

    def _without_token(self, environ: dict[str, Any], name: str) -> str:
        """Return why a car is refused that has not sent the token, and log it once.

        name: of this server, as the car knows it
        """
        address = environ.get("REMOTE_ADDR", "")
        reason = "this server asks other machines for its token: add ?token=... to the address"
        if is_this_machine(address):
            reason = (
                "with --allow-host, cars of this machine need the token as well, since what "
                "comes through a proxy seems to come from here: add ?token=... to the address"
            )
        # what came by an allowed name came through a proxy, whose address is not the car's
        if name not in self._proxied and _is_address(address):
            reason += (
                ", or, for Udacity's simulator, which cannot send it, start this server with "
                f"--allow-from {address}"
            )
        self.log_once("token", address, f"a car of {address} was refused: {reason}")
        return reason

    def log_once(self, kind: str, client: str, text: str) -> None:
        """Log a refusal, the first one of each client, and of a few clients.

        kind: of the refusal, of each of which a few are logged
        client: its name or address
        """
        with self._lock:
            logged = self._logged.setdefault(kind, set())
            if client in logged or len(logged) == _MOST_LOGGED:
                return
            logged.add(client)
        logger.warning("%s", text)

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
            self._wrong_tokens += 1
            count = self._wrong_tokens
        if count & (count - 1) == 0:  # 1, 2, 4, 8 ...: guesses must not fill the terminal
            times = "" if count == 1 else f", {count} times so far"
            logger.warning("a client sent a wrong token%s; none is looked at for a second", times)
        return False

    def _lets_car_in(self, environ: dict[str, Any]) -> bool:
        """Return whether a car may connect: from this machine, an allowed machine, or with a token.

        Udacity's simulator cannot send a token; other programs put it into the URL.
        """
        address = environ.get("REMOTE_ADDR", "")
        needs_none = address in self._allow_from
        if is_this_machine(address):
            # a proxy on this machine passes on what other machines send, as --allow-host expects;
            # an allowed name shows that a request came through it
            by_allowed_name = _name_in(environ.get("HTTP_HOST", "")) in self._proxied
            needs_none = not by_allowed_name and (needs_none or not self.allow_host)
        if needs_none:
            return True
        query = parse_qs(environ.get("QUERY_STRING", ""))
        return self.accepts(query.get("token", [""])[0])

    def _is_ours(self, name: str) -> bool:
        """Return whether a request's name is an IP address, or a name of this server."""
        # "": other programs may send no Host; a browser always sends one
        ours = ("", "localhost", self._host.lower(), socket.gethostname().lower())
        return name in ours or name in self.allow_host or _is_address(name)

    def _is_own_origin(self, origin: str, environ: dict[str, Any]) -> bool:
        """Return whether an Origin is that of our page; "null" is none.

        Its scheme does not count: a proxy before this server may speak https.
        """
        _, mark, host = origin.partition("://")
        asked = environ.get("HTTP_HOST", "")
        if not mark:
            return False
        # a proxy may pass on the browser's Origin and write Host anew, or the other way round
        is_rewritten = _name_in(asked) in self.allow_host and (
            host == f"localhost:{environ.get('SERVER_PORT')}"
        )
        return host == asked or _name_in(host) in self.allow_host or is_rewritten

    def _unknown(self, name: str, what: str) -> tuple[str, str]:
        """Return the refusal of a request by an unknown name, and log it once."""
        shown = name if _NAME.fullmatch(name) or _is_address(name) else "another name"
        given = shown if shown == name else "NAME"
        reason = (
            f"{what} {shown}; if that is the name of your proxy or network, start this "
            f"server with --allow-host {given} and --token SECRET"
        )
        self.log_once("name", shown, f"a request was refused: {reason}")
        return "403 Forbidden", reason


def _is_of_another_site(environ: dict[str, Any]) -> bool:
    """Return whether a page of another site made a browser send a request without an Origin."""
    # with requests such as for an image, browsers send Sec-Fetch-Site; other programs do not
    if environ.get("HTTP_SEC_FETCH_SITE", "none") in ("none", "same-origin"):
        return False
    is_link = environ.get("HTTP_SEC_FETCH_MODE") == "navigate" and environ.get("PATH_INFO") == "/"
    return not is_link  # a link on another site that leads to our page is allowed


def _digest(token: str) -> bytes:
    """Return a digest of a token; to compare digests takes the same time for all tokens."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
