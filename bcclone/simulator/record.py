"""Expert on a track -> driving_log.csv and IMG/, three cameras a row, exactly as the simulator records.

Where the car was is written beside them, into trace.csv.
"""

import datetime
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bcclone.errors import UserError
from bcclone.images import Image, encode_jpeg
from bcclone.progress import ProgressBar
from bcclone.recording.files import LOG_NAME
from bcclone.recording.run_tables import TRACE, SidecarWriter, TracePoint
from bcclone.simulator.car import Car, Ride
from bcclone.simulator.conditions import Conditions
from bcclone.simulator.expert import Expert, ExpertSettings
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import check_laps, load_track
from bcclone.vehicle import MOUNTS, MPH

_BETWEEN_ROWS_SECONDS = 1 / 15
_BEGUN = datetime.datetime(2026, 1, 1)  # a fixed clock: the same seed gives the same bytes


@dataclass(frozen=True)
class RecordSettings:
    """What to drive and how: laps of a track, an expert and the seed of its wandering, and the world's look."""

    track: str = "lake"
    reverse: bool = False
    laps: float = 1.0
    seed: int = 0
    expert: ExpertSettings = field(default_factory=ExpertSettings)
    conditions: Conditions = field(default_factory=Conditions)

    def __post_init__(self) -> None:
        check_laps(self.laps)
        if self.seed < 0:
            raise ValueError(f"seed {self.seed}, expected 0 or more")


@dataclass(frozen=True)
class Recorded:
    """What was recorded: the log, its rows, and how long and how far the car drove."""

    log: Path
    rows: int
    seconds: float
    distance_m: float


class RecordingWriter:
    """Writes rows as the simulator does: three images, then their row; a row that fails leaves no trace.

    Raises UserError for a folder that is not empty, or cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder} is not an empty folder; choose another one to record into")
        self.log, self._images, self.rows = folder / LOG_NAME, folder / "IMG", 0
        try:
            self._images.mkdir(parents=True)
            self._file: BinaryIO = self.log.open("wb", buffering=0)
        except OSError as error:
            raise UserError(f"{folder}: cannot record there: {error.strerror}; choose another folder") from None

    def __enter__(self) -> "RecordingWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, seconds: float, car: Car, frames: Mapping[str, Image]) -> str:
        """Append a row with a frame, uint8 (160, 320, 3), of each camera; return the base name of the centre camera's.

        Raises UserError when the disk refuses, and then all rows before it are whole.
        """
        moment = _BEGUN + datetime.timedelta(milliseconds=round(seconds * 1000))
        stamp = f"{moment:%Y_%m_%d_%H_%M_%S}_{moment.microsecond // 1000:03d}"
        paths = {camera: self._images / f"{camera}_{stamp}.jpg" for camera in frames}
        with self._undone_on_failure(list(paths.values())) as file:
            for camera, frame in frames.items():
                paths[camera].write_bytes(encode_jpeg(frame))
            numbers = (car.steering, car.throttle, car.brake, car.speed / MPH)
            names = (str(paths[camera].absolute()) for camera in MOUNTS)
            _write_all(file, (",".join((*names, *map(_single, numbers))) + "\n").encode())
        self.rows += 1
        return paths["center"].name

    def failed(self, error: OSError) -> UserError:
        """Return the error that tells why nothing more can be written."""
        return UserError(
            f"{self.log.parent}: cannot write: {error.strerror}; the {self.rows} rows recorded so far are whole; "
            "record what is missing into another folder"
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
    """Let an expert drive and record it; the same settings and folder give the same bytes. Raises UserError."""
    with RecordingWriter(folder) as writer, _placing(folder, writer) as place:
        track = load_track(settings.track, settings.reverse)
        renderer = Renderer(settings.track, settings.conditions)
        ride, expert = Ride(track), Expert(track, settings.expert, settings.seed)
        goal = settings.laps * track.length_m
        with _told_on_interrupt(folder, writer), ProgressBar("recording", round(goal), "m") as progress:
            for _ in _rows_due(ride, expert, goal):
                place(writer.write(ride.seconds, ride.car, renderer.frames(ride.car)), ride)
                progress.advance(max(ride.progress_m - progress.done, 0.0), f"{writer.rows} rows")
            progress.advance(goal - progress.done, f"{writer.rows} rows")
        return Recorded(writer.log, writer.rows, round(ride.seconds, 2), round(ride.distance_m, 1))


def _rows_due(ride: Ride, expert: Expert, goal_m: float) -> Iterator[None]:
    """Let the expert drive as far as the goal; yield at each moment at which a row is to be recorded."""
    next_row = 0.0
    while ride.progress_m < goal_m:
        ride.car.control(*expert.control(ride.car, ride.place))
        if ride.seconds >= next_row:
            next_row += _BETWEEN_ROWS_SECONDS
            if expert.recording:
                yield
        ride.step()


@contextmanager
def _placing(folder: Path, writer: RecordingWriter) -> Iterator[Callable[[str, Ride], None]]:
    """Yield what notes where the car was at an image; a disk that refuses is told as by the writer."""
    with ExitStack() as stack:
        try:
            table = stack.enter_context(SidecarWriter(TRACE, folder))
        except OSError as error:
            raise writer.failed(error) from None

        def place(image: str, ride: Ride) -> None:
            car, beside = ride.car, ride.place.cross_track_m
            try:
                table.append(TracePoint(ride.seconds, ride.track.road.name, car.x, car.z, beside).row(image))
            except OSError as error:
                raise writer.failed(error) from None

        yield place


@contextmanager
def _told_on_interrupt(folder: Path, writer: RecordingWriter) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{folder} keeps the {writer.rows} rows recorded so far") from None


def _write_all(file: BinaryIO, data: bytes) -> None:
    """Write every byte; a disk that is nearly full takes some of them, and refuses when asked to take the rest."""
    while data:
        data = data[file.write(data) :]


def _single(value: float) -> str:
    """Write a number as the simulator does: single precision, seven digits, 3.798023E-05."""
    return f"{np.float32(value):.7g}".replace("e", "E")
