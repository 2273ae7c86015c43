"""Simulate a car on a track: controls in, frames out, until the drive ends with its score."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcclone.camera.images import Image, encode_jpeg
from bcclone.camera.vehicle import FULL_LOCK_DEGREES, MPH
from bcclone.recording.run_tables import ShownFrame, digest_of, write_trace
from bcclone.simulator.car import STEP_SECONDS, TrackedCar
from bcclone.simulator.render import Renderer
from bcclone.simulator.score import LAPS_DRIVEN, Score, Scorer
from bcclone.simulator.track import Track, TrackPosition, load_track
from bcclone.simulator.unity_client import CarState, DriveReport, UnityClient, connected
from bcclone.simulator.world_settings import (
    LOST_M,
    Conditions,
    ServerSettings,
    SimulationSettings,
    WorldSettings,
)
from bcclone.system.errors import UserError
from bcclone.system.json_values import to_json
from bcclone.system.progress import ProgressBar

FRAME_SECONDS = 2 * STEP_SECONDS  # simulated time between two frames
_STUCK_SECONDS, _STUCK_SPEED = 20.0, 0.2
_SLOWEST = 1.5  # m/s along the track on average; a slower drive is ended
_VIEWS = 12  # frames kept of a drive, evenly spaced along it
_MAX_STEPS = 50  # that a world in real time makes up for at once
_RATE_SECONDS = 2.0
_RECORDER_SECONDS = 5.0  # until the server has written its last frames, at most
_SPARE_M = 0.3  # distance from the edge of the road that a perturbation leaves


@dataclass(frozen=True)
class SimulationResult:
    """The result of a drive by a drive server: its score and the client's measurements.

    traced: frames of the run folder whose position was added there, None without one.
    """

    score: Score
    report: DriveReport
    traced: int | None = None

    def as_json(self) -> dict[str, Any]:
        return {**self.report.as_json(), **to_json(self.score), "traced": self.traced}


def simulate(settings: SimulationSettings, server: ServerSettings) -> SimulationResult:
    """Let a drive server drive in a simulated world; raises UserError."""
    track, folder = load_track(settings.track, settings.reverse), settings.run_folder
    with (
        connected(server.host, server.port, server.wait) as connection,
        open_world(track, settings.world, settings.conditions) as world,
    ):
        if folder is not None and not folder.is_dir():
            raise UserError(
                f"{folder}: no such folder; name the one that drive.py records into, or leave --run out"
            )
        before = _count_frames(folder)
        report = UnityClient(connection, world, server.decimal_comma).drive()
    until, traced = time.monotonic() + _RECORDER_SECONDS, None
    if folder is not None:
        while _count_frames(folder) < before + report.steers and time.monotonic() < until:
            time.sleep(0.1)  # the server may still be writing frames
        traced = write_trace(folder, world.shown)
    return SimulationResult(world.score(), report, traced)


def _count_frames(folder: Path | None) -> int:
    return len(list(folder.glob("*.jpg"))) if folder is not None else 0


@contextmanager
def open_world(
    track: Track, settings: WorldSettings, conditions: Conditions
) -> "Iterator[SimulatedWorld]":
    """Yield a world, with a progress bar of the drive."""
    renderer = Renderer(track.road.name, conditions)
    with ProgressBar("driving", round(track.goal_m(settings.laps)), "m") as progress:
        yield SimulatedWorld(renderer, track, settings, progress.advance)


class SimulatedWorld:
    """A car on a track whose time advances from frame to frame, or with the wall clock.

    ended: why the drive ended, LAPS_DRIVEN if the car reached its goal, "" before the end; views:
    some of the frames, evenly spaced along the drive; shown: where the car was at each frame;
    on_progress: called with the metres that the car has advanced.
    """

    def __init__(
        self,
        renderer: Renderer,
        track: Track,
        settings: WorldSettings,
        on_progress: Callable[[float], None] | None = None,
    ) -> None:
        self._renderer, self.track, self._settings, self._on_progress = (
            renderer,
            track,
            settings,
            on_progress,
        )
        self.tracked = TrackedCar(
            track, settings.start_offset_m, ground_height=renderer.scene.ground.height_at
        )
        self.tracked.car.heading += math.radians(settings.start_turn)
        self._goal_m = track.goal_m(settings.laps)
        self.scorer = Scorer()
        self._perturbations = Perturbations(settings.perturbation_m, settings.perturbation_every_m)
        self.ended = ""
        self._still_seconds, self._reported_m = 0.0, 0.0
        self._pending: deque[tuple[float, float, float]] = (
            deque()
        )  # when they take effect, steering, throttle
        self._last_frame_at = 0.0
        self._pace = WorldPace(_MAX_STEPS)
        self.views: list[Image] = []
        self.shown: list[ShownFrame] = []

    @property
    def laps(self) -> float:
        return self.tracked.progress_m / self.track.lap_m

    def score(self) -> Score:
        return self.scorer.score(self.laps, self.ended)

    def observe(self) -> CarState | None:
        """Advance to the next frame and return the car's state with it; None after the end of the
        drive.
        """
        if self._settings.real_time:
            time.sleep(max(self._last_frame_at + FRAME_SECONDS - time.monotonic(), 0.0))
            self._last_frame_at = time.monotonic()
            self.advance(self._pace.due() * STEP_SECONDS)
        else:
            self.advance(FRAME_SECONDS)
        if self.ended:
            return None
        car = self.tracked.car
        frame = self._renderer.frame(car, seconds=self.tracked.seconds)
        if self.tracked.progress_m >= len(self.views) * self._goal_m / _VIEWS:
            self.views.append(frame)
        jpeg = encode_jpeg(frame)
        self.shown.append(ShownFrame(digest_of(jpeg), self.tracked.trace_point))
        return CarState(car.steering * FULL_LOCK_DEGREES, car.throttle, car.speed / MPH, jpeg)

    def steer(self, steering: float, throttle: float) -> None:
        """Set the controls, -1 to 1, that take effect after the latency and hold until the next
        ones.
        """
        if self._settings.real_time:
            self.advance(
                self._pace.due() * STEP_SECONDS
            )  # the time before this control came was driven without it
        self.scorer.add_steering(steering)
        at = self.tracked.seconds + self._settings.latency_ms / 1000
        self._pending.append((at, steering, throttle))

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_SECONDS)):
            if not self.ended:
                self._step()
        if self._on_progress is not None and self.tracked.progress_m > self._reported_m:
            self._on_progress(self.tracked.progress_m - self._reported_m)
            self._reported_m = self.tracked.progress_m

    def _step(self) -> None:
        tracked, car = self.tracked, self.tracked.car
        while self._pending and self._pending[0][0] <= tracked.seconds + 1e-9:
            _, *controls = self._pending.popleft()
            car.control(*controls)
        if right_m := self._perturbations.due(tracked.progress_m, tracked.position):
            tracked.push(right_m)
        tracked.step()
        off_road = self.scorer.add_step(car.x, car.z, tracked.position, car.speed)
        if off_road and self._settings.set_back:
            tracked.set_back()
        self._check_end()

    def _check_end(self) -> None:
        """End the drive at its goal, or when the car is lost, stuck or too slow."""
        car, seconds = self.tracked.car, self.tracked.seconds
        self._still_seconds = (
            self._still_seconds + STEP_SECONDS if car.speed < _STUCK_SPEED else 0.0
        )
        goal, most = self._goal_m, self._settings.most_interventions
        if self.tracked.progress_m >= goal:
            self.ended = LAPS_DRIVEN
        elif most and len(self.scorer.interventions) >= most:
            self.ended = f"intervention {most}"
            return  # it is counted already
        elif abs(self.tracked.position.cross_track_m) > LOST_M:
            self.ended = f"the car is more than {LOST_M:.0f} m from the road"
        elif self._still_seconds >= _STUCK_SECONDS:
            self.ended = f"the car has stood still for {_STUCK_SECONDS:.0f} s"
        elif seconds > goal / _SLOWEST + _STUCK_SECONDS:
            self.ended = f"the car has not come around in {seconds:.0f} s"
        if self.ended and self.ended != LAPS_DRIVEN:
            self.scorer.add_failure(car.x, car.z, self.ended)


class WorldPace:
    """The real time of a world that advances in steps of 0.02 s.

    most_steps: at once; after a longer pause the world is late.
    """

    def __init__(self, most_steps: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_steps, self._clock = most_steps, clock
        self._reached: float | None = None  # the wall clock's time that the world has reached
        self._taken: deque[tuple[float, int]] = deque()  # when steps were due, and how many

    def due(self) -> int:
        """Return how many steps are due; the caller takes them now."""
        now = self._clock()
        if self._reached is None:
            self._reached = now
        steps = math.floor((now - self._reached) / STEP_SECONDS + 1e-9)
        now_due = min(steps, self._most_steps)
        self._reached = self._reached + now_due * STEP_SECONDS if now_due == steps else now
        self._taken.append((now, now_due))
        while self._taken[0][0] < now - _RATE_SECONDS:
            self._taken.popleft()
        return now_due

    def rest(self) -> None:
        """Let the world stand still until due() is called again."""
        self._reached = None
        self._taken.clear()

    @property
    def factor(self) -> float:
        """Return simulated seconds for each second of the wall clock, of the last 2 s; 1 before
        there is a second.
        """
        seconds = self._taken[-1][0] - self._taken[0][0] if self._taken else 0.0
        if seconds < _RATE_SECONDS / 2:
            return 1.0
        first, *others = self._taken
        return sum(steps for _, steps in others) * STEP_SECONDS / seconds

    @property
    def frames_per_second(self) -> float:
        """Return how often due() was called a second, of the last 2 s."""
        seconds = self._taken[-1][0] - self._taken[0][0] if self._taken else 0.0
        return (len(self._taken) - 1) / seconds if seconds > 0 else 0.0


class Perturbations:
    """Sideways pushes at regular distances, to the right and to the left in turn.

    A push is shortened so that it leaves the wheels on the asphalt; it is skipped where the car is
    at the edge or beyond. So it is always the driver who leaves the road.

    size_m: length of a push, 0 for none; every_m: distance between two.
    """

    def __init__(self, size_m: float, every_m: float) -> None:
        self._size_m, self._every_m = size_m, every_m
        self._pushes = 0

    def due(self, progress_m: float, position: TrackPosition) -> float:
        """Return how far to push the car now: to the right if positive, 0 for not at all."""
        if self._size_m == 0 or progress_m < (self._pushes + 1) * self._every_m:
            return 0.0
        side = 1 if self._pushes % 2 == 0 else -1
        self._pushes += 1
        room = max(position.limit_m - _SPARE_M - side * position.cross_track_m, 0.0)
        return side * min(self._size_m, room)
