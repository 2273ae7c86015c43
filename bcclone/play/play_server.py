"""Run `bcclone play`: build the world, load the model, and serve the page until the server is stopped.

GET / the page, GET /track its map, GET /socket the websocket, GET /room whether there is room for a page, POST /login
the token.
"""

import logging
import os
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import flask

from bcclone.drive.controller import HIGHEST_SPEED_MPH
from bcclone.drive.dashboard.app import protect, text_response
from bcclone.drive.drive_settings import is_this_machine
from bcclone.drive.driver import Driver, ModelPolicy
from bcclone.drive.saliency_thread import make_saliency_thread
from bcclone.drive.wire import limits, threading_host
from bcclone.drive.wire.access import Access, Connections, guarded
from bcclone.drive.wire.listener import Notifier, address_of, listen, logging_errors, marking_requests, url_of
from bcclone.drive.wire.threading_host import make_lock, socket_of
from bcclone.drive.wire.websocket import UPGRADED, BadHandshake, Websocket, headers_of
from bcclone.play.pages import PlayPages
from bcclone.play.play_files import play_recorder
from bcclone.play.play_session import FrameFeed, PlaySession
from bcclone.play.play_settings import PlayResult, PlaySettings
from bcclone.play.play_world import PlayedWorld
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import Track, load_track
from bcclone.system.interrupts import StopSocket

logger = logging.getLogger(__name__)

_WATCH_SECONDS = 1.0
_MAP_STEP = 4  # points of the centre line between two of the map: 2 m


def play(
    settings: PlaySettings, notify: Callable[[str], None] = print, stop: threading.Event | None = None
) -> PlayResult:
    """Serve a page that drives the built-in simulator, until Ctrl-C, SIGTERM or `stop`; return the result.

    notify: called with lines for the user; stop: an event that any thread may set to end the play. Signals are handled
    if this is called in the main thread. Raises UserError when the model, the address or a folder cannot be used.
    """
    track = load_track(settings.track, settings.reverse)
    what = "the simulator" if settings.model is None else f"{settings.model} and the simulator"
    notify(f"loading {what}; on the first start it is compiled, which takes a minute")
    policy = None if settings.model is None else _load_policy(settings)
    renderer = Renderer(settings.track, settings.conditions)
    world = PlayedWorld(renderer, track)
    world.frame()  # the first one may wait for the compiler
    driver = None if policy is None else Driver(policy, settings.speed)
    sees = policy.preprocessing.describe() if policy else ""
    with (
        closing(listen(settings.host, settings.port, for_simulator=False)) as listener,
        closing(Notifier(notify)) as notifier,
        play_recorder(renderer, settings.folder, notifier.notify) as recorder,
        StopSocket(stop) as stop_socket,
        _driven(PlaySession(world, recorder, FrameFeed(), driver), policy, stop_socket) as session,
    ):
        pages, connections = PlayPages(session, limits.DASHBOARDS), Connections()
        access = Access(settings.host, settings.token)
        page = make_play_app(pages, track, policy is not None, sees, access)
        app = logging_errors(guarded(marking_requests(page, connections), access, time.sleep))
        if not is_this_machine(settings.host):
            notifier.notify("warning: every machine that knows the token can drive; the token is sent unencrypted")
        notifier.notify(f"listening on {address_of(listener)}; drive here: {url_of(listener)}")
        if settings.browser:
            _open_browser(url_of(listener))
        with _closing_late(connections):
            threading_host.run(app, listener, connections, stop_socket)
    return _result(session)


def _load_policy(settings: PlaySettings) -> ModelPolicy:
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow(threads=1)  # as drive.py does; the other cores render
    from bcclone.model.policy import load_policy

    assert settings.model is not None
    return load_policy(settings.model, settings.preprocess)


@contextmanager
def _driven(session: PlaySession, policy: ModelPolicy | None, stop: StopSocket) -> Iterator[PlaySession]:
    """Let a thread drive the session within the block; when that fails, a stop is requested."""

    def drive() -> None:
        try:
            session.drive()
        except Exception:
            logger.exception("the world cannot go on")
            stop.request()

    thread = threading.Thread(target=drive, name="bcclone-world", daemon=True)
    with _saliency(session, policy):
        thread.start()
        try:
            yield session
        finally:
            session.end()
            thread.join()


@contextmanager
def _saliency(session: PlaySession, policy: ModelPolicy | None) -> Iterator[None]:
    """Compute the saliency overlays of a model within the block."""
    if policy is None:
        yield
        return
    with make_saliency_thread(policy, session.feed) as session.saliency:
        yield


@contextmanager
def _closing_late(connections: Connections) -> Iterator[None]:
    """Close connections whose request does not arrive, within the block."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_WATCH_SECONDS):
            connections.close_late()

    thread = threading.Thread(target=watch, name="bcclone-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _open_browser(url: str) -> None:
    """Open the page in a browser; not on a machine without a display, where a browser would take over the terminal."""
    if sys.platform in ("win32", "darwin") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


def _result(session: PlaySession) -> PlayResult:
    world, recorder = session.world, session.recorder
    laps = world.laps()
    return PlayResult(
        frames=session.frames,
        seconds=round(world.tracked.seconds, 2),
        laps=round(float(world.tracked.progress_m / world.track.lap_m), 3),
        best_lap_seconds=None if laps.best is None else round(laps.best, 2),
        folders=recorder.folders,
        rows=recorder.recorded,
        dropped=recorder.dropped,
        failure=recorder.failure,
    )


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
