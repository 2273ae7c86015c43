"""Record a drive into a run folder: a recording like the simulator's, to train models on.

In: decisions with their latencies. Out: driving_log.csv, drivers.csv, answers.csv with the
latencies, and the frames as received. Pictures of another camera become frames as the model saw
them, with framing.json beside the log, as in an imported recording.
"""

import datetime
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bcclone.camera.framing import Framing
from bcclone.camera.framing_files import FRAMING_NAME, framing_of
from bcclone.camera.images import BadImage, decode_image, encode_jpeg
from bcclone.drive.driver import Decision
from bcclone.drive.recorder import Recorder, free_folder
from bcclone.recording.files import LOG_NAME
from bcclone.recording.row import image_stamp
from bcclone.recording.run_tables import ANSWERS, DRIVERS, answer_row
from bcclone.recording.writer import RecordingWriter, is_free, refuse_links
from bcclone.system.codec import open_file
from bcclone.system.errors import UserError
from bcclone.system.files import locked, write_text
from bcclone.system.process import Notify

_MILLISECOND = datetime.timedelta(milliseconds=1)
_NO_FRAME = datetime.datetime.min  # the time of the last frame of a folder without frames
# begin of each row in a run's log: the name of the frame, and no images of side cameras
_BEGIN_OF_RUN = re.compile(rb"\d{4}(_\d\d){5}_\d{3}\.jpg,,,")


def locked_run(folder: Path) -> AbstractContextManager[None]:
    """Lock a run folder within the block, so that no other process records into it.

    Raises UserError while another one does.
    """
    return locked(folder, "wait until it ends, or record into another folder")


@dataclass(frozen=True)
class RunRow:
    """A decision whose control was sent, on a frame that can be read."""

    decision: Decision
    seconds: float | None = None  # latency of the answer, None if the client has disconnected
    taken: float = field(default_factory=time.monotonic)  # time of the row, names the frame


@contextmanager
def run_recorder(
    folder: Path | None = None,
    append: bool = False,
    on_failure: Notify = lambda why: None,
    framing: Framing | None = None,
) -> Iterator[Recorder[RunRow]]:
    """Yield the recorder of a drive.

    With a folder, which the caller locks, it is on from the start. Without a folder, recording
    begins when the page asks for it, in a new folder run-DATE_TIME, which is locked until the block
    ends. Each later start of the recording adds to the same folder.

    append: whether the folder may contain a run, to which the drive is added
    on_failure: called with the reason when the recording ends by itself
    framing: how the camera's pictures become frames, None if they are frames
    """
    names = _FrameNames()
    opened: RunTables | None = None

    def open_files() -> RunTables:
        nonlocal opened
        if opened is not None:
            opened = RunTables(opened.folder, append=True, names=names, framing=framing)
        elif folder is not None:
            opened = RunTables(folder, append, names, framing)
        else:
            new = free_folder(Path(f"run-{datetime.datetime.now():%Y_%m_%d_%H_%M_%S}"))
            with ExitStack() as locks:
                locks.enter_context(locked_run(new))
                opened = RunTables(new, append, names, framing)
                held.push(locks.pop_all())
        return opened

    with ExitStack() as held:
        with Recorder(open_files, on_failure, from_start=folder is not None) as recorder:
            yield recorder
        if opened is not None:
            opened.finish()


class _FrameNames:
    """Names each frame by its time in milliseconds, or by the next millisecond if that is taken.

    The machine's clock is read only once: if somebody set it during a drive, the time between two
    rows would be wrong.
    """

    def __init__(self) -> None:
        self.last = _NO_FRAME  # the newest time
        self._began = datetime.datetime.now()
        self._began_at = time.monotonic()

    def name(self, taken: float) -> str:
        """Return the name of the next frame. taken: by time.monotonic()."""
        time_taken = self._began + datetime.timedelta(seconds=taken - self._began_at)
        whole = time_taken.replace(microsecond=time_taken.microsecond // 1000 * 1000)
        self.last = max(whole, self.last + _MILLISECOND)
        return f"{image_stamp(self.last)}.jpg"


class RunTables:
    """Writes into a run folder; raises UserError when it cannot be recorded into."""

    def __init__(
        self, folder: Path, append: bool, names: _FrameNames, framing: Framing | None = None
    ) -> None:
        """Open a run folder.

        names: gives the names of new frames; here it is told to begin after the folder's frames
        """
        last = check_run_folder(folder, append)
        names.last = max(names.last, last)
        self.folder = folder
        self._names = names
        self._framing = framing
        self._has_frames = last > _NO_FRAME
        self._is_framed = self._has_framing()  # whether framing.json is there
        self._writer = RecordingWriter(folder, images="", prefix="")

    def close(self) -> None:
        """Do nothing: no file stays open, and the next recording uses the same folder."""

    def finish(self) -> None:
        """Mark the run as complete: nothing more is recorded into it."""
        self._writer.finish()

    def write(self, row: RunRow) -> None:
        """Write a frame, its row of the log, and its rows of the other tables."""
        decision = row.decision
        telemetry = decision.telemetry
        control = decision.control
        # in the log's order: the control that was sent, the speed that the car reported, and then
        # in fewer digits the steering and the throttle that it reported
        throttle = max(control.throttle, 0.0)
        brake = abs(min(control.throttle, 0.0))
        fine = [control.steering, throttle, brake, telemetry.speed_mph]
        coarse = [telemetry.steering_degrees, telemetry.throttle]
        numbers = [f"{number:.6f}" for number in fine]
        numbers += [f"{number:.4f}" for number in coarse]
        # the other tables have the same name of the frame
        name = self._names.name(row.taken)
        tables = {DRIVERS: decision.by.row(name)}
        if row.seconds is not None:
            tables[ANSWERS] = answer_row(name, row.seconds)
        frame = self._frame(telemetry.jpeg)
        try:
            self._writer.write({name: frame}, numbers, tables)
        except OSError:
            # no row was written: leave the folder as is_free() wants it, so that the same command
            # can be given again; this object is not used after an error
            if not (self._has_frames or self._writer.rows):
                (self.folder / FRAMING_NAME).unlink(missing_ok=True)
            raise

    def _frame(self, jpeg: bytes) -> bytes:
        """Return the camera's picture as the frame that the model saw, a JPEG."""
        if self._framing is None:
            return jpeg
        try:
            picture = decode_image(jpeg)
            frame = self._framing.apply(picture)
        # the model has looked at most pictures, and they are good; but while a decision is
        # repeated, a picture is recorded that no model has looked at
        except BadImage as error:
            raise UserError(
                f"the pictures have changed: {error}; record them into another folder, and drive "
                "with the framing of this camera"
            ) from None
        if np.array_equal(frame, picture):  # it is a frame already
            return jpeg
        self._note_framing(self._framing)
        return encode_jpeg(frame)

    def _note_framing(self, framing: Framing) -> None:
        """Write framing.json before the first frame that was made of a picture."""
        if self._is_framed:
            return
        if self._has_frames:
            raise UserError(
                f"{self.folder}: its frames are of the simulator's camera, and these pictures are "
                f"framed: {framing.describe()}; record into another folder"
            )
        write_text(self.folder / FRAMING_NAME, framing.to_json() + "\n")
        self._is_framed = True

    def _has_framing(self) -> bool:
        """Return whether the folder has framing.json; raises UserError if another model framed."""
        recorded = framing_of(self.folder / LOG_NAME)
        if recorded is not None and recorded != self._framing:
            raise UserError(
                f"{self.folder}: its frames were made as {recorded.describe()}, and this model "
                "drives with another camera; record into another folder"
            )
        return recorded is not None


def check_run_folder(folder: Path, append: bool) -> datetime.datetime:
    """Return the time of a run folder's last frame, _NO_FRAME if it has none.

    Raises UserError when the folder cannot be recorded into.
    """
    try:
        names = _names_in(folder)
        if not append and not is_free(folder):
            raise UserError(
                f"{folder} contains a run, which is never overwritten; record into "
                f"{free_folder(folder)}, or add to it with --append"
            )
        refuse_links(folder)
        if _is_no_run(folder / LOG_NAME):
            raise UserError(
                f"{folder} is a recording, but not a run of drive.py; record into another folder"
            )
    except OSError as error:
        raise UserError(
            f"{folder}: cannot record there: {error.strerror}; choose another folder"
        ) from None
    frames = [name for name in names if name.endswith(".jpg")]
    if not frames:
        return _NO_FRAME
    newest = frames[-1].removesuffix(".jpg")
    try:
        # %f takes up to six digits: with three zeros, a name with more than three digits is refused
        return datetime.datetime.strptime(f"{newest}000", "%Y_%m_%d_%H_%M_%S_%f")
    except ValueError:
        raise UserError(
            f"{folder}: {frames[-1]} is not a frame of a run; record into another folder"
        ) from None


def _names_in(folder: Path) -> list[str]:
    """Return the sorted names in a folder, none if there is no such folder; raises OSError."""
    if not folder.exists():
        return []
    return sorted(path.name for path in folder.iterdir())


def _is_no_run(log: Path) -> bool:
    """Return whether a log begins with a row that no run has; raises OSError.

    The simulator's logs are no runs, nor are those of other programs.
    """
    if not log.exists():
        return False
    with open_file(log, "table") as file:
        first = file.readline(1000)
    return bool(first) and not _BEGIN_OF_RUN.match(first)
