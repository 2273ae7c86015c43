"""Record a drive into a run folder: frames as received, driving_log.csv, drivers.csv, and answers.csv with latencies.

With a monitor, doubts.csv has its score of each frame.

A run folder is a recording like those of the simulator, so that a model can be trained on it.
"""

import datetime
import logging
import queue
import re
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from bcclone.drive.protocol import Control, Telemetry
from bcclone.drive.watch import Doubt
from bcclone.recording.drivers import BY_MODEL, DRIVERS, DrivenRow
from bcclone.recording.files import LOG_NAME
from bcclone.recording.run_tables import (
    ANSWERS,
    DOUBTS,
    SidecarWriter,
    answer_row,
    append_line,
    doubt_row,
    remove_incomplete_row,
)
from bcclone.system.errors import UserError

logger = logging.getLogger(__name__)

_QUEUE_LENGTH = 256
_MILLISECOND = datetime.timedelta(milliseconds=1)


@dataclass(frozen=True)
class _Entry:
    taken: datetime.datetime
    telemetry: Telemetry
    control: Control
    by: DrivenRow
    doubt: Doubt | None

    @property
    def name(self) -> str:
        return f"{self.taken:%Y_%m_%d_%H_%M_%S}_{self.taken.microsecond // 1000:03d}.jpg"


class Recorder:
    """Writes a run folder from a thread of its own, so that the car never waits for the disk.

    Each frame is complete before its row is written, so a killed run is a valid recording. Frames are dropped and
    counted when the disk is too slow. When it is full or gone, the recording ends and the drive goes on; on_failure is
    called with the reason. Raises UserError when the folder is in use already.
    """

    def __init__(
        self, folder: Path, append: bool = False, on_failure: Callable[[str], None] = lambda why: None
    ) -> None:
        self.folder = folder
        self.recorded = self.dropped = 0
        self.failure = ""
        self._on, self._on_failure = True, on_failure
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._unanswered: OrderedDict[int, str] = OrderedDict()  # number of a frame -> its file name
        self._latencies: deque[tuple[str, float]] = deque()  # file names and seconds that are to be written
        with ExitStack() as files:
            try:
                self._last = _prepare(folder, append)
                self._log: IO[bytes] = files.enter_context((folder / LOG_NAME).open("ab", buffering=0))
                self._drivers = files.enter_context(SidecarWriter(DRIVERS, folder))
                self._answers = files.enter_context(SidecarWriter(ANSWERS, folder))
            except OSError as error:
                raise UserError(f"{folder}: cannot record there: {error.strerror}; choose another folder") from None
            self._files = files.pop_all()
        self._doubts: SidecarWriter | None = None
        self._thread = threading.Thread(target=self._write_all, name="bcclone-recorder", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()
        self._files.close()

    @property
    def on(self) -> bool:
        """Return whether frames are recorded; set it to pause or continue, also after a failure."""
        return self._on

    @on.setter
    def on(self, value: bool) -> None:
        self._on = value
        if value:
            self.failure = ""

    def record(
        self,
        frame: int,
        telemetry: Telemetry,
        control: Control,
        by: DrivenRow = BY_MODEL,
        doubt: Doubt | None = None,
    ) -> None:
        """Queue a frame and the control that answers it, if recording is on; returns at once.

        frame: its number in the drive; by: who gave the steering; doubt: what a monitor says of the frame. Files are
        named by the millisecond; a second frame in it takes the next one.
        """
        if not self._on:
            return
        if self._queue.qsize() >= _QUEUE_LENGTH:
            self.dropped += 1
            return
        now = datetime.datetime.now()
        self._last = max(now.replace(microsecond=now.microsecond // 1000 * 1000), self._last + _MILLISECOND)
        entry = _Entry(self._last, telemetry, control, by, doubt)
        if len(self._unanswered) >= _QUEUE_LENGTH:  # answers by polling have no latency, and those of lost cars
            self._unanswered.popitem(last=False)
        self._unanswered[frame] = entry.name
        self._queue.put(entry)

    def answered(self, frame: int, seconds: float) -> None:
        """Keep the latency of the answer to a frame; does nothing when that frame was not recorded."""
        if name := self._unanswered.pop(frame, None):
            self._latencies.append((name, seconds))

    def _write_all(self) -> None:
        while (entry := self._queue.get()) is not None:
            try:
                self._write(entry)
                self.recorded += 1
            except OSError as error:
                self.dropped += 1
                self._fail(error)
            self._write_latencies()
        self._write_latencies()

    def _write_latencies(self) -> None:
        """Write the latencies of the answers that have been sent."""
        while self._latencies:
            name, seconds = self._latencies.popleft()
            try:
                self._answers.append(answer_row(name, seconds))
            except OSError as error:
                self._fail(error)

    def _fail(self, error: OSError) -> None:
        """End the recording; frames that are still in the queue are tried and counted."""
        if self._on:
            self._on = False
            self.failure = error.strerror or str(error)
            logger.warning("%s: cannot record any more: %s; driving goes on", self.folder, self.failure)
            self._on_failure(f"the recording has ended: {self.failure}")

    def _doubt_table(self) -> SidecarWriter:
        """Return the table of doubts, which only a drive with a monitor has."""
        if self._doubts is None:
            self._doubts = self._files.enter_context(SidecarWriter(DOUBTS, self.folder))
        return self._doubts

    def _write(self, entry: _Entry) -> None:
        name = entry.name
        frame, temporary = self.folder / name, self.folder / f".{name}.partial"
        try:
            temporary.write_bytes(entry.telemetry.jpeg)
            temporary.replace(frame)
        finally:
            temporary.unlink(missing_ok=True)
        try:
            self._drivers.append(entry.by.row(name))  # first, so that each row of the log has one
            append_line(self._log, _row(name, entry.telemetry, entry.control))
            if entry.doubt is not None:
                self._doubt_table().append(
                    doubt_row(name, entry.doubt.score, entry.doubt.average, entry.doubt.in_doubt)
                )
        except OSError:
            frame.unlink(missing_ok=True)
            raise


def _row(name: str, telemetry: Telemetry, control: Control) -> str:
    """Return a row in the simulator's format with one camera, followed by the received steering and throttle."""
    throttle, brake = max(control.throttle, 0.0), abs(min(control.throttle, 0.0))
    numbers = (control.steering, throttle, brake, telemetry.speed_mph)
    received = (telemetry.steering_degrees, telemetry.throttle)
    return ",".join([name, "", "", *(f"{number:.6f}" for number in numbers), *(f"{n:.4f}" for n in received)]) + "\n"


def _prepare(folder: Path, append: bool) -> datetime.datetime:
    """Make the run folder; return the time of its last frame."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(path.name for path in folder.iterdir())
    if names and not append:
        other = next(f"{folder}-{n}" for n in range(2, 10_000) if not Path(f"{folder}-{n}").exists())
        raise UserError(
            f"{folder} contains a run, which is never overwritten; record into {other}, or add to it with --append"
        )
    _check_is_run(folder)
    remove_incomplete_row(folder / LOG_NAME)
    frames = [name for name in names if name.endswith(".jpg")]
    if not frames:
        return datetime.datetime.min
    try:
        return datetime.datetime.strptime(frames[-1].removesuffix(".jpg") + "000", "%Y_%m_%d_%H_%M_%S_%f")
    except ValueError:
        raise UserError(f"{folder}: {frames[-1]} is not a frame of a run; record into another folder") from None


def _check_is_run(folder: Path) -> None:
    """Raise UserError when a log in the folder is not that of a run, for example a person's recording."""
    log = folder / LOG_NAME
    if log.exists():
        with log.open(encoding="utf-8", errors="replace") as file:
            first = file.readline(1000)
        if first and not re.match(r"\d{4}(_\d\d){5}_\d{3}\.jpg,,,", first):
            raise UserError(f"{folder} is a recording, but not a run of drive.py; record into another folder")
