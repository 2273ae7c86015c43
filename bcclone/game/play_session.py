"""Join the car, the person's hands and the model, 30 times a second.

A `PlaySession` takes the hands and controls of its pages, and gives the pages frames with their
state. A recording is in the simulator's format: driving_log.csv, images of three cameras, trace.csv
and drivers.csv.
"""

import copy
import datetime
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcclone.camera.images import Image, encode_jpeg
from bcclone.camera.vehicle import FULL_LOCK_DEGREES, MOUNTS, MPH, steering_to_line
from bcclone.drive.driver import Decision, Driver
from bcclone.drive.page.page_state import ControlChanges, PageContents, PageFrame, PageSession
from bcclone.drive.protocol import Control, Telemetry
from bcclone.drive.recorder import Recorder, free_folder
from bcclone.drive.wheel import SILENT_SECONDS, HandInput, PageHands
from bcclone.recording.run_tables import HUMAN, MODEL, DrivenBy, TracePoint
from bcclone.simulator.car import Car, TrackedCar
from bcclone.simulator.record import BETWEEN_ROWS_SECONDS, CarRecording
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import Track
from bcclone.simulator.world import WorldPace
from bcclone.simulator.world_settings import LOST_M
from bcclone.system.progress import Notify

FRAMES_A_SECOND = 30

# while nobody drives, the car heads for a point of the road this far ahead
_LOOKAHEAD_M = 4.0  # at speed 0
_LOOKAHEAD_SECONDS = 0.5  # the way that the car drives in this time is added


class PlayedWorld:
    """A car that a person or a model drives as long as they like; nothing ends the drive."""

    def __init__(
        self, renderer: Renderer, track: Track, start_m: float = 0.0, start_offset_m: float = 0.0
    ) -> None:
        """Put a car on the track.

        renderer: draws what the cameras see
        start_m: where the car begins, in metres along the road from the start of the lap
        start_offset_m: how far to the right of the road's middle it begins, in metres
        """
        self.track = track
        start_m += track.start_m
        self.tracked = TrackedCar(track, start_offset_m, start_m, renderer.scene.ground.height_at)
        self.best_lap_seconds: float | None = None
        self._renderer = renderer
        self._laps_done = 0
        self._lap_began = 0.0  # in seconds of the drive
        self._last_lap_seconds: float | None = None

    @property
    def car(self) -> Car:
        """Return the car."""
        return self.tracked.car

    @property
    def lost(self) -> bool:
        """Return whether the car is so far from the road that nothing leads back."""
        return abs(self.tracked.position.cross_track_m) > LOST_M

    def drive(self, steering: float, throttle: float, steps: int) -> None:
        """Advance by some steps of 0.02 s with these controls, -1 to 1."""
        self.car.control(steering, throttle)
        for _ in range(steps):
            self.tracked.step()
            if self.tracked.progress_m >= (self._laps_done + 1) * self.track.lap_m:
                self._end_lap()

    def frame(self) -> Image:
        """Return what the centre camera sees."""
        return self._renderer.frame(self.car, seconds=self.tracked.seconds)

    def put_back(self) -> None:
        """Put the car back on the middle of the road, where it stands still."""
        self.tracked.set_back()
        self.car.speed = 0.0

    def steering_home(self) -> float:
        """Return the steering, -1 to 1, that keeps the car on its road while nobody drives."""
        position = self.tracked.position
        yaw = math.remainder(self.car.heading - position.heading, 2 * math.pi)
        lookahead = _LOOKAHEAD_M + _LOOKAHEAD_SECONDS * self.car.speed
        return float(steering_to_line(position.cross_track_m, yaw, lookahead))

    def laps(self) -> dict[str, Any]:
        """Return the number of the lap, from 1, and the seconds of this, the last and best lap."""
        seconds = self.tracked.seconds - self._lap_began
        return {
            "lap": self._laps_done + 1,
            "seconds": seconds,
            "last": self._last_lap_seconds,
            "best": self.best_lap_seconds,
        }

    def _end_lap(self) -> None:
        """Count a lap, and begin the next one."""
        now = self.tracked.seconds
        lap_seconds = now - self._lap_began
        self._laps_done += 1
        self._lap_began = now
        self._last_lap_seconds = lap_seconds
        if self.best_lap_seconds is None or lap_seconds < self.best_lap_seconds:
            self.best_lap_seconds = lap_seconds


@dataclass(frozen=True)
class PlayedRow:
    """A row to record."""

    car: Car  # a copy of the car at that moment
    center: Image  # the centre frame, uint8 (160, 320, 3)
    point: TracePoint  # where the car was
    by: DrivenBy  # who steered
    taken: float  # when the frame was taken, by time.monotonic()


_MAX_STEPS = 8  # most steps of the world for one frame: a car that leaps cannot be driven
_IDLE_SECONDS = 0.1  # between two frames of a world at rest
# after the car was put back, no row is recorded for this time; by such a gap, readers of the log
# know that a new episode begins
_APART_SECONDS = 1.6
_SLOW_FACTOR = 0.9  # below this share of real time, the page says that the world is slow
_RELEASED = Control(0.0, 0.0)

# while no page sends anything, the car first rolls without throttle, then brakes
_ROLL_SECONDS = 1.0  # how long it rolls
_BRAKE = -0.5  # throttle while it brakes


class PlaySession(PageSession):
    """A car that is driven until the session ends, for its pages."""

    def __init__(
        self,
        world: PlayedWorld,
        recorder: Recorder[PlayedRow],
        contents: PageContents,
        driver: Driver | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(contents, PageHands(shared=False, clock=clock), recorder, driver)
        by = HUMAN if driver is None else MODEL
        self.hands.wheel.by = DrivenBy(by)  # until the first frame shows who drives
        self.world = world
        self.on_frame: Callable[[], None] = lambda: None  # called after each frame
        self.frames = 0  # shown so far
        # controls that pages set
        self.paused = False
        self.put_back = False  # whether the next step puts the car back on the road
        self._clock = clock  # in seconds
        self._pace = WorldPace(_MAX_STEPS, clock)
        self._over = threading.Event()
        self._decision: Decision | None = None  # the model's decision on the last frame
        # when the next row of the recording is due, and until when no row is recorded
        self._next_row_at = 0.0
        self._apart_until = 0.0
        # the newest frame
        self._image: Image | None = None
        self._jpeg = b""
        self._newest: PageFrame | None = None

    @property
    def controls(self) -> tuple[str, ...]:
        """Return the names of the controls that pages set."""
        names = ("recording", "paused", "put_back")
        if self.driver is None:
            return names
        return (*names, "saliency", "set_speed_mph", "kept")

    @property
    def mode(self) -> str:
        """Return what the world does: `driving`, `paused`, or `asleep` while pages are silent."""
        if self.paused:
            return "paused"
        return "asleep" if self.hands.silent_seconds > SILENT_SECONDS else "driving"

    @property
    def jpeg(self) -> tuple[int, bytes]:
        """Return the number of the newest frame and the frame; b"" without one."""
        return self.frames, self._jpeg

    def newest(self) -> PageFrame | None:
        """Return the newest frame with its state."""
        return self._newest

    def set(self, changes: ControlChanges) -> None:
        """Set some controls; raises ValueError or UserError with the reason why it cannot."""
        super().set(changes)
        if changes.kept is not None:
            self.hands.wheel.kept = changes.kept
        if changes.paused is not None:
            self.paused = changes.paused
        if changes.put_back:
            self.put_back = True

    def drive(self) -> None:
        """Drive until end(); one thread calls this."""
        next_at = self._clock()
        while not self._over.is_set():
            next_at = max(next_at + self.step(), self._clock())
            self._over.wait(max(next_at - self._clock(), 0.0))

    def end(self) -> None:
        """Let drive() return; any thread may call this."""
        self._over.set()

    def step(self) -> float:
        """Show the world as it is now; return the seconds until the next frame is due.

        Only drive() calls this.
        """
        mode = self.mode
        is_standing = self.world.car.speed == 0.0
        input_number, hand_input = self.hands.input
        if self.put_back or self.world.lost:
            self._put_car_back()
        # let the time pass, unless the world is at rest
        at_rest = mode == "paused" or (mode == "asleep" and is_standing)
        if at_rest:
            self._pace.rest()
        else:
            if mode == "asleep":
                hand_input = self._input_asleep()
            steps = self._pace.due()
            control = self.hands.wheel.turn(hand_input, steps, self._model_control())
            self.world.drive(control.steering, control.throttle, steps)
        # at rest, show the same picture again
        if at_rest and self._jpeg:
            if self.hands.pages:
                self._show(mode, input_number)
            return _IDLE_SECONDS
        # otherwise show, record and ask the model about a new picture
        self._image = self.world.frame()
        self._jpeg = encode_jpeg(self._image)
        self._show(mode, input_number)
        self._record(mode, self._image)
        self._ask_model()
        return 1 / FRAMES_A_SECOND

    def _put_car_back(self) -> None:
        """Put the car back on the road; later frames and rows do not continue the earlier ones."""
        self.put_back = False
        self._jpeg = b""  # so that step() makes a new picture also of a world at rest
        self.world.put_back()
        self._apart_until = self._clock() + _APART_SECONDS
        if self.driver is not None:
            self.driver.forget_frames()

    def _ask_model(self) -> None:
        """Let the model decide on the newest frame.

        It gets every frame, also while a person steers, so that it can go on at any time.
        """
        if self.driver is None:
            return
        car = self.world.car
        degrees = car.steering * FULL_LOCK_DEGREES
        telemetry = Telemetry(degrees, car.throttle, car.speed / MPH, self._jpeg)
        self._decision = self.driver.decide(telemetry)

    def _model_control(self) -> Control | None:
        """Return the model's control, None without a model."""
        if self._decision is not None:
            return self._decision.control
        return None if self.driver is None else _RELEASED  # until the model's first decision

    def _input_asleep(self) -> HandInput:
        """Return the input that stops the car on its road while pages are silent.

        With a model, the model goes on steering.
        """
        steering: float | None = None
        if self.driver is None:
            steering = min(max(self.world.steering_home(), -1.0), 1.0)
        rolls = self.hands.silent_seconds < SILENT_SECONDS + _ROLL_SECONDS
        throttle = 0.0 if rolls else _BRAKE
        return HandInput(steering, throttle)

    def _record(self, mode: str, image: Image) -> None:
        """Record a row, if one is due."""
        now = self._clock()
        # half a frame early is near enough, since no frame comes exactly on time
        is_due = now >= self._next_row_at - 0.5 / FRAMES_A_SECOND
        if mode != "driving" or not is_due or now < self._apart_until:
            return
        self._next_row_at += BETWEEN_ROWS_SECONDS
        if self._next_row_at < now - BETWEEN_ROWS_SECONDS:  # after a pause
            self._next_row_at = now + BETWEEN_ROWS_SECONDS
        if self.recorder.on:
            car = copy.copy(self.world.car)
            point = self.world.tracked.trace_point
            self.recorder.record(PlayedRow(car, image, point, self.hands.by, now))

    def _show(self, mode: str, input_number: int) -> None:
        """Make the newest frame.

        input_number: number of the page's input that has steered the car
        """
        self.frames += 1
        state = self._state(mode, input_number)
        self._newest = PageFrame(self.frames, self._jpeg, self.overlay(), state)
        self.on_frame()

    def state(self) -> dict[str, Any]:
        """Return the state of the newest frame."""
        return self._newest.state if self._newest else self._state(self.mode, 0)

    def _state(self, mode: str, input_number: int) -> dict[str, Any]:
        world = self.world
        car = world.car
        steering_model = None if self._decision is None else self._decision.steering
        warnings = [{"text": text, "count": 1, "seconds": None} for text in self._warnings(mode)]
        figures = {
            "frame": self.frames,
            "input": input_number,
            "seconds": world.tracked.seconds,
            "mode": mode,
            "kept": self.hands.wheel.kept,
            "steering_sent": car.steering,
            "steering_model": steering_model,
            "throttle": car.throttle - car.brake,
            "speed_mph": car.speed / MPH,
            "x_m": car.x,
            "z_m": car.z,
            "heading": car.heading,
            "cross_track_m": world.tracked.position.cross_track_m,
            "off_road": world.tracked.position.off_road,
            "laps": world.laps(),
            "real_time_factor": self._pace.factor,
            "frames_per_second": self._pace.frames_per_second,
            "warnings": warnings,
        }
        return self.state_with(figures)

    def _warnings(self, mode: str) -> list[str]:
        """Return what the person needs to know now."""
        texts = []
        if mode == "asleep" and self.frames > FRAMES_A_SECOND:
            texts.append("the page that drives is silent: the car rolls to a stop")
        if self.world.tracked.position.off_road:
            texts.append("off the road")
        if self._pace.factor < _SLOW_FACTOR:
            texts.append("the world is slower than real time: close other programs")
        if self._decision is not None and self._decision.fault:
            advice = "take over" if self.hands.by.driver == MODEL else "you steer"
            texts.append(
                f"the model fails: {self._decision.fault}; "
                f"its steering fades and it gives no throttle: {advice}"
            )
        if self.recorder.failure:
            texts.append(f"the recording has ended: {self.recorder.failure}")
        return texts


_MAX_WAITING = 60  # rows that wait while the machine is busy: 4 seconds, 9 MB


def play_recorder(
    renderer: Renderer, folder: Path | None, on_failure: Notify = lambda why: None
) -> Recorder[PlayedRow]:
    """Return the recorder of a play.

    Each recording goes into a new folder, the first into `folder` if it is free.
    """
    lock = threading.RLock()

    def open_files() -> PlayFiles:
        first = folder or Path(f"play-{datetime.datetime.now():%Y_%m_%d_%H_%M_%S}")
        with lock:
            return PlayFiles(renderer, free_folder(first), lock)

    return Recorder(open_files, on_failure, most_waiting=_MAX_WAITING)


class PlayFiles:
    """Records a play into a folder, with frames of the side cameras.

    Without a row, what was made is removed at the end or after an error. Raises UserError if the
    folder cannot be used.
    """

    def __init__(self, renderer: Renderer, folder: Path, lock: threading.RLock) -> None:
        """Begin a recording.

        lock: held while folders are made or removed, since two recordings may ask for free ones
        """
        self.folder = folder
        self._renderer = renderer
        self._lock = lock
        self._began = time.monotonic()
        self._writer = CarRecording(folder, datetime.datetime.now())

    def close(self) -> None:
        """Remove a recording without rows."""
        with self._lock:
            self._writer.remove_if_void()

    def write(self, row: PlayedRow) -> None:
        """Write a row, or raise UserError; earlier rows are complete anyway."""
        frames = {"center": row.center}
        for camera in MOUNTS:
            if camera not in frames:
                frames[camera] = self._renderer.frame(row.car, camera)
        seconds = max(row.taken - self._began, 0.0)
        self._writer.record(seconds, row.car, frames, row.point, row.by)
