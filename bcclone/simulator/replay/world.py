"""A recording as a world, for the wire: its frames one after the other, or a car that is driven through it."""

from pathlib import Path

from bcclone.images import PRESETS, encode_jpeg
from bcclone.simulator.client import CarState
from bcclone.simulator.replay.frames import read_row
from bcclone.simulator.replay.human import read_human
from bcclone.simulator.replay.ride import Pose, Ride
from bcclone.simulator.replay.settings import ReplaySettings
from bcclone.simulator.replay.views import Views
from bcclone.vehicle import FULL_LOCK_DEGREES, MPH


class Replay:
    """Shows the centre images of a recording; answers are collected in `controls` as (steering, throttle).

    Without settings nothing comes of the answers: the images are shown as they are, round and round until `frames` have
    been. With settings each row is shown once, the answers steer `ride` through the recording, and what its centre
    camera would have seen from there is shown; its speed is the recorded one.
    """

    def __init__(self, log_path: Path, frames: int = 0, settings: ReplaySettings | None = None) -> None:
        self.human = read_human(log_path, settings.part if settings else (0.0, 1.0))
        self.ride = Ride(self.human, settings.limit_m) if settings else None
        self.controls: list[tuple[float, float]] = []
        self._rows = [row for row, paths in enumerate(self.human.images) if "center" in paths]
        self._left, self._next = frames or len(self._rows), 0
        self._views = Views(PRESETS["carnd-160x320-rgb"])

    def look(self) -> CarState | None:
        """Return the next row of the recording as the car's state; None when the last one has been shown."""
        return self._play() if self.ride is None else self._drive(self.ride)

    def steer(self, steering: float, throttle: float) -> None:
        """Keep the answer."""
        self.controls.append((steering, throttle))

    def _play(self) -> CarState | None:
        if self._left == 0:
            return None
        row = self._rows[self._next % len(self._rows)]
        self._next, self._left = self._next + 1, self._left - 1
        return self._state(row, self.human.steering[row], self._image(row))

    def _drive(self, ride: Ride) -> CarState | None:
        """Drive on by the last answer to the next row that has a frame; at first as the human did."""
        steering = self.controls[-1][0] if self.controls else self.human.steering[0]
        if self._next:
            ride.advance(steering)
        while not ride.over:
            self._next = ride.row + 1
            if ride.pose == Pose() and "center" in self.human.images[ride.row]:
                return self._state(ride.row, steering, self._image(ride.row))
            seen = read_row(self.human.images[ride.row])
            if seen.centre is not None:
                return self._state(ride.row, steering, encode_jpeg(self._views.view(seen, ride.pose, seen.centre)))
            ride.advance(steering)
        return None

    def _image(self, row: int) -> bytes:
        return Path(self.human.images[row]["center"]).read_bytes()

    def _state(self, row: int, steering: float, jpeg: bytes) -> CarState:
        human = self.human
        return CarState(steering * FULL_LOCK_DEGREES, human.throttle[row], human.speed[row] / MPH, jpeg)
