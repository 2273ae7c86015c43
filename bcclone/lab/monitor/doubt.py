"""Decide from the scores of the last second whether there is doubt. No sockets, no files, no TensorFlow."""

import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from bcclone.dataset.images import Image
from bcclone.drive.watch import Doubt
from bcclone.lab.monitor.monitor_settings import WINDOW_SECONDS


class FrameScorer(Protocol):
    """Scores frames, such as bcclone.lab.monitor.monitor.Monitor."""

    @property
    def threshold(self) -> float:
        """Return the highest average score of a second that is not yet a doubt."""

    def score(self, frame: Image) -> float:
        """Return the score of an RGB frame, uint8 (160, 320, 3); the higher, the more unusual."""


class DoubtWatch:
    """Averages the scores of a drive over the last second, as long as it lasts.

    clock: returns the time of the present frame, in seconds.
    """

    def __init__(self, monitor: FrameScorer, clock: Callable[[], float] = time.monotonic) -> None:
        self._monitor, self._clock = monitor, clock
        self._recent: deque[tuple[float, float]] = deque()  # time and score
        self._begun: float | None = None  # when the first of the frames that belong together was scored

    def judge(self, frame: Image) -> Doubt:
        """Return the doubt at the next frame of the drive, RGB uint8 (160, 320, 3)."""
        now, score = self._clock(), self._monitor.score(frame)
        self._recent.append((now, score))
        self._begun = now if self._begun is None else self._begun
        while now - self._recent[0][0] >= WINDOW_SECONDS:
            self._recent.popleft()
        average = sum(one for _, one in self._recent) / len(self._recent)
        return Doubt(score, average, self._monitor.threshold, complete=now - self._begun >= WINDOW_SECONDS)

    def forget(self) -> None:
        """Forget the frames so far: the next one does not follow the last one."""
        self._recent.clear()
        self._begun = None
