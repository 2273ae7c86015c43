"""What a drive asks of a monitor that watches it: one uncertainty for each frame. The lab has the monitors."""

from dataclasses import dataclass
from typing import Protocol

from bcclone.dataset.images import Image


@dataclass(frozen=True)
class Uncertainty:
    """What a monitor says of a frame. average: of the scores of the last second; complete: it is a whole one."""

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
        """Forget the frames so far: the next one does not follow the last one."""
