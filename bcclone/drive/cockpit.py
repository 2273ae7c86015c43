"""Policy + settings -> all of one drive but the wire: who drives, what is seen of it, and what is kept of it."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bcclone.drive.controller import SpeedController
from bcclone.drive.driver import Decision, Driver
from bcclone.drive.monitor import Monitor
from bcclone.drive.recording_switch import RecordingSwitch
from bcclone.drive.seat import DriverSeat
from bcclone.drive.settings import DriveSettings
from bcclone.drive.viewer import Viewer
from bcclone.policy import Policy
from bcclone.saliency import Saliency, seen_region

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
