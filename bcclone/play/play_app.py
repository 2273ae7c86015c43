"""Serve the page of bcclone play.

GET / the page, GET /track its map, GET /socket the websocket, GET /room whether there is room for a page, POST /login
the token.
"""

import time
from typing import Any

import flask

from bcclone.drive.controller import HIGHEST_SPEED_MPH
from bcclone.drive.dashboard.login import protect, text_response
from bcclone.drive.wire.access import Access
from bcclone.drive.wire.threading_host import make_lock, socket_of
from bcclone.drive.wire.websocket import UPGRADED, BadHandshake, Websocket, headers_of
from bcclone.play.pages import PlayPages
from bcclone.simulator.track import Track

_MAP_STEP = 4  # points of the centre line between two of the map: 2 m


def make_play_app(pages: PlayPages, track: Track, has_model: bool, sees: str, access: Access) -> flask.Flask:
    """Return the page as a WSGI app. sees: how the model's input is made, in words; "" without a model."""
    app = flask.Flask(__name__)
    protect(app, access, time.sleep, "bcclone play")
    responses = _PlayResponses(pages, track, has_model, sees)
    app.add_url_rule("/", view_func=responses.index)
    app.add_url_rule("/track", view_func=responses.track)
    app.add_url_rule("/socket", view_func=responses.socket, websocket=True)
    app.add_url_rule("/room", view_func=responses.room)
    return app


class _PlayResponses:
    """The responses of the page's addresses."""

    def __init__(self, pages: PlayPages, track: Track, has_model: bool, sees: str) -> None:
        self._pages, self._track, self._has_model, self._sees = pages, track, has_model, sees

    def index(self) -> str:
        """Return the page."""
        speed = f"{HIGHEST_SPEED_MPH:g}"
        return flask.render_template(
            "play.html", has_model=self._has_model, sees=self._sees, highest_speed=speed, track=self._track.road.name
        )

    def track(self) -> dict[str, Any]:
        """Return the map: x and z of the centre line's points, in metres, and the width of the asphalt."""
        line = self._track.line[::_MAP_STEP, [0, 2]].round(1).tolist()
        return {"line": line, "width_m": self._track.road.width_m}

    def room(self) -> flask.Response:
        """Return whether one more page has room; a browser does not tell why a websocket was refused."""
        return self._full() if self._pages.full else text_response("there is room", 200)

    def socket(self) -> Any:
        """Serve a page over its websocket until it closes."""
        environ = flask.request.environ
        with self._pages.admission() as admitted:
            if not admitted:
                return self._full()
            try:
                websocket = Websocket(socket_of(environ), headers_of(environ), make_lock())
            except (BadHandshake, OSError) as error:
                return text_response(str(error), 400)
            environ[UPGRADED] = True
            self._pages.serve(websocket)
        return ""

    def _full(self) -> flask.Response:
        return text_response(f"{self._pages.most} pages are open already", 503)
