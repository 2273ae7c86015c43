"""Move the car: steering and throttle -> its next place and speed, in steps of 0.02 s.

It is a bicycle model with limits. The constants were measured, or read from the simulator's public
source: docs/explanation/simulator.md.
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

# All modules whose functions or constants are compiled into next_yaw_rate(): after a change in
# any of them, Numba compiles it anew (bcclone/system/compiled.py)
LAW_MODULES = ("bcclone.simulator.car", "bcclone.camera.vehicle", "bcclone.system.exact_math")

_RADIANS = math.pi / 180
_GRIP = 13.0  # m/s2, greatest sideways acceleration that the tyres hold


@compiled(cache=True, sources=source_checksum(LAW_MODULES))
def next_yaw_rate(yaw_rate: float, steering: float, speed: float) -> float:
    """Return the yaw rate after 0.02 s, in radians a second to the right; compiled.

    steering: -1 to 1
    speed: m/s
    """
    curvature = tangent(steering * FULL_LOCK_DEGREES * _RADIANS) / WHEELBASE_M
    most = _GRIP / max(speed, 1.0)
    wanted = min(max(YAW_GAIN * speed * curvature, -most), most)
    return yaw_rate + (wanted - yaw_rate) * STEP_SECONDS / STEERING_LAG_SECONDS


FULL_THROTTLE = 5.4  # m/s2, acceleration by a throttle of 1
DRAG = 0.1  # 1/s: m/s2 of deceleration for each m/s of speed
FULL_BRAKE = 7.3  # m/s2, deceleration by a brake of 1
_GRAVITY = 9.81  # m/s2
_PITCH_LAG_SECONDS = 0.3


@dataclass
class Car:
    """A car: where it is, how it moves, and its controls."""

    x: float  # metres to the east
    y: float  # metres up
    z: float  # metres to the north
    heading: float  # radians from +z towards +x
    speed: float = 0.0  # m/s
    steering: float = 0.0  # -1 (left) to 1 (right)
    throttle: float = 0.0  # 0 to 1
    brake: float = 0.0  # 0 to 1
    pitch: float = 0.0  # radians, nose up
    yaw_rate: float = 0.0  # radians a second, to the right

    def control(self, steering: float, throttle: float) -> None:
        """Set the controls; values beyond -1 to 1 are limited.

        steering: -1 (left) to 1 (right)
        throttle: -1 to 1; a negative one brakes
        """
        self.steering = min(max(steering, -1.0), 1.0)
        self.throttle = min(max(throttle, 0.0), 1.0)
        self.brake = min(max(-throttle, 0.0), 1.0)

    def step(self, grade: float = 0.0) -> None:
        """Advance by 0.02 s on a road that rises by `grade` metres for each metre ahead."""
        # limited before the step, not after it, so that the car reaches 30.2 mph, as in the
        # simulator
        speed = min(self.speed, TOP_SPEED_MPH * MPH)
        slope = _GRAVITY * grade / length(1.0, grade)
        acceleration = (
            FULL_THROTTLE * self.throttle - DRAG * speed - FULL_BRAKE * self.brake - slope
        )
        self.speed = max(speed + acceleration * STEP_SECONDS, 0.0)
        self.yaw_rate = next_yaw_rate(self.yaw_rate, self.steering, self.speed)
        self.heading += self.yaw_rate * STEP_SECONDS
        level_m = self.speed * STEP_SECONDS / length(1.0, grade)
        self.x += level_m * sine(self.heading)
        self.z += level_m * cosine(self.heading)

        wanted = nose_up(self.throttle, self.brake) + arctangent(grade)
        self.pitch += (wanted - self.pitch) * STEP_SECONDS / _PITCH_LAG_SECONDS


# Pitch in degrees, nose up: at rest, and what a throttle or brake of 1 adds
_PITCH_REST = 0.3
_PITCH_THROTTLE = 1.55
_PITCH_BRAKE = -1.6


def nose_up(throttle: float, brake: float = 0.0) -> float:
    """Return the pitch, radians, that a car takes on a level road. throttle, brake: 0 to 1"""
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

    turn, rise: radians to the right of the track's direction, and by which its nose is up
    """
    if along_m is None:
        along_m = track.start_m
    x, y, z, heading = track.point(along_m, cross_track_m)
    grade = float(track.grade[track.index(along_m)]) * cosine(turn)
    return Car(x, y, z, heading + turn, pitch=arctangent(grade) + rise)


class TrackedCar:
    """A car and its position on a track.

    progress_m: distance from the start along the track, negative if the car drove backwards
    distance_m: distance driven, in any direction

    ground_height: x, z -> height of the ground beside the road; None: level with the road
    """

    def __init__(
        self,
        track: Track,
        cross_track_m: float = 0.0,
        along_m: float | None = None,
        ground_height: Callable[[float, float], float] | None = None,
    ) -> None:
        if along_m is None:
            along_m = track.start_m
        self.track = track
        self._ground_height = ground_height
        self.car = start_on(track, cross_track_m, along_m)
        self.position = track.locate(self.car.x, self.car.y, self.car.z, near_m=along_m)
        self.steps = 0
        self.progress_m = 0.0
        self.distance_m = 0.0

    @property
    def seconds(self) -> float:
        return self.steps * STEP_SECONDS

    @property
    def trace_point(self) -> TracePoint:
        """Return where the car is, as a run folder's trace stores it."""
        name = self.track.road.name
        return TracePoint(self.seconds, name, self.car.x, self.car.z, self.position.cross_track_m)

    def step(self) -> None:
        """Advance by 0.02 s."""
        car = self.car
        before = self.position
        was_on_road = self._on_road
        uphill = 0.0
        if was_on_road:
            uphill = before.grade * cosine(car.heading - before.heading)
        car.step(uphill)

        self.position = self.track.locate(car.x, car.y, car.z, near_m=before.along_m)
        is_on_road = self._on_road
        if is_on_road or self._ground_height is None:
            car.y = self.position.height_m
        else:
            car.y = self._ground_height(car.x, car.z)
        self.steps += 1
        self.progress_m += self.track.apart(before.along_m, self.position.along_m)
        self.distance_m += car.speed * STEP_SECONDS

    def set_back(self) -> None:
        """Move the car to the nearest point of the centre line, along which it faces."""
        car = self.car
        along_m = self.position.along_m
        car.x, car.y, car.z, car.heading = self.track.point(along_m)
        car.yaw_rate = 0.0
        self.position = self.track.locate(car.x, car.y, car.z, near_m=along_m)

    def push(self, right_m: float) -> None:
        """Move the car sideways, to the right if positive; it keeps its heading and speed."""
        car = self.car
        heading = self.position.heading
        car.x += right_m * cosine(heading)
        car.z -= right_m * sine(heading)
        self.position = self.track.locate(car.x, car.y, car.z, near_m=self.position.along_m)

    @property
    def _on_road(self) -> bool:
        """Return whether the car is at the height of the road."""
        # on a bridge the car is always on the road, since walls hold it there
        if abs(self.position.cross_track_m) < LEVEL_M:
            return True
        return self.track.road.on_bridge(self.position.along_m)
