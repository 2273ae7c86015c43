"""Record a drive into a run folder: a recording like the simulator's, to train models on.

In: decisions with their latencies. Out: driving_log.csv, drivers.csv, answers.csv with the
latencies, and the frames as received. Pictures of another camera become frames as the model saw
them, with framing.json beside the log, as in an imported recording.
"""

import datetime
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from bcclone.camera.framing import FRAMING_NAME, Framing
from bcclone.camera.images import BadImage, decode_image, encode_jpeg
from bcclone.drive.driver import Decision
from bcclone.recording.row import image_stamp
from bcclone.recording.run_folder import Recorder, RecordingWriter, begin_in_free_folder
from bcclone.recording.run_tables import ANSWERS, DRIVERS, answer_row
from bcclone.system.errors import UserError
from bcclone.system.files import write_text

_MILLISECOND = datetime.timedelta(milliseconds=1)


def run_recorder(
    folder: Path | None = None, framing: Framing | None = None
) -> Recorder["RunWriter"]:
    """Return the recorder of a drive.

    With a folder, which the caller locks, it is on from the start. Without one, it records into a
    new folder run-DATE_TIME once the page asks for it.

    framing: how the camera's pictures become frames, None if they are frames
    """

    def open_writer(held: ExitStack) -> RunWriter:
        if folder is not None:
            return RunWriter(folder, framing)
        new = Path(f"run-{datetime.datetime.now():%Y_%m_%d_%H_%M_%S}")
        return begin_in_free_folder(new, lambda free: RunWriter(free, framing), held)

    return Recorder(open_writer, from_start=folder is not None)


def record_decision(
    recorder: Recorder["RunWriter"], decision: Decision, seconds: float | None = None
) -> None:
    """Record a decision that has just been taken, if the model could take its picture.

    seconds: latency of the answer, None if the client has disconnected
    """
    taken = time.monotonic()
    if decision.frame_readable:
        recorder.record(lambda writer: writer.record(decision, seconds, taken))


class RunWriter(RecordingWriter):
    """Writes a drive into a run folder; raises UserError when it cannot be recorded into."""

    def __init__(self, folder: Path, framing: Framing | None = None) -> None:
        super().__init__(folder, images="", prefix="")
        self._framing = framing
        self._last = datetime.datetime.min  # the time of the newest frame
        # The machine's clock is read only once: if somebody set it during a drive, the time between
        # two rows would be wrong.
        self._began = datetime.datetime.now()
        self._began_at = time.monotonic()

    def record(self, decision: Decision, seconds: float | None, taken: float) -> None:
        """Write a frame, its row of the log, and its rows of the other tables.

        seconds: latency of the answer, None if the client has disconnected
        taken: when it was taken, by time.monotonic(); it names the frame
        """
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
        name = self._name(taken)
        tables = {DRIVERS: decision.by.row(name)}
        if seconds is not None:
            tables[ANSWERS] = answer_row(name, seconds)
        self.write({name: self._frame(telemetry.jpeg)}, numbers, tables)

    def finish(self) -> None:
        if not self.rows:
            with suppress(OSError):
                (self.folder / FRAMING_NAME).unlink(missing_ok=True)
        super().finish()

    def _name(self, taken: float) -> str:
        """Return the name of the next frame: its time in milliseconds, or the next one if taken."""
        time_taken = self._began + datetime.timedelta(seconds=taken - self._began_at)
        whole = time_taken.replace(microsecond=time_taken.microsecond // 1000 * 1000)
        self._last = max(whole, self._last + _MILLISECOND)
        return f"{image_stamp(self._last)}.jpg"

    def _frame(self, jpeg: bytes) -> bytes:
        """Return the camera's picture as the frame that the model saw, a JPEG."""
        if self._framing is None:
            return jpeg
        try:
            frame = self._framing.apply(decode_image(jpeg))
        except BadImage as error:  # of a decision that repeats the last one: no model looked at it
            raise UserError(f"a picture cannot be framed: {error}") from None
        if not self.rows:
            write_text(self.folder / FRAMING_NAME, self._framing.to_json() + "\n")
        return encode_jpeg(frame)
