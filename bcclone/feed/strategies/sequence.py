"""sequence: a Keras PyDataset, shuffled at the end of each epoch; it can be given to model.fit, too.

Keras's own queue waits for ever when a worker process is killed; the workers here are those of concurrent.futures,
which tell.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import keras

from bcclone.feed.batch import Batch
from bcclone.feed.epochs import Epochs
from bcclone.feed.feed import Feed
from bcclone.feed.order import Order
from bcclone.feed.reader import Reader
from bcclone.feed.settings import FeedSettings
from bcclone.feed.source import Columns, StoreSource
from bcclone.feed.workers.pool import ReadingPool
from bcclone.store import Store

_WORKERS = 6
_QUEUE_SIZE = 32


def make_feed(store: Store, columns: Columns, epochs: Epochs, settings: FeedSettings, batch_size: int) -> Feed:
    """Return the feed of these samples."""
    source = StoreSource.of(store, columns)
    queue_size, workers = settings.max_queue_size or _QUEUE_SIZE, settings.workers or _WORKERS
    dataset = SampleDataset(
        Reader(source, batch_size, kept=queue_size + workers),
        epochs.order,
        batch_size,
        workers=workers,
        use_multiprocessing=settings.multiprocessing,
        max_queue_size=queue_size,
    )
    return DatasetFeed(epochs, dataset, settings.start_method)


class SampleDataset(keras.utils.PyDataset):  # type: ignore[misc]
    """The batches of an epoch by their number. order: epoch -> positions; the remaining options are Keras's."""

    def __init__(self, reader: Reader, order: Callable[[int], Order], batch_size: int, **options: int) -> None:
        super().__init__(**options)
        self.reader, self._order, self._batch_size = reader, order, batch_size
        self.begin(1)

    def begin(self, epoch: int, start: int = 0) -> None:
        """Take the order of this epoch, from the sample `start` on."""
        self._epoch, self._positions = epoch, self._order(epoch)[start:]

    def positions(self, number: int) -> Order:
        """Return which samples are in a batch, counted from 0."""
        return self._positions[number * self._batch_size : (number + 1) * self._batch_size]

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self._positions) // self._batch_size)

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        batch = self.reader.read(self.positions(number))
        return batch.images, batch.steering

    def on_epoch_end(self) -> None:
        """Shuffle for the next epoch; Keras calls it."""
        self.begin(self._epoch + 1)


class DatasetFeed(Feed):
    """A PyDataset with as many workers, and as many batches under way, as it asks for."""

    def __init__(self, epochs: Epochs, dataset: SampleDataset, start_method: str) -> None:
        self._epochs, self._dataset = epochs, dataset
        self._pool = ReadingPool(dataset.reader, dataset.workers, start_method if dataset.use_multiprocessing else "")

    @contextmanager
    def epoch(self, number: int, start: int = 0) -> Iterator[Iterator[Batch]]:
        """Give the batches of an epoch."""
        self._dataset.begin(number, start)
        pending: deque[Future[Batch]] = deque()
        try:
            yield self._batches(pending)
        finally:
            for future in pending:
                future.cancel()

    def _batches(self, pending: deque[Future[Batch]]) -> Iterator[Batch]:
        numbers = iter(range(len(self._dataset)))
        while True:
            while len(pending) < self._dataset.max_queue_size and (number := next(numbers, None)) is not None:
                pending.append(self._pool.submit(self._dataset.positions(number)))
            if not pending:
                return
            yield self._pool.result(pending.popleft())

    def close(self) -> None:
        """End the workers."""
        self._pool.close()
