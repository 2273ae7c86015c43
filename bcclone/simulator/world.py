"""Controls -> frames: a car on a track whose time goes on from frame to frame, or with the clock on the wall."""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from bcclone.images import Image, encode_jpeg
from bcclone.simulator.car import FULL_LOCK_DEGREES, MPH, STEP_SECONDS, start_on
from bcclone.simulator.client import CarState
from bcclone.simulator.render import Renderer
from bcclone.simulator.score import Score
from bcclone.simulator.track import Track

_ROADSIDE_M = 6.0  # so far beside the centre line the ground is as high as the road
_LOST_M = 15.0  # farther away the drive is over
_STUCK_SECONDS, _STUCK_SPEED = 20.0, 0.2
_SLOWEST = 1.5  # m/s along the track on average; slower, and the drive is over
_VIEWS = 12  # that are kept of a drive, evenly along it
_LONGEST_PAUSE_SECONDS = 1.0  # of the wall clock that a world in real time makes up for at once


@dataclass(frozen=True)
class WorldSettings:
    """laps: how far to drive; frame_seconds: between two frames; start_offset_m: to the right of the centre line;
    latency_seconds: from a control to when it takes hold; set_back: an intervention puts the car back on the
    centre line, otherwise it drives on; real_time: time goes on while nobody looks."""

    laps: float = 1.0
    frame_seconds: float = 2 * STEP_SECONDS
    start_offset_m: float = 0.0
    latency_seconds: float = 0.0
    set_back: bool = True
    real_time: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.laps <= 1000:
            raise ValueError(f"laps {self.laps:g}, expected more than 0 and up to 1000")
        if not 0 <= self.latency_seconds <= 5:
            raise ValueError(f"latency {self.latency_seconds * 1000:g} ms, expected 0 to 5000")
        if not -15 < self.start_offset_m < 15:
            raise ValueError(f"start offset {self.start_offset_m:g} m, expected less than 15 to either side")


class SimulatedWorld:
    """A car on a track. `over` says why the drive ended: "" while it goes on, "laps driven" when all went well.

    views: some of the frames, evenly along the way.
    """

    def __init__(
        self,
        renderer: Renderer,
        track: Track,
        settings: WorldSettings,
        on_progress: Callable[[float], None] | None = None,
    ) -> None:
        self._renderer, self.track, self._settings, self._on_progress = renderer, track, settings, on_progress
        self.car = start_on(track, settings.start_offset_m)
        self.place = track.locate(self.car.x, self.car.y, self.car.z)
        self.score = Score(track.road.limit_m)
        self.progress_m, self.over = 0.0, ""
        self._still_seconds, self._shown_m = 0.0, 0.0
        self._pending: deque[tuple[float, float, float]] = deque()
        self._looked_at: float | None = None
        self.views: list[Image] = []

    @property
    def laps(self) -> float:
        """Return how many laps have been driven."""
        return self.progress_m / self.track.length_m

    def look(self) -> CarState | None:
        """Let the time until the next frame pass and return what the car then reports; None when the drive is over."""
        self.advance(self._seconds_to_next_frame())
        if self.over:
            return None
        frame = self._renderer.frame(self.car)
        if self.progress_m >= len(self.views) * self._settings.laps * self.track.length_m / _VIEWS:
            self.views.append(frame)
        jpeg = encode_jpeg(frame)
        return CarState(self.car.steering * FULL_LOCK_DEGREES, self.car.throttle, self.car.speed / MPH, jpeg)

    def steer(self, steering: float, throttle: float) -> None:
        """Set the controls, -1 to 1, that hold from now on, or from when the latency has passed."""
        self.score.note_steering(steering)
        self._pending.append((self.score.seconds + self._settings.latency_seconds, steering, throttle))

    def advance(self, seconds: float) -> None:
        """Let simulated time pass."""
        for _ in range(round(seconds / STEP_SECONDS)):
            if not self.over:
                self._step()
        if self._on_progress is not None and self.progress_m > self._shown_m:
            self._on_progress(self.progress_m - self._shown_m)
            self._shown_m = self.progress_m

    def _step(self) -> None:
        while self._pending and self._pending[0][0] <= self.score.seconds + 1e-9:
            _, steering, throttle = self._pending.popleft()
            self.car.control(steering, throttle)
        self.car.step(self.place.grade if self._on_road else 0.0)
        before, self.place = self.place, self.track.locate(self.car.x, self.car.y, self.car.z)
        self.car.y = self.place.height_m if self._on_road else self._ground_height()
        self.progress_m += self.track.apart(before.along_m, self.place.along_m)
        off_road = self.score.note(self.car.x, self.car.z, self.place, self.car.speed)
        if off_road and self._settings.set_back:
            self.car.set_back(*self.track.point(self.place.along_m))
            self.place = self.track.locate(self.car.x, self.car.y, self.car.z)
        self._judge()

    @property
    def _on_road(self) -> bool:
        return abs(self.place.cross_track_m) < _ROADSIDE_M

    def _ground_height(self) -> float:
        ground = self._renderer.scene.ground
        row, column = ground.grid.cell(self.car.x, self.car.z)
        return max(float(ground.heights_m[row, column]), ground.water_m)

    def _judge(self) -> None:
        """Notice when the drive is over."""
        self._still_seconds = self._still_seconds + STEP_SECONDS if self.car.speed < _STUCK_SPEED else 0.0
        goal = self._settings.laps * self.track.length_m
        if self.progress_m >= goal:
            self.over = "laps driven"
        elif abs(self.place.cross_track_m) > _LOST_M:
            self.over = f"the car is more than {_LOST_M:.0f} m from the road"
        elif self._still_seconds >= _STUCK_SECONDS:
            self.over = f"the car has stood still for {_STUCK_SECONDS:.0f} s"
        elif self.score.seconds > goal / _SLOWEST + _STUCK_SECONDS:
            self.over = f"the car has not come around in {self.score.seconds:.0f} s"

    def _seconds_to_next_frame(self) -> float:
        frame = self._settings.frame_seconds
        if not self._settings.real_time:
            return frame
        now = time.monotonic()
        if self._looked_at is None:
            self._looked_at = now
        time.sleep(max(self._looked_at + frame - now, 0.0))
        passed = min(time.monotonic() - self._looked_at, _LONGEST_PAUSE_SECONDS)
        steps = math.floor(passed / STEP_SECONDS)
        self._looked_at = max(self._looked_at + steps * STEP_SECONDS, time.monotonic() - _LONGEST_PAUSE_SECONDS)
        return steps * STEP_SECONDS
