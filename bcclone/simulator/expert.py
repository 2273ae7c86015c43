"""Drive as an expert: a car and its position -> steering and throttle, by pure pursuit of a wandering line.

The expert mostly drives along the middle. For a recovery it drives towards the edge with the recording paused, and
records only the way back.
"""

import math

import numpy as np

from bcclone.dataset.vehicle import FULL_LOCK_DEGREES, MPH, WHEELBASE_M
from bcclone.simulator.car import STEP_SECONDS, Car, holding_throttle
from bcclone.simulator.track import Track, TrackPosition
from bcclone.simulator.world_settings import ExpertSettings
from bcclone.system.exact_math import arctangent, arctangent2, length, normals, sine

_LOOKAHEAD_M = 4.0
_WANDER_SECONDS = 4.0
_KEY_STEP = 0.05  # of full lock, per 0.02 s that a key is held; 0 when it is released: seen in recorded logs
_KEY_SLACK = 0.006  # error, in seconds of full lock, at which a person presses a key
_SWERVE_SECONDS, _RECOVERY_SECONDS = 4.0, 2.5
_PAUSE_SECONDS = 1.5  # at least; readers of the log ignore shorter pauses
_CAREFUL_SIDEWAYS = 7.0  # m/s2 in a bend, for a careful driver
_SPEED_GAIN = 0.8  # of the throttle, for each m/s too slow
_AHEAD_SECONDS = (0.3, 0.7, 1.1, 1.6, 2.2)


class Expert:
    """Drives a car along a track. recording: whether the present moment should be recorded."""

    def __init__(self, track: Track, settings: ExpertSettings, seed: int) -> None:
        self._track, self._settings = track, settings
        self._randomness = np.random.default_rng(seed)
        self._wander_m = self._swerve_m = self._phase_seconds = 0.0
        self._key_steering = self._key_debt = 0.0
        self._next_swerve = self._seconds_to_swerve()
        self.recording = True

    def control(self, car: Car, position: TrackPosition) -> tuple[float, float]:
        """Return steering and throttle, -1 to 1, for the next 0.02 s."""
        self._choose_line(position)
        steering = self._pursue(car, position)
        if self._settings.steering == "keyboard":
            steering = self._by_key(steering)
        speed = self._careful_speed(position)
        throttle = min(max((speed - car.speed) * _SPEED_GAIN + holding_throttle(car.speed), -1.0), 1.0)
        return steering, throttle

    def _choose_line(self, position: TrackPosition) -> None:
        """Move the line to follow: wander, swerve out unrecorded, and back again."""
        fraction = STEP_SECONDS / _WANDER_SECONDS
        self._wander_m += -self._wander_m * fraction + self._settings.wander_m * math.sqrt(2 * fraction) * float(
            normals(self._randomness)
        )
        self._phase_seconds += STEP_SECONDS
        if self._swerve_m:
            near = abs(position.cross_track_m - self._swerve_m) < 0.3
            if (near and self._phase_seconds > _PAUSE_SECONDS) or self._phase_seconds > _SWERVE_SECONDS:
                self._swerve_m, self._phase_seconds, self.recording = 0.0, 0.0, True
                self._next_swerve = _RECOVERY_SECONDS + self._seconds_to_swerve()
        elif self._phase_seconds > self._next_swerve:
            reach = self._settings.recovery_m * self._randomness.uniform(0.5, 1.0)
            self._swerve_m = math.copysign(reach, self._randomness.random() - 0.5)
            self._phase_seconds, self.recording = 0.0, False

    def _seconds_to_swerve(self) -> float:
        """Return the seconds until the next recovery begins."""
        if self._settings.recoveries == 0:
            return math.inf
        mean = 60 / self._settings.recoveries
        return max(mean * self._randomness.uniform(0.5, 1.5) - _RECOVERY_SECONDS, 0.5)

    def _pursue(self, car: Car, position: TrackPosition) -> float:
        """Return the steering that brings the car onto an arc through a point of the line ahead (Coulter, 1992)."""
        ahead = _LOOKAHEAD_M + self._settings.lookahead_seconds * car.speed
        offset_m = self._swerve_m or self._wander_m
        x, _, z, _ = self._track.point(position.along_m + ahead, offset_m)
        turn = arctangent2(x - car.x, z - car.z) - car.heading
        curvature = 2 * sine(turn) / max(length(x - car.x, z - car.z), 0.1)
        return min(max(math.degrees(arctangent(WHEELBASE_M * curvature)) / FULL_LOCK_DEGREES, -1.0), 1.0)

    def _by_key(self, target: float) -> float:
        """Return the steering of a person who presses keys so that its average is `target`."""
        self._key_debt += (target - self._key_steering) * STEP_SECONDS
        pressed = abs(self._key_debt) > _KEY_SLACK or self._key_steering != 0.0
        side = math.copysign(1.0, self._key_debt)
        if pressed and (self._key_steering == 0.0 or side == math.copysign(1.0, self._key_steering)):
            self._key_steering = min(max(self._key_steering + side * _KEY_STEP, -1.0), 1.0)
        else:
            self._key_steering = 0.0
        return self._key_steering

    def _careful_speed(self, position: TrackPosition) -> float:
        """Return the speed for the bends ahead, m/s."""
        line, speed = self._track, self._settings.speed_mph * MPH
        for seconds in _AHEAD_SECONDS:
            curvature = abs(float(line.curvature[line.index(position.along_m + seconds * speed)]))
            speed = min(speed, math.sqrt(_CAREFUL_SIDEWAYS / max(curvature, 1e-3)))
        return speed
