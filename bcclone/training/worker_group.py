"""The workers that train one network together, as one of them sees the group.

This stands below the trainer, which adds up sums, and below worker.py, which knows the trainer.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bcclone.feed.order import ALL, BatchPart
from bcclone.system.numbers import FloatArray


def _unchanged(sums: FloatArray) -> FloatArray:
    return sums


@dataclass(frozen=True)
class WorkerGroup:
    """What a worker trains on, and how it adds up with the others; by default, it is alone."""

    part: BatchPart = ALL  # the part of each batch that this worker trains on
    # takes the sums over this worker's batches, and returns the sums over those of all workers; it
    # waits for them, so all must call it equally often
    all_sum: Callable[[FloatArray], FloatArray] = _unchanged

    @property
    def size(self) -> int:
        """Return the number of workers."""
        return self.part.count

    @property
    def writes(self) -> bool:
        """Return whether this worker writes the run folder and the model that the user gets."""
        return self.part.index == 0


ONE_WORKER = WorkerGroup()
