"""Tell how many steps of a world are due so that it keeps real time, and how well it does."""

import math
import time
from collections import deque
from collections.abc import Callable

from bcclone.simulator.car import STEP_SECONDS

_MOST_STEPS = 8  # at once; after a longer pause the world is late, since a car that leaps cannot be driven
_RATE_SECONDS = 2.0


class WorldPace:
    """The real time of a world that advances in steps of 0.02 s."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._reached: float | None = None  # the wall clock's time that the world has reached
        self._given: deque[tuple[float, int]] = deque()  # when steps were given, and how many

    def due(self) -> int:
        """Return how many steps are due; the caller takes them now."""
        now = self._clock()
        if self._reached is None:
            self._reached = now
        steps = math.floor((now - self._reached) / STEP_SECONDS + 1e-9)
        given = min(steps, _MOST_STEPS)
        self._reached = self._reached + given * STEP_SECONDS if given == steps else now
        self._given.append((now, given))
        while self._given[0][0] < now - _RATE_SECONDS:
            self._given.popleft()
        return given

    def rest(self) -> None:
        """Let the world stand still until due() is called again."""
        self._reached = None
        self._given.clear()

    @property
    def factor(self) -> float:
        """Return simulated seconds for each second of the wall clock, of the last 2 s; 1 before there is a second."""
        seconds = self._given[-1][0] - self._given[0][0] if self._given else 0.0
        if seconds < _RATE_SECONDS / 2:
            return 1.0
        first, *others = self._given
        return sum(steps for _, steps in others) * STEP_SECONDS / seconds

    @property
    def frames_per_second(self) -> float:
        """Return how often due() was called a second, of the last 2 s."""
        seconds = self._given[-1][0] - self._given[0][0] if self._given else 0.0
        return (len(self._given) - 1) / seconds if seconds > 0 else 0.0
