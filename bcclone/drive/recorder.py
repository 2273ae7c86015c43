"""Write rows in a thread of its own, so that no car waits for the disk. Drives and plays share
this.

Rows go in, and the open files of a recording write them; drive/run_folder.py defines the rows and
files of drives, play/play_session.py of plays.
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
from bcclone.system.errors import UserError
from bcclone.system.progress import Notify

logger = logging.getLogger(__name__)

Row = TypeVar("Row")
RowIn = TypeVar("RowIn", contravariant=True)


class RowFiles(Protocol[RowIn]):
    """The open files of a recording, which are in a folder."""

    @property
    def folder(self) -> Path: ...

    def write(self, row: RowIn) -> None:
        """Write a whole row; raises OSError or UserError, and the rows before are complete."""

    def close(self) -> None: ...


def free_folder(folder: Path) -> Path:
    """Return the folder, or the first of FOLDER-2, FOLDER-3 ... that can take a new recording."""
    others = (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(2))
    return next(filter(is_free, itertools.chain([folder], others)))


@dataclass
class _Recording(Generic[Row]):
    files: RowFiles[Row]
    on: bool = True
    recorded: int = 0
    dropped: int = 0
    failure: str = ""
    closed: bool = False

    @property
    def is_void(self) -> bool:
        """Return whether it has ended without a row, and nothing went wrong."""
        return self.closed and not (self.recorded or self.dropped or self.failure)


class Recorder(Generic[Row]):
    """Begins and ends recordings, and writes their rows.

    open_files is called at the begin of each, and raises UserError. from_start: the first one
    begins with the block. Rows are dropped and counted when more than most_waiting wait for the
    disk. When the disk is full or gone, the recording ends and the drive goes on; on_failure is
    called with the reason. recorded, dropped: rows of all recordings so far.
    """

    def __init__(
        self,
        open_files: Callable[[], RowFiles[Row]],
        on_failure: Notify = lambda why: None,
        most_waiting: int = 256,
        from_start: bool = False,
    ) -> None:
        self._open_files, self._on_failure = open_files, on_failure
        self._most_waiting, self._from_start = most_waiting, from_start
        self._recordings: list[_Recording[Row]] = []
        self._queue: queue.SimpleQueue[tuple[_Recording[Row], Row | None] | None] = (
            queue.SimpleQueue()
        )
        self._lock = threading.Lock()  # one begin or end at a time
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
        return bool(self._recordings) and self._recordings[-1].on

    @property
    def folders(self) -> tuple[Path, ...]:
        """Return the folders of all recordings so far, except those that got no row."""
        return tuple(dict.fromkeys(one.files.folder for one in self._recordings if not one.is_void))

    @property
    def recorded(self) -> int:
        return sum(recording.recorded for recording in self._recordings)

    @property
    def dropped(self) -> int:
        return sum(recording.dropped for recording in self._recordings)

    @property
    def failure(self) -> str:
        """Return why the last recording ended by itself, or ""."""
        return self._recordings[-1].failure if self._recordings else ""

    def turn(self, on: bool) -> None:
        """Begin or end a recording; returns at once, and rows that wait are still written. Raises
        UserError.
        """
        with self._lock:
            if on == self.on:
                return
            if on:
                self._recordings.append(_Recording(self._open_files()))
            else:
                self._recordings[-1].on = False
                self._queue.put((self._recordings[-1], None))

    def record(self, row: Row) -> None:
        """Queue a row, if recording is on; returns at once."""
        if not self.on:
            return
        recording = self._recordings[-1]
        if self._queue.qsize() >= self._most_waiting:
            recording.dropped += 1
        else:
            self._queue.put((recording, row))

    def state(self) -> dict[str, Any]:
        """Return whether and where is recorded, how many rows that folder got, and why it ended by
        itself, or "".

        For JSON; docs/reference/page.md describes the fields.
        """
        if not self._recordings:
            return {"on": False, "folder": None, "recorded": 0, "dropped": 0, "failure": ""}
        last = self._recordings[-1]
        same = [
            recording
            for recording in self._recordings
            if recording.files.folder == last.files.folder
        ]
        return {
            "on": last.on,
            "folder": str(last.files.folder),
            "recorded": sum(recording.recorded for recording in same),
            "dropped": sum(recording.dropped for recording in same),
            "failure": last.failure,
        }

    def _write_all(self) -> None:
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
            except (UserError, OSError) as error:
                why = (error.strerror if isinstance(error, OSError) else None) or str(error)
                recording.dropped += row is not None
                recording.failure, recording.on = why, False
                logger.warning(
                    "%s: cannot record any more: %s; driving goes on", recording.files.folder, why
                )
                self._on_failure(f"the recording has ended: {why}")
                with suppress(OSError):
                    recording.files.close()
