"""Record a drive row by row, so that its folder is a whole recording at any moment.

In: for each row, its images, its cells in the log, and its rows in the tables next to the log. Out:
a folder that is whole before and after each row, also if the program is killed or the disk is full.
Then an empty file stays in it, by which readers know that the recording ended early.

A `RecordingWriter` writes at once: those of the simulator and of imports. A `Recorder` lets one
write in a thread of its own, so that no car waits for the disk: drives and plays.
"""

import csv
import itertools
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from bcclone.recording.dialect import split_line, text_of
from bcclone.recording.files import IMAGES, LOG_NAME, UNFINISHED
from bcclone.recording.row import CAMERAS, camera_of
from bcclone.recording.run_tables import SIDECARS, Sidecar
from bcclone.system.errors import UserError, first_line
from bcclone.system.files import locked

logger = logging.getLogger(__name__)

_FILES = (LOG_NAME, *(table.name for table in SIDECARS))


class RecordingWriter:
    """Writes a recording row by row into a folder, which it makes, or which is empty.

    No file stays open between two rows. The end of a `with` block without an error marks the
    recording as complete, and so does finish(). Raises UserError for a folder that cannot be used.

    images: name of the subfolder for the images, "" for the folder itself
    prefix: what stands before an image's name in the log; None for the absolute path of its folder,
        as the simulator writes it, unless a log cannot hold that path
    """

    def __init__(self, folder: Path, images: str = IMAGES, prefix: str | None = None) -> None:
        self.folder = folder
        self.log = folder / LOG_NAME
        self.rows = 0  # number of the rows written by this object
        self._images = folder / images
        if prefix is None:
            prefix = f"{self._images.absolute()}{os.sep}"
            if not _is_read_back(prefix):
                prefix = f"{images}/"
        self._prefix = prefix
        check_free(folder)
        try:
            self._is_new = not folder.exists()
            self._images.mkdir(parents=True, exist_ok=True)
            self.log.touch()
            (folder / UNFINISHED).touch()
        except OSError as error:
            raise UserError(
                f"{folder}: cannot record there: {error.strerror}; choose another folder"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.finish()

    def write(
        self, images: Mapping[str, bytes], numbers: Iterable[str], tables: Mapping[Sidecar, str]
    ) -> None:
        """Append a row. If the disk refuses a part of it, raise OSError, and the log lacks the row.

        images: name -> content of the JPEG file; a name without a camera is the centre camera's
        numbers: the cells of the log after the images
        tables: the row of each table next to the log
        """
        paths = {name: self._images / name for name in images}
        logged = {camera_of(name) or CAMERAS[0]: self._prefix + name for name in images}
        cells = [*(logged.get(camera, "") for camera in CAMERAS), *numbers]
        try:
            for name, content in images.items():
                _write_image(paths[name], content)
            for table, row in tables.items():
                append_row(self.folder / table.name, row, table.header)
            # the log comes last: each of its rows then has its images and its rows in the tables
            append_row(self.log, ",".join(cells))
        except BaseException:
            for path in paths.values():
                with suppress(OSError):
                    path.unlink()
            raise
        self.rows += 1

    def finish(self) -> None:
        """Mark the recording as complete; one without a row goes."""
        with suppress(OSError):
            (self.folder / UNFINISHED).unlink(missing_ok=True)
            if self.rows:
                return
            for name in _FILES:
                (self.folder / name).unlink(missing_ok=True)
            if self._images != self.folder:
                self._images.rmdir()
            if self._is_new:
                self.folder.rmdir()


Writer = TypeVar("Writer", bound=RecordingWriter)


class Recorder(Generic[Writer]):
    """Records rows in a thread of its own, while it is on.

    All go into one recording, which begins when the recorder is first on. Rows are dropped and
    counted when too many wait for the disk. When the disk is full or gone, the recorder is off, and
    the drive goes on.
    """

    def __init__(
        self,
        open_writer: Callable[[ExitStack], Writer],
        most_waiting: int = 256,
        from_start: bool = False,
    ) -> None:
        """Make a recorder, which works within its `with` block.

        open_writer: begins the recording; may raise UserError. What it enters into the stack, such
            as a lock of the folder, is held until the end of the block.
        most_waiting: number of rows that may wait for the disk
        from_start: whether it is on from the begin of the block
        """
        self.on = False
        self.recorded = 0  # number of the rows that were written
        self.dropped = 0  # number of the rows that could not be written
        self.failure = ""  # why it went off by itself, or ""
        self._open_writer = open_writer
        self._most_waiting = most_waiting
        self._from_start = from_start
        self._writer: Writer | None = None
        self._opened = ExitStack()
        self._turning = threading.Lock()  # so that only one recording begins
        # functions that write a row; None ends the thread
        self._queue: queue.SimpleQueue[Callable[[Writer], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._write_all, name="bcclone-recorder", daemon=True
        )

    def __enter__(self) -> Self:
        if self._from_start:
            self.turn(True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.on = False
        self._queue.put(None)
        self._thread.join()
        with self._opened:
            if self._writer is not None:
                self._writer.finish()

    @property
    def folder(self) -> Path | None:
        """Return the folder of the recording, None if none has begun."""
        return None if self._writer is None else self._writer.folder

    def turn(self, on: bool) -> None:
        """Let rows be recorded or not; those that wait are still written. Raises UserError."""
        with self._turning:
            if on == self.on:
                return
            if self._writer is None:
                self._writer = self._open_writer(self._opened)
            self.failure = ""
            self.on = on

    def record(self, write: Callable[[Writer], None]) -> None:
        """Record a row, if the recorder is on; returns at once.

        write: writes a whole row with the writer, or raises OSError or UserError
        """
        if not self.on:
            return
        if self._queue.qsize() >= self._most_waiting:
            self.dropped += 1
        else:
            self._queue.put(write)

    def state(self) -> dict[str, Any]:
        """Return the state of the recording, for JSON; docs/reference/page.md has the fields."""
        folder = self.folder
        return {
            "on": self.on,
            "folder": None if folder is None else str(folder),
            "recorded": self.recorded,
            "dropped": self.dropped,
            "failure": self.failure,
        }

    def _write_all(self) -> None:
        """Write the rows that are queued until None comes."""
        while (write := self._queue.get()) is not None:
            assert self._writer is not None  # a row is queued only while the recorder is on
            if self.failure:
                self.dropped += 1
                continue
            try:
                write(self._writer)
                self.recorded += 1
            except Exception as error:  # the thread must go on: the recorder may be on again
                if not isinstance(error, UserError | OSError):
                    logger.exception("writing a row failed")
                self.dropped += 1
                why = first_line(error)
                if isinstance(error, OSError) and error.strerror:
                    why = error.strerror
                self.failure = why
                self.on = False
                logger.warning("%s: cannot record any more: %s; driving goes on", self.folder, why)


def _is_read_back(prefix: str) -> bool:
    """Return whether the images of a row are read as they are written, behind this prefix.

    A log has no quotes; so a path with a newline or `.jpg,` would break its rows for every reader,
    and one with a comma for other programs, such as pandas.
    """
    images = tuple(f"{camera}_2000_01_01_00_00_00_000.jpg" for camera in CAMERAS)
    cells = [*(prefix + image for image in images), "0", "0", "0", "0"]
    written = ",".join(cells).encode(errors="surrogateescape")
    try:
        (line,) = text_of(written).split("\n")
        is_ours = split_line(line).images == images
        return is_ours and len(next(csv.reader([line]))) == len(cells)
    except (ValueError, csv.Error):  # several lines; no row
        return False


def is_free(folder: Path) -> bool:
    """Return whether a folder can take a new recording: it is missing or empty."""
    if folder.is_dir():
        return not any(folder.iterdir())
    return not folder.exists()


def check_free(folder: Path) -> None:
    """Raise UserError for a folder that is not free: no recording is overwritten, or added to."""
    try:
        if not is_free(folder):
            raise UserError(
                f"{folder} is not new or empty, and no recording is ever overwritten; record "
                f"into {free_folder(folder)}"
            )
    except OSError as error:
        raise UserError(
            f"{folder}: cannot record there: {error.strerror}; choose another folder"
        ) from None


def free_folder(folder: Path) -> Path:
    """Return the folder, or the first of FOLDER-2, FOLDER-3 ... that is free."""
    numbered = (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(2))
    return next(filter(is_free, itertools.chain([folder], numbered)))


def locked_run(folder: Path) -> AbstractContextManager[None]:
    """Lock a run folder within the block, so that no other process records into it.

    Raises UserError while another one does.
    """
    return locked(folder, "wait until it ends, or record into another folder")


def begin_in_free_folder(folder: Path, begin: Callable[[Path], Writer], held: ExitStack) -> Writer:
    """Return the writer that begins in the folder, or in the first of FOLDER-2 ... that is free.

    held: holds the lock of the folder
    """
    new = free_folder(folder)
    with ExitStack() as lock:
        lock.enter_context(locked_run(new))
        writer = begin(new)
        held.push(lock.pop_all())
    return writer


def append_row(path: Path, row: str, header: str = "") -> None:
    """Append a row to a table completely; or append nothing, and raise OSError.

    header: first line of a new table
    """
    with path.open("ab", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        text = f"{row}\n"
        if not end:
            text = header + text
        rest = text.encode(errors="surrogateescape")  # a path keeps bytes that are no UTF-8
        try:
            # a full disk may take a part of the row; the next write then raises with the reason
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            file.truncate(end)
            raise


def _write_image(path: Path, content: bytes) -> None:
    """Write a file that appears under its name when it is complete, in place of any link."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
