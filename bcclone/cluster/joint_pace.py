"""Decide with the other workers what time it is and whether to stop, so that all take the same steps."""

from collections.abc import Callable

import numpy as np

from bcclone.cluster.worker_group import WorkerGroup
from bcclone.system.interrupts import Interrupts
from bcclone.train.loop import Pace
from bcclone.train.training_state import TrainingState

_STEPS_BETWEEN_DECISIONS = 20


class JointPace(Pace):
    """The pace of all workers: the chief's time, and a stop as soon as one of them is asked to stop.

    weights_digest: of this worker's weights, which must be equal on all workers after each epoch.
    """

    def __init__(self, interrupts: Interrupts, group: WorkerGroup, weights_digest: Callable[[], str]) -> None:
        super().__init__(interrupts)
        self._group, self._weights_digest, self._own_elapsed = group, weights_digest, 0.0

    def update(self, state: TrainingState, is_epoch_end: bool = False) -> None:
        """Agree every few steps and around each epoch; in between the state keeps its seconds."""
        if not is_epoch_end and state.step % _STEPS_BETWEEN_DECISIONS:
            return
        super().update(state)
        own = [state.elapsed if self._group.is_chief else 0.0, self.must_stop]
        state.elapsed, stops = self._group.sum(np.array(own)).tolist()
        self.must_stop = bool(stops)
        if is_epoch_end:
            self._group.check_agreement({"weights": self._weights_digest()})
