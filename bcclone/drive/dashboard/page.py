"""Panel -> the web page at / and what its script asks for. The only module that knows flask.

GET / the page, GET /events server-sent events with the state, GET /history the last 60 seconds, GET /state the state
once, POST /control a JSON object of what to set, POST /login the token.
"""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import flask

from bcclone.drive.wire import limits
from bcclone.drive.wire.access import Access
from bcclone.drive.dashboard.panel import EVERY_SECONDS, Panel

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_LOGIN_DELAY_SECONDS = 1.0  # for a wrong token, so that guessing takes long


def make_page(panel: Panel, access: Access, sleep: Callable[[float], Any]) -> flask.Flask:
    """Return the page as a WSGI app. sleep: lets others run meanwhile, as the server needs it."""
    app = flask.Flask(__name__)
    app.secret_key = secrets.token_bytes(32)
    app.config.update(SESSION_COOKIE_SAMESITE="Strict", MAX_CONTENT_LENGTH=limits.CONTROL_BYTES * 5)
    watching: list[object] = []

    @app.before_request
    def ask_for_token() -> Any:
        if not access.is_same_origin(flask.request.environ):
            return flask.Response("another site's page may not ask for this\n", 403, mimetype="text/plain")
        known = not access.token or flask.session.get("known")
        if known or flask.request.endpoint in ("login", "static"):
            return None
        if flask.request.endpoint == "index":
            return flask.render_template("login.html", wrong=False), 401
        return flask.Response("log in on the page first\n", 401, mimetype="text/plain")

    @app.after_request
    def add_headers(response: flask.Response) -> flask.Response:
        response.headers.update(_HEADERS)
        return response

    @app.get("/")
    def index() -> str:
        return flask.render_template("dashboard.html")

    @app.post("/login")
    def login() -> Any:
        if not access.knows(flask.request.form.get("token", "")):
            sleep(_LOGIN_DELAY_SECONDS)
            return flask.render_template("login.html", wrong=True), 401
        flask.session["known"] = True
        return flask.redirect("/")

    @app.get("/state")
    def state() -> dict[str, Any]:
        return panel.state()

    @app.get("/history")
    def history() -> Any:
        return flask.jsonify(panel.history())

    @app.post("/control")
    def control() -> Any:
        try:
            panel.set(flask.request.get_json(silent=True))
        except ValueError as error:
            return {"error": str(error)}, 400
        return panel.state()

    @app.get("/events")
    def events() -> Any:
        if len(watching) >= limits.DASHBOARDS:
            return flask.Response(f"{limits.DASHBOARDS} pages watch already\n", 503, mimetype="text/plain")
        return flask.Response(_stream(panel, watching, sleep), mimetype="text/event-stream")

    return app


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
