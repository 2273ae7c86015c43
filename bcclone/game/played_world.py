"""Join the car of a play and its pages: hands and controls of pages -> frames and a recording.

A `Play` does so 30 times a second, with a model or without.
"""

import copy
import datetime
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bcclone.camera.images import Image, encode_jpeg
from bcclone.camera.vehicle import FULL_LOCK_DEGREES, MOUNTS, MPH
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.driver import Decision, Driver
from bcclone.drive.hands import SILENT_SECONDS, Hands
from bcclone.drive.live_page import PageFrame, Session
from bcclone.drive.protocol import Control, Telemetry
from bcclone.drive.saliency_overlay import SaliencyThread
from bcclone.game.play_settings import PLAY_PORT
from bcclone.recording.run_folder import Recorder, begin_in_free_folder
from bcclone.recording.run_tables import HUMAN, MODEL, DrivenBy
from bcclone.simulator.car import TrackedCar
from bcclone.simulator.expert import BETWEEN_ROWS_SECONDS, CarRecording
from bcclone.simulator.render import Renderer
from bcclone.simulator.traced import RecordedWorld
from bcclone.simulator.track import Track
from bcclone.simulator.world import WorldPace
from bcclone.simulator.world_settings import LOST_M

_MAX_WAITING = 60  # rows that wait while the machine is busy: 4 seconds, 9 MB


def play_recorder(
    folder: Path | None, world: RecordedWorld | None = None
) -> Recorder[CarRecording]:
    """Return the recorder of a play, into `folder` or the first of FOLDER-2 ... that is free."""
    started = datetime.datetime.now()
    wanted = folder or Path(f"play-{started:%Y_%m_%d_%H_%M_%S}")

    def open_writer(held: ExitStack) -> CarRecording:
        return begin_in_free_folder(wanted, lambda free: CarRecording(free, started, world), held)

    return Recorder(open_writer, most_waiting=_MAX_WAITING)


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
        start_m: float = 0.0,
        start_offset_m: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        awaited: SpeedSettings | None = None,
    ) -> None:
        """Put a car on the track.

        start_m: where the car begins, in metres along the road from the start of the lap
        start_offset_m: how far to the right of the road's middle it begins, in metres
        clock: in seconds
        awaited: how fast the model is to drive that let_drive() will bring; None if only a person
            drives
        """
        by = HUMAN if awaited is None else MODEL
        super().__init__(Hands(DrivenBy(by), clock), recorder)
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
        # until let_drive(), the world of an awaited model stands still, unless a person drives
        self._awaited = awaited
        self._was_begun = False  # by a person
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
        if not self.has_model:
            return names
        if self.driver is None:
            return (*names, "kept")
        return (*names, "saliency", "set_speed_mph", "kept")

    @property
    def has_model(self) -> bool:
        return self._awaited is not None

    @property
    def set_speed_mph(self) -> float | None:
        if self.driver is None and self._awaited is not None:
            return self._awaited.speed_mph
        return super().set_speed_mph

    @property
    def mode(self) -> str:
        """Return what the world does: `driving`, `paused`, `asleep` while pages are silent, or
        `awaiting` while its model is loaded and nobody drives.
        """
        if self._paused:
            return "paused"
        if self.hands.silent_seconds > SILENT_SECONDS:
            return "asleep"
        if self.driver is None and self._awaited is not None:
            return "driving" if self._was_begun else "awaiting"
        return "driving"

    def let_drive(self, driver: Driver, saliency: SaliencyThread, sees: str) -> None:
        """Let the awaited model drive whenever the person does not; any thread may call this.

        sees: the preprocessing of its input, in words
        """
        self.sees = sees
        self.saliency = saliency
        self.driver = driver

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
        if not self._paused:
            self._was_begun |= self.hands.are_on
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
            "awaits_model": self.has_model and self.driver is None,
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
            texts.append(
                "this computer is too slow: the car drives in slow motion; close other programs"
            )
        if self.decision is not None and self.decision.fault:
            advice = "take over" if self.hands.driven_by.driver == MODEL else "you steer"
            texts.append(
                f"the model fails: {self.decision.fault}; "
                f"its steering fades and it gives no throttle: {advice}"
            )
        return texts
