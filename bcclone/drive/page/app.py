"""Serve the web page and the addresses that its script requests, for a drive or a play.

GET / the page, GET /socket its websocket, GET /room whether there is room for one more page, GET /history the points
of the plots, GET /track the map, GET /state the state once, POST /control a JSON object of controls to set, POST /login
the token.
"""

import hmac
import secrets
from dataclasses import asdict
from typing import Any

import flask

from bcclone.drive.controller import HIGHEST_SPEED_MPH
from bcclone.drive.page.page_state import ControlChanges, PageSession
from bcclone.drive.page.pages import PAGES, OpenPages
from bcclone.drive.wire.access import WRONG_TOKEN_SECONDS
from bcclone.drive.wire.web_server import WebServer
from bcclone.drive.wire.websocket import BadHandshake
from bcclone.system.codec import parse_json
from bcclone.system.errors import UserError

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with "no-referrer" the login form would have the origin "null"
    "Cache-Control": "no-store",
}
_LONGEST_BODY = 1000


def make_app(session: PageSession, pages: OpenPages, server: WebServer) -> flask.Flask:
    """Return the page of a session as a WSGI app, which asks for the server's token."""
    app = flask.Flask(__name__)
    app.config.update(MAX_CONTENT_LENGTH=_LONGEST_BODY)
    responses = _Responses(session, pages, server)
    app.before_request(responses.require_token)
    app.after_request(_add_headers)
    app.add_url_rule("/", view_func=responses.index)
    app.add_url_rule("/socket", view_func=responses.socket, websocket=True)
    app.add_url_rule("/room", view_func=responses.room)
    app.add_url_rule("/history", view_func=responses.history)
    app.add_url_rule("/track", view_func=responses.track)
    app.add_url_rule("/state", view_func=responses.state)
    app.add_url_rule("/control", view_func=responses.control, methods=["POST"])
    app.add_url_rule("/login", view_func=responses.login, methods=["POST"])
    return app


class _Responses:
    """The responses of the page's addresses, which ask for the token, and remember a browser that has sent it."""

    def __init__(self, session: PageSession, pages: OpenPages, server: WebServer) -> None:
        self._session, self._pages, self._server = session, pages, server
        self._cookie = secrets.token_urlsafe(32)  # of browsers that have sent the token

    def index(self) -> str:
        contents = self._session.contents
        port = int(flask.request.environ["SERVER_PORT"])
        option = "" if port == contents.port else f" --port {port}"
        return flask.render_template("page.html", page=contents, option=option, highest_speed=f"{HIGHEST_SPEED_MPH:g}")

    def socket(self) -> Any:
        """Serve a page over its websocket until it closes."""
        if self._pages.full:
            return self.room()
        try:
            websocket = self._server.accept_websocket(flask.request.environ)
        except (BadHandshake, OSError) as error:
            return _text(str(error), 400)
        self._pages.serve(websocket)
        return ""

    def room(self) -> flask.Response:
        """Return whether one more page has room; a browser does not tell why a websocket was refused."""
        return _text(f"{PAGES} pages are open already", 503) if self._pages.full else _text("there is room", 200)

    def history(self) -> list[dict[str, Any]]:
        return [asdict(point) for point in self._session.history()]

    def track(self) -> Any:
        return self._session.contents.track_map or _text("this car drives in another program's world", 404)

    def state(self) -> dict[str, Any]:
        return self._session.state()

    def control(self) -> Any:
        """Set the controls in the request's JSON; return the new state."""
        try:
            self._session.set(ControlChanges.parse(_json(flask.request), self._session.controls))
        except (ValueError, UserError) as error:
            return {"error": str(error)}, 400
        self._pages.wake()
        return self.state()

    def require_token(self) -> Any:
        """Return the response to a request that is not allowed, or None."""
        request = flask.request
        cookie = request.cookies.get(_cookie_name(), "").encode("utf-8", "surrogatepass")
        logged_in = not self._server.access.token or hmac.compare_digest(cookie, self._cookie.encode())
        if logged_in or request.endpoint in ("login", "static"):
            return None
        if request.endpoint == "index":
            return self._form(wrong=False)
        return _text("log in on the page first", 401)

    def login(self) -> Any:
        """Remember a browser that has sent the token."""
        if not self._server.access.accepts(flask.request.form.get("token", "")):
            self._server.host.sleep(WRONG_TOKEN_SECONDS)
            return self._form(wrong=True)
        response = flask.redirect("/")
        response.set_cookie(_cookie_name(), self._cookie, httponly=True, samesite="Strict")
        return response

    def _form(self, wrong: bool) -> Any:
        return flask.render_template("login.html", wrong=wrong, program=self._session.contents.program), 401


def _cookie_name() -> str:
    """Return a name for this port: browsers send the cookies of all ports of a machine."""
    return f"bcclone-{flask.request.environ['SERVER_PORT']}"


def _json(request: flask.Request) -> Any:
    """Return the value of a request's JSON, None if it has none; raises ValueError for JSON that is not read."""
    if not request.is_json:  # as a form of another site
        return None
    try:
        return parse_json(request.get_data())
    except ValueError as error:
        raise ValueError(f"{error}; expected an object with some of the controls, as JSON") from None


def _text(text: str, status: int) -> flask.Response:
    return flask.Response(f"{text}\n", status, mimetype="text/plain")


def _add_headers(response: flask.Response) -> flask.Response:
    response.headers.update(_HEADERS)
    return response
