"""Run `bcclone play`: build the world, load the model, serve the page until stopped.

A `Play` joins the car and its pages, 30 times a second: it takes the hands and controls of its
pages, and gives them frames with their state.
"""

import copy
import datetime
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bcclone.camera.images import Image, encode_jpeg
from bcclone.camera.vehicle import FULL_LOCK_DEGREES, MOUNTS, MPH
from bcclone.drive.driver import Decision, Driver
from bcclone.drive.hands import SILENT_SECONDS, Hands
from bcclone.drive.live_page import PageFrame, Pages, Session
from bcclone.drive.protocol import Control, Telemetry
from bcclone.drive.saliency_overlay import saliency_thread
from bcclone.game.play_settings import PLAY_PORT, PlayResult, PlaySettings
from bcclone.model.model_path import check_model_path
from bcclone.model.policy import load_policy
from bcclone.recording.run_folder import Recorder, begin_in_free_folder
from bcclone.recording.run_tables import HUMAN, MODEL, DrivenBy
from bcclone.simulator.car import TrackedCar
from bcclone.simulator.expert import BETWEEN_ROWS_SECONDS, CarRecording
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import Track, load_track
from bcclone.simulator.world import WorldPace
from bcclone.simulator.world_settings import LOST_M
from bcclone.system.errors import UserError
from bcclone.system.hardware import open_in_browser
from bcclone.system.progress import Notify
from bcclone.web.access import Access
from bcclone.web.server import WebServer

logger = logging.getLogger(__name__)


def play(
    settings: PlaySettings,
    notify: Notify = print,
    stop: threading.Event | None = None,
) -> PlayResult:
    """Serve a page that drives the built-in simulator, until Ctrl-C, SIGTERM or `stop`.

    The server listens before anything is loaded; its page says meanwhile what is. Signals are
    handled if this is called in the main thread. Raises UserError when the model, the address or a
    folder cannot be used.

    notify: called with lines for the user
    stop: an event that any thread may set to end the play
    """
    return play_typed((), settings, notify, stop)


def play_typed(
    typed: tuple[str, ...],
    settings: PlaySettings,
    notify: Notify,
    stop: threading.Event | None = None,
) -> PlayResult:
    """Play as play() does; the page says how to start it again.

    typed: words of the command line that started it, () if none did
    """
    track = load_track(settings.track, settings.reverse)
    if settings.start_m > track.lap_m:
        raise UserError(
            f"--start-m {settings.start_m:g}: the lap of {settings.track} ends after "
            f"{track.lap_m:.0f} m; begin before"
        )
    if settings.model is not None:
        check_model_path(settings.model)
    what = "the simulator" if settings.model is None else f"{settings.model} and the simulator"
    access = Access(settings.host, settings.token, allow_host=settings.allow_host)
    with WebServer((settings.host, settings.port), access, notify, stop) as server:
        notify(f"loading {what}; on the first start it is compiled, which takes a minute")
        if settings.browser:
            open_in_browser(server.url)
        policy = None
        driver = None
        if settings.model is not None:
            from bcclone.system.tensorflow_quietly import load_tensorflow

            server.loading(
                f"Reading the model {settings.model}.",
                "This usually takes 5 to 10 seconds, longer while other programs are busy.",
            )
            load_tensorflow(threads=1)  # as drive.py does; the other cores render
            policy = load_policy(settings.model, settings.preprocess)
            # without its framing, because the world's pictures are frames already
            driver = Driver(policy.without_framing(), settings)
        server.loading(
            f"Preparing the track {settings.track}.",
            "This usually takes a second; on the first start the simulator is compiled, which "
            "takes a minute.",
        )
        renderer = Renderer(settings.track, settings)
        # serve the page, while a thread drives the world
        with play_recorder(settings.folder) as recorder, ExitStack() as resources:
            game = Play(
                renderer, track, recorder, driver, settings.start_m, settings.start_offset_m
            )
            game.typed = typed
            game.token = settings.token
            if policy is not None:
                game.sees = policy.preprocessing.describe()
                game.saliency = resources.enter_context(
                    saliency_thread(policy, lambda: (game.frames, game.jpeg))
                )
            pages = Pages(game, server)
            resources.enter_context(_driven(game, pages, server))
            server.show(pages.app())
            server.wait(f"listening on {server.address}; drive here: {server.url}")
        pages.end()  # all rows are written
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


_MAX_WAITING = 60  # rows that wait while the machine is busy: 4 seconds, 9 MB


def play_recorder(folder: Path | None) -> Recorder[CarRecording]:
    """Return the recorder of a play, into `folder` or the first of FOLDER-2 ... that is free."""
    started = datetime.datetime.now()
    wanted = folder or Path(f"play-{started:%Y_%m_%d_%H_%M_%S}")

    def open_writer(held: ExitStack) -> CarRecording:
        return begin_in_free_folder(wanted, lambda free: CarRecording(free, started), held)

    return Recorder(open_writer, most_waiting=_MAX_WAITING)


@contextmanager
def _driven(game: "Play", pages: Pages, server: WebServer) -> Iterator[None]:
    """Let a thread drive the world within the block; if that fails, the server is stopped."""
    over = threading.Event()

    def drive() -> None:
        next_at = game.clock()
        try:
            while not over.is_set():
                next_at = max(next_at + game.step(pages.wake), game.clock())
                over.wait(max(next_at - game.clock(), 0.0))
        except Exception:
            logger.exception("the world cannot go on")
            server.stop()

    thread = threading.Thread(target=drive, name="bcclone-world", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


FRAMES_A_SECOND = 30
_IDLE_SECONDS = 0.1  # between two frames of a world at rest
_MAP_STEP = 4  # every 4th point of the centre line is on the map: one each 2 m
_MAX_STEPS = 8  # most steps of the world for one frame: a car that leaps cannot be driven
# after the car was put back, no row is recorded for this time; by such a gap, readers of the log
# know that a new episode begins
_APART_SECONDS = 1.6


class Play(Session):
    """A car in the built-in world, and its pages; nothing but their absence ends the drive."""

    program = "bcclone play"
    default_port = PLAY_PORT

    def __init__(
        self,
        renderer: Renderer,
        track: Track,
        recorder: Recorder[CarRecording],
        driver: Driver | None = None,
        start_m: float = 0.0,
        start_offset_m: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Put a car on the track.

        driver: the model and its controller, None if only a person drives
        start_m: where the car begins, in metres along the road from the start of the lap
        start_offset_m: how far to the right of the road's middle it begins, in metres
        clock: in seconds
        """
        by = HUMAN if driver is None else MODEL
        super().__init__(Hands(DrivenBy(by), clock), recorder, driver)
        line = track.line[::_MAP_STEP, [0, 2]].round(1).tolist()
        self.track = track.road.name
        self.track_map = {"line": line}
        self.clock = clock
        height_at = renderer.scene.ground.height_at
        self.tracked = TrackedCar(track, start_offset_m, track.start_m + start_m, height_at)
        self.pace = WorldPace(_MAX_STEPS, clock)
        self.decision: Decision | None = None  # the model's decision on the last frame
        self.frames = 0  # shown so far
        self.jpeg = b""  # the newest picture, b"" before the first and after the car was put back
        self.best_lap_seconds: float | None = None
        self._renderer = renderer
        self._began = clock()  # names of frames count from then
        self._newest: PageFrame | None = None
        # controls that pages set
        self._paused = False
        self._put_back = False  # whether the next step puts the car back on the road
        self._next_row_at = 0.0  # when the next row is to be recorded
        self._apart_until = 0.0  # until when no row is recorded
        self._laps_done = 0
        self._lap_began = 0.0  # in seconds of the drive
        self._last_lap_seconds: float | None = None
        self._picture()  # the first one may wait for the compiler

    @property
    def controls(self) -> tuple[str, ...]:
        names = ("recording", "paused", "put_back")
        if self.driver is None:
            return names
        return (*names, "saliency", "set_speed_mph", "kept")

    @property
    def mode(self) -> str:
        """Return what the world does: `driving`, `paused`, or `asleep` while pages are silent."""
        if self._paused:
            return "paused"
        return "asleep" if self.hands.silent_seconds > SILENT_SECONDS else "driving"

    def newest(self) -> PageFrame | None:
        return self._newest

    def set(self, changes: dict[str, Any]) -> None:
        super().set(changes)
        if "kept" in changes:
            self.hands.keeps_wheel = changes["kept"]
        if "paused" in changes:
            self._paused = changes["paused"]
        if changes.get("put_back"):
            self._put_back = True

    # ---- the next frame

    def step(self, on_frame: Callable[[], None] = lambda: None) -> float:
        """Show the world as it is now; return the seconds until the next frame is due.

        on_frame: called when a frame is new
        """
        mode = self.mode
        is_lost = abs(self.tracked.position.cross_track_m) > LOST_M  # nothing leads back
        if self._put_back or is_lost:
            self._put_back = False
            self._put_car_back()
        if mode == "driving":
            self._go_on()
        else:
            self.pace.rest()
        # at rest, show the same picture again
        if mode != "driving" and self.jpeg:
            if self.hands.is_watched:
                self._show(mode)
                on_frame()
            return _IDLE_SECONDS
        # otherwise show, record and ask the model about a new picture
        image = self._picture()
        self.jpeg = encode_jpeg(image)
        self._show(mode)
        on_frame()
        if mode == "driving":
            self._record(image)
        # the model gets every frame, also while a person steers, so that it can go on at any time
        if self.driver is not None:
            car = self.tracked.car
            degrees = car.steering * FULL_LOCK_DEGREES
            telemetry = Telemetry(degrees, car.throttle, car.speed / MPH, self.jpeg)
            self.decision = self.driver.decide(telemetry)
        return 1 / FRAMES_A_SECOND

    def _put_car_back(self) -> None:
        """Put the car on the middle of the road, where it stands; a new episode begins."""
        self.jpeg = b""  # so that a new picture is made also of a world at rest
        self.tracked.set_back()
        self.tracked.car.speed = 0.0
        if self.driver is not None:
            self.driver.forget_frames()
        self._apart_until = self.clock() + _APART_SECONDS

    def _go_on(self) -> None:
        """Let the time pass that has passed since the last frame."""
        steps = self.pace.due()
        model: Control | None = None
        if self.decision is not None:
            model = self.decision.control
        elif self.driver is not None:
            model = Control(0.0, 0.0)  # until the model's first decision
        control = self.hands.next_control(model, steps)
        self.tracked.car.control(control.steering, control.throttle)
        for _ in range(steps):
            self.tracked.step()
            if self.tracked.progress_m >= (self._laps_done + 1) * self.tracked.track.lap_m:
                self._laps_done += 1
                lap_seconds = self.tracked.seconds - self._lap_began
                self._lap_began = self.tracked.seconds
                self._last_lap_seconds = lap_seconds
                self.best_lap_seconds = min(self.best_lap_seconds or lap_seconds, lap_seconds)

    def _picture(self) -> Image:
        """Return what the centre camera sees."""
        return self._renderer.frame(self.tracked.car, seconds=self.tracked.seconds)

    # ---- what is recorded and shown of it

    def _record(self, center: Image) -> None:
        """Record a row, 15 times a second."""
        now = self.clock()
        # half a frame early is near enough, since no frame comes exactly on time
        if now < max(self._next_row_at - 0.5 / FRAMES_A_SECOND, self._apart_until):
            return
        self._next_row_at += BETWEEN_ROWS_SECONDS
        if self._next_row_at < now - BETWEEN_ROWS_SECONDS:  # after a pause
            self._next_row_at = now + BETWEEN_ROWS_SECONDS
        car = copy.copy(self.tracked.car)
        point = self.tracked.trace_point
        by = self.hands.driven_by

        def write(writer: CarRecording) -> None:
            frames = {"center": center}
            for camera in MOUNTS:
                if camera not in frames:
                    frames[camera] = self._renderer.frame(car, camera)
            writer.record(now - self._began, car, frames, point, by)

        self.recorder.record(write)

    def _show(self, mode: str) -> None:
        """Make the newest frame, perhaps with the same picture again."""
        self.frames += 1
        self._newest = self.make_frame(self.frames, self.jpeg, self._state(mode))

    def state(self) -> dict[str, Any]:
        """Return the state of the newest frame."""
        return self._newest.state if self._newest else self._state(self.mode)

    def _state(self, mode: str) -> dict[str, Any]:
        tracked = self.tracked
        car = tracked.car
        warnings = [{"text": text, "count": 1, "seconds": None} for text in self._warnings()]
        figures = {
            "frame": self.frames,
            "seconds": tracked.seconds,
            "mode": mode,
            "kept": self.hands.keeps_wheel,
            "steering_sent": car.steering,
            "steering_model": None if self.decision is None else self.decision.steering,
            "throttle": car.throttle - car.brake,
            "speed_mph": car.speed / MPH,
            "x_m": car.x,
            "z_m": car.z,
            "heading": car.heading,
            "cross_track_m": tracked.position.cross_track_m,
            "off_road": tracked.position.off_road,
            "laps": {
                "lap": self._laps_done + 1,
                "seconds": tracked.seconds - self._lap_began,
                "last": self._last_lap_seconds,
                "best": self.best_lap_seconds,
            },
            "warnings": warnings,
        }
        return self.state_with(figures)

    def _warnings(self) -> list[str]:
        """Return what the person needs to know now."""
        texts = []
        if self.tracked.position.off_road:
            texts.append("off the road")
        if self.pace.is_slow:
            texts.append("the world is slower than real time: close other programs")
        if self.decision is not None and self.decision.fault:
            advice = "take over" if self.hands.driven_by.driver == MODEL else "you steer"
            texts.append(
                f"the model fails: {self.decision.fault}; "
                f"its steering fades and it gives no throttle: {advice}"
            )
        return texts
