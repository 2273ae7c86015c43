"""Put the parts of one drive together, except for its sockets: arbiter, statistics, recording, saliency."""

import datetime
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bcclone.drive.arbiter import ConnectionArbiter
from bcclone.drive.drive_settings import DriveResult, DriveSettings
from bcclone.drive.driver import Decision, Driver
from bcclone.drive.page_hands import PageHands
from bcclone.drive.recorder import Recorder
from bcclone.drive.saliency_thread import NewestFrame, SaliencyThread
from bcclone.drive.stats import DriveStats
from bcclone.drive.watch import Watch

if TYPE_CHECKING:
    from bcclone.model.policy import Policy

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DriveSession:
    """The parts of a drive that the server and the page share.

    sees: how the network's input is made, in words; region: the part of the frame that the network sees, as fractions
    (left, top, right, bottom).
    """

    arbiter: ConnectionArbiter
    hands: PageHands
    stats: DriveStats
    recording: "RecordingSwitch"
    saliency: SaliencyThread
    sees: str
    region: tuple[float, float, float, float]

    def answered(self, decision: Decision | None, seconds: float) -> None:
        """Take the latency of an answer that has been sent. decision: the one it carried, if any."""
        if decision is not None:
            self.recording.answered(decision.frame, seconds)
        self.stats.answered(decision, seconds)

    def result(self) -> DriveResult:
        """Return the result of the drive so far."""
        driver, recorded = self.arbiter.driver, self.recording.figures()
        folder = None if recorded.folder is None else Path(recorded.folder)
        return DriveResult(
            driver.answered, driver.faults, folder, recorded.recorded, recorded.dropped, recorded.failure
        )


@contextmanager
def open_session(policy: "Policy", settings: DriveSettings, watch: Watch | None = None) -> Iterator[DriveSession]:
    """Yield the parts of a drive, connected; raises UserError when the run folder cannot be used.

    watch: judges each frame.
    """
    stats = DriveStats(settings.max_latency_ms, on_doubt=settings.speed.on_doubt)
    with ExitStack() as stack:
        recording = stack.enter_context(RecordingSwitch(settings.run_folder, settings.append, stats.warn))

        def on_decision(decision: Decision) -> None:
            recording.record(decision)
            stats.decided(decision)

        hands = PageHands()
        driver = Driver(policy, settings.speed, on_decision, hands, watch)
        arbiter = ConnectionArbiter(driver, stats.driven_by_hand, stats.warn, stats.car_changed)
        saliency = stack.enter_context(make_saliency_thread(policy, stats))
        sees, region = policy.preprocessing.describe(), seen_region_of(policy)
        yield DriveSession(arbiter, hands, stats, recording, saliency, sees, region)


def make_saliency_thread(policy: "Policy", source: NewestFrame) -> SaliencyThread:
    """Return the thread that computes the overlays of a policy's network, if it has any."""
    from bcclone.model.saliency import Saliency  # loads TensorFlow

    try:
        return SaliencyThread(source, Saliency(policy.model, policy.preprocessing).mask)
    except Exception as error:  # an unusual network drives without the overlay
        return SaliencyThread(source, None, str(error) or type(error).__name__)


def seen_region_of(policy: "Policy") -> tuple[float, float, float, float]:
    """Return the part of the frame that a policy's network sees: left, top, right, bottom, as fractions."""
    from bcclone.model.saliency import seen_region

    if policy.model is None:  # an ONNX file, which takes whole frames
        return 0.0, 0.0, 1.0, 1.0
    try:
        return seen_region(policy.model, policy.preprocessing)
    except Exception as error:  # as above
        logger.warning("cannot tell which part of the frame the network sees: %s", error)
        return 0.0, 0.0, 1.0, 1.0


@dataclass(frozen=True)
class RecordingFigures:
    """Whether a drive is recorded, into which folder, how many frames, and why the recording failed, or ""."""

    on: bool = False
    folder: str | None = None
    recorded: int = 0
    dropped: int = 0
    failure: str = ""


class RecordingSwitch:
    """Turns the recording of a drive on and off; it is on from the start when a folder is given.

    on_failure is called with the reason when the recording ends by itself. Entering it raises UserError when the
    folder cannot be used.
    """

    def __init__(
        self, folder: Path | None, append: bool = False, on_failure: Callable[[str], None] = lambda why: None
    ) -> None:
        self._folder, self._append, self._on_failure = folder, append, on_failure
        self._lock = threading.Lock()
        self._recorder: Recorder | None = None
        self._stack = ExitStack()  # closes the recorder

    def __enter__(self) -> Self:
        if self._folder is not None:
            self._start(self._folder, self._append)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def turn(self, on: bool) -> None:
        """Start or pause; the first start without a folder makes run-DATE_TIME. Raises UserError."""
        with self._lock:
            if self._recorder is not None:
                self._recorder.on = on
            elif on:
                self._start(Path(f"run-{datetime.datetime.now():%Y_%m_%d_%H_%M_%S}"), append=False)

    def _start(self, folder: Path, append: bool) -> None:
        self._recorder = self._stack.enter_context(Recorder(folder, append, self._on_failure))

    def record(self, decision: Decision) -> None:
        """Record a decision, if recording is on; decisions on unreadable frames are left out."""
        if self._recorder is not None and decision.frame_readable:
            self._recorder.record(decision.frame, decision.telemetry, decision.control, decision.by, decision.doubt)

    def answered(self, frame: int, seconds: float) -> None:
        """Record the latency of the answer to a frame."""
        if self._recorder is not None:
            self._recorder.answered(frame, seconds)

    def figures(self) -> RecordingFigures:
        """Return what has been recorded so far."""
        recorder = self._recorder
        if recorder is None:
            return RecordingFigures()
        return RecordingFigures(
            recorder.on, str(recorder.folder), recorder.recorded, recorder.dropped, recorder.failure
        )
