"""Serve the web page and the addresses that its script requests.

GET / the page, GET /events server-sent events with the state, GET /history the last 60 seconds, GET /state the state
once, POST /control a JSON object of controls to set, POST /hands what a person's hands do, POST /login the token.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import flask

from bcclone.drive.controller import HIGHEST_SPEED_MPH
from bcclone.drive.dashboard.login import protect, text_response
from bcclone.drive.dashboard.page_state import EVERY_SECONDS, ControlChanges, Dashboard, HandsAtPage
from bcclone.drive.drive_settings import DriveSettings
from bcclone.drive.wheel import WheelTaken
from bcclone.drive.wire import limits
from bcclone.drive.wire.access import Access


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
            self._dashboard.set(ControlChanges.parse(flask.request.get_json(silent=True)))
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
