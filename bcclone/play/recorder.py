"""Record a person's drive in the simulator's format, from a thread of its own, so that the world never waits for it."""

import datetime
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bcclone.drive.session import RecordingFigures
from bcclone.errors import UserError
from bcclone.images import Image
from bcclone.recording.drivers import DRIVERS, DrivenRow
from bcclone.recording.run_tables import TRACE, SidecarWriter, TracePoint
from bcclone.simulator.car import Car
from bcclone.simulator.record import RecordingWriter
from bcclone.simulator.render import Renderer
from bcclone.vehicle import MOUNTS

logger = logging.getLogger(__name__)

_QUEUE_LENGTH = 8  # rows; half a second
_CHECK_SECONDS = 0.1  # how soon the thread notices the end of a recording
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


class PlayRecorder:
    """Writes recordings, each into a new folder, and renders the side cameras for them.

    Rows are dropped and counted when disk or machine is too slow. When the disk is full or gone, the recording ends
    and the drive goes on; on_failure is called with the reason. folder: of the first recording; None: play-DATE_TIME.
    folders, rows: of all recordings so far.
    """

    def __init__(
        self, renderer: Renderer, folder: Path | None, on_failure: Callable[[str], None] = lambda why: None
    ) -> None:
        self._renderer, self._folder, self._on_failure = renderer, folder, on_failure
        self._queue: queue.Queue[PlayedRow] = queue.Queue(_QUEUE_LENGTH)
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()  # one start or stop at a time
        self.folders: list[Path] = []
        self.rows = self.dropped = 0
        self._recorded, self.failure = 0, ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.turn(False)

    @property
    def on(self) -> bool:
        """Return whether rows are recorded now."""
        return self._thread is not None and not self._ending.is_set()

    def turn(self, on: bool) -> None:
        """Begin a recording in a new folder, or end it; raises UserError when the folder cannot be used."""
        with self._lock:
            if on == self.on:
                return
            self._end()
            if on:
                self._begin()

    def record(self, row: PlayedRow) -> None:
        """Queue a row, if recording is on; returns at once."""
        if not self.on:
            return
        try:
            self._queue.put_nowait(row)
        except queue.Full:
            self.dropped += 1

    def figures(self) -> RecordingFigures:
        """Return whether and where is recorded, and how many rows the recording has."""
        folder = str(self.folders[-1]) if self.folders else None
        return RecordingFigures(self.on, folder, self._recorded, self.dropped, self.failure)

    def _begin(self) -> None:
        self.failure, self._recorded = "", 0
        folder = _free_folder(self._folder or Path(f"play-{datetime.datetime.now():%Y_%m_%d_%H_%M_%S}"))
        files = _RecordingFiles(folder)
        self.folders.append(folder)
        self._ending.clear()
        self._thread = threading.Thread(target=self._write_all, args=(files,), name="bcclone-play", daemon=True)
        self._thread.start()

    def _end(self) -> None:
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        while not self._queue.empty():  # after a failure
            self._queue.get_nowait()

    def _write_all(self, files: "_RecordingFiles") -> None:
        """Write the rows of the queue until the recording ends and the queue is empty."""
        with files:
            while not (self._ending.is_set() and self._queue.empty()):
                try:
                    row = self._queue.get(timeout=_CHECK_SECONDS)
                except queue.Empty:
                    continue
                if not self._written(files, row):
                    return

    def _written(self, files: "_RecordingFiles", row: PlayedRow) -> bool:
        """Write a row; return False, and end the recording, when that fails."""
        sides = {camera: self._renderer.frame(row.car, camera) for camera in MOUNTS if camera != "center"}
        try:
            files.write(row, {"center": row.center} | sides)
        except (UserError, OSError) as error:
            self.failure = str(error)
            self._ending.set()
            logger.warning("%s", error)
            self._on_failure(f"the recording has ended: {error}")
            return False
        self.rows += 1
        self._recorded += 1
        return True


class _RecordingFiles:
    """The open files of one recording: the log with its images, and the two tables next to it."""

    def __init__(self, folder: Path) -> None:
        self._began = time.monotonic()
        with ExitStack() as stack:
            self._writer = stack.enter_context(RecordingWriter(folder, datetime.datetime.now()))
            try:
                self._trace = stack.enter_context(SidecarWriter(TRACE, folder))
                self._drivers = stack.enter_context(SidecarWriter(DRIVERS, folder))
            except OSError as error:
                raise self._writer.failed(error) from None
            self._files = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def write(self, row: PlayedRow, frames: Mapping[str, Image]) -> None:
        """Write a row of each table, and last that of the log; raises UserError, and the rows before are complete."""

        def write_tables(image: str) -> None:
            self._trace.append(row.point.row(image))
            self._drivers.append(row.by.row(image))

        self._writer.write(max(row.taken - self._began, 0.0), row.car, frames, write_tables)


def _free_folder(folder: Path) -> Path:
    """Return the folder, or the first of FOLDER-2, FOLDER-3 ... that does not exist or is empty."""
    names = [folder, *(folder.with_name(f"{folder.name}-{number}") for number in range(2, _MOST_FOLDERS))]
    free = next((name for name in names if not name.exists() or (name.is_dir() and not any(name.iterdir()))), None)
    if free is None:
        raise UserError(f"{names[0]} to {names[-1].name} all contain something; choose another folder with -o")
    return free
