"""Put the parts of one drive together, except for its sockets: arbiter, statistics, recording, saliency."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bcclone.drive.arbiter import ConnectionArbiter
from bcclone.drive.drive_settings import DriveResult, DriveSettings
from bcclone.drive.driver import Decision, Driver, ModelPolicy
from bcclone.drive.run_folder import RunRecorder
from bcclone.drive.saliency_thread import SaliencyThread, make_saliency_thread, seen_region_of
from bcclone.drive.stats import DriveStats
from bcclone.drive.watch import Watch
from bcclone.drive.wheel import PageHands


@dataclass(frozen=True)
class DriveSession:
    """The parts of a drive that the server and the page share.

    sees: the preprocessing of the network's input, in words; region: the part of the frame that the network sees, as
    fractions (left, top, right, bottom).
    """

    arbiter: ConnectionArbiter
    hands: PageHands
    stats: DriveStats
    recording: RunRecorder
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
def open_session(policy: ModelPolicy, settings: DriveSettings, watch: Watch | None = None) -> Iterator[DriveSession]:
    """Yield the parts of a drive, connected; raises UserError when the run folder cannot be used.

    watch: judges each frame.
    """
    stats = DriveStats(settings.max_latency_ms, when_uncertain=settings.speed.when_uncertain)
    with ExitStack() as stack:
        recording = stack.enter_context(RunRecorder(settings.run_folder, settings.append, stats.warn))

        def on_decision(decision: Decision) -> None:
            recording.record(decision)
            stats.decided(decision)

        hands = PageHands()
        driver = Driver(policy, settings.speed, on_decision, hands, watch)
        arbiter = ConnectionArbiter(driver, stats.driven_by_hand, stats.warn, stats.car_changed)
        saliency = stack.enter_context(make_saliency_thread(policy, lambda: stats.jpeg))
        sees, region = policy.preprocessing.describe(), seen_region_of(policy)
        yield DriveSession(arbiter, hands, stats, recording, saliency, sees, region)
