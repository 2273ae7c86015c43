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

from bcclone.dataset.images import Image
from bcclone.dataset.vehicle import MOUNTS
from bcclone.drive.session import RecordingFigures
from bcclone.recording.drivers import DRIVERS, DrivenRow
from bcclone.recording.run_tables import TRACE, SidecarWriter, TracePoint
from bcclone.simulator.car import Car
from bcclone.simulator.record import RecordingWriter
from bcclone.simulator.render import Renderer
from bcclone.system.errors import UserError

logger = logging.getLogger(__name__)

_QUEUE_LENGTH = 60  # rows that wait while the machine is busy: 4 seconds, 9 MB
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

    Rows are dropped and counted when disk or machine is too slow for long. When the disk is full or gone, the recording
    ends and the drive goes on; on_failure is called with the reason. folder: of the first recording; None:
    play-DATE_TIME. folders: of all recordings so far.
    """

    def __init__(
        self, renderer: Renderer, folder: Path | None, on_failure: Callable[[str], None] = lambda why: None
    ) -> None:
        self._renderer, self._folder, self._on_failure = renderer, folder, on_failure
        self._recordings: list[_Recording] = []
        self._lock = threading.Lock()  # one start or stop at a time

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.turn(False)
        for recording in self._recordings:
            recording.join()

    @property
    def on(self) -> bool:
        """Return whether rows are recorded now."""
        return bool(self._recordings) and self._recordings[-1].on

    @property
    def failure(self) -> str:
        """Return why the last recording ended by itself, or ""."""
        return self._recordings[-1].failure if self._recordings else ""

    @property
    def folders(self) -> list[Path]:
        """Return the folders of all recordings so far."""
        return [recording.folder for recording in self._recordings]

    @property
    def rows(self) -> int:
        """Return the number of rows of all recordings so far."""
        return sum(recording.rows for recording in self._recordings)

    @property
    def dropped(self) -> int:
        """Return the number of rows that were left out so far."""
        return sum(recording.dropped for recording in self._recordings)

    def turn(self, on: bool) -> None:
        """Begin a recording in a new folder, or end it; returns at once, and the rows that wait are still written.

        Raises UserError when the folder cannot be used.
        """
        with self._lock:
            if on == self.on:
                return
            if on:
                folder = _free_folder(self._folder or Path(f"play-{datetime.datetime.now():%Y_%m_%d_%H_%M_%S}"))
                self._recordings.append(_Recording(self._renderer, folder, self._on_failure))
            else:
                self._recordings[-1].end()

    def record(self, row: PlayedRow) -> None:
        """Queue a row, if recording is on; returns at once."""
        if self.on:
            self._recordings[-1].add(row)

    def figures(self) -> RecordingFigures:
        """Return whether and where is recorded, and how many rows the recording has."""
        if not self._recordings:
            return RecordingFigures()
        last = self._recordings[-1]
        return RecordingFigures(last.on, str(last.folder), last.rows, last.dropped, last.failure)


class _Recording:
    """One recording: its queue of rows, and the thread that writes them."""

    def __init__(self, renderer: Renderer, folder: Path, on_failure: Callable[[str], None]) -> None:
        self.folder, self.rows, self.dropped, self.failure = folder, 0, 0, ""
        self._renderer, self._on_failure = renderer, on_failure
        self._queue: queue.Queue[PlayedRow | None] = queue.Queue()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write_all, args=(_RecordingFiles(folder),), daemon=True)
        self._thread.start()

    @property
    def on(self) -> bool:
        """Return whether rows are taken."""
        return not self._ended.is_set()

    def add(self, row: PlayedRow) -> None:
        """Queue a row."""
        if self._queue.qsize() >= _QUEUE_LENGTH:
            self.dropped += 1
        else:
            self._queue.put(row)

    def end(self) -> None:
        """Take no more rows; those that wait are written."""
        self._ended.set()
        self._queue.put(None)

    def join(self) -> None:
        """Wait until everything is written; call end() first."""
        self._thread.join()

    def _write_all(self, files: "_RecordingFiles") -> None:
        with files:
            while (row := self._queue.get()) is not None and not self.failure:
                self._write(files, row)

    def _write(self, files: "_RecordingFiles", row: PlayedRow) -> None:
        """Write a row; end the recording when that fails."""
        sides = {camera: self._renderer.frame(row.car, camera) for camera in MOUNTS if camera != "center"}
        try:
            files.write(row, {"center": row.center} | sides)
            self.rows += 1
        except (UserError, OSError) as error:
            self.failure = str(error)
            self.end()
            logger.warning("%s", error)
            self._on_failure(f"the recording has ended: {error}")


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
