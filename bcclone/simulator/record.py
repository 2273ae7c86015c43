"""Record an expert's drive: RecordSettings -> driving_log.csv and IMG/ as the simulator writes them, and trace.csv."""

import datetime
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bcclone.dataset.images import Image, encode_jpeg
from bcclone.dataset.vehicle import MOUNTS, MPH
from bcclone.recording.files import LOG_NAME
from bcclone.recording.row import image_stamp
from bcclone.recording.run_tables import TRACE, SidecarWriter
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


class RecordingWriter:
    """Writes rows as the simulator does: three images, then their row; a row that fails leaves nothing behind.

    start: the time at which the recording begins. Raises UserError if the folder is not empty or cannot be written to.
    """

    def __init__(self, folder: Path, start: datetime.datetime = _START) -> None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder} is not an empty folder; choose another one to record into")
        self.log, self._images, self.rows, self._start = folder / LOG_NAME, folder / "IMG", 0, start
        try:
            self._images.mkdir(parents=True)
            self._file: BinaryIO = self.log.open("wb", buffering=0)
        except OSError as error:
            raise UserError(f"{folder}: cannot record there: {error.strerror}; choose another folder") from None

    def __enter__(self) -> "RecordingWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(
        self,
        seconds: float,
        car: Car,
        frames: Mapping[str, Image],
        write_tables: Callable[[str], None] = lambda image: None,
    ) -> None:
        """Append a row.

        seconds: since the recording began; frames: camera -> uint8 (160, 320, 3); write_tables: called with the name of
        the centre image just before the row is written, to write rows of the tables next to the log. Raises UserError
        if the disk refuses; the rows before are complete.
        """
        stamp = image_stamp(self._start + datetime.timedelta(milliseconds=round(seconds * 1000)))
        paths = {camera: self._images / f"{camera}_{stamp}.jpg" for camera in frames}
        with self._undone_on_failure(list(paths.values())) as file:
            for camera, frame in frames.items():
                paths[camera].write_bytes(encode_jpeg(frame))
            numbers = (car.steering, car.throttle, car.brake, car.speed / MPH)
            names = (str(paths[camera].absolute()) for camera in MOUNTS)
            write_tables(paths["center"].name)
            _write_all(file, (",".join((*names, *map(_single, numbers))) + "\n").encode())
        self.rows += 1

    def failed(self, error: OSError) -> UserError:
        """Return the error for a row that could not be written."""
        return UserError(
            f"{self.log.parent}: cannot write: {error.strerror}; the {self.rows} rows recorded so far are complete; "
            "record the rest into another folder"
        )

    @contextmanager
    def _undone_on_failure(self, images: list[Path]) -> Iterator[BinaryIO]:
        end = self._file.tell()
        try:
            yield self._file
        except BaseException as error:
            self._file.truncate(end)
            for image in images:
                image.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise self.failed(error) from None
            raise


def record(folder: Path, settings: RecordSettings) -> Recorded:
    """Record an expert's drive; the same settings and folder give the same bytes. Raises UserError."""
    track = load_track(settings.track, settings.reverse)
    goal = track.goal_m(settings.laps)  # refuses a road or a length before the folder is made
    with RecordingWriter(folder) as writer, _open_trace(folder, writer) as trace:
        renderer = Renderer(settings.track, settings.conditions)
        tracked, expert = TrackedCar(track), Expert(track, settings.expert, settings.seed)

        def write_place(image: str) -> None:
            trace.append(tracked.trace_point.row(image))

        with _report_on_interrupt(folder, writer), ProgressBar("recording", round(goal), "m") as progress:
            for _ in _rows_due(tracked, expert, goal):
                frames = renderer.frames(tracked.car, tracked.seconds)
                writer.write(tracked.seconds, tracked.car, frames, write_place)
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


def _open_trace(folder: Path, writer: RecordingWriter) -> SidecarWriter:
    """Open the table of the car's places; raises UserError if the disk refuses."""
    try:
        return SidecarWriter(TRACE, folder)
    except OSError as error:
        raise writer.failed(error) from None


@contextmanager
def _report_on_interrupt(folder: Path, writer: RecordingWriter) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{folder} keeps the {writer.rows} rows recorded so far") from None


def _write_all(file: BinaryIO, data: bytes) -> None:
    """Write every byte; a nearly full disk takes only some of them at first."""
    while data:
        data = data[file.write(data) :]


def _single(value: float) -> str:
    """Format a number as the simulator does: single precision, seven digits, 3.798023E-05."""
    return f"{np.float32(value):.7g}".replace("e", "E")
