"""Record an expert's drive: RecordSettings -> driving_log.csv and IMG/ as the simulator writes them, and trace.csv."""

import datetime
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bcclone.dataset.images import Image, encode_jpeg
from bcclone.dataset.vehicle import MPH
from bcclone.recording.row import image_stamp
from bcclone.recording.run_tables import DRIVERS, TRACE, DrivenRow, TracePoint
from bcclone.recording.writer import RecordingWriter, is_free
from bcclone.simulator.car import Car, TrackedCar
from bcclone.simulator.expert import Expert
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world_settings import RecordSettings
from bcclone.system.errors import UserError
from bcclone.system.progress import ProgressBar

BETWEEN_ROWS_SECONDS = 1 / 15
_START = datetime.datetime(2026, 1, 1)  # a fixed clock: the same seed gives the same bytes


@dataclass(frozen=True)
class Recorded:
    """What was recorded: the path of the log, its rows, and how long and how far the car drove."""

    log: Path
    rows: int
    seconds: float
    distance_m: float


class CarRecording(RecordingWriter):
    """Writes rows as the simulator does. start: the time at which the recording begins; raises UserError."""

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

        seconds: since the recording began; frames: camera -> uint8 (160, 320, 3); point: where the car was; by: who
        drove.
        """
        stamp = image_stamp(self._start + datetime.timedelta(milliseconds=round(seconds * 1000)))
        images = {f"{camera}_{stamp}.jpg": encode_jpeg(frame) for camera, frame in frames.items()}
        numbers = map(_single, (car.steering, car.throttle, car.brake, car.speed / MPH))
        tables = {table: value.row(f"center_{stamp}.jpg") for table, value in ((TRACE, point), (DRIVERS, by)) if value}
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
    writer = CarRecording(folder)
    renderer = Renderer(settings.track, settings.conditions)
    tracked, expert = TrackedCar(track), Expert(track, settings.expert, settings.seed)
    with _report_on_interrupt(writer), ProgressBar("recording", round(goal), "m") as progress:
        for _ in _rows_due(tracked, expert, goal):
            frames = renderer.frames(tracked.car, tracked.seconds)
            writer.record(tracked.seconds, tracked.car, frames, tracked.trace_point)
            progress.advance(max(tracked.progress_m - progress.done, 0.0), f"{writer.rows} rows")
        progress.advance(goal - progress.done, f"{writer.rows} rows")
    return Recorded(writer.log, writer.rows, round(tracked.seconds, 2), round(tracked.distance_m, 1))


def _rows_due(tracked: TrackedCar, expert: Expert, goal_m: float) -> Iterator[None]:
    """Let the expert drive to the goal; yield whenever a row is due."""
    next_row = 0.0
    while tracked.progress_m < goal_m:
        tracked.car.control(*expert.control(tracked.car, tracked.position))
        if tracked.seconds >= next_row:
            next_row += BETWEEN_ROWS_SECONDS
            if expert.recording:
                yield
        tracked.step()


@contextmanager
def _report_on_interrupt(writer: CarRecording) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{writer.folder} keeps the {writer.rows} rows recorded so far") from None


def _single(value: float) -> str:
    """Format a number as the simulator does: single precision, seven digits, 3.798023E-05."""
    return f"{np.float32(value):.7g}".replace("e", "E")
