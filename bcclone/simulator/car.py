"""Controls -> motion: the simulator's car as a bicycle model with its limits, in steps of 0.02 s.

Every figure is measured or read from the simulator's public source: docs/explanation/simulator.md.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from bcclone.simulator.track import LEVEL_M, Track
from bcclone.vehicle import FULL_LOCK_DEGREES, MPH, STEERING_LAG_SECONDS, WHEELBASE_M, YAW_GAIN

STEP_SECONDS = 0.02

TOP_SPEED_MPH = 30.0
FULL_THROTTLE, DRAG, FULL_BRAKE = 5.4, 0.1, 7.3  # m/s2, 1/s, m/s2
_GRAVITY = 9.81
_MOST_SIDEWAYS = 13.0  # m/s2
_PITCH_LAG_SECONDS = 0.3
_PITCH_REST, _PITCH_THROTTLE, _PITCH_BRAKE = 0.3, 1.55, -1.6  # degrees, nose up


@dataclass
class Car:
    """A car on the road. x, z: metres; heading: radians from +z towards +x; speed: m/s; pitch: radians, nose up.

    steering, -1 (left) to 1 (right), throttle and brake, 0 to 1, are its controls.
    """

    x: float
    y: float
    z: float
    heading: float
    speed: float = 0.0
    steering: float = 0.0
    throttle: float = 0.0
    brake: float = 0.0
    pitch: float = 0.0
    _yaw_rate: float = 0.0

    def control(self, steering: float, throttle: float) -> None:
        """Set the controls that hold from now on; a negative throttle brakes."""
        self.steering = min(max(steering, -1.0), 1.0)
        self.throttle = min(max(throttle, 0.0), 1.0)
        self.brake = min(max(-throttle, 0.0), 1.0)

    def step(self, grade: float = 0.0) -> None:
        """Let 0.02 s pass on a road that rises by `grade` for each metre ahead."""
        self._change_speed(grade)
        curvature = math.tan(math.radians(self.steering * FULL_LOCK_DEGREES)) / WHEELBASE_M
        most = _MOST_SIDEWAYS / max(self.speed, 1.0)
        wanted = min(max(YAW_GAIN * self.speed * curvature, -most), most)
        self._yaw_rate += (wanted - self._yaw_rate) * STEP_SECONDS / STEERING_LAG_SECONDS
        self.heading += self._yaw_rate * STEP_SECONDS
        level = self.speed * STEP_SECONDS / math.hypot(1.0, grade)
        self.x += level * math.sin(self.heading)
        self.z += level * math.cos(self.heading)
        pitch = math.radians(_PITCH_REST + _PITCH_THROTTLE * self.throttle + _PITCH_BRAKE * self.brake)
        self.pitch += (pitch + math.atan(grade) - self.pitch) * STEP_SECONDS / _PITCH_LAG_SECONDS

    def set_back(self, x: float, y: float, z: float, heading: float) -> None:
        """Put the car somewhere else, as fast as it is."""
        self.x, self.y, self.z, self.heading, self._yaw_rate = x, y, z, heading, 0.0

    def _change_speed(self, grade: float) -> None:
        """Accelerate; the top speed is cut before, so that it shows 30.2 mph, as the simulator does."""
        speed = min(self.speed, TOP_SPEED_MPH * MPH)
        slope = _GRAVITY * grade / math.hypot(1.0, grade)
        acceleration = FULL_THROTTLE * self.throttle - DRAG * speed - FULL_BRAKE * self.brake - slope
        self.speed = max(speed + acceleration * STEP_SECONDS, 0.0)


def start_on(track: Track, cross_track_m: float = 0.0, along_m: float = 0.0) -> Car:
    """Return a car that stands on the track, looking along it."""
    x, y, z, heading = track.point(along_m, cross_track_m)
    return Car(x, y, z, heading, pitch=math.atan(float(track.grade[track.index(along_m)])))


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
