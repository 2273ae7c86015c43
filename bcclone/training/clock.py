"""Measure the seconds of a training: since it began, for compiling, and for the last epoch's end.

A `Clock` takes a `TrainingState`, and returns it with the time that has passed until now.

All workers of a training must act on the same time. So only the first worker measures: it adds its
seconds to a sum over all workers, to which the others add 0. A second sum counts the workers that
were asked to stop.
"""

import threading
import time
from dataclasses import replace

import numpy as np

from bcclone.training.training_state import TrainingState
from bcclone.training.worker_group import ONE_WORKER, WorkerGroup


class Clock:
    """Tells how long a training has run, and whether it is to stop.

    begin: time.monotonic() now, less the seconds that the training ran before it was resumed
    interrupted: set when this process is asked to stop
    group: the workers that train together; the one that writes measures
    """

    def __init__(
        self,
        begin: float,
        interrupted: threading.Event,
        group: WorkerGroup = ONE_WORKER,
    ) -> None:
        self._begin = begin
        self._interrupted = interrupted
        self._group = group
        self.must_stop = False  # whether any worker was asked to stop, at the last now()
        # the state after this process's first call of the step, which compiled it; None before
        self.compiled: TrainingState | None = None
        # how long the end of the last epoch took (validation and saving); 0 before the first end
        self.ending_seconds = 0.0

    @property
    def is_interrupted(self) -> bool:
        """Return whether this process was asked to stop."""
        return self._interrupted.is_set()

    def seconds(self) -> float:
        """Return how long the training has run, as this process measures it."""
        return time.monotonic() - self._begin

    def now(self, state: TrainingState) -> TrainingState:
        """Return the state with the present elapsed time; all workers must call this together."""
        seconds = self.seconds() if self._group.writes else 0.0
        sums = self._group.all_sum(np.array([seconds, self.is_interrupted]))
        elapsed, interrupted = sums.tolist()
        self.must_stop = bool(interrupted)
        return replace(state, elapsed=elapsed)

    def after_call(self, state: TrainingState) -> TrainingState:
        """Return the state after a call of the training step.

        The first call compiles the step, so its seconds are also added to state.compiling.
        """
        now = self.now(state)
        if self.compiled is None:
            passed = now.elapsed - state.elapsed
            now = self.compiled = replace(now, compiling=now.compiling + passed)
        return now

    def after_ending(self, state: TrainingState) -> TrainingState:
        """Return the state after the end of an epoch, and measure how long that end took.

        state: its elapsed time is that before validation and saving
        """
        now = self.now(state)
        self.ending_seconds = now.elapsed - state.elapsed
        return now
