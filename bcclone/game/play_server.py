"""Run `bcclone play`: build the world, load the model, serve the page until stopped.

play() takes the settings, and returns a `PlayResult` with the laps and what was recorded. Each part
of a play is built here, and only here.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from bcclone.drive.driver import Driver
from bcclone.drive.page.page_state import PageContents, SaliencyThread, make_saliency_thread
from bcclone.drive.page.routes import OpenPages, make_app
from bcclone.drive.recorder import Recorder
from bcclone.game.play_files import PlayedRow, play_recorder
from bcclone.game.play_session import PlaySession
from bcclone.game.play_settings import PLAY_PORT, PlayResult, PlaySettings
from bcclone.game.played_world import PlayedWorld
from bcclone.game.world_drive import WorldDrive
from bcclone.model.policy import Policy, load_policy
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import Track, load_track
from bcclone.system.errors import UserError
from bcclone.system.hardware import open_in_browser
from bcclone.system.process import Notify
from bcclone.web.access import Access, is_this_machine
from bcclone.web.server import WebServer, WSGIApp

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
    track = _checked_track(settings)
    what = "the simulator" if settings.model is None else f"{settings.model} and the simulator"
    notify(f"loading {what}; on the first start it is compiled, which takes a minute")
    policy = _load_policy(settings)
    renderer = Renderer(settings.track, settings)
    drive = _build_drive(settings, track, renderer, policy)
    # serve the page, while a thread drives the world
    access = Access(settings.host, settings.token)
    with (
        WebServer((settings.host, settings.port), access, notify, stop) as server,
        play_recorder(renderer, settings.folder, server.notify) as recorder,
        _saliency_of(policy, drive) as saliency,
    ):
        session = PlaySession(drive, recorder, _contents(track, policy), saliency)
        pages = OpenPages(session, server)
        with _driven(session, pages, server):
            _serve_until_stopped(make_app(session, pages, server), settings, server)
    return _result(drive, recorder)


def _checked_track(settings: PlaySettings) -> Track:
    """Return the track; raises UserError when the drive cannot begin where it is asked to."""
    track = load_track(settings.track, settings.reverse)
    if settings.start_m > track.lap_m:
        raise UserError(
            f"--start-m {settings.start_m:g}: the lap of {settings.track} ends after "
            f"{track.lap_m:.0f} m; begin before"
        )
    return track


def _load_policy(settings: PlaySettings) -> Policy | None:
    """Return the policy of the model, None without one."""
    if settings.model is None:
        return None
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow(threads=1)  # as drive.py does; the other cores render
    return load_policy(settings.model, settings.preprocess)


def _build_drive(
    settings: PlaySettings, track: Track, renderer: Renderer, policy: Policy | None
) -> WorldDrive:
    """Return the car in its world, and who drives it."""
    world = PlayedWorld(renderer, track, settings.start_m, settings.start_offset_m)
    world.frame()  # the first one may wait for the compiler
    driver: Driver | None = None
    if policy is not None:  # without its framing, because the world's pictures are frames already
        driver = Driver(policy.without_framing(), settings)
    return WorldDrive(world, driver)


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


def _saliency_of(
    policy: Policy | None, drive: WorldDrive
) -> AbstractContextManager[SaliencyThread | None]:
    """Return the thread that computes the overlays of a model; None without a model."""
    if policy is None:
        return nullcontext()
    return make_saliency_thread(policy, drive.newest_picture)


@contextmanager
def _driven(session: PlaySession, pages: OpenPages, server: WebServer) -> Iterator[None]:
    """Let a thread drive the session within the block; if that fails, the server is stopped."""

    def drive() -> None:
        try:
            session.drive(pages.wake)
        except Exception:
            logger.exception("the world cannot go on")
            server.stop()

    thread = threading.Thread(target=drive, name="bcclone-world", daemon=True)
    thread.start()
    try:
        yield
    finally:
        session.end()
        thread.join()


def _serve_until_stopped(app: WSGIApp, settings: PlaySettings, server: WebServer) -> None:
    if not is_this_machine(settings.host):
        server.notify(
            "warning: every machine that knows the token can drive; the token is sent unencrypted"
        )
    server.show(app)
    server.notify(f"listening on {server.address}; drive here: {server.url}")
    if settings.browser:
        open_in_browser(server.url, seconds=0)  # 0: does not wait for the browser
    server.wait()


def _result(drive: WorldDrive, recorder: Recorder[PlayedRow]) -> PlayResult:
    """Return the result of a play whose recordings are closed."""
    world = drive.world
    best_lap_seconds = world.best_lap_seconds
    if best_lap_seconds is not None:
        best_lap_seconds = round(best_lap_seconds, 2)
    return PlayResult(
        frames=drive.frames,
        seconds=round(world.tracked.seconds, 2),
        laps=round(float(world.tracked.progress_m / world.track.lap_m), 3),
        best_lap_seconds=best_lap_seconds,
        folders=recorder.folders,
        rows=recorder.recorded,
        dropped=recorder.dropped,
        failure=recorder.failure,
    )
