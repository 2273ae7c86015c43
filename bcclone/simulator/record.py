"""Record an expert's drive: RecordSettings -> driving_log.csv and IMG/, as the simulator writes."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bcclone.camera.images import Image, encode_jpeg
from bcclone.camera.vehicle import MPH
from bcclone.recording.row import image_stamp
from bcclone.recording.run_folder import RecordingWriter, is_free
from bcclone.recording.run_tables import DRIVERS, TRACE, DrivenBy, TracePoint
from bcclone.simulator.car import Car, TrackedCar
from bcclone.simulator.expert import Expert
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world_settings import UNITY_ROWS_PER_SECOND, RecordSettings
from bcclone.system.errors import UserError
from bcclone.system.files import locked
from bcclone.system.process import ProgressBar

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
        tables = {}
        if point:
            tables[TRACE] = point.row(f"center_{stamp}.jpg")
        if by:
            tables[DRIVERS] = by.row(f"center_{stamp}.jpg")
        try:
            self.write(images, _numbers_of(car), tables)
        except OSError as error:
            raise UserError(
                f"{self.folder}: cannot write: {error.strerror}; the {self.rows} rows recorded so "
                "far are complete; record the rest into another folder"
            ) from None


def _numbers_of(car: Car) -> list[str]:
    """Return steering, throttle, brake and speed as the simulator writes them.

    They are in single precision with seven digits, such as 3.798023E-05.
    """
    values = (car.steering, car.throttle, car.brake, car.speed / MPH)
    return [f"{np.float32(value):.7g}".replace("e", "E") for value in values]


def record(folder: Path, settings: RecordSettings) -> Recorded:
    """Record an expert's drive; the same settings and folder give the same bytes.

    Raises UserError.
    """
    track = load_track(settings.track, settings.reverse)
    track.goal_m(settings.laps)  # raises for a bad length before the folder is made
    remedy = "choose another folder to record into"
    with locked(folder, remedy), CarRecording(folder) as writer:
        renderer = Renderer(settings.track, settings)
        tracked = TrackedCar(track)
        expert = Expert(track, settings, settings.seed)
        try:
            _record_drive(tracked, expert, settings, renderer, writer)
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


def _record_drive(
    tracked: TrackedCar,
    expert: Expert,
    settings: RecordSettings,
    renderer: Renderer,
    writer: CarRecording,
) -> None:
    """Record until the car has driven to its goal."""
    goal_m = tracked.track.goal_m(settings.laps)
    next_row_seconds = 0.0
    with ProgressBar("recording", round(goal_m), "m") as progress:
        while tracked.progress_m < goal_m:
            steering, throttle = expert.control(tracked.car, tracked.position)
            tracked.car.control(steering, throttle)
            # rows stay due at fixed times while the recording is paused, so that it resumes in time
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
