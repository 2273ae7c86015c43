"""Record a play in the simulator's format.

Rows go in; driving_log.csv, images of three cameras, trace.csv and drivers.csv come out.
"""

import datetime
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from bcclone.dataset.images import Image
from bcclone.dataset.vehicle import MOUNTS
from bcclone.drive.recorder import Recorder
from bcclone.recording.drivers import DRIVERS, DrivenRow
from bcclone.recording.run_tables import TRACE, SidecarWriter, TracePoint
from bcclone.simulator.car import Car
from bcclone.simulator.record import RecordingWriter
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
    """The open files of one recording; renders the side cameras. Raises UserError if the folder cannot be used.

    Without a row, they are removed at the end or after an error, and the folder if it was made for them. lock: held
    while folders are made or removed; reentrant.
    """

    def __init__(self, renderer: Renderer, folder: Path, lock: threading.RLock) -> None:
        self._lock = lock
        self._made = () if folder.exists() else (folder,)
        self.folder, self._renderer, self._began = folder, renderer, time.monotonic()
        with ExitStack() as stack:
            self._writer = RecordingWriter(folder, datetime.datetime.now())
            stack.callback(self._remove_if_void)
            stack.enter_context(self._writer)
            try:
                self._trace = stack.enter_context(SidecarWriter(TRACE, folder))
                self._drivers = stack.enter_context(SidecarWriter(DRIVERS, folder))
            except OSError as error:
                raise self._writer.failed(error) from None
            self._files = stack.pop_all()

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def _remove_if_void(self) -> None:
        if self._writer.rows:
            return
        with self._lock, suppress(OSError):  # a folder that got another file stays
            for file in (self._writer.log, self.folder / TRACE.name, self.folder / DRIVERS.name):
                file.unlink(missing_ok=True)
            for folder in (self.folder / "IMG", *self._made):
                folder.rmdir()

    def write(self, row: PlayedRow) -> None:
        """Write a row of each table, and last the log's; raises UserError, and the rows before are complete."""

        def write_tables(image: str) -> None:
            self._trace.append(row.point.row(image))
            self._drivers.append(row.by.row(image))

        sides = {camera: self._renderer.frame(row.car, camera) for camera in MOUNTS if camera != "center"}
        seconds = max(row.taken - self._began, 0.0)
        self._writer.write(seconds, row.car, {"center": row.center} | sides, write_tables)


def _free_folder(folder: Path) -> Path:
    """Return the folder, or the first of FOLDER-2, FOLDER-3 ... that does not exist or is empty."""
    names = [folder, *(folder.with_name(f"{folder.name}-{number}") for number in range(2, _MOST_FOLDERS))]
    free = next((name for name in names if not name.exists() or (name.is_dir() and not any(name.iterdir()))), None)
    if free is None:
        raise UserError(f"{names[0]} to {names[-1].name} all contain something; choose another folder with -o")
    return free
