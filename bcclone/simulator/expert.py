"""Drive as an expert: a car on a track -> steering and throttle, step by step.

The expert steers by pure pursuit of a wandering line, mostly along the middle. For a recovery it
drives towards the edge while nothing should be recorded, and back while it should.
"""

import math

import numpy as np

from bcclone.camera.vehicle import FULL_LOCK_DEGREES, KEY_STEP, MPH, WHEELBASE_M
from bcclone.simulator.car import STEP_SECONDS, Car, holding_throttle
from bcclone.simulator.track import Track, TrackPosition
from bcclone.simulator.world_settings import ExpertSettings
from bcclone.system.exact_math import arctangent, arctangent2, length, normals, sine

# The line to follow
_WANDER_SECONDS = 4.0  # after this long a wandering line has forgotten where it was
_MAX_SWERVE_SECONDS = 4.0  # a swerve to the edge ends after this long at the latest
# a swerve is not recorded, and lasts at least this long, so that readers of the log see a pause
_MIN_SWERVE_SECONDS = 1.5
_REACHED_M = 0.3  # a swerve is over this close to its target
_RECOVERY_SECONDS = 2.5  # the way back to the middle takes about this long

# Steering
_LOOKAHEAD_M = 4.0  # added to lookahead_seconds * speed
# accumulated steering error, full lock x seconds, at which a person presses a key
_KEY_SLACK = 0.006

# Speed
_CAREFUL_SIDEWAYS = 7.0  # m/s2 in a bend, for a careful driver
_AHEAD_SECONDS = (0.3, 0.7, 1.1, 1.6, 2.2)  # where the expert looks for bends
_SPEED_GAIN = 0.8  # of the throttle, for each m/s too slow


class Expert:
    """Drives a car along a track.

    recording: whether the present moment should be recorded
    """

    def __init__(self, track: Track, settings: ExpertSettings, seed: int) -> None:
        self.recording = True
        self._track = track
        self._settings = settings
        self._randomness = np.random.default_rng(seed)
        # the line to follow, to the right of the centre line
        self._wander_m = 0.0
        self._swerve_m = 0.0  # the target of a swerve on the way to the edge, otherwise 0
        self._phase_seconds = 0.0  # time since the last swerve began or ended
        self._next_swerve_seconds = self._seconds_to_swerve()
        # a keyboard's steering
        self._key_steering = 0.0
        self._key_debt = 0.0  # integral of target - steering, full lock x seconds

    def control(self, car: Car, position: TrackPosition) -> tuple[float, float]:
        """Return steering and throttle, -1 to 1, for the next 0.02 s."""
        self._choose_line(position)
        steering = self._pursue(car, position)
        if self._settings.steering == "keyboard":
            steering = self._by_key(steering)
        speed = self._careful_speed(position)
        throttle = (speed - car.speed) * _SPEED_GAIN + holding_throttle(car.speed)
        return steering, min(max(throttle, -1.0), 1.0)

    def _choose_line(self, position: TrackPosition) -> None:
        """Move the line to follow: wander, swerve out unrecorded, and back again."""
        # an Ornstein-Uhlenbeck process, whose standard deviation is wander_m
        fraction = STEP_SECONDS / _WANDER_SECONDS
        spread_m = self._settings.wander_m * math.sqrt(2 * fraction)
        self._wander_m += -self._wander_m * fraction + spread_m * float(normals(self._randomness))

        self._phase_seconds += STEP_SECONDS
        if self._swerve_m:
            reached = abs(position.cross_track_m - self._swerve_m) < _REACHED_M
            paused = self._phase_seconds > _MIN_SWERVE_SECONDS
            if (reached and paused) or self._phase_seconds > _MAX_SWERVE_SECONDS:
                self._swerve_m = 0.0
                self._phase_seconds = 0.0
                self.recording = True
                self._next_swerve_seconds = _RECOVERY_SECONDS + self._seconds_to_swerve()
        elif self._phase_seconds > self._next_swerve_seconds:
            reach_m = self._settings.recovery_m * self._randomness.uniform(0.5, 1.0)
            self._swerve_m = math.copysign(reach_m, self._randomness.random() - 0.5)
            self._phase_seconds = 0.0
            self.recording = False

    def _seconds_to_swerve(self) -> float:
        """Return the seconds of ordinary driving before the next swerve.

        The recovery after the last swerve is not counted.
        """
        if self._settings.recoveries == 0:
            return math.inf
        mean = 60 / self._settings.recoveries
        return max(mean * self._randomness.uniform(0.5, 1.5) - _RECOVERY_SECONDS, 0.5)

    def _pursue(self, car: Car, position: TrackPosition) -> float:
        """Return the steering that leads onto the line ahead: pure pursuit (Coulter, 1992).

        The car drives on an arc through a point of the line.
        """
        ahead_m = _LOOKAHEAD_M + self._settings.lookahead_seconds * car.speed
        offset_m = self._swerve_m or self._wander_m
        x, _, z, _ = self._track.point(position.along_m + ahead_m, offset_m)
        turn = arctangent2(x - car.x, z - car.z) - car.heading
        curvature = 2 * sine(turn) / max(length(x - car.x, z - car.z), 0.1)
        degrees = math.degrees(arctangent(WHEELBASE_M * curvature))
        return min(max(degrees / FULL_LOCK_DEGREES, -1.0), 1.0)

    def _by_key(self, target: float) -> float:
        """Return the steering of a person who presses keys so that its average is `target`."""
        self._key_debt += (target - self._key_steering) * STEP_SECONDS
        side = math.copysign(1.0, self._key_debt)
        # a key is pressed when too little was steered, and held until the debt changes its sign
        held = self._key_steering != 0.0
        needed = held or abs(self._key_debt) > _KEY_SLACK
        enough = held and side != math.copysign(1.0, self._key_steering)
        if needed and not enough:
            self._key_steering = min(max(self._key_steering + side * KEY_STEP, -1.0), 1.0)
        else:
            self._key_steering = 0.0
        return self._key_steering

    def _careful_speed(self, position: TrackPosition) -> float:
        """Return the speed for the bends ahead, m/s."""
        track = self._track
        speed = self._settings.speed_mph * MPH
        # a bend lowers the speed, so that the next look ahead is less far than at the full speed
        for seconds in _AHEAD_SECONDS:
            index = track.index(position.along_m + seconds * speed)
            curvature = abs(float(track.curvature[index]))
            speed = min(speed, math.sqrt(_CAREFUL_SIDEWAYS / max(curvature, 1e-3)))
        return speed
