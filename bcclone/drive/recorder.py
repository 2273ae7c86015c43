"""Telemetry and controls -> a run folder that is itself a recording: frames as received, and driving_log.csv.

How long each answer took is in answers.csv beside it.
"""

import datetime
import logging
import queue
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from bcclone.errors import UserError
from bcclone.protocol import Control, Telemetry
from bcclone.recording.files import LOG_NAME
from bcclone.recording.run_tables import ANSWERS, SidecarWriter, answer_row, append_line, remove_incomplete_row

logger = logging.getLogger(__name__)

_QUEUE_LENGTH = 256
_MILLISECOND = datetime.timedelta(milliseconds=1)


@dataclass(frozen=True)
class _Entry:
    taken: datetime.datetime
    telemetry: Telemetry
    control: Control

    @property
    def name(self) -> str:
        return f"{self.taken:%Y_%m_%d_%H_%M_%S}_{self.taken.microsecond // 1000:03d}.jpg"


class Recorder:
    """Writes a run folder from a thread of its own, so that the disk never keeps the car waiting.

    Each frame is there, whole, before its row is; a run that is killed is a valid recording. Frames that the
    disk cannot take in time are dropped and counted; a disk that takes none, being full or gone, ends the recording
    and not the drive. Raises UserError when the folder is in use already.
    """

    def __init__(
        self, folder: Path, append: bool = False, on_failure: Callable[[str], None] = lambda why: None
    ) -> None:
        self.folder = folder
        self.recorded = self.dropped = 0
        self.failure = ""
        self._on, self._on_failure = True, on_failure
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        # when a frame was recorded, by the performance counter, and its name; its answer is on its way
        self._unanswered: deque[tuple[float, str]] = deque(maxlen=_QUEUE_LENGTH)
        self._answered: deque[tuple[str, float]] = deque()  # and how long those took that have come
        with ExitStack() as files:
            try:
                self._last = _prepare(folder, append)
                self._log: IO[bytes] = files.enter_context((folder / LOG_NAME).open("ab", buffering=0))
                self._answers = files.enter_context(SidecarWriter(ANSWERS, folder))
            except OSError as error:
                raise UserError(f"{folder}: cannot record there: {error.strerror}; choose another folder") from None
            self._files = files.pop_all()
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
        """Return whether frames are recorded; set it to pause and to go on, also after a failure."""
        return self._on

    @on.setter
    def on(self, value: bool) -> None:
        self._on = value
        if value:
            self.failure = ""

    def record(self, telemetry: Telemetry, control: Control) -> None:
        """Keep a frame and the control that answered it, if recording is on; returns at once.

        Frames are named by the millisecond in which they came; the second of two takes the next free one.
        """
        if not self._on:
            return
        if self._queue.qsize() >= _QUEUE_LENGTH:
            self.dropped += 1
            return
        now = datetime.datetime.now()
        self._last = max(now.replace(microsecond=now.microsecond // 1000 * 1000), self._last + _MILLISECOND)
        entry = _Entry(self._last, telemetry, control)
        self._unanswered.append((time.perf_counter(), entry.name))
        self._queue.put(entry)

    def answered(self, seconds: float) -> None:
        """Keep how long the answer that has just been sent took; answers come in the order of their frames.

        A frame that was recorded before the request of this answer came was never answered, and is passed over.
        """
        asked = time.perf_counter() - seconds
        while self._unanswered:
            recorded, name = self._unanswered.popleft()
            if recorded >= asked:
                self._answered.append((name, seconds))
                return

    def _write_all(self) -> None:
        while (entry := self._queue.get()) is not None:
            try:
                self._write(entry)
                self.recorded += 1
            except OSError as error:
                self.dropped += 1
                self._fail(error)
            self._write_answers()
        self._write_answers()

    def _write_answers(self) -> None:
        """Write how long the answers took that have been sent until now."""
        while self._answered:
            name, seconds = self._answered.popleft()
            try:
                self._answers.append(answer_row(name, seconds))
            except OSError as error:
                self._fail(error)

    def _fail(self, error: OSError) -> None:
        """End the recording; those frames still in the queue are tried and counted."""
        if self._on:
            self._on = False
            self.failure = error.strerror or str(error)
            logger.warning("%s: cannot record any more: %s; driving goes on", self.folder, self.failure)
            self._on_failure(f"the recording has ended: {self.failure}")

    def _write(self, entry: _Entry) -> None:
        name = entry.name
        frame, temporary = self.folder / name, self.folder / f".{name}.partial"
        try:
            temporary.write_bytes(entry.telemetry.jpeg)
            temporary.replace(frame)
        finally:
            temporary.unlink(missing_ok=True)
        try:
            append_line(self._log, _row(name, entry.telemetry, entry.control))
        except OSError:
            frame.unlink(missing_ok=True)
            raise


def _row(name: str, telemetry: Telemetry, control: Control) -> str:
    """Return a row in the simulator's format, one camera, with the received steering and throttle behind it."""
    throttle, brake = max(control.throttle, 0.0), abs(min(control.throttle, 0.0))
    numbers = (control.steering, throttle, brake, telemetry.speed_mph)
    received = (telemetry.steering_degrees, telemetry.throttle)
    return ",".join([name, "", "", *(f"{number:.6f}" for number in numbers), *(f"{n:.4f}" for n in received)]) + "\n"


def _prepare(folder: Path, append: bool) -> datetime.datetime:
    """Make the run folder and return a time that all its frames lie before."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(path.name for path in folder.iterdir())
    if names and not append:
        other = next(f"{folder}-{n}" for n in range(2, 10_000) if not Path(f"{folder}-{n}").exists())
        raise UserError(
            f"{folder} holds a run already, and is never emptied; record into {other}, or add to it with --append"
        )
    _check_is_run(folder)
    remove_incomplete_row(folder / LOG_NAME)
    frames = [name for name in names if name.endswith(".jpg")]
    if not frames:
        return datetime.datetime.min
    try:
        return datetime.datetime.strptime(frames[-1].removesuffix(".jpg") + "000", "%Y_%m_%d_%H_%M_%S_%f")
    except ValueError:
        raise UserError(f"{folder}: {frames[-1]} is no frame of a run; record into another folder") from None


def _check_is_run(folder: Path) -> None:
    """Refuse to add to something else than a run, for example to the recording of a person's driving."""
    log = folder / LOG_NAME
    if log.exists():
        with log.open(encoding="utf-8", errors="replace") as file:
            first = file.readline(1000)
        if first and not re.match(r"\d{4}(_\d\d){5}_\d{3}\.jpg,,,", first):
            raise UserError(f"{folder} is a recording, but no run of drive.py; record into another folder")
