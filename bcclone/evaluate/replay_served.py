"""A recording and a drive server -> the result of the replay, over the simulator's protocol."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from bcclone.dataset.framing import framing_of
from bcclone.dataset.geometry import HEIGHT_M
from bcclone.dataset.images import encode_jpeg, read_file
from bcclone.dataset.preprocessing import PRESETS
from bcclone.dataset.vehicle import FULL_LOCK_DEGREES, MPH
from bcclone.evaluate.estimated_drive import read_drive
from bcclone.evaluate.evaluate_settings import ReplaySettings
from bcclone.evaluate.replay_result import ReplayResult, replay_controls
from bcclone.evaluate.replay_views import Views, read_row
from bcclone.evaluate.rollout import RecordedDrive, RelativePose, Rollout
from bcclone.simulator.unity_client import CarState, DriveReport, UnityClient, connected
from bcclone.simulator.world_settings import ServerSettings
from bcclone.system.errors import UserError
from bcclone.system.progress import ProgressBar


def replay_served(log: Path, settings: ReplaySettings, server: ServerSettings) -> tuple[ReplayResult, DriveReport]:
    """Let a drive server drive through a recording; return the result and the client's report.

    The interventions of one drive can be counted for one limit only: settings.limit_m. Raises UserError, for frames
    that a server would take for pictures of the camera and frame again, too.
    """
    if (framing := framing_of(log)) and framing.has_shape_of_frames and framing.cuts:
        raise UserError(
            f"{log.parent}: its frames were made as {framing.describe()}, and a drive server would do the same again, "
            f"because they have the shape of these pictures; score the model itself: bcclone replay MODEL {log}"
        )
    reference = read_drive(log, settings.fraction)
    with (
        connected(server.host, server.port, server.wait) as connection,
        ProgressBar("replaying", len(reference), "rows") as progress,
    ):
        world = RolloutWorld(reference, replace(settings, limits_m=()), progress.advance)
        report = UnityClient(connection, world, server.decimal_comma, loops=1).drive()
    return world.result(), report


class RolloutWorld:
    """A car that a drive server steers through a recording; it shows what the centre camera would have seen.

    Its speed is the recorded one, or an estimate if its camera is as high as the simulator's; an answer takes effect
    with the next row. on_row: called with 1 for each row.
    """

    def __init__(
        self, reference: RecordedDrive, settings: ReplaySettings, on_row: Callable[[int], None] = lambda rows: None
    ) -> None:
        self.rollout, self.frames = Rollout(reference, settings.limit_m), 0
        self._reference, self._settings, self._on_row = reference, settings, on_row
        self._views = Views(PRESETS["carnd-160x320-rgb"], reference.in_heights)
        self._steering = self._reference.steering[0]
        self._answers = np.full(len(reference), np.nan)

    def observe(self) -> CarState | None:
        """Drive to the next row that has a frame and return the car's state; None after the last one."""
        if self.frames and not self.rollout.ended:
            self.rollout.advance(self._steering)
        while not self.rollout.ended:
            row = self.rollout.row
            self._on_row(1)
            if (jpeg := self._jpeg(row)) is not None:
                self.frames += 1
                its, degrees = self._reference, self._steering * FULL_LOCK_DEGREES
                speed_mph = its.speed[row] / MPH * (HEIGHT_M if its.in_heights else 1.0)
                return CarState(degrees, its.throttle[row], speed_mph, jpeg)
            self.rollout.advance(self._steering)
        return None

    def steer(self, steering: float, throttle: float) -> None:
        """Set the steering, -1 to 1, that holds until the next one; the throttle has no effect."""
        self._steering = steering
        if self.frames and not self.rollout.ended:
            self._answers[self.rollout.row] = steering

    def result(self) -> ReplayResult:
        """Return the result; of a car that drives, the steering on the recording's own frames is unknown."""
        reference, limit_m = self._reference, self.rollout.limit_m
        controls = replay_controls(reference, self._settings)
        if not reference.distance_m:  # it stayed on the path, so the server was shown the recording's own frames
            return ReplayResult(reference, {}, limit_m, self._answers, self.frames, controls)
        unknown = np.full(len(reference), np.nan)
        return ReplayResult(reference, {limit_m: self.rollout}, limit_m, unknown, self.frames, controls)

    def _jpeg(self, row: int) -> bytes | None:
        """Return the view of a row as the simulator encodes it; None without a centre frame."""
        frames = read_row(self._reference.images[row])
        if frames.centre is None:
            return None
        if self.rollout.pose == RelativePose():
            return read_file(self._reference.images[row]["center"])
        return encode_jpeg(self._views.view(frames, self.rollout.pose, frames.centre))
