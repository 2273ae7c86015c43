"""Divide each batch among workers: which samples one of them fetches, and in which order."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bcclone.feed.order import BatchSpan, EpochOrder, Order


@dataclass(frozen=True)
class PartOrder(EpochOrder):
    """The order in which one of several workers fetches its part of every batch.

    worker: from 0. The parts of all workers make up the batch, in their order; their lengths differ by at most one. If
    the last batch has fewer samples than there are workers, a worker without a sample fetches the first one, so that it
    takes part in the step; there the sample has no weight.
    """

    worker: int = 0
    workers: int = 1

    @property
    def batch_samples(self) -> int:
        """Return the number of samples that this worker fetches for a full batch."""
        return self.span(self.batch_size).samples

    @property
    def streams(self) -> int:
        """Return from how many streams of windows this worker fetches its batches."""
        return -(-self.ordering.streams // self.workers)

    def span(self, size: int) -> BatchSpan:
        """Return this worker's part of a batch of `size` samples; an empty one begins at 0."""
        samples, longer = divmod(size, self.workers)
        first = self.worker * samples + min(self.worker, longer)
        samples += self.worker < longer
        return BatchSpan(first if samples else 0, samples, size)

    def positions(self, epoch: int, start: int = 0) -> Order:
        """Return the positions that this worker fetches in an epoch. start: as for EpochOrder."""
        order = self.order(epoch)[start:]
        batches = [order[first : first + self.batch_size] for first in range(0, len(order), self.batch_size)]
        spans = [(batch, self.span(len(batch))) for batch in batches]
        parts = [batch[span.first : span.first + max(span.samples, 1)] for batch, span in spans]
        return np.concatenate([order[:0], *parts])

    def spans(self, start: int = 0) -> Iterator[BatchSpan]:
        """Yield this worker's part of each batch of an epoch. start: as for EpochOrder."""
        for first in range(start, len(self), self.batch_size):
            yield self.span(min(self.batch_size, len(self) - first))
