"""The interface of a monitor, which gives an uncertainty for each frame of a drive; bcclone/lab/monitor has them."""

from dataclasses import dataclass
from typing import Protocol

from bcclone.dataset.images import Image


@dataclass(frozen=True)
class Uncertainty:
    """A monitor's score of a frame. average: of the scores of the last second; complete: a whole second has passed."""

    score: float
    average: float
    threshold: float
    complete: bool = True

    @property
    def uncertain(self) -> bool:
        """Return whether the average of a whole second is above the threshold."""
        return self.complete and self.average > self.threshold


class Watch(Protocol):
    """Judges the frames of one drive, one after the other."""

    def judge(self, frame: Image) -> Uncertainty:
        """Return the uncertainty at the next frame of the drive, RGB uint8 (160, 320, 3)."""

    def forget(self) -> None:
        """Forget the frames so far: the next frame begins a new sequence."""
