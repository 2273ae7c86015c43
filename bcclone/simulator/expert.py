"""Where the car is -> controls of a good driver: pure pursuit of a line that wanders, with recoveries.

As people are told to record: most of it along the middle, and now and then, with the recording paused, the car
is driven towards the edge, and only its way back is recorded.
"""

import math
from dataclasses import dataclass

import numpy as np

from bcclone.simulator.car import DRAG, FULL_THROTTLE, STEP_SECONDS, Car
from bcclone.simulator.track import Place, Track
from bcclone.vehicle import FULL_LOCK_DEGREES, MPH, WHEELBASE_M

STEERINGS = ("smooth", "keyboard")

_LOOKAHEAD_M, _LOOKAHEAD_SECONDS = 4.0, 0.45
_WANDER_SECONDS = 4.0
_KEY_STEP = 0.05  # of full lock, for each 0.02 s that a key is held; none when it is not: seen in recorded logs
_KEY_SLACK = 0.006  # seconds of full lock that a person lets pass before pressing a key
_SWERVE_SECONDS, _RECOVERY_SECONDS = 4.0, 2.5
_PAUSE_SECONDS = 1.5  # of the recording, at least: shorter ones are no pause to who reads the log
_MOST_SIDEWAYS = 7.0  # m/s2 in a bend, that a careful driver allows
_SPEED_GAIN = 0.8  # of the throttle, for each m/s too slow
_AHEAD_SECONDS = (0.3, 0.7, 1.1, 1.6, 2.2)


@dataclass(frozen=True)
class ExpertSettings:
    """speed_mph: on straights; wander_m: deviation of the line it follows from the centre; recoveries: how many
    a minute, and recovery_m: how far beside the centre line they begin; steering: smooth or keyboard."""

    speed_mph: float = 30.0
    wander_m: float = 0.35
    recoveries: float = 8.0
    recovery_m: float = 2.2
    steering: str = "smooth"

    def __post_init__(self) -> None:
        if self.steering not in STEERINGS:
            raise ValueError(f"steering {self.steering!r}, expected one of {', '.join(STEERINGS)}")
        ranges = {"speed_mph": (3, 30), "wander_m": (0, 2), "recoveries": (0, 30), "recovery_m": (0, 3)}
        for name, (least, most) in ranges.items():
            if not least <= getattr(self, name) <= most:  # NaN is not either
                raise ValueError(f"{name.replace('_', ' ')} {getattr(self, name):g}, expected {least} to {most}")


class Expert:
    """Drives a car along a track. `recording` says whether what it does now is worth showing to a learner."""

    def __init__(self, track: Track, settings: ExpertSettings, seed: int) -> None:
        self._track, self._settings = track, settings
        self._randomness = np.random.default_rng(seed)
        self._wander_m = self._swerve_m = self._phase_seconds = 0.0
        self._key_steering = self._key_debt = 0.0
        self._next_swerve = self._seconds_to_swerve()
        self.recording = True

    def control(self, car: Car, place: Place) -> tuple[float, float]:
        """Return steering and throttle, -1 to 1, for the next 0.02 s."""
        self._choose_line(place)
        steering = self._pursue(car, place)
        if self._settings.steering == "keyboard":
            steering = self._by_key(steering)
        wanted = self._careful_speed(place)
        hold = DRAG * car.speed / FULL_THROTTLE
        throttle = min(max((wanted - car.speed) * _SPEED_GAIN + hold, -1.0), 1.0)
        return steering, throttle

    def _choose_line(self, place: Place) -> None:
        """Move the aimed line: wander, swerve out unrecorded, and back again."""
        share = STEP_SECONDS / _WANDER_SECONDS
        self._wander_m += (
            -self._wander_m * share
            + self._settings.wander_m * math.sqrt(2 * share) * self._randomness.standard_normal()
        )
        self._phase_seconds += STEP_SECONDS
        if self._swerve_m:
            near = abs(place.cross_track_m - self._swerve_m) < 0.3
            if (near and self._phase_seconds > _PAUSE_SECONDS) or self._phase_seconds > _SWERVE_SECONDS:
                self._swerve_m, self._phase_seconds, self.recording = 0.0, 0.0, True
                self._next_swerve = _RECOVERY_SECONDS + self._seconds_to_swerve()
        elif self._phase_seconds > self._next_swerve:
            reach = self._settings.recovery_m * self._randomness.uniform(0.5, 1.0)
            self._swerve_m = math.copysign(reach, self._randomness.random() - 0.5)
            self._phase_seconds, self.recording = 0.0, False

    def _seconds_to_swerve(self) -> float:
        """Return how long until the next recovery begins."""
        if self._settings.recoveries == 0:
            return math.inf
        mean = 60 / self._settings.recoveries
        return max(mean * self._randomness.uniform(0.5, 1.5) - _RECOVERY_SECONDS, 0.5)

    def _pursue(self, car: Car, place: Place) -> float:
        """Return the steering that brings the car onto an arc through a point of the line ahead (Coulter, 1992)."""
        ahead = _LOOKAHEAD_M + _LOOKAHEAD_SECONDS * car.speed
        beside = self._swerve_m or self._wander_m
        x, _, z, _ = self._track.point(place.along_m + ahead, beside)
        turn = math.atan2(x - car.x, z - car.z) - car.heading
        curvature = 2 * math.sin(turn) / max(math.hypot(x - car.x, z - car.z), 0.1)
        return min(max(math.degrees(math.atan(WHEELBASE_M * curvature)) / FULL_LOCK_DEGREES, -1.0), 1.0)

    def _by_key(self, wanted: float) -> float:
        """Return the steering of a person who presses keys so that it comes to `wanted` on average."""
        self._key_debt += (wanted - self._key_steering) * STEP_SECONDS
        pressed = abs(self._key_debt) > _KEY_SLACK or self._key_steering != 0.0
        side = math.copysign(1.0, self._key_debt)
        if pressed and (self._key_steering == 0.0 or side == math.copysign(1.0, self._key_steering)):
            self._key_steering = min(max(self._key_steering + side * _KEY_STEP, -1.0), 1.0)
        else:
            self._key_steering = 0.0
        return self._key_steering

    def _careful_speed(self, place: Place) -> float:
        """Return the speed, m/s, that suits the bends ahead."""
        line, wanted = self._track, self._settings.speed_mph * MPH
        for seconds in _AHEAD_SECONDS:
            curvature = abs(float(line.curvature[line.index(place.along_m + seconds * wanted)]))
            wanted = min(wanted, math.sqrt(_MOST_SIDEWAYS / max(curvature, 1e-3)))
        return wanted
