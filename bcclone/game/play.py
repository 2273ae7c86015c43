"""Run `bcclone play`: listen, build the world, serve its page, load the model, until stopped.

What takes seconds to import is imported while the server already answers, and the model is loaded
while the world is already on the page.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.game.play_settings import PlayResult, PlaySettings
from bcclone.model.model_path import check_model_path
from bcclone.simulator.world_settings import Conditions
from bcclone.system.errors import UserError, first_line, number_of
from bcclone.system.hardware import open_in_browser
from bcclone.system.interrupts import accept_interrupt
from bcclone.system.progress import Notify
from bcclone.system.values import part_of
from bcclone.web.access import Access
from bcclone.web.server import WebServer

if TYPE_CHECKING:
    from bcclone.game.played_world import Play

logger = logging.getLogger(__name__)


def play(
    settings: PlaySettings,
    notify: Notify = print,
    stop: threading.Event | None = None,
) -> PlayResult:
    """Serve a page that drives the built-in simulator, until Ctrl-C, SIGTERM or `stop`.

    The server listens before anything is loaded; its page says meanwhile what is. A model is loaded
    when the world is on the page: a person may drive meanwhile, and otherwise the world waits.
    Signals are handled if this is called in the main thread. Raises UserError when the model, the
    address or a folder cannot be used.

    notify: called with lines for the user
    stop: an event that any thread may set to end the play
    """
    return play_typed((), lambda folder: "", settings, notify, stop)


def play_typed(
    typed: tuple[str, ...],
    next_step: Callable[[Path], str],
    settings: PlaySettings,
    notify: Notify,
    stop: threading.Event | None = None,
) -> PlayResult:
    """Play as play() does; the page says how to start it again, and what comes next.

    typed: words of the command line that started it, () if none did
    next_step: returns the line that says what to do with the recording in a folder
    """
    if settings.model is not None:
        check_model_path(settings.model, inside=False)
    access = Access(settings.host, settings.token, None, settings.allow_host)
    with WebServer((settings.host, settings.port), access, notify, stop) as server:
        server.loading(
            f"Preparing the track {settings.track}.",
            "This usually takes 2 seconds; on the first start the simulator is compiled, which "
            "takes a minute.",
        )
        notify("loading the simulator; on the first start it is compiled, which takes a minute")
        if settings.browser:
            open_in_browser(server.url)
        from bcclone.drive.live_page import Pages
        from bcclone.game.played_world import Play, play_recorder
        from bcclone.recording.run_folder import free_folder
        from bcclone.simulator.render import Renderer
        from bcclone.simulator.traced import RecordedWorld
        from bcclone.simulator.track import load_track

        track = load_track(settings.track, settings.reverse)
        if settings.start_m > track.lap_m:
            raise UserError(
                f"--start-m {settings.start_m:g}: the lap of {settings.track} ends after "
                f"{track.lap_m:.0f} m; begin before"
            )
        renderer = Renderer(settings.track, settings)
        world = RecordedWorld(settings.reverse, part_of(settings, Conditions))
        recorder = play_recorder(settings.folder, world)
        game = Play(
            renderer,
            track,
            recorder,
            start_m=settings.start_m,
            start_offset_m=settings.start_offset_m,
            awaited=settings if settings.model is not None else None,
        )
        folder = settings.folder and free_folder(settings.folder)
        game.names = {"track": game.track, "model": settings.model, "folder": folder}
        # serve the page, while a thread drives the world
        try:
            with Pages(game, server, typed, next_step) as pages, recorder, ExitStack() as resources:
                resources.enter_context(driven(game, pages.wake, server))
                server.show(pages.app())
                server.notify(f"listening on {server.address}; drive here: {server.url}")
                try:
                    _let_model_drive(settings, game, server, resources)
                except KeyboardInterrupt:  # it ends as later: what was recorded is said
                    accept_interrupt()
                    server.stop()
                server.wait()
        except UserError as error:
            if not recorder.recorded:
                raise
            rows = number_of(recorder.recorded, "row")
            kept = f"{error}; {rows} recorded before are in {recorder.folder}"
            raise UserError(kept, exit_code=error.exit_code) from error
    best = game.best_lap_seconds
    return PlayResult(
        frames=game.frames,
        seconds=round(game.tracked.seconds, 2),
        laps=round(float(game.tracked.progress_m / track.lap_m), 3),
        best_lap_seconds=None if best is None else round(best, 2),
        folder=recorder.folder if recorder.recorded else None,
        rows=recorder.recorded,
        dropped=recorder.dropped,
        failure=recorder.failure,
    )


def _let_model_drive(
    settings: PlaySettings, game: "Play", server: WebServer, resources: ExitStack
) -> None:
    """Load the model, if there is one, and let it drive."""
    if settings.model is None:
        return
    from bcclone.drive.driver import Driver
    from bcclone.drive.saliency_overlay import saliency_thread
    from bcclone.model.policy import load_driving_policy

    policy, _ = load_driving_policy(settings.model, settings.preprocess)
    # without its framing, because the world's pictures are frames already
    driver = Driver(policy.without_framing(), settings)
    saliency = saliency_thread(policy, lambda: (game.frames, game.jpeg))
    game.let_drive(driver, resources.enter_context(saliency), policy.preprocessing.describe())
    server.notify(f"{settings.model} drives")


@contextmanager
def driven(game: "Play", on_frame: Callable[[], None], server: WebServer) -> Iterator[None]:
    """Let a thread drive the world within the block.

    If that fails, the server is stopped, and a UserError is raised at the end of the block.
    """
    over = threading.Event()
    failures = []

    def drive() -> None:
        next_at = game.clock()
        try:
            while not over.is_set():
                next_at = max(next_at + game.step(on_frame), game.clock())
                over.wait(max(next_at - game.clock(), 0.0))
        except Exception as error:
            logger.exception("the world cannot go on")
            failures.append(error)
            server.stop()

    thread = threading.Thread(target=drive, name="bcclone-world", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failures:
        raise UserError(f"the world cannot go on: {first_line(failures[0])}")
