"""Write rows in a thread of its own, so that no car waits for the disk.

A `Recorder` queues the rows that it is given, and its thread passes them to the open files of a
recording. drive/run_folder.py defines the rows and files of drives, game/play_files.py those of
plays.
"""

import itertools
import logging
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from bcclone.recording.writer import is_free
from bcclone.system.errors import UserError, first_line
from bcclone.system.process import Notify

logger = logging.getLogger(__name__)

Row = TypeVar("Row")
RowIn = TypeVar("RowIn", contravariant=True)


class RowFiles(Protocol[RowIn]):
    """The open files of a recording, which are all in one folder."""

    @property
    def folder(self) -> Path: ...

    def write(self, row: RowIn) -> None:
        """Write a whole row, or raise OSError or UserError; earlier rows are complete anyway."""

    def close(self) -> None: ...


def free_folder(folder: Path) -> Path:
    """Return the folder, or the first of FOLDER-2, FOLDER-3 ... that can take a new recording."""
    numbered = (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(2))
    return next(filter(is_free, itertools.chain([folder], numbered)))


@dataclass
class _Recording(Generic[Row]):
    """What became of the rows of one recording."""

    files: RowFiles[Row]
    on: bool = True  # whether it takes more rows
    recorded: int = 0  # number of the rows that were written
    dropped: int = 0  # number of the rows that could not be written
    failure: str = ""  # why the recording has ended by itself, or ""
    closed: bool = False  # whether the files are closed

    @property
    def is_void(self) -> bool:
        """Return whether it has ended without a row, and nothing went wrong."""
        return self.closed and not (self.recorded or self.dropped or self.failure)


class Recorder(Generic[Row]):
    """Begins and ends recordings, and writes their rows.

    Rows are dropped and counted when too many wait for the disk. When the disk is full or gone, the
    recording ends and the drive goes on.
    """

    def __init__(
        self,
        open_files: Callable[[], RowFiles[Row]],
        on_failure: Notify = lambda why: None,
        most_waiting: int = 256,
        from_start: bool = False,
    ) -> None:
        """Make a recorder, which works within its `with` block.

        open_files: called at the begin of each recording; may raise UserError
        on_failure: called with the reason when a recording ends by itself
        most_waiting: number of rows that may wait for the disk
        from_start: whether the first recording begins when the block is entered
        """
        self._open_files = open_files
        self._on_failure = on_failure
        self._most_waiting = most_waiting
        self._from_start = from_start
        self._recordings: list[_Recording[Row]] = []
        # rows to write; a row of None closes its recording, and an entry of None ends the thread
        self._queue: queue.SimpleQueue[tuple[_Recording[Row], Row | None] | None] = (
            queue.SimpleQueue()
        )
        self._turning = threading.Lock()  # so that only one recording begins or ends at a time
        # so that a row is queued before the end of its recording; record() never waits for a disk,
        # so opening files holds only the other lock
        self._queueing = threading.Lock()
        self._thread = threading.Thread(
            target=self._write_all, name="bcclone-recorder", daemon=True
        )

    def __enter__(self) -> Self:
        self.turn(self._from_start)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.turn(False)
        self._queue.put(None)
        self._thread.join()

    @property
    def on(self) -> bool:
        """Return whether rows are being recorded."""
        return bool(self._recordings) and self._recordings[-1].on

    @property
    def folders(self) -> tuple[Path, ...]:
        """Return the folders of all recordings so far, except of those that ended without a row."""
        folders = [
            recording.files.folder for recording in self._recordings if not recording.is_void
        ]
        return tuple(dict.fromkeys(folders))  # each folder once

    @property
    def recorded(self) -> int:
        """Return the number of rows of all recordings so far."""
        return sum(recording.recorded for recording in self._recordings)

    @property
    def dropped(self) -> int:
        """Return the number of rows of all recordings that could not be written."""
        return sum(recording.dropped for recording in self._recordings)

    @property
    def failure(self) -> str:
        """Return why the last recording ended by itself, or ""."""
        return self._recordings[-1].failure if self._recordings else ""

    def turn(self, on: bool) -> None:
        """Begin or end a recording; returns at once, and rows that wait are still written.

        Raises UserError.
        """
        with self._turning:
            if on == self.on:
                return
            if on:
                self._recordings.append(_Recording(self._open_files()))
                return
            last = self._recordings[-1]
            with self._queueing:
                last.on = False
                self._queue.put((last, None))

    def record(self, row: Row) -> None:
        """Queue a row, if recording is on; returns at once."""
        with self._queueing:
            if not self.on:
                return
            recording = self._recordings[-1]
            if self._queue.qsize() >= self._most_waiting:
                recording.dropped += 1
            else:
                self._queue.put((recording, row))

    def state(self) -> dict[str, Any]:
        """Return the state of the last recording, for JSON; its counts are of all in its folder.

        docs/reference/page.md describes the fields.
        """
        if not self._recordings:
            return {"on": False, "folder": None, "recorded": 0, "dropped": 0, "failure": ""}
        last = self._recordings[-1]
        folder = last.files.folder
        in_folder = [
            recording for recording in self._recordings if recording.files.folder == folder
        ]
        return {
            "on": last.on,
            "folder": str(folder),
            "recorded": sum(recording.recorded for recording in in_folder),
            "dropped": sum(recording.dropped for recording in in_folder),
            "failure": last.failure,
        }

    def _write_all(self) -> None:
        """Write what is queued until None comes; a row of None closes its recording."""
        while (entry := self._queue.get()) is not None:
            recording, row = entry
            try:
                if row is None:
                    recording.files.close()
                    recording.closed = True
                elif recording.failure:
                    recording.dropped += 1
                else:
                    recording.files.write(row)
                    recording.recorded += 1
            except Exception as error:  # the thread must go on: it writes later recordings, too
                if not isinstance(error, UserError | OSError):
                    logger.exception("writing a row failed")
                if row is not None:
                    recording.dropped += 1
                self._end(recording, error)

    def _end(self, recording: _Recording[Row], error: Exception) -> None:
        """End a recording whose rows cannot be written, mostly because of the disk."""
        why = first_line(error)
        if isinstance(error, OSError) and error.strerror:
            why = error.strerror
        recording.failure = why
        recording.on = False
        folder = recording.files.folder
        logger.warning("%s: cannot record any more: %s; driving goes on", folder, why)
        self._on_failure(f"the recording has ended: {why}")
        with suppress(Exception):
            recording.files.close()
