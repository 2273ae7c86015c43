"""Record a drive into a run folder: frames as received, driving_log.csv, drivers.csv, and answers.csv with latencies.

With a monitor, uncertainty.csv has its score of each frame. A run folder is a recording like the simulator's, so that a
model can be trained on it.
"""

import datetime
import re
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from bcclone.drive.driver import Decision
from bcclone.drive.recorder import Recorder, RecordingFigures
from bcclone.recording.drivers import DRIVERS
from bcclone.recording.files import LOG_NAME
from bcclone.recording.run_tables import (
    ANSWERS,
    UNCERTAINTY,
    SidecarWriter,
    answer_row,
    append_line,
    remove_incomplete_row,
    uncertainty_row,
)
from bcclone.system.errors import UserError

_MOST_WAITING = 256  # frames that wait for the disk, or for their answer
_MILLISECOND = datetime.timedelta(milliseconds=1)


@dataclass(frozen=True)
class RunRow:
    """A decision, and the name of its frame."""

    name: str
    decision: Decision


class RunRecorder:
    """Records a drive; with a folder, it is on from the start.

    Without one, the first start makes run-DATE_TIME. Each later start adds to the same folder. Entering it raises
    UserError when the folder cannot be used.
    """

    def __init__(
        self, folder: Path | None = None, append: bool = False, on_failure: Callable[[str], None] = lambda why: None
    ) -> None:
        self._folder, self._append = folder, append
        self._recorder: Recorder[RunRow] = Recorder(self._open, on_failure, _MOST_WAITING)
        self._last = datetime.datetime.min
        self._unanswered: OrderedDict[int, str] = OrderedDict()  # number of a frame -> its file name
        self._latencies: deque[tuple[str, float]] = deque()  # file names and seconds that are to be written

    def __enter__(self) -> Self:
        if self._folder is not None:
            self._recorder.turn(True)
        self._recorder.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._recorder.__exit__()

    def turn(self, on: bool) -> None:
        """Start or pause; raises UserError."""
        self._recorder.turn(on)

    def figures(self) -> RecordingFigures:
        """Return what has been recorded so far."""
        return self._recorder.figures()

    def record(self, decision: Decision) -> None:
        """Queue a decision, if recording is on; returns at once. Decisions on unreadable frames are left out.

        Files are named by the millisecond; a second frame in it takes the next one.
        """
        if not (self._recorder.on and decision.frame_readable):
            return
        now = datetime.datetime.now()
        self._last = max(now.replace(microsecond=now.microsecond // 1000 * 1000), self._last + _MILLISECOND)
        name = f"{self._last:%Y_%m_%d_%H_%M_%S}_{self._last.microsecond // 1000:03d}.jpg"
        if len(self._unanswered) >= _MOST_WAITING:  # answers by polling have no latency, nor have lost cars
            self._unanswered.popitem(last=False)
        self._unanswered[decision.frame] = name
        self._recorder.record(RunRow(name, decision))

    def answered(self, frame: int, seconds: float) -> None:
        """Keep the latency of the answer to a frame; does nothing when that frame was not recorded."""
        if name := self._unanswered.pop(frame, None):
            self._latencies.append((name, seconds))

    def _open(self) -> "RunFiles":
        folder = self._folder or Path(f"run-{datetime.datetime.now():%Y_%m_%d_%H_%M_%S}")
        files = RunFiles(folder, self._append, self._latencies)
        self._folder, self._append, self._last = folder, True, max(self._last, files.last)
        return files


class RunFiles:
    """The open files of a run folder; raises UserError when the folder is in use already.

    Each frame is complete before its row is written, so a killed run is a valid recording. latencies: file names and
    seconds, written with the next row. last: when the newest frame in the folder was taken.
    """

    def __init__(self, folder: Path, append: bool, latencies: deque[tuple[str, float]]) -> None:
        self.folder, self._latencies = folder, latencies
        with ExitStack() as files:
            try:
                self.last = _prepare(folder, append)
                self._log: IO[bytes] = files.enter_context((folder / LOG_NAME).open("ab", buffering=0))
                self._drivers = files.enter_context(SidecarWriter(DRIVERS, folder))
                self._answers = files.enter_context(SidecarWriter(ANSWERS, folder))
            except OSError as error:
                raise UserError(f"{folder}: cannot record there: {error.strerror}; choose another folder") from None
            self._files = files.pop_all()
        self._uncertainties: SidecarWriter | None = None  # only a drive with a monitor has this table

    def close(self) -> None:
        """Write the latencies of the answers that have been sent, and close the files."""
        with self._files:
            self._write_latencies()

    def write(self, row: RunRow) -> None:
        """Write a frame and its row."""
        self._write_latencies()
        decision = row.decision
        frame, temporary = self.folder / row.name, self.folder / f".{row.name}.partial"
        try:
            temporary.write_bytes(decision.telemetry.jpeg)
            temporary.replace(frame)
        finally:
            temporary.unlink(missing_ok=True)
        try:
            self._drivers.append(decision.by.row(row.name))  # first, so that each row of the log has one
            append_line(self._log, _log_row(row.name, decision))
            self._write_uncertainty(row)
        except OSError:
            frame.unlink(missing_ok=True)
            raise

    def _write_uncertainty(self, row: RunRow) -> None:
        uncertainty = row.decision.uncertainty
        if uncertainty is None:
            return
        if self._uncertainties is None:
            self._uncertainties = self._files.enter_context(SidecarWriter(UNCERTAINTY, self.folder))
        self._uncertainties.append(
            uncertainty_row(row.name, uncertainty.score, uncertainty.average, uncertainty.uncertain)
        )

    def _write_latencies(self) -> None:
        while self._latencies:
            self._answers.append(answer_row(*self._latencies.popleft()))


def _log_row(name: str, decision: Decision) -> str:
    """Return a row in the simulator's format with one camera, followed by the received steering and throttle."""
    telemetry, control = decision.telemetry, decision.control
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
    """Raise UserError when the log in the folder belongs to no run, but for example to a person's recording."""
    log = folder / LOG_NAME
    if log.exists():
        with log.open(encoding="utf-8", errors="replace") as file:
            first = file.readline(1000)
        if first and not re.match(r"\d{4}(_\d\d){5}_\d{3}\.jpg,,,", first):
            raise UserError(f"{folder} is a recording, but not a run of drive.py; record into another folder")
