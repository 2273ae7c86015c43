"""Record a drive into a run folder, which is a recording like the simulator's, so that a model can
be trained on it.

Decisions with their latencies go in. Out come the frames as received, driving_log.csv, drivers.csv,
and answers.csv with the latencies.
"""

import datetime
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from bcclone.drive.driver import Decision
from bcclone.drive.recorder import Recorder, free_folder
from bcclone.recording.files import LOG_NAME
from bcclone.recording.row import image_stamp
from bcclone.recording.run_tables import ANSWERS, DRIVERS, answer_row
from bcclone.recording.writer import RecordingWriter, is_free, refuse_links
from bcclone.system.codec import open_file
from bcclone.system.errors import UserError
from bcclone.system.progress import Notify

_MILLISECOND = datetime.timedelta(milliseconds=1)


@dataclass(frozen=True)
class RunRow:
    """A decision whose control was sent, on a frame that can be read.

    seconds: latency of the answer, None if the client has disconnected; taken: by time.monotonic().
    """

    decision: Decision
    seconds: float | None = None
    taken: float = field(default_factory=time.monotonic)


def run_recorder(
    folder: Path | None = None, append: bool = False, on_failure: Notify = lambda why: None
) -> Recorder[RunRow]:
    """Return the recorder of a drive; with a folder, it is on from the start.

    Without one, the first start makes run-DATE_TIME. Each later start adds to the same folder.
    """
    from_start, names = folder is not None, _FrameNames()

    def open_files() -> RunTables:
        nonlocal folder, append
        files = RunTables(
            folder or free_folder(Path(f"run-{datetime.datetime.now():%Y_%m_%d_%H_%M_%S}")),
            append,
            names,
        )
        folder, append = files.folder, True
        return files

    return Recorder(open_files, on_failure, from_start=from_start)


class _FrameNames:
    """Names each frame by its time in milliseconds, or by the next millisecond if that is taken.
    last: the newest time.

    The clock of the machine is read once: set back or forth during a drive, it would change the
    time between two rows.
    """

    def __init__(self) -> None:
        self.last = datetime.datetime.min
        self._began, self._began_at = datetime.datetime.now(), time.monotonic()

    def name(self, taken: float) -> str:
        """Return the name of the next frame. taken: by time.monotonic()."""
        time_taken = self._began + datetime.timedelta(seconds=taken - self._began_at)
        whole = time_taken.replace(microsecond=time_taken.microsecond // 1000 * 1000)
        self.last = max(whole, self.last + _MILLISECOND)
        return f"{image_stamp(self.last)}.jpg"


class RunTables:
    """Writes into a run folder; raises UserError when it cannot be recorded into.

    names: of new frames, always later than the frames in the folder.
    """

    def __init__(self, folder: Path, append: bool, names: _FrameNames) -> None:
        names.last = max(names.last, check_run_folder(folder, append))
        self.folder, self._names, self._writer = (
            folder,
            names,
            RecordingWriter(folder, images="", prefix=""),
        )

    def close(self) -> None:
        """Do nothing: no file stays open, and a void folder is used again."""

    def write(self, row: RunRow) -> None:
        """Write a frame, its row of the log, and its rows of the other tables."""
        name, decision = self._names.name(row.taken), row.decision
        tables = {DRIVERS: decision.by.row(name)}
        if row.seconds is not None:
            tables[ANSWERS] = answer_row(name, row.seconds)
        telemetry, control = decision.telemetry, decision.control
        throttle, brake = max(control.throttle, 0.0), abs(min(control.throttle, 0.0))
        numbers = [
            f"{number:.6f}" for number in (control.steering, throttle, brake, telemetry.speed_mph)
        ]
        received = [f"{number:.4f}" for number in (telemetry.steering_degrees, telemetry.throttle)]
        self._writer.write({name: telemetry.jpeg}, numbers + received, tables)


def check_run_folder(folder: Path, append: bool) -> datetime.datetime:
    """Return the time of a run folder's last frame; raises UserError when the folder cannot be
    recorded into.
    """
    try:
        names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
        if not append and not is_free(folder):
            raise UserError(
                f"{folder} contains a run, which is never overwritten; record into {free_folder(folder)}, or add to it "
                "with --append"
            )
        refuse_links(folder)
        if (log := folder / LOG_NAME).exists():
            with open_file(log, "table") as file:
                first = file.readline(1000)
            if first and not re.match(
                rb"\d{4}(_\d\d){5}_\d{3}\.jpg,,,", first
            ):  # a recording of the simulator
                raise UserError(
                    f"{folder} is a recording, but not a run of drive.py; record into another folder"
                )
    except OSError as error:
        raise UserError(
            f"{folder}: cannot record there: {error.strerror}; choose another folder"
        ) from None
    frames = [name for name in names if name.endswith(".jpg")]
    if not frames:
        return datetime.datetime.min
    try:
        return datetime.datetime.strptime(
            frames[-1].removesuffix(".jpg") + "000", "%Y_%m_%d_%H_%M_%S_%f"
        )
    except ValueError:
        raise UserError(
            f"{folder}: {frames[-1]} is not a frame of a run; record into another folder"
        ) from None
