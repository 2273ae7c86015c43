"""Protect a web page by a token and by headers; drive.py's page and that of bcclone play share it."""

import secrets
from collections.abc import Callable
from typing import Any

import flask

from bcclone.drive.wire.access import WRONG_TOKEN_SECONDS, Access

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with "no-referrer" the login form would have the origin "null"
    "Cache-Control": "no-store",
}
_LONGEST_BODY = 1000


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
