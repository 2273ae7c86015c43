"""Panel -> the web page at / and what its script asks for. The only module that knows flask.

GET / the page, GET /events server-sent events with the state, GET /history the last 60 seconds, GET /state the state
once, POST /control a JSON object of what to set, POST /login the token.
"""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import flask

from bcclone.drive.dashboard.state import EVERY_SECONDS, Panel
from bcclone.drive.settings import HIGHEST_SPEED_MPH, DriveSettings
from bcclone.drive.wire import limits
from bcclone.drive.wire.access import WRONG_TOKEN_SECONDS, Access

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # by "no-referrer" the login form would come from the origin "null"
    "Cache-Control": "no-store",
}
_LONGEST_BODY = 1000


def make_page(panel: Panel, access: Access, sleep: Callable[[float], Any]) -> flask.Flask:
    """Return the page as a WSGI app. sleep: lets others run meanwhile, as the server needs it."""
    app = flask.Flask(__name__)
    app.secret_key = secrets.token_bytes(32)
    app.config.update(SESSION_COOKIE_SAMESITE="Strict", MAX_CONTENT_LENGTH=_LONGEST_BODY)
    page = _Page(panel, access, sleep)
    app.before_request(page.ask_for_token)
    app.after_request(_add_headers)
    app.add_url_rule("/", view_func=page.index)
    app.add_url_rule("/login", view_func=page.login, methods=["POST"])
    app.add_url_rule("/state", view_func=panel.state, endpoint="state")
    app.add_url_rule("/history", view_func=panel.history, endpoint="history")
    app.add_url_rule("/events", view_func=page.events)
    app.add_url_rule("/control", view_func=page.control, methods=["POST"])
    return app


class _Page:
    """What the page's addresses answer."""

    def __init__(self, panel: Panel, access: Access, sleep: Callable[[float], Any]) -> None:
        self._panel, self._access, self._sleep = panel, access, sleep
        self._watching: list[object] = []

    def ask_for_token(self) -> Any:
        """Return what is answered instead to who may not come in, or None."""
        request = flask.request
        if not self._access.is_same_origin(request.environ):
            return _text("another site's page may not ask for this", 403)
        if not self._access.token or flask.session.get("known") or request.endpoint in ("login", "static"):
            return None
        if request.endpoint == "index":
            return flask.render_template("login.html", wrong=False), 401
        return _text("log in on the page first", 401)

    def index(self) -> str:
        """Return the page."""
        port = int(flask.request.environ["SERVER_PORT"])
        option = "" if port == DriveSettings.port else f" --port {port}"
        return flask.render_template("dashboard.html", port_option=option, highest_speed=f"{HIGHEST_SPEED_MPH:g}")

    def login(self) -> Any:
        """Let a browser in that has sent the token."""
        if not self._access.knows(flask.request.form.get("token", "")):
            self._sleep(WRONG_TOKEN_SECONDS)
            return flask.render_template("login.html", wrong=True), 401
        flask.session["known"] = True
        return flask.redirect("/")

    def control(self) -> Any:
        """Set what the request's JSON says; return the state after it."""
        try:
            self._panel.set(flask.request.get_json(silent=True))
        except ValueError as error:
            return {"error": str(error)}, 400
        return self._panel.state()

    def events(self) -> Any:
        """Return the stream of states."""
        if len(self._watching) >= limits.DASHBOARDS:
            return _text(f"{limits.DASHBOARDS} pages watch already", 503)
        return flask.Response(_stream(self._panel, self._watching, self._sleep), mimetype="text/event-stream")


def _text(text: str, status: int) -> flask.Response:
    return flask.Response(f"{text}\n", status, mimetype="text/plain")


def _add_headers(response: flask.Response) -> flask.Response:
    response.headers.update(_HEADERS)
    return response


def _stream(panel: Panel, watching: list[object], sleep: Callable[[float], Any]) -> Iterator[bytes]:
    """Yield the newest state again and again; a slow reader gets fewer, and waits for nobody."""
    me = object()
    watching.append(me)
    try:
        last = 0
        while True:
            number, event = panel.event()
            if number != last:
                last = number
                yield event
            sleep(EVERY_SECONDS)
    finally:
        watching.remove(me)
