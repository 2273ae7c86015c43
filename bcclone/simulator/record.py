"""Drive as an expert, and record it: RecordSettings -> driving_log.csv and IMG/ as the simulator
writes them.

The expert steers by pure pursuit of a wandering line, mostly along the middle. For a recovery it
drives towards the edge with the recording paused, and records only the way back.
"""

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bcclone.camera.images import Image, encode_jpeg
from bcclone.camera.vehicle import FULL_LOCK_DEGREES, KEY_STEP, MPH, WHEELBASE_M
from bcclone.recording.row import image_stamp
from bcclone.recording.run_tables import DRIVERS, TRACE, DrivenRow, TracePoint
from bcclone.recording.writer import RecordingWriter, is_free
from bcclone.simulator.car import STEP_SECONDS, Car, TrackedCar, holding_throttle
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import Track, TrackPosition, load_track
from bcclone.simulator.world_settings import ExpertSettings, RecordSettings
from bcclone.system.errors import UserError
from bcclone.system.exact_math import arctangent, arctangent2, length, normals, sine
from bcclone.system.output import locked
from bcclone.system.progress import ProgressBar

BETWEEN_ROWS_SECONDS = 1 / 15
_START = datetime.datetime(2026, 1, 1)  # a fixed clock: the same seed gives the same bytes

_LOOKAHEAD_M = 4.0
_WANDER_SECONDS = 4.0
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
        throttle = min(
            max((speed - car.speed) * _SPEED_GAIN + holding_throttle(car.speed), -1.0), 1.0
        )
        return steering, throttle

    def _choose_line(self, position: TrackPosition) -> None:
        """Move the line to follow: wander, swerve out unrecorded, and back again."""
        fraction = STEP_SECONDS / _WANDER_SECONDS
        self._wander_m += -self._wander_m * fraction + self._settings.wander_m * math.sqrt(
            2 * fraction
        ) * float(normals(self._randomness))
        self._phase_seconds += STEP_SECONDS
        if self._swerve_m:
            near = abs(position.cross_track_m - self._swerve_m) < 0.3
            if (
                near and self._phase_seconds > _PAUSE_SECONDS
            ) or self._phase_seconds > _SWERVE_SECONDS:
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
        """Return the steering that brings the car onto an arc through a point of the line ahead
        (Coulter, 1992).
        """
        ahead = _LOOKAHEAD_M + self._settings.lookahead_seconds * car.speed
        offset_m = self._swerve_m or self._wander_m
        x, _, z, _ = self._track.point(position.along_m + ahead, offset_m)
        turn = arctangent2(x - car.x, z - car.z) - car.heading
        curvature = 2 * sine(turn) / max(length(x - car.x, z - car.z), 0.1)
        return min(
            max(math.degrees(arctangent(WHEELBASE_M * curvature)) / FULL_LOCK_DEGREES, -1.0), 1.0
        )

    def _by_key(self, target: float) -> float:
        """Return the steering of a person who presses keys so that its average is `target`."""
        self._key_debt += (target - self._key_steering) * STEP_SECONDS
        pressed = abs(self._key_debt) > _KEY_SLACK or self._key_steering != 0.0
        side = math.copysign(1.0, self._key_debt)
        if pressed and (
            self._key_steering == 0.0 or side == math.copysign(1.0, self._key_steering)
        ):
            self._key_steering = min(max(self._key_steering + side * KEY_STEP, -1.0), 1.0)
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


@dataclass(frozen=True)
class Recorded:
    """What was recorded: the path of the log, its rows, and how long and how far the car drove."""

    log: Path
    rows: int
    seconds: float
    distance_m: float


class CarRecording(RecordingWriter):
    """Writes rows as the simulator does. start: the time at which the recording begins; raises
    UserError.
    """

    def __init__(self, folder: Path, start: datetime.datetime = _START) -> None:
        if not is_free(folder):
            raise UserError(f"{folder} is not an empty folder; choose another one to record into")
        super().__init__(folder)
        self._start = start

    def record(
        self,
        seconds: float,
        car: Car,
        frames: Mapping[str, Image],
        point: TracePoint | None = None,
        by: DrivenRow | None = None,
    ) -> None:
        """Append a row; raises UserError if the disk refuses, and the rows before are complete.

        seconds: since the recording began; frames: camera -> uint8 (160, 320, 3); point: where the
        car was; by: who drove.
        """
        stamp = image_stamp(self._start + datetime.timedelta(milliseconds=round(seconds * 1000)))
        images = {f"{camera}_{stamp}.jpg": encode_jpeg(frame) for camera, frame in frames.items()}
        # in single precision with seven digits, as the simulator writes numbers: 3.798023E-05
        cells = (
            np.float32(value) for value in (car.steering, car.throttle, car.brake, car.speed / MPH)
        )
        numbers = [f"{cell:.7g}".replace("e", "E") for cell in cells]
        tables = {
            table: value.row(f"center_{stamp}.jpg")
            for table, value in ((TRACE, point), (DRIVERS, by))
            if value
        }
        try:
            self.write(images, numbers, tables)
        except OSError as error:
            raise UserError(
                f"{self.folder}: cannot write: {error.strerror}; the {self.rows} rows recorded so far are complete; "
                "record the rest into another folder"
            ) from None


def record(folder: Path, settings: RecordSettings) -> Recorded:
    """Record an expert's drive; the same settings and folder give the same bytes. Raises UserError."""
    track = load_track(settings.track, settings.reverse)
    goal = track.goal_m(settings.laps)  # refuses a road or a length before the folder is made
    with locked(folder, "choose another folder to record into"):
        writer = CarRecording(folder)
        renderer = Renderer(settings.track, settings.conditions)
        tracked, expert = TrackedCar(track), Expert(track, settings.expert, settings.seed)
        try:
            _record_drive(tracked, expert, goal, renderer, writer)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{folder} keeps the {writer.rows} rows recorded so far"
            ) from None
    return Recorded(
        writer.log, writer.rows, round(tracked.seconds, 2), round(tracked.distance_m, 1)
    )


def _record_drive(
    tracked: TrackedCar, expert: Expert, goal_m: float, renderer: Renderer, writer: CarRecording
) -> None:
    next_row = 0.0
    with ProgressBar("recording", round(goal_m), "m") as progress:
        while tracked.progress_m < goal_m:
            tracked.car.control(*expert.control(tracked.car, tracked.position))
            is_due = tracked.seconds >= next_row
            next_row += is_due * BETWEEN_ROWS_SECONDS
            if is_due and expert.recording:
                frames = renderer.frames(tracked.car, tracked.seconds)
                writer.record(tracked.seconds, tracked.car, frames, tracked.trace_point)
                progress.advance(
                    max(tracked.progress_m - progress.done, 0.0), f"{writer.rows} rows"
                )
            tracked.step()
        progress.advance(goal_m - progress.done, f"{writer.rows} rows")
