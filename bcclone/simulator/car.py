"""Move the car: steering and throttle -> its next place and speed, by a bicycle model with limits,
in steps of 0.02 s.

The constants were measured, or read from the simulator's public source:
docs/explanation/simulator.md.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from bcclone.camera.vehicle import (
    FULL_LOCK_DEGREES,
    MPH,
    STEERING_LAG_SECONDS,
    WHEELBASE_M,
    YAW_GAIN,
)
from bcclone.recording.run_tables import TracePoint
from bcclone.simulator.track import LEVEL_M, Track
from bcclone.simulator.world_settings import TOP_SPEED_MPH
from bcclone.system.compiled import compiled, source_checksum
from bcclone.system.exact_math import arctangent, cosine, length, sine, tangent

STEP_SECONDS = 0.02

FULL_THROTTLE, DRAG, FULL_BRAKE = 5.4, 0.1, 7.3  # m/s2, 1/s, m/s2
_GRAVITY = 9.81
_GRIP = 13.0  # m/s2
_PITCH_LAG_SECONDS = 0.3
_PITCH_REST, _PITCH_THROTTLE, _PITCH_BRAKE = 0.3, 1.55, -1.6  # degrees, nose up
_RADIANS = math.pi / 180
# All modules whose functions or constants are compiled into next_yaw_rate():
# bcclone/system/compiled.py
LAW_MODULES = ("bcclone.simulator.car", "bcclone.camera.vehicle", "bcclone.system.exact_math")


@compiled(cache=True, sources=source_checksum(LAW_MODULES))
def next_yaw_rate(yaw_rate: float, steering: float, speed: float) -> float:
    """Return the yaw rate, radians a second, after 0.02 s of a steering, -1 to 1, at a speed in
    m/s; compiled.
    """
    curvature = tangent(steering * FULL_LOCK_DEGREES * _RADIANS) / WHEELBASE_M
    most = _GRIP / max(speed, 1.0)
    wanted = min(max(YAW_GAIN * speed * curvature, -most), most)
    return yaw_rate + (wanted - yaw_rate) * STEP_SECONDS / STEERING_LAG_SECONDS


@dataclass
class Car:
    """A car on the road.

    x, y, z: metres; heading: radians from +z towards +x; speed: m/s; pitch: radians, nose up;
    steering: -1 (left) to 1 (right); throttle, brake: 0 to 1; yaw_rate: radians a second, to the
    right.
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
    yaw_rate: float = 0.0

    def control(self, steering: float, throttle: float) -> None:
        """Set the controls, -1 to 1; a negative throttle brakes."""
        self.steering = min(max(steering, -1.0), 1.0)
        self.throttle = min(max(throttle, 0.0), 1.0)
        self.brake = min(max(-throttle, 0.0), 1.0)

    def step(self, grade: float = 0.0) -> None:
        """Advance by 0.02 s on a road that rises by `grade` metres for each metre ahead."""
        speed = min(
            self.speed, TOP_SPEED_MPH * MPH
        )  # limited before the step: it reaches 30.2 mph, as in the simulator
        slope = _GRAVITY * grade / length(1.0, grade)
        acceleration = (
            FULL_THROTTLE * self.throttle - DRAG * speed - FULL_BRAKE * self.brake - slope
        )
        self.speed = max(speed + acceleration * STEP_SECONDS, 0.0)
        self.yaw_rate = next_yaw_rate(self.yaw_rate, self.steering, self.speed)
        self.heading += self.yaw_rate * STEP_SECONDS
        level = self.speed * STEP_SECONDS / length(1.0, grade)
        self.x += level * sine(self.heading)
        self.z += level * cosine(self.heading)
        pitch = nose_up(self.throttle, self.brake)
        self.pitch += (pitch + arctangent(grade) - self.pitch) * STEP_SECONDS / _PITCH_LAG_SECONDS


def nose_up(throttle: float, brake: float = 0.0) -> float:
    """Return the pitch, radians, that a car takes on a level road at a throttle and a brake, 0 to
    1.
    """
    return math.radians(_PITCH_REST + _PITCH_THROTTLE * throttle + _PITCH_BRAKE * brake)


def holding_throttle(speed: float) -> float:
    """Return the throttle, 0 to 1, that holds a speed in m/s on a level road."""
    return DRAG * speed / FULL_THROTTLE


def start_on(
    track: Track,
    cross_track_m: float = 0.0,
    along_m: float | None = None,
    turn: float = 0.0,
    rise: float = 0.0,
) -> Car:
    """Return a car that stands on the track, by default at its start, and faces along it.

    turn: radians to the right of the track's direction; rise: radians by which its nose is higher
    than the road.
    """
    along_m = track.start_m if along_m is None else along_m
    x, y, z, heading = track.point(along_m, cross_track_m)
    grade = float(track.grade[track.index(along_m)]) * cosine(turn)
    return Car(x, y, z, heading + turn, pitch=arctangent(grade) + rise)


class TrackedCar:
    """A car and its position on a track.

    progress_m: distance along the track, backwards is negative; distance_m: distance driven;
    ground_height: x, z -> height of the ground off the road, in metres; without it the ground is as
    high as the road.
    """

    def __init__(
        self,
        track: Track,
        cross_track_m: float = 0.0,
        along_m: float | None = None,
        ground_height: Callable[[float, float], float] | None = None,
    ) -> None:
        self.track, self._ground_height = track, ground_height
        along_m = track.start_m if along_m is None else along_m
        self.car = start_on(track, cross_track_m, along_m)
        self.position = track.locate(self.car.x, self.car.y, self.car.z, near_m=along_m)
        self.steps = 0
        self.progress_m = self.distance_m = 0.0

    @property
    def seconds(self) -> float:
        return self.steps * STEP_SECONDS

    @property
    def trace_point(self) -> TracePoint:
        """Return where the car is, for a run's trace."""
        return TracePoint(
            self.seconds, self.track.road.name, self.car.x, self.car.z, self.position.cross_track_m
        )

    def step(self) -> None:
        """Advance by 0.02 s."""
        car, before = self.car, self.position
        uphill = before.grade * cosine(car.heading - before.heading)
        car.step(uphill if self._on_road else 0.0)
        self.position = self.track.locate(car.x, car.y, car.z, near_m=before.along_m)
        if self._on_road or self._ground_height is None:
            car.y = self.position.height_m
        else:
            car.y = self._ground_height(car.x, car.z)
        self.steps += 1
        self.progress_m += self.track.apart(before.along_m, self.position.along_m)
        self.distance_m += car.speed * STEP_SECONDS

    def set_back(self) -> None:
        """Move the car to the nearest point of the centre line, facing along the track; it keeps
        its speed.
        """
        car, along_m = self.car, self.position.along_m
        (car.x, car.y, car.z, car.heading), car.yaw_rate = self.track.point(along_m), 0.0
        self.position = self.track.locate(car.x, car.y, car.z, near_m=along_m)

    def push(self, right_m: float) -> None:
        """Move the car sideways, to the right if positive; it keeps its heading and speed."""
        car, heading = self.car, self.position.heading
        car.x, car.z = car.x + right_m * cosine(heading), car.z - right_m * sine(heading)
        self.position = self.track.locate(car.x, car.y, car.z, near_m=self.position.along_m)

    @property
    def _on_road(self) -> bool:
        """Return whether the ground here is as high as the road; on a bridge, walls hold the car."""
        return abs(self.position.cross_track_m) < LEVEL_M or self.track.road.on_bridge(
            self.position.along_m
        )
