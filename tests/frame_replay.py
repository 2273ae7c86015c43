"""A world that shows the frames of a recording to a drive server, for tests that need real frames and no driving."""

from dataclasses import dataclass
from pathlib import Path

from bcclone.dataset.vehicle import FULL_LOCK_DEGREES, MPH
from bcclone.evaluate.rollout import read_reference
from bcclone.simulator.unity_client import CarState


@dataclass(frozen=True)
class SentControl:
    """What a drive server sent to the car: steering and throttle."""

    steering: float
    throttle: float


class FrameReplay:
    """Shows the centre images of a recording, each once or again and again until `frames` have been shown.

    The car does not react; the answers are collected in `controls`.
    """

    def __init__(self, log_path: Path, frames: int = 0) -> None:
        self._reference = read_reference(log_path)
        self._rows = [row for row, paths in enumerate(self._reference.images) if "center" in paths]
        self._left, self._next = frames or len(self._rows), 0
        self.controls: list[SentControl] = []

    def observe(self) -> CarState | None:
        """Return the next row of the recording as the car's state."""
        if self._left == 0:
            return None
        row = self._rows[self._next % len(self._rows)]
        self._next, self._left = self._next + 1, self._left - 1
        its = self._reference
        jpeg = Path(its.images[row]["center"]).read_bytes()
        return CarState(its.steering[row] * FULL_LOCK_DEGREES, its.throttle[row], its.speed[row] / MPH, jpeg)

    def steer(self, steering: float, throttle: float) -> None:
        """Keep the answer."""
        self.controls.append(SentControl(steering, throttle))
