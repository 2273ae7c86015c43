"""All of one drive but the wire: who drives, what is seen of it, and what is kept of it."""

from dataclasses import dataclass

from bcclone.drive.monitor import Monitor
from bcclone.drive.recording_switch import RecordingSwitch
from bcclone.drive.seat import DriverSeat
from bcclone.drive.viewer import Viewer


@dataclass(frozen=True)
class Cockpit:
    """The parts that the server and the page share. sees: how the network's input is made, in words; region: its
    part of the frame as shares (left, top, right, bottom)."""

    seat: DriverSeat
    monitor: Monitor
    recording: RecordingSwitch
    viewer: Viewer
    sees: str = ""
    region: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
