"""The car of a play on its road: controls -> where it is, what it sees, and the times of laps."""

import math
from typing import Any

from bcclone.camera.images import Image
from bcclone.camera.vehicle import steering_to_line
from bcclone.simulator.car import Car, TrackedCar
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import Track
from bcclone.simulator.world_settings import LOST_M

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
