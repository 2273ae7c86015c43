"""Simulate a car on a track: controls in, frames out, until the drive ends with its score.

Controls are steering and throttle, -1 to 1. A frame is a JPEG of the centre camera, normally every
0.04 s of simulated time, and with it what the car reports: its steering, throttle and speed.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from bcclone.camera.images import Image, encode_jpeg
from bcclone.camera.vehicle import FULL_LOCK_DEGREES, MPH
from bcclone.recording.run_tables import ShownFrame, digest_of
from bcclone.simulator.car import STEP_SECONDS, TrackedCar
from bcclone.simulator.render import Renderer
from bcclone.simulator.score import Score, Scorer
from bcclone.simulator.track import Track, TrackPosition
from bcclone.simulator.world_settings import (
    LAPS_DRIVEN,
    LOST_M,
    Conditions,
    WorldSettings,
)
from bcclone.system.progress import ProgressBar

FRAME_SECONDS = 2 * STEP_SECONDS  # simulated time between two frames
_VIEWS = 12  # frames of a drive that are kept, evenly spaced along the road
_MAX_STEPS = 50  # most steps of 0.02 s that a world in real time makes up for at once

# When a drive ends before its goal
_STUCK_SECONDS = 20.0  # longest time that the car may stand still
_STUCK_SPEED = 0.2  # m/s; a slower car counts as standing still
_SLOWEST = 1.5  # m/s, least mean speed along the track, from which the time limit follows


@dataclass(frozen=True)
class CarState:
    """What the car reports with a frame."""

    steering_degrees: float
    throttle: float
    speed_mph: float
    jpeg: bytes  # the frame, a JPEG file
    manual: bool = False  # a driving key is held; the server is then told nothing else


class World(Protocol):
    """A car in its surroundings."""

    def observe(self) -> CarState | None:
        """Advance to the next frame and return the car's state; None after the end of the drive."""

    def steer(self, steering: float, throttle: float) -> None:
        """Set the controls, -1 to 1; they hold until the next call."""


class SimulatedWorld:
    """A car on a track whose time advances from frame to frame, or with the wall clock.

    ended: why the drive ended, LAPS_DRIVEN if the car reached its goal, "" before the end
    views: some of the frames, evenly spaced along the drive
    shown: where the car was at each frame

    on_progress: called with the metres that the car has advanced since the last call
    """

    def __init__(
        self,
        renderer: Renderer,
        track: Track,
        settings: WorldSettings,
        on_progress: Callable[[float], None] | None = None,
    ) -> None:
        self.track = track
        self._renderer = renderer
        self._settings = settings
        self._on_progress = on_progress
        self._reported_m = 0.0  # progress that on_progress was told, in total

        self.tracked = TrackedCar(
            track,
            settings.start_offset_m,
            track.start_m + settings.start_m,
            renderer.scene.ground.height_at,
        )
        self.tracked.car.heading += math.radians(settings.start_turn)
        self._perturbations = Perturbations(settings.perturbation_m, settings.perturbation_every_m)
        # controls that take effect after the latency: at which simulated time, steering, throttle
        self._pending: deque[tuple[float, float, float]] = deque()

        self.scorer = Scorer()
        self.ended = ""
        self._goal_m = track.goal_m(settings.laps)
        self._still_seconds = 0.0

        self.views: list[Image] = []
        self.shown: list[ShownFrame] = []

        # only for a world in real time
        self._pace = WorldPace(_MAX_STEPS)
        self._last_frame_at = 0.0

    @property
    def laps(self) -> float:
        return self.tracked.progress_m / self.track.lap_m

    def score(self) -> Score:
        return self.scorer.score(self.laps, self.ended)

    def observe(self) -> CarState | None:
        """Advance to the next frame and return the car's state; None after the drive's end."""
        if self._settings.real_time:
            until_frame = self._last_frame_at + FRAME_SECONDS - time.monotonic()
            time.sleep(max(until_frame, 0.0))
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
        return CarState(
            steering_degrees=car.steering * FULL_LOCK_DEGREES,
            throttle=car.throttle,
            speed_mph=car.speed / MPH,
            jpeg=jpeg,
        )

    def steer(self, steering: float, throttle: float) -> None:
        """Set the controls, -1 to 1.

        They take effect after the latency and hold until the next ones.
        """
        if self._settings.real_time:
            # the time before this control came was driven without it
            self.advance(self._pace.due() * STEP_SECONDS)
        self.scorer.add_steering(steering)
        takes_effect = self.tracked.seconds + self._settings.latency_ms / 1000
        self._pending.append((takes_effect, steering, throttle))

    def advance(self, seconds: float) -> None:
        """Let simulated time pass; the rest of the time is dropped when the drive ends."""
        for _ in range(round(seconds / STEP_SECONDS)):
            if not self.ended:
                self._step()
        if self._on_progress is not None and self.tracked.progress_m > self._reported_m:
            self._on_progress(self.tracked.progress_m - self._reported_m)
            self._reported_m = self.tracked.progress_m

    def _step(self) -> None:
        """Advance by 0.02 s."""
        tracked = self.tracked
        car = tracked.car
        while self._pending and self._pending[0][0] <= tracked.seconds + 1e-9:
            _, steering, throttle = self._pending.popleft()
            car.control(steering, throttle)
        if right_m := self._perturbations.due(tracked.progress_m, tracked.position):
            tracked.push(right_m)
        tracked.step()
        off_road = self.scorer.add_step(car.x, car.z, tracked.position, car.speed)
        if off_road and self._settings.set_back:
            tracked.set_back()
        self._check_end()

    def _check_end(self) -> None:
        """End the drive at its goal, or when the car is lost, stuck or too slow."""
        car = self.tracked.car
        if car.speed < _STUCK_SPEED:
            self._still_seconds += STEP_SECONDS
        else:
            self._still_seconds = 0.0

        if self.tracked.progress_m >= self._goal_m:
            self.ended = LAPS_DRIVEN
            return
        most = self._settings.most_interventions
        if most and len(self.scorer.interventions) >= most:
            # add_step() has counted it already
            self.ended = f"intervention {most}"
            return
        seconds = self.tracked.seconds
        if abs(self.tracked.position.cross_track_m) > LOST_M:
            self.ended = f"the car is more than {LOST_M:.0f} m from the road"
        elif self._still_seconds >= _STUCK_SECONDS:
            self.ended = f"the car has stood still for {_STUCK_SECONDS:.0f} s"
        elif seconds > self._goal_m / _SLOWEST + _STUCK_SECONDS:
            self.ended = f"the car has not come around in {seconds:.0f} s"
        if self.ended:
            self.scorer.add_intervention(car.x, car.z)


_SLOW_SECONDS = 2.0  # how long is_slow stays after time was lost


class WorldPace:
    """Counts the steps of 0.02 s that keep a world in step with the wall clock.

    most_steps: most steps that due() returns at once; after a longer pause, time is lost
    clock: returns seconds
    """

    def __init__(self, most_steps: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_steps = most_steps
        self._clock = clock
        self._reached: float | None = None  # clock's time up to which steps were returned
        self._lost_at = -math.inf  # when time was lost last

    def due(self) -> int:
        """Return how many steps are due; the caller must take all of them now."""
        now = self._clock()
        if self._reached is None:
            self._reached = now
        behind = math.floor((now - self._reached) / STEP_SECONDS + 1e-9)
        steps = min(behind, self._most_steps)
        if steps == behind:
            self._reached += steps * STEP_SECONDS
        else:  # the rest of the time is lost
            self._reached = now
            self._lost_at = now
        return steps

    def rest(self) -> None:
        """Let the world stand still until due() is called again."""
        self._reached = None

    @property
    def is_slow(self) -> bool:
        """Return whether time was lost in the last two seconds."""
        return self._clock() - self._lost_at < _SLOW_SECONDS


_SPARE_M = 0.3  # smallest distance between a wheel and the edge of the road after a push


class Perturbations:
    """Sideways pushes at regular distances, to the right and to the left in turn.

    A push is shortened so that it leaves the wheels on the asphalt; it is skipped where the car is
    at the edge or beyond. So it is always the driver who leaves the road.

    size_m: distance by which a push moves the car; 0 for no pushes
    every_m: distance along the road between two pushes
    """

    def __init__(self, size_m: float, every_m: float) -> None:
        self._size_m = size_m
        self._every_m = every_m
        self._pushes = 0

    def due(self, progress_m: float, position: TrackPosition) -> float:
        """Return how far to push the car now: to the right if positive, 0 for not at all.

        The push then counts as done, so the caller must push.
        """
        if self._size_m == 0 or progress_m < (self._pushes + 1) * self._every_m:
            return 0.0
        side = 1 if self._pushes % 2 == 0 else -1
        self._pushes += 1
        room_m = max(position.limit_m - _SPARE_M - side * position.cross_track_m, 0.0)
        return side * min(self._size_m, room_m)


# ---- a drive


@contextmanager
def open_world(
    track: Track, *, settings: WorldSettings, conditions: Conditions
) -> Iterator[SimulatedWorld]:
    """Yield a world, with a progress bar of the drive."""
    renderer = Renderer(track.road.name, conditions)
    with ProgressBar("driving", round(track.goal_m(settings.laps)), "m") as progress:
        yield SimulatedWorld(renderer, track, settings, progress.advance)
