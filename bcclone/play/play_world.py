"""Move a car on a track in real time: steps in, frames and laps out."""

import copy
import math
from dataclasses import dataclass

from bcclone.dataset.images import Image
from bcclone.dataset.vehicle import steering_to_line
from bcclone.recording.run_tables import TracePoint
from bcclone.simulator.car import Car, TrackedCar
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import Track
from bcclone.simulator.world_settings import LOST_M

_LOOKAHEAD_M, _LOOKAHEAD_SECONDS = 4.0, 0.5


@dataclass(frozen=True)
class LapFigures:
    """The lap that is being driven, from 1, its time so far, and the times of the last and of the fastest lap."""

    lap: int
    seconds: float
    last: float | None
    best: float | None


class PlayedWorld:
    """A car that a person or a model drives as long as they like; nothing ends the drive."""

    def __init__(self, renderer: Renderer, track: Track) -> None:
        self._renderer, self.track = renderer, track
        self.tracked = TrackedCar(track, ground_height=renderer.scene.ground.height_at)
        self._laps_done, self._lap_began = 0, 0.0
        self._last: float | None = None
        self._best: float | None = None

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

    def laps(self) -> LapFigures:
        """Return the laps and their times."""
        return LapFigures(self._laps_done + 1, self.tracked.seconds - self._lap_began, self._last, self._best)

    def trace_point(self) -> TracePoint:
        """Return where the car is, as a row of trace.csv."""
        car, position = self.car, self.tracked.position
        return TracePoint(self.tracked.seconds, self.track.road.name, car.x, car.z, position.cross_track_m)

    def snapshot(self) -> Car:
        """Return a copy of the car as it is now."""
        return copy.copy(self.car)

    def _count_laps(self) -> None:
        """Take the time of a lap when the car passes the start again."""
        if self.tracked.progress_m < (self._laps_done + 1) * self.track.lap_m:
            return
        self._laps_done += 1
        self._last, self._lap_began = self.tracked.seconds - self._lap_began, self.tracked.seconds
        self._best = self._last if self._best is None else min(self._best, self._last)
