"""Record a play in the simulator's format.

Rows go in; driving_log.csv, images of three cameras, trace.csv and drivers.csv come out.
"""

import datetime
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bcclone.dataset.images import Image
from bcclone.dataset.vehicle import MOUNTS
from bcclone.drive.recorder import Recorder
from bcclone.recording.run_tables import DrivenRow, TracePoint
from bcclone.recording.writer import is_free
from bcclone.simulator.car import Car
from bcclone.simulator.record import CarRecording
from bcclone.simulator.render import Renderer
from bcclone.system.errors import UserError

_MOST_WAITING = 60  # rows that wait while the machine is busy: 4 seconds, 9 MB
_MOST_FOLDERS = 1000


@dataclass(frozen=True)
class PlayedRow:
    """A row to record: the car and its centre frame, uint8 (160, 320, 3), where it was, who steered, and when.

    taken: by time.monotonic().
    """

    car: Car
    center: Image
    point: TracePoint
    by: DrivenRow
    taken: float


def play_recorder(
    renderer: Renderer, folder: Path | None, on_failure: Callable[[str], None] = lambda why: None
) -> Recorder[PlayedRow]:
    """Return the recorder of a play: each recording goes into a new folder, the first into `folder` if it is free."""

    lock = threading.RLock()

    def open_files() -> PlayFiles:
        first = folder or Path(f"play-{datetime.datetime.now():%Y_%m_%d_%H_%M_%S}")
        with lock:
            return PlayFiles(renderer, _free_folder(first), lock)

    return Recorder(open_files, on_failure, _MOST_WAITING)


class PlayFiles:
    """Records a play into a folder; renders the side cameras. Raises UserError if the folder cannot be used.

    Without a row, what was made is removed at the end or after an error. lock: held while folders are made or removed;
    reentrant.
    """

    def __init__(self, renderer: Renderer, folder: Path, lock: threading.RLock) -> None:
        self.folder, self._renderer, self._lock = folder, renderer, lock
        self._began, self._writer = time.monotonic(), CarRecording(folder, datetime.datetime.now())

    def close(self) -> None:
        """Remove a recording without rows."""
        with self._lock:
            self._writer.remove_if_void()

    def write(self, row: PlayedRow) -> None:
        """Write a row; raises UserError, and the rows before are complete."""
        sides = {camera: self._renderer.frame(row.car, camera) for camera in MOUNTS if camera != "center"}
        seconds = max(row.taken - self._began, 0.0)
        self._writer.record(seconds, row.car, {"center": row.center} | sides, row.point, row.by)


def _free_folder(folder: Path) -> Path:
    """Return the folder, or the first of FOLDER-2, FOLDER-3 ... that does not exist or is empty."""
    names = [folder, *(folder.with_name(f"{folder.name}-{number}") for number in range(2, _MOST_FOLDERS))]
    free = next(filter(is_free, names), None)
    if free is None:
        raise UserError(f"{names[0]} to {names[-1].name} all contain something; choose another folder with -o")
    return free
