"""Run `bcclone play`: build the world, load the model, serve the page until stopped.

Settings go in, a PlayResult comes out; each part of a play is built here, and only here.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bcclone.drive.driver import Driver
from bcclone.drive.page.page_state import PageContents, make_saliency_thread
from bcclone.drive.page.routes import OpenPages, make_app
from bcclone.game.play_session import PlayedWorld, PlaySession, play_recorder
from bcclone.game.play_settings import PLAY_PORT, PlayResult, PlaySettings
from bcclone.model.policy import Policy, load_policy
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import Track, load_track
from bcclone.system.errors import UserError
from bcclone.system.hardware import open_in_browser
from bcclone.system.progress import Notify
from bcclone.web import threading_host
from bcclone.web.access import Access, is_this_machine
from bcclone.web.web_server import WebServer

logger = logging.getLogger(__name__)


def play(
    settings: PlaySettings, notify: Notify = print, stop: threading.Event | None = None
) -> PlayResult:
    """Serve a page that drives the built-in simulator, until Ctrl-C, SIGTERM or `stop`.

    Signals are handled if this is called in the main thread. Raises UserError when the model, the
    address or a folder cannot be used.

    notify: called with lines for the user
    stop: an event that any thread may set to end the play
    """
    track = load_track(settings.track, settings.reverse)
    if settings.start_m > track.lap_m:
        raise UserError(
            f"--start-m {settings.start_m:g}: the lap of {settings.track} ends after "
            f"{track.lap_m:.0f} m; begin before"
        )
    what = "the simulator" if settings.model is None else f"{settings.model} and the simulator"
    notify(f"loading {what}; on the first start it is compiled, which takes a minute")
    # who drives, and the world
    policy = _load_policy(settings)
    renderer = Renderer(settings.track, settings)
    world = PlayedWorld(renderer, track, settings.start_m, settings.start_offset_m)
    world.frame()  # the first one may wait for the compiler
    driver: Driver | None = None
    if policy is not None:  # without its framing, because the world's pictures are frames already
        driver = Driver(policy.without_framing(), settings)
    contents = _contents(track, policy)
    # serve the page, while a thread drives the world
    access = Access(settings.host, settings.token)
    with (
        WebServer(threading_host, (settings.host, settings.port), access, notify, stop) as server,
        play_recorder(renderer, settings.folder, server.notify) as recorder,
        _driven(PlaySession(world, recorder, contents, driver), policy, server) as session,
    ):
        server.stop_on_signals()
        pages = OpenPages(session, server.host)
        session.on_frame = pages.wake
        if not is_this_machine(settings.host):
            server.notify(
                "warning: every machine that knows the token can drive; "
                "the token is sent unencrypted"
            )
        server.show(make_app(session, pages, server))
        server.notify(f"listening on {server.address}; drive here: {server.url}")
        if settings.browser:
            open_in_browser(server.url, seconds=0)  # 0: does not wait for the browser
        server.wait()
    best_lap_seconds = world.best_lap_seconds
    if best_lap_seconds is not None:
        best_lap_seconds = round(best_lap_seconds, 2)
    return PlayResult(
        frames=session.frames,
        seconds=round(world.tracked.seconds, 2),
        laps=round(float(world.tracked.progress_m / track.lap_m), 3),
        best_lap_seconds=best_lap_seconds,
        folders=recorder.folders,
        rows=recorder.recorded,
        dropped=recorder.dropped,
        failure=recorder.failure,
    )


def _load_policy(settings: PlaySettings) -> Policy | None:
    """Return the policy of the model, None without one."""
    if settings.model is None:
        return None
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow(threads=1)  # as drive.py does; the other cores render
    return load_policy(settings.model, settings.preprocess)


_MAP_STEP = 4  # every 4th point of the centre line is on the map: one each 2 m


def _contents(track: Track, policy: Policy | None) -> PageContents:
    """Return what the page shows. policy: the model's, None if only a person drives."""
    sees = "" if policy is None else policy.preprocessing.describe()
    line = track.line[::_MAP_STEP, [0, 2]].round(1).tolist()
    return PageContents(
        program="bcclone play",
        command="bcclone play",
        default_port=PLAY_PORT,
        has_model=policy is not None,
        sees=sees,
        track=track.road.name,
        track_map={"line": line, "width_m": track.road.width_m},
    )


@contextmanager
def _driven(
    session: PlaySession, policy: Policy | None, server: WebServer
) -> Iterator[PlaySession]:
    """Let a thread drive the session within the block; if that fails, the server is stopped."""

    def drive() -> None:
        try:
            session.drive()
        except Exception:
            logger.exception("the world cannot go on")
            server.stop()

    thread = threading.Thread(target=drive, name="bcclone-world", daemon=True)
    with ExitStack() as stack:
        if policy is not None:
            session.saliency = stack.enter_context(
                make_saliency_thread(policy, lambda: session.jpeg)
            )
        thread.start()
        try:
            yield session
        finally:
            session.end()
            thread.join()
