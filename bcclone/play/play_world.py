"""Move a car on a track in real time: controls go in, camera frames and lap times come out.

WorldPace tells how many steps of 0.02 s are due; the caller gives the clock.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from bcclone.dataset.images import Image
from bcclone.dataset.vehicle import steering_to_line
from bcclone.simulator.car import STEP_SECONDS, Car, TrackedCar
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import Track
from bcclone.simulator.world_settings import LOST_M

_MAX_STEPS = 8  # at once; after a longer pause the world is late, since a car that leaps cannot be driven
_RATE_SECONDS = 2.0
_LOOKAHEAD_M, _LOOKAHEAD_SECONDS = 4.0, 0.5


class PlayedWorld:
    """A car that a person or a model drives as long as they like; nothing ends the drive.

    start_m, start_offset_m: where it begins, in metres from the start of the lap and to the right of the middle.
    """

    def __init__(self, renderer: Renderer, track: Track, start_m: float = 0.0, start_offset_m: float = 0.0) -> None:
        self._renderer, self.track = renderer, track
        start_m += track.start_m
        self.tracked = TrackedCar(track, start_offset_m, start_m, renderer.scene.ground.height_at)
        self._laps_done, self._lap_began = 0, 0.0
        self._last: float | None = None
        self.best_lap_seconds: float | None = None

    @property
    def car(self) -> Car:
        """Return the car."""
        return self.tracked.car

    @property
    def off_road(self) -> bool:
        """Return whether a wheel has left the asphalt."""
        return bool(abs(self.tracked.position.cross_track_m) > self.tracked.position.limit_m)

    @property
    def lost(self) -> bool:
        """Return whether the car is so far from the road that nothing leads back."""
        return bool(abs(self.tracked.position.cross_track_m) > LOST_M)

    def drive(self, steering: float, throttle: float, steps: int) -> None:
        """Advance by so many steps of 0.02 s with these controls, -1 to 1."""
        self.car.control(steering, throttle)
        for _ in range(steps):
            self.tracked.step()
            self._count_laps()

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
        """Return the number of the lap, from 1, its seconds so far, and those of the last and of the best lap."""
        seconds = self.tracked.seconds - self._lap_began
        return {"lap": self._laps_done + 1, "seconds": seconds, "last": self._last, "best": self.best_lap_seconds}

    def _count_laps(self) -> None:
        """Take the time of a lap when the car passes the start again."""
        if self.tracked.progress_m < (self._laps_done + 1) * self.track.lap_m:
            return
        self._laps_done += 1
        self._last, self._lap_began = self.tracked.seconds - self._lap_began, self.tracked.seconds
        self.best_lap_seconds = self._last if self.best_lap_seconds is None else min(self.best_lap_seconds, self._last)


class WorldPace:
    """The real time of a world that advances in steps of 0.02 s."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._reached: float | None = None  # the wall clock's time that the world has reached
        self._taken: deque[tuple[float, int]] = deque()  # when steps were due, and how many

    def due(self) -> int:
        """Return how many steps are due; the caller takes them now."""
        now = self._clock()
        if self._reached is None:
            self._reached = now
        steps = math.floor((now - self._reached) / STEP_SECONDS + 1e-9)
        now_due = min(steps, _MAX_STEPS)
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
        """Return simulated seconds for each second of the wall clock, of the last 2 s; 1 before there is a second."""
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
