"""Drive as an expert, and record it: RecordSettings -> driving_log.csv and IMG/, as the simulator
writes them.

The expert steers by pure pursuit of a wandering line, mostly along the middle. For a recovery it
drives towards the edge while nothing should be recorded, and back while it should.
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
from bcclone.recording.run_folder import RecordingWriter
from bcclone.recording.run_tables import DRIVERS, TRACE, DrivenBy, TracePoint
from bcclone.simulator.car import STEP_SECONDS, Car, TrackedCar, holding_throttle
from bcclone.simulator.render import Renderer
from bcclone.simulator.traced import RecordedWorld, write_world
from bcclone.simulator.track import Track, TrackPosition, load_track
from bcclone.simulator.world_settings import UNITY_ROWS_PER_SECOND, ExpertSettings, RecordSettings
from bcclone.system.errors import UserError
from bcclone.system.exact_math import arctangent, arctangent2, length, normals, sine
from bcclone.system.files import locked
from bcclone.system.progress import ProgressBar

# ---- the expert


# The line to follow
_WANDER_SECONDS = 4.0  # after this long a wandering line has forgotten where it was
_MAX_SWERVE_SECONDS = 4.0  # a swerve to the edge ends after this long at the latest
# a swerve is not recorded, and lasts at least this long, so that readers of the log see a pause
_MIN_SWERVE_SECONDS = 1.5
_RECOVERY_M = 2.2  # largest distance of a swerve's target from the centre line
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
    """Drives a car along a track. recording: whether the present moment should be recorded"""

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
            reach_m = _RECOVERY_M * self._randomness.uniform(0.5, 1.0)
            self._swerve_m = math.copysign(reach_m, self._randomness.random() - 0.5)
            self._phase_seconds = 0.0
            self.recording = False

    def _seconds_to_swerve(self) -> float:
        """Return the seconds of ordinary driving before the next swerve."""
        if self._settings.recoveries == 0:
            return math.inf
        mean = 60 / self._settings.recoveries
        return max(mean * self._randomness.uniform(0.5, 1.5) - _RECOVERY_SECONDS, 0.5)

    def _pursue(self, car: Car, position: TrackPosition) -> float:
        """Return the steering of an arc to the line ahead: pure pursuit (Coulter, 1992)."""
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


# ---- a recording


# simulated time between two rows, as in the Unity program
BETWEEN_ROWS_SECONDS = 1 / UNITY_ROWS_PER_SECOND
# time at which each recording begins; fixed, so that the same seed gives the same bytes
_START = datetime.datetime(2026, 1, 1)


@dataclass(frozen=True)
class Recorded:
    """What was recorded."""

    log: Path
    rows: int
    seconds: float  # how long the car drove, also while nothing was recorded
    distance_m: float


class CarRecording(RecordingWriter):
    """Writes the rows of a drive as the simulator does; raises UserError for a folder not empty.

    start: date and time of the drive's first moment
    world: is written beside the log with the first row; None writes none
    """

    def __init__(
        self,
        folder: Path,
        start: datetime.datetime = _START,
        world: RecordedWorld | None = None,
    ) -> None:
        super().__init__(folder)
        self._start = start
        self._world = world

    def record(
        self,
        seconds: float,
        car: Car,
        frames: Mapping[str, Image],
        point: TracePoint | None = None,
        by: DrivenBy | None = None,
    ) -> None:
        """Append a row; raises UserError if the disk refuses. Earlier rows then stay complete.

        seconds: since the recording began
        frames: camera -> RGB uint8 (160, 320, 3)
        point: where the car was; None writes no trace
        by: who drove; None writes no drivers
        """
        stamp = image_stamp(self._start + datetime.timedelta(milliseconds=round(seconds * 1000)))
        images = {f"{camera}_{stamp}.jpg": encode_jpeg(frame) for camera, frame in frames.items()}
        # single precision with seven digits, such as 3.798023E-05
        values = (car.steering, car.throttle, car.brake, car.speed / MPH)
        numbers = [f"{np.float32(value):.7g}".replace("e", "E") for value in values]
        tables = {}
        if point:
            tables[TRACE] = point.row(f"center_{stamp}.jpg")
        if by:
            tables[DRIVERS] = by.row(f"center_{stamp}.jpg")
        try:
            if self._world and not self.rows:
                write_world(self.folder, self._world)
            self.write(images, numbers, tables)
        except OSError as error:
            raise UserError(
                f"{self.folder}: cannot write: {error.strerror}; the {self.rows} rows recorded so "
                "far are complete; record the rest into another folder"
            ) from None


def record(folder: Path, settings: RecordSettings) -> Recorded:
    """Record an expert's drive; the same settings and folder give the same bytes.

    Raises UserError.
    """
    track = load_track(settings.track, settings.reverse)
    goal_m = track.goal_m(settings.laps)  # raises for a bad length before the folder is made
    remedy = "choose another folder to record into"
    with locked(folder, remedy), CarRecording(folder) as writer:
        renderer = Renderer(settings.track, settings)
        tracked = TrackedCar(track)
        expert = Expert(track, settings, settings.seed)
        next_row_seconds = 0.0
        try:
            with ProgressBar("recording", round(goal_m), "m") as progress:
                while tracked.progress_m < goal_m:
                    tracked.car.control(*expert.control(tracked.car, tracked.position))
                    # rows stay due at fixed times while the recording is paused, so that it
                    # resumes in time
                    is_due = tracked.seconds >= next_row_seconds
                    if is_due:
                        next_row_seconds += 1 / settings.rows_per_second
                    if is_due and expert.recording:
                        frames = renderer.frames(tracked.car, tracked.seconds)
                        writer.record(tracked.seconds, tracked.car, frames, tracked.trace_point)
                        advance_m = max(tracked.progress_m - progress.done, 0.0)
                        progress.advance(advance_m, f"{writer.rows} rows")
                    tracked.step()
                progress.advance(goal_m - progress.done, f"{writer.rows} rows")
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{folder} keeps the {writer.rows} rows recorded so far"
            ) from None
    return Recorded(
        log=writer.log,
        rows=writer.rows,
        seconds=round(tracked.seconds, 2),
        distance_m=round(tracked.distance_m, 1),
    )
