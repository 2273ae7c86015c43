"""Policy + settings -> all of one drive but the wire: who drives, what is seen of it, and what is kept of it."""

import datetime
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bcclone.drive.arbiter import DriverSeat
from bcclone.drive.controller import SpeedController
from bcclone.drive.driver import Decision, Driver
from bcclone.drive.recorder import Recorder
from bcclone.drive.saliency_thread import Viewer
from bcclone.drive.settings import DriveSettings
from bcclone.drive.stats import Monitor
from bcclone.policy import Policy
from bcclone.saliency import Saliency, seen_region


class RecordingSwitch:
    """Holds the recorder of a drive, if there is one; on from the start when a folder is named.

    on_failure is called with the reason when the recording ends by itself. Raises UserError when the folder cannot be
    had.
    """

    def __init__(
        self, folder: Path | None, append: bool = False, on_failure: Callable[[str], None] = lambda why: None
    ) -> None:
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self.recorder = Recorder(folder, append, on_failure) if folder else None

    def __enter__(self) -> Self:
        if self.recorder is not None:
            self.recorder.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self.recorder is not None:
            self.recorder.__exit__()

    @property
    def on(self) -> bool:
        """Return whether frames are recorded."""
        return self.recorder is not None and self.recorder.on

    def turn(self, on: bool) -> None:
        """Begin or stop; begins a run folder of the date and time where there is none. Raises UserError."""
        with self._lock:
            if self.recorder is not None:
                self.recorder.on = on
            elif on:
                folder = Path(f"run-{datetime.datetime.now():%Y_%m_%d_%H_%M_%S}")
                self.recorder = Recorder(folder, on_failure=self._on_failure).__enter__()

    def record(self, decision: Decision) -> None:
        """Keep a decision, if recording is on; not one whose frame nobody could read."""
        if self.recorder is not None and decision.frame_readable:
            self.recorder.record(decision.telemetry, decision.control)

    def answered(self, seconds: float) -> None:
        """Keep how long the answer that has just been sent took."""
        if self.recorder is not None:
            self.recorder.answered(seconds)

    def figures(self) -> dict[str, Any]:
        """Return what the page shows of it, ready for JSON."""
        recorder = self.recorder
        if recorder is None:
            return {"on": False, "folder": None, "recorded": 0, "dropped": 0, "failure": ""}
        return {
            "on": recorder.on,
            "folder": str(recorder.folder),
            "recorded": recorder.recorded,
            "dropped": recorder.dropped,
            "failure": recorder.failure,
        }

    def summary(self) -> str:
        """Return what came of it, "" when nothing was recorded."""
        recorder = self.recorder
        if recorder is None:
            return ""
        dropped = f", {recorder.dropped} dropped" if recorder.dropped else ""
        return (
            f"{recorder.folder}: {recorder.recorded} frames recorded{dropped}\nnext: python video.py {recorder.folder}"
        )


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cockpit:
    """The parts that the server and the page share. sees: how the network's input is made, in words; region: its
    part of the frame as shares (left, top, right, bottom)."""

    seat: DriverSeat
    monitor: Monitor
    recording: RecordingSwitch
    viewer: Viewer
    sees: str
    region: tuple[float, float, float, float]


@contextmanager
def open_cockpit(
    policy: Policy,
    settings: DriveSettings,
    run_folder: Path | None = None,
    append: bool = False,
    began: float | None = None,
) -> Iterator[Cockpit]:
    """Yield the parts of a drive, put together; raises UserError when the run folder cannot be had.

    began: when the program began, by time.monotonic().
    """
    monitor = Monitor(settings.max_latency_ms, began)
    with ExitStack() as stack:
        recording = stack.enter_context(RecordingSwitch(run_folder, append, monitor.warn))
        monitor.on_answer = recording.answered

        def on_decision(decision: Decision) -> None:
            recording.record(decision)
            monitor.decided(decision)

        controller = SpeedController(settings.speed_mph, settings.min_speed_mph, settings.slow_in_corners)
        seat = DriverSeat(
            Driver(policy, controller, on_decision), monitor.driven_by_hand, monitor.warn, monitor.car_changed
        )
        viewer = stack.enter_context(_make_viewer(policy, monitor))
        yield Cockpit(seat, monitor, recording, viewer, policy.preprocessing.describe(), _region(policy))


def _make_viewer(policy: Policy, monitor: Monitor) -> Viewer:
    try:
        return Viewer(monitor, Saliency(policy.model, policy.preprocessing).mask)
    except Exception as error:  # whatever a foreign network has in store for us, the car drives without
        return Viewer(monitor, None, str(error) or type(error).__name__)


def _region(policy: Policy) -> tuple[float, float, float, float]:
    try:
        return seen_region(policy.model, policy.preprocessing)
    except Exception as error:  # as above
        logger.warning("cannot tell which part of the frame the network sees: %s", error)
        return 0.0, 0.0, 1.0, 1.0
