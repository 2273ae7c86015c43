"""Record a play in the simulator's format: rows -> files, with the frames of the side cameras.

The files are driving_log.csv, the images of three cameras, trace.csv and drivers.csv.
"""

import datetime
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bcclone.camera.images import Image
from bcclone.camera.vehicle import MOUNTS
from bcclone.drive.recorder import Recorder, free_folder
from bcclone.recording.run_tables import DrivenBy, TracePoint
from bcclone.simulator.car import Car
from bcclone.simulator.record import BETWEEN_ROWS_SECONDS, CarRecording
from bcclone.simulator.render import Renderer
from bcclone.system.files import locked
from bcclone.system.process import Notify


@dataclass(frozen=True)
class PlayedRow:
    """A row to record."""

    car: Car  # a copy of the car at that moment
    center: Image  # the centre frame, uint8 (160, 320, 3)
    point: TracePoint  # where the car was
    by: DrivenBy  # who steered
    taken: float  # when the frame was taken, by time.monotonic()


class RowPace:
    """Decides at which frames a row is recorded, 15 times a second."""

    # after the car was put back, no row is recorded for this time; by such a gap, readers of the
    # log know that a new episode begins
    _apart_seconds = 1.6

    def __init__(self, frame_seconds: float) -> None:
        """frame_seconds: between two frames"""
        self._frame_seconds = frame_seconds
        self._next_at = 0.0  # when the next row is due
        self._apart_until = 0.0  # until when no row is recorded

    def begin_episode(self, now: float) -> None:
        """Let later rows not continue the earlier ones."""
        self._apart_until = now + self._apart_seconds

    def is_due(self, now: float) -> bool:
        """Return whether the frame of now is to be a row; call this while the car is driven."""
        # half a frame early is near enough, since no frame comes exactly on time
        if now < self._next_at - 0.5 * self._frame_seconds or now < self._apart_until:
            return False
        self._next_at += BETWEEN_ROWS_SECONDS
        if self._next_at < now - BETWEEN_ROWS_SECONDS:  # after a pause
            self._next_at = now + BETWEEN_ROWS_SECONDS
        return True


_MAX_WAITING = 60  # rows that wait while the machine is busy: 4 seconds, 9 MB


def play_recorder(
    renderer: Renderer, folder: Path | None, on_failure: Notify = lambda why: None
) -> Recorder[PlayedRow]:
    """Return the recorder of a play.

    Each recording goes into a new folder, the first into `folder` if it is free.
    """
    lock = threading.RLock()

    def open_files() -> PlayFiles:
        first = folder or Path(f"play-{datetime.datetime.now():%Y_%m_%d_%H_%M_%S}")
        with lock:
            return PlayFiles(renderer, free_folder(first), lock)

    return Recorder(open_files, on_failure, most_waiting=_MAX_WAITING)


class PlayFiles:
    """Records a play into a folder, with frames of the side cameras.

    Without a row, what was made is removed at the end or after an error. Raises UserError if the
    folder cannot be used.
    """

    def __init__(self, renderer: Renderer, folder: Path, lock: threading.RLock) -> None:
        """Begin a recording.

        lock: held while folders are made or removed, since two recordings may ask for free ones
        """
        self.folder = folder
        self._renderer = renderer
        self._lock = lock
        self._began = time.monotonic()
        with ExitStack() as resources:
            # until close(), no other process records into this folder
            remedy = "wait until it ends, or record into another folder"
            resources.enter_context(locked(folder, remedy))
            self._writer = CarRecording(folder, datetime.datetime.now())
            self._resources = resources.pop_all()

    def close(self) -> None:
        """Remove a recording without rows, and unlock the folder."""
        with self._lock, self._resources:
            self._writer.finish()
            self._writer.remove_if_void()

    def write(self, row: PlayedRow) -> None:
        """Write a row, or raise UserError; earlier rows are complete anyway."""
        frames = {"center": row.center}
        for camera in MOUNTS:
            if camera not in frames:
                frames[camera] = self._renderer.frame(row.car, camera)
        seconds = max(row.taken - self._began, 0.0)
        self._writer.record(seconds, row.car, frames, row.point, row.by)
