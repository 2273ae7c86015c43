"""Make the Flask app of a page, which asks for the server's token first.

In: the page of `bcclone drive`, `bcclone play` or `bcclone edit`. Out: a WSGI app for WebServer.
"""

import hmac
import json
import secrets
from collections.abc import Callable
from typing import Any

import flask

from bcclone.system.codec import parse_json
from bcclone.system.errors import printable
from bcclone.web.access import WRONG_TOKEN_SECONDS
from bcclone.web.server import HEADERS, WebServer

_OPEN_ENDPOINTS = ("login", "static", "page.static")  # endpoints that need no token


def guarded_app(
    server: WebServer, room: str, program: str, index: Callable[[], str], max_body_bytes: int = 1000
) -> flask.Flask:
    """Return an app with a page at /, which asks for the server's token.

    room: name of the package that has the page's folders: `templates`, and `static`, which is
        served at /page
    program: name of the command, for the login form
    index: returns the page as HTML
    max_body_bytes: most bytes that the body of a request may have
    """
    app = flask.Flask(__name__)
    app.jinja_options = app.jinja_options | {"finalize": _visible}
    app.config["MAX_CONTENT_LENGTH"] = max_body_bytes
    app.register_blueprint(
        flask.Blueprint(
            "page",
            room,
            template_folder="templates",
            static_folder="static",
            static_url_path="/page",
        )
    )
    secret = secrets.token_urlsafe(32)  # the cookie of browsers that have sent the token

    def cookie_name() -> str:
        """Return a name with the port: browsers send a cookie to all ports of a machine."""
        return f"bcclone-{flask.request.environ['SERVER_PORT']}"

    def form(wrong: bool) -> Any:
        return render("login.html", wrong=wrong, program=program), 401

    @app.before_request
    def require_token() -> Any:
        """Return a response that asks for the token, or None to let the app answer the request."""
        cookie = flask.request.cookies.get(cookie_name(), "").encode("utf-8", "surrogatepass")
        needs_none = not server.access.token
        if needs_none or hmac.compare_digest(cookie, secret.encode()):
            return None
        if flask.request.endpoint in _OPEN_ENDPOINTS:
            return None
        if flask.request.endpoint == "index":
            return form(wrong=False)
        address = flask.request.remote_addr or ""
        reason = "log in on the page first"
        refused = f"a page or program of {address} was refused, since it has not sent the token: "
        server.access.log_once("page", address, refused + reason)
        return plain_text(reason, 401)

    @app.after_request
    def add_headers(response: flask.Response) -> flask.Response:
        response.headers.update(HEADERS)
        return response

    @app.post("/login")
    def login() -> Any:
        """Return the cookie to a browser that has sent the token, or else the login form again."""
        if not server.access.accepts(flask.request.form.get("token", "")):
            server.sleep(WRONG_TOKEN_SECONDS)
            return form(wrong=True)
        # both relative, since a proxy may serve the page below a prefix: without a path, the cookie
        # belongs to the folder of this address
        response = flask.redirect("./")
        response.set_cookie(cookie_name(), secret, httponly=True, samesite="Strict", path=None)
        return response

    app.add_url_rule("/", "index", index)
    return app


def _visible(value: Any) -> Any:
    """Return a text of a template with its control characters escaped, as in a terminal.

    So are bytes of names that are no UTF-8, which a response cannot hold.
    """
    is_markup = hasattr(value, "__html__")
    return printable(value) if isinstance(value, str) and not is_markup else value


def render(template: str, **values: Any) -> str:
    """Return a page as HTML; template: name of a file in one of the folders `templates`"""
    return flask.render_template(template, **values)


def posted() -> Any:
    """Return the value of the JSON in the body of the present request.

    Returns None if the content type is not JSON: another site can make a browser send a form, but
    not JSON. Raises ValueError for a body that is not JSON.
    """
    if not flask.request.is_json:
        return None
    try:
        return parse_json(flask.request.get_data())
    except ValueError as error:
        reason = f"{error}; expected an object with some of the controls, as JSON"
        raise ValueError(reason) from None


def plain_text(text: str, status: int) -> flask.Response:
    """Return a response of one line of text; status: HTTP status."""
    return flask.Response(f"{printable(text)}\n", status, mimetype="text/plain")


def with_pictures(state: dict[str, Any], *pictures: bytes) -> bytes:
    """Return a message of bytes with a state and the files of pictures.

    It has three parts: the length of the second part in 4 bytes, the most significant first; the
    state as JSON, with the lengths of the pictures as its field `pictures`; and the pictures.
    """
    lengths = [len(picture) for picture in pictures]
    text = json.dumps(state | {"pictures": lengths}, allow_nan=False).encode()
    return b"".join([len(text).to_bytes(4, "big"), text, *pictures])
