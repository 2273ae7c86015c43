"""Controls -> where a car is on its track, step by step."""

import math
from collections.abc import Callable

from bcclone.simulator.car import STEP_SECONDS, start_on
from bcclone.simulator.track import LEVEL_M, Track


class Ride:
    """A car that drives on a track, from its start or from `along_m`.

    progress_m: how far it has come along the track, backwards counts against it; distance_m: how far it has driven.
    ground_height gives the height of the ground, metres, for x and z beyond the road; without it the road goes on.
    """

    def __init__(
        self,
        track: Track,
        cross_track_m: float = 0.0,
        along_m: float = 0.0,
        ground_height: Callable[[float, float], float] | None = None,
    ) -> None:
        self.track, self._ground_height = track, ground_height
        self.car = start_on(track, cross_track_m, along_m)
        self.place = track.locate(self.car.x, self.car.y, self.car.z, near_m=along_m)
        self.steps = 0
        self.progress_m = self.distance_m = 0.0

    @property
    def seconds(self) -> float:
        """Return the simulated time that has passed."""
        return self.steps * STEP_SECONDS

    def step(self) -> None:
        """Let 0.02 s pass."""
        car, before = self.car, self.place
        uphill = before.grade * math.cos(car.heading - before.heading)
        car.step(uphill if self._on_road else 0.0)
        self.place = self.track.locate(car.x, car.y, car.z, near_m=before.along_m)
        if self._on_road or self._ground_height is None:
            car.y = self.place.height_m
        else:
            car.y = self._ground_height(car.x, car.z)
        self.steps += 1
        self.progress_m += self.track.apart(before.along_m, self.place.along_m)
        self.distance_m += car.speed * STEP_SECONDS

    def set_back(self) -> None:
        """Put the car on the centre line beside it, looking along the track, as fast as it is."""
        self.car.set_back(*self.track.point(self.place.along_m))
        self.place = self.track.locate(self.car.x, self.car.y, self.car.z, near_m=self.place.along_m)

    def shove(self, right_m: float) -> None:
        """Move the car so far to the right of where it is on the road, looking and driving on as before."""
        car, heading = self.car, self.place.heading
        car.x, car.z = car.x + right_m * math.cos(heading), car.z - right_m * math.sin(heading)
        self.place = self.track.locate(car.x, car.y, car.z, near_m=self.place.along_m)

    @property
    def _on_road(self) -> bool:
        """Return whether the ground is as high as the road; a bridge's walls hold a car that would fall."""
        return abs(self.place.cross_track_m) < LEVEL_M or self.track.road.on_bridge(self.place.along_m)
