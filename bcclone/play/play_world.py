"""Move a car on a track as long as a person likes: controls go in, camera frames and lap times come out."""

import math
from typing import Any

from bcclone.dataset.images import Image
from bcclone.dataset.vehicle import steering_to_line
from bcclone.simulator.car import Car, TrackedCar
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import Track
from bcclone.simulator.world_settings import LOST_M

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
        return self.tracked.car

    @property
    def lost(self) -> bool:
        """Return whether the car is so far from the road that nothing leads back."""
        return abs(self.tracked.position.cross_track_m) > LOST_M

    def drive(self, steering: float, throttle: float, steps: int) -> None:
        """Advance by so many steps of 0.02 s with these controls, -1 to 1."""
        self.car.control(steering, throttle)
        for _ in range(steps):
            self.tracked.step()
            if self.tracked.progress_m >= (self._laps_done + 1) * self.track.lap_m:
                self._laps_done += 1
                lap, self._lap_began = self.tracked.seconds - self._lap_began, self.tracked.seconds
                self._last, self.best_lap_seconds = lap, min(self.best_lap_seconds or lap, lap)

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
