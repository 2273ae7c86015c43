"""A recording as a world, for the wire: its frames one after the other, or a car that is driven through it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bcclone.images import PRESETS, encode_jpeg
from bcclone.replay.human import Human, read_human
from bcclone.replay.result import ReplayResult, ReplaySettings
from bcclone.replay.rollout import Pose, Ride
from bcclone.replay.run import steer_blindly
from bcclone.replay.views import Views, read_row
from bcclone.simulator.unity_client import CarState
from bcclone.vehicle import FULL_LOCK_DEGREES, MPH


class Replay:
    """Shows the centre images of a recording, round and round until `frames` have been shown.

    It answers no control; answers are collected in `controls` as (steering, throttle).
    """

    def __init__(self, log_path: Path, frames: int = 0) -> None:
        self._human = read_human(log_path)
        self._rows = [row for row, paths in enumerate(self._human.images) if "center" in paths]
        self._left, self._next = frames or len(self._rows), 0
        self.controls: list[tuple[float, float]] = []

    def look(self) -> CarState | None:
        """Return the next row of the recording as the car's state."""
        if self._left == 0:
            return None
        row = self._rows[self._next % len(self._rows)]
        self._next, self._left = self._next + 1, self._left - 1
        return _state(self._human, row, self._human.steering[row], _image(self._human, row))

    def steer(self, steering: float, throttle: float) -> None:
        """Keep the answer."""
        self.controls.append((steering, throttle))


class ReplayDrive:
    """A car that drives through a recording by the answers: it shows what its centre camera would have seen.

    Its speed is the recorded one; an answer takes hold with the next row. on_row: called with 1 for each row shown.
    """

    def __init__(
        self, human: Human, settings: ReplaySettings, on_row: Callable[[int], None] = lambda rows: None
    ) -> None:
        self.ride, self.frames = Ride(human, settings.limit_m), 0
        self._human, self._settings, self._on_row = human, settings, on_row
        self._views = Views(PRESETS["carnd-160x320-rgb"])
        self._steering = self._human.steering[0]

    def look(self) -> CarState | None:
        """Drive on to the next row that has a frame and return the car's state; None behind the last one."""
        if self.frames:
            self.ride.advance(self._steering)
        while not self.ride.over:
            row = self.ride.row
            self._on_row(1)
            if (jpeg := self._jpeg(row)) is not None:
                self.frames += 1
                return _state(self._human, row, self._steering, jpeg)
            self.ride.advance(self._steering)
        return None

    def steer(self, steering: float, throttle: float) -> None:
        """Set the steering, -1 to 1, that holds until the next one."""
        self._steering = steering

    def result(self) -> ReplayResult:
        """Return what the drive came to; what would be steered on the recording's own frames is not known."""
        rides, unknown = {self.ride.limit_m: self.ride}, np.full(len(self._human), np.nan)
        controls = steer_blindly(self._human, self._settings)
        return ReplayResult(self._human, rides, self.ride.limit_m, unknown, self.frames, controls)

    def _jpeg(self, row: int) -> bytes | None:
        """Return what is seen in this row, as the simulator encodes it; None where there is no centre frame."""
        seen = read_row(self._human.images[row])
        if seen.centre is None:
            return None
        if self.ride.pose == Pose():
            return _image(self._human, row)
        return encode_jpeg(self._views.view(seen, self.ride.pose, seen.centre))


def _image(human: Human, row: int) -> bytes:
    return Path(human.images[row]["center"]).read_bytes()


def _state(human: Human, row: int, steering: float, jpeg: bytes) -> CarState:
    return CarState(steering * FULL_LOCK_DEGREES, human.throttle[row], human.speed[row] / MPH, jpeg)
