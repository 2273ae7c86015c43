"""The time of a training: since it began, of compiling, and of an epoch's end.

Of several workers the first one measures, and all of them get its time by a sum. By the same sum
they learn whether one of them was asked to stop.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bcclone.feed.order import ALL, BatchPart
from bcclone.system.arrays import FloatArray
from bcclone.training.training_state import TrainingState


class Clock:
    """Tells how long a training has run, and whether it is to stop.

    begin: by time.monotonic(), when the training would have begun without interruptions
    interrupted: set when this process is asked to stop
    all_sum: sums of this worker -> of all workers
    """

    def __init__(
        self,
        begin: float,
        interrupted: threading.Event,
        part: BatchPart = ALL,
        all_sum: Callable[[FloatArray], FloatArray] = lambda sums: sums,
    ) -> None:
        self._begin = begin
        self._interrupted = interrupted
        self._measures = part.index == 0
        self._all_sum = all_sum
        self.must_stop = False  # any worker was asked to stop
        self.compiled: TrainingState | None = None  # after the call that compiled the step
        self.ending_seconds = 0.0  # that the end of the last epoch took, 0 before the first

    @property
    def is_interrupted(self) -> bool:
        """Return whether this process was asked to stop."""
        return self._interrupted.is_set()

    def seconds(self) -> float:
        """Return how long the training has run, as this process measures it."""
        return time.monotonic() - self._begin

    def now(self, state: TrainingState) -> TrainingState:
        """Return the state with the elapsed time; every worker calls this."""
        seconds = self.seconds() if self._measures else 0.0
        sums = self._all_sum(np.array([seconds, self.is_interrupted]))
        elapsed, interrupted = sums.tolist()
        self.must_stop = bool(interrupted)
        return replace(state, elapsed=elapsed)

    def after_call(self, state: TrainingState) -> TrainingState:
        """Return the state after a call of the step, the first of which compiles it."""
        now = self.now(state)
        if self.compiled is None:
            passed = now.elapsed - state.elapsed
            now = self.compiled = replace(now, compiling=now.compiling + passed)
        return now

    def after_ending(self, state: TrainingState) -> TrainingState:
        """Return the state after an epoch has ended; before it the state had this elapsed time."""
        now = self.now(state)
        self.ending_seconds = now.elapsed - state.elapsed
        return now
