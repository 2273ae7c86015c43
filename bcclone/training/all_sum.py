"""Sums over the batches of this worker -> sums over the batches of all workers.

This stands below the trainer, which adds up, and below worker.py, which knows the trainer.
"""

from collections.abc import Callable

from bcclone.system.arrays import FloatArray

# takes the sums over this worker's batches, and returns the sums over the batches of all workers
AllSum = Callable[[FloatArray], FloatArray]


def alone(sums: FloatArray) -> FloatArray:
    """Return the sums unchanged; the AllSum of a worker that trains alone."""
    return sums
