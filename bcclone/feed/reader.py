"""Positions of samples -> a batch, in memory that is used again."""

from typing import Any

from bcclone.feed.batch import Batch
from bcclone.feed.buffers import Buffers
from bcclone.feed.order import Order
from bcclone.feed.source import Source


class Reader:
    """Reads batches of a source, in any number of threads; another process gets one with buffers of its own.

    kept: how many batches are held at a time, as a rule.
    """

    def __init__(self, source: Source, batch_size: int, kept: int) -> None:
        self.source, self._batch_size, self._kept = source, batch_size, kept
        self._buffers = Buffers(batch_size, source.shape, kept)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.source, self._batch_size, self._kept)

    def read(self, positions: Order) -> Batch:
        """Return the samples at these positions."""
        images = self._buffers.take(len(positions))
        self.source.fill(positions, images)
        return Batch(images, self.source.columns.steering_of(positions))
