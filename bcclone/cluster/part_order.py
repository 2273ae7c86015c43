"""Divide each batch among workers: which samples one of them fetches, and in which order."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bcclone.feed.order import BatchSpan, EpochOrder, Order


@dataclass(frozen=True)
class BatchPart:
    """The part of each batch that one worker trains on. index: of the worker, from 0; count: number of workers.

    The parts of all workers make up the batch, in the order of their indices; their lengths differ by at most one.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"worker {self.index} of {self.count}, expected 0 to {self.count - 1}")

    def span(self, size: int) -> BatchSpan:
        """Return this worker's part of a batch of `size` samples; an empty one begins at 0."""
        samples, longer = divmod(size, self.count)
        first = self.index * samples + min(self.index, longer)
        samples += self.index < longer
        return BatchSpan(first if samples else 0, samples, size)


@dataclass(frozen=True)
class PartOrder(EpochOrder):
    """The order in which one worker fetches its part of every batch.

    If the last batch has fewer samples than there are workers, a worker without a sample fetches the first one, so that
    it takes part in the step; there the sample has no weight.
    """

    part: BatchPart = BatchPart()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size < self.part.count:
            raise ValueError(f"batches of {self.batch_size} for {self.part.count} workers, expected a sample for each")

    @property
    def batch_samples(self) -> int:
        """Return the number of samples that this worker fetches for a full batch."""
        return self.part.span(self.batch_size).samples

    @property
    def streams(self) -> int:
        """Return from how many streams of windows this worker fetches its batches."""
        return -(-self.ordering.streams // self.part.count)

    def positions(self, epoch: int, start: int = 0) -> Order:
        """Return the positions that this worker fetches in an epoch. start: as for EpochOrder."""
        order = self.order(epoch)[start:]
        complete = len(order) // self.batch_size
        span = self.part.span(self.batch_size)
        complete_batches = order[: complete * self.batch_size].reshape(complete, self.batch_size)
        parts = complete_batches[:, span.first : span.first + span.samples]
        rest = order[complete * self.batch_size :]
        span = self.part.span(len(rest))
        rest_part = rest[span.first : span.first + max(span.samples, 1)]
        return np.concatenate([parts.reshape(-1), rest_part])

    def spans(self, start: int = 0) -> Iterator[BatchSpan]:
        """Yield this worker's part of each batch of an epoch. start: as for EpochOrder."""
        for first in range(start, len(self), self.batch_size):
            yield self.part.span(min(self.batch_size, len(self) - first))
