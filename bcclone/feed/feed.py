"""An order and what fetches it -> the batches of each epoch; the same for every strategy."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType
from typing import Protocol, Self

from bcclone.feed.batch import Batch
from bcclone.feed.order import Order, sequential, shuffled


class Fetcher(Protocol):
    """Gets the samples of an order, batch by batch."""

    def fetch(self, order: Order) -> AbstractContextManager[Iterator[Batch]]:
        """Return the batches of these positions, in this order; leaving the block ends the work on them."""

    def close(self) -> None:
        """End what works for it."""


class Feed:
    """The batches of one side of the split, epoch by epoch.

    order: epoch -> positions; it alone decides what comes next, so that every fetcher gives the same.
    """

    def __init__(self, order: Callable[[int], Order], size: int, fetcher: Fetcher) -> None:
        self._order, self._size, self._fetcher = order, size, fetcher

    @classmethod
    def shuffled(cls, size: int, seed: int, fetcher: Fetcher) -> "Feed":
        """Return a feed whose every epoch is another permutation of all samples."""
        return cls(partial(shuffled, size, seed), size, fetcher)

    @classmethod
    def in_order(cls, size: int, fetcher: Fetcher) -> "Feed":
        """Return a feed whose every epoch has the samples as they lie."""
        return cls(lambda epoch: sequential(size), size, fetcher)

    def __len__(self) -> int:
        """Return the number of samples in an epoch."""
        return self._size

    def epoch(self, number: int, start: int = 0) -> AbstractContextManager[Iterator[Batch]]:
        """Return the batches of an epoch, to be entered; each sample comes once, and the last batch may be short.

        start: how many samples of the epoch have been used before; it goes on with the next one. What a worker
        raises is raised where the next batch is asked for.
        """
        return self._fetcher.fetch(self._order(number)[start:])

    def close(self) -> None:
        """End the workers."""
        self._fetcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
