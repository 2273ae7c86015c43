"""Let a drive server drive in a simulated world: settings and an address -> the drive's score."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcclone.recording.run_tables import write_trace
from bcclone.simulator.score import Score
from bcclone.simulator.track import load_track
from bcclone.simulator.unity_client import DriveReport, UnityClient, connected
from bcclone.simulator.world import SimulatedWorld, open_world
from bcclone.simulator.world_settings import ServerSettings, SimulationSettings
from bcclone.system.errors import UserError
from bcclone.system.values import to_json


@dataclass(frozen=True)
class SimulationResult:
    """The result of a drive by a drive server: its score and the client's measurements."""

    score: Score
    report: DriveReport
    # how many frames of the run folder got the car's position; None without a run folder
    traced: int | None = None

    def as_json(self) -> dict[str, Any]:
        return {**self.report.as_json(), **to_json(self.score), "traced": self.traced}


def simulate(settings: SimulationSettings, server: ServerSettings) -> SimulationResult:
    """Let a drive server drive in a simulated world; raises UserError."""
    track = load_track(settings.track, settings.reverse)
    folder = settings.run_folder
    with (
        connected(server.host, server.port, server.wait) as connection,
        open_world(track, settings, settings) as world,
    ):
        # the server makes its run folder when it starts
        if folder is not None and not folder.is_dir():
            raise UserError(
                f"{folder}: no such folder; name the one that drive.py records into, or leave "
                "--run out"
            )
        frames_before = _count_frames(folder)
        report = UnityClient(connection, world, server.decimal_comma).drive()
    traced = None
    if folder is not None:
        # the server records one frame for each steer message
        traced = _write_trace(folder, frames_before + report.steers, world)
    return SimulationResult(world.score(), report, traced)


def _count_frames(folder: Path | None) -> int:
    return len(list(folder.glob("*.jpg"))) if folder is not None else 0


_RECORDER_SECONDS = 5.0  # longest wait for the server to write its last frames


def _write_trace(folder: Path, frames: int, world: SimulatedWorld) -> int:
    """Write where the car was into a run folder, when the server has written its frames.

    Returns how many of the frames were found.
    """
    until = time.monotonic() + _RECORDER_SECONDS
    while _count_frames(folder) < frames and time.monotonic() < until:
        time.sleep(0.1)
    return write_trace(folder, world.shown)
