"""Serve the web page and the addresses that its script requests.

GET / the page, GET /events server-sent events with the state, GET /history the last 60 seconds, GET /state the state
once, POST /control a JSON object of controls to set, POST /hands what a person's hands do, POST /login the token.
The page of bcclone play has the same login, headers and shared files.
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import flask

from bcclone.drive.controller import HIGHEST_SPEED_MPH
from bcclone.drive.dashboard.page_messages import DriveChanges, HandsAtPage
from bcclone.drive.dashboard.page_state import EVERY_SECONDS, Dashboard
from bcclone.drive.drive_settings import DriveSettings
from bcclone.drive.wheel import WheelTaken
from bcclone.drive.wire import limits
from bcclone.drive.wire.access import WRONG_TOKEN_SECONDS, Access

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with "no-referrer" the login form would have the origin "null"
    "Cache-Control": "no-store",
}
_LONGEST_BODY = 1000


def make_app(dashboard: Dashboard, access: Access, sleep: Callable[[float], Any]) -> flask.Flask:
    """Return the page as a WSGI app. sleep: pauses only the current request."""
    app = flask.Flask(__name__)
    protect(app, access, sleep, "drive.py")
    responses = _Responses(dashboard, sleep)
    app.add_url_rule("/", view_func=responses.index)
    app.add_url_rule("/state", view_func=responses.state)
    app.add_url_rule("/history", view_func=responses.history)
    app.add_url_rule("/events", view_func=responses.events)
    app.add_url_rule("/control", view_func=responses.control, methods=["POST"])
    app.add_url_rule("/hands", view_func=responses.hands, methods=["POST"])
    return app


class _Responses:
    """The responses of the page's addresses."""

    def __init__(self, dashboard: Dashboard, sleep: Callable[[float], Any]) -> None:
        self._dashboard, self._sleep = dashboard, sleep
        self._streams: list[object] = []

    def index(self) -> str:
        """Return the page."""
        port = int(flask.request.environ["SERVER_PORT"])
        option = "" if port == DriveSettings.port else f" --port {port}"
        return flask.render_template("dashboard.html", port_option=option, highest_speed=f"{HIGHEST_SPEED_MPH:g}")

    def state(self) -> dict[str, Any]:
        """Return the state."""
        return self._dashboard.state().as_json()

    def history(self) -> list[dict[str, Any]]:
        """Return the points of the plots."""
        return [asdict(point) for point in self._dashboard.history()]

    def control(self) -> Any:
        """Set the controls in the request's JSON; return the new state."""
        try:
            self._dashboard.set(DriveChanges.parse(flask.request.get_json(silent=True)))
        except ValueError as error:
            return {"error": str(error)}, 400
        return self.state()

    def hands(self) -> Any:
        """Let the hands at a page steer; `refused` is the reason why they may not, or ""."""
        try:
            self._dashboard.move_hands(HandsAtPage.parse(flask.request.get_json(silent=True)))
        except WheelTaken as error:
            return {"refused": str(error)}
        except ValueError as error:
            return {"error": str(error)}, 400
        return {"refused": ""}

    def events(self) -> Any:
        """Return the stream of states."""
        if len(self._streams) >= limits.DASHBOARDS:
            return text_response(f"{limits.DASHBOARDS} pages are open already", 503)
        return flask.Response(_stream(self._dashboard, self._streams, self._sleep), mimetype="text/event-stream")


def _stream(dashboard: Dashboard, streams: list[object], sleep: Callable[[float], Any]) -> Iterator[bytes]:
    """Yield the newest events without end; a slow reader gets fewer, and delays no other."""
    stream = object()
    streams.append(stream)
    try:
        last = 0
        while True:
            number, event = dashboard.event()
            if number != last:
                last = number
                yield event
            sleep(EVERY_SECONDS)
    finally:
        streams.remove(stream)


def protect(app: flask.Flask, access: Access, sleep: Callable[[float], Any], program: str) -> None:
    """Add the login to an app whose page is the view `index`, and the headers to all its responses.

    Styles, icon and scripts that pages share get the addresses /shared/...; sleep: pauses only the current request;
    program: what was started with the token, for the form.
    """
    app.secret_key = secrets.token_bytes(32)
    app.config.update(SESSION_COOKIE_SAMESITE="Strict", MAX_CONTENT_LENGTH=_LONGEST_BODY)
    shared = flask.Blueprint(
        "shared", __name__, static_folder="static", template_folder="templates", url_prefix="/shared"
    )
    app.register_blueprint(shared)
    login = _TokenLogin(access, sleep, program)
    app.before_request(login.require_token)
    app.after_request(_add_headers)
    app.add_url_rule("/login", view_func=login.login, methods=["POST"])


def text_response(text: str, status: int) -> flask.Response:
    """Return a response of one line."""
    return flask.Response(f"{text}\n", status, mimetype="text/plain")


class _TokenLogin:
    """Asks for the token, and remembers a browser that has sent it."""

    def __init__(self, access: Access, sleep: Callable[[float], Any], program: str) -> None:
        self._access, self._sleep, self._program = access, sleep, program

    def require_token(self) -> Any:
        """Return the response to a request that is not allowed, or None."""
        request = flask.request
        if not self._access.is_same_origin(request.environ):
            return text_response("pages of other sites have no access", 403)
        known = not self._access.token or flask.session.get("known")
        if known or request.endpoint in ("login", "static", "shared.static"):
            return None
        if request.endpoint == "index":
            return self._form(wrong=False)
        return text_response("log in on the page first", 401)

    def login(self) -> Any:
        """Remember a browser that has sent the token."""
        if not self._access.is_token(flask.request.form.get("token", "")):
            self._sleep(WRONG_TOKEN_SECONDS)
            return self._form(wrong=True)
        flask.session["known"] = True
        return flask.redirect("/")

    def _form(self, wrong: bool) -> Any:
        return flask.render_template("login.html", wrong=wrong, program=self._program), 401


def _add_headers(response: flask.Response) -> flask.Response:
    response.headers.update(_HEADERS)
    return response
