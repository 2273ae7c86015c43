"""Source -> batches, by a thread of this process."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

from bcclone.feed.batch import Batch
from bcclone.feed.order import Order, batches
from bcclone.feed.reader import Reader
from bcclone.feed.source import Source
from bcclone.feed.workers.prefetch import Prefetch

_AHEAD = 4


class ThreadFetcher:
    """Fills batches ahead of time. ahead: how many, 0 for what suits most."""

    def __init__(self, source: Source, batch_size: int, ahead: int = 0) -> None:
        self._source, self._batch_size, self._ahead = source, batch_size, ahead or _AHEAD
        self._reader = Reader(source, batch_size, kept=self._ahead + 2)

    def fetch(self, order: Order) -> AbstractContextManager[Iterator[Batch]]:
        """Return the batches of these positions."""
        return Prefetch(self._batches(order), self._ahead)

    def _batches(self, order: Order) -> Iterator[Batch]:
        for positions in batches(order, self._batch_size):
            yield self._reader.read(positions)

    def close(self) -> None:
        """Close the source."""
        self._source.close()
