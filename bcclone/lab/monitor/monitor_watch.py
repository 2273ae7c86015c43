"""Watch a drive by a monitor: decide from the scores of the last second whether it is uncertain."""

import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.dataset.images import Image
from bcclone.drive.driver import Uncertainty
from bcclone.lab.monitor import WINDOW_SECONDS
from bcclone.system.atomic import file_version

if TYPE_CHECKING:
    from bcclone.lab.monitor.monitor import Monitor


class MonitorWatch:
    """Averages the scores of a drive over its last second.

    clock: returns the time of the present frame, in seconds.
    """

    def __init__(self, monitor: "Monitor", clock: Callable[[], float] = time.monotonic) -> None:
        self._monitor, self._clock = monitor, clock
        self._recent: deque[tuple[float, float]] = deque()  # time and score
        self._start: float | None = None  # time of the first frame since the last forget()

    def judge(self, frame: Image) -> Uncertainty:
        """Return the uncertainty at the next frame of the drive, RGB uint8 (160, 320, 3)."""
        now, score = self._clock(), self._monitor.score(frame)
        self._recent.append((now, score))
        self._start = now if self._start is None else self._start
        while now - self._recent[0][0] >= WINDOW_SECONDS:
            self._recent.popleft()
        average = sum(one for _, one in self._recent) / len(self._recent)
        return Uncertainty(score, average, self._monitor.threshold, complete=now - self._start >= WINDOW_SECONDS)

    def forget(self) -> None:
        """Forget the frames so far: the next one does not follow the last one."""
        self._recent.clear()
        self._start = None


def open_watch(monitor: Path, model: Path, clock: Callable[[], float] = time.monotonic) -> MonitorWatch:
    """Return the watch of a drive by a model's monitor file, which is loaded once; raises UserError.

    clock: as for MonitorWatch.
    """
    versions = tuple(file_version(path) if path.exists() else None for path in (monitor, model))
    return MonitorWatch(_load(monitor, model, versions), clock)


@lru_cache(maxsize=1)
def _load(monitor: Path, model: Path, versions: tuple[object, ...]) -> "Monitor":
    """Load a monitor. versions: of the files, which are loaded again when they have changed."""
    from bcclone.lab.monitor.monitor import load_monitor  # loads TensorFlow

    return load_monitor(monitor, model)
