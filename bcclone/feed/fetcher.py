"""The form of all fetchers, which get batches of samples, and the reader that fills a batch.

Worker processes of a pool import this module, so it loads neither Keras nor TensorFlow.
"""

import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Self

from bcclone.feed.order import Order
from bcclone.feed.source import Batch, Buffers, Source


class Fetcher(ABC):
    """Fetches the samples of a source, batch by batch, in a given order. A context manager.

    A new fetcher has started nothing. The block starts its processes and threads; leaving it, or an error on the way,
    ends them and closes the source.
    """

    def __init__(self, source: Source, batch_size: int) -> None:
        self._source, self._batch_size = source, batch_size
        self._opened = ExitStack()  # holds no reference to the fetcher, so that a forgotten fetcher is closed, too
        weakref.finalize(self, self._opened.close)

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)  # an error, or Ctrl-C, ends processes at once

    @property
    def has_started(self) -> bool:
        """Return whether the processes of the block have started, which takes seconds; until then fetch() waits."""
        return True

    def close(self) -> None:
        """Close what the block has opened, and the source; a second call does nothing."""
        self._opened.close()

    def _open(self) -> None:
        """Open what fetch() needs; a subclass adds each part to `_opened` as soon as it is open."""
        self._opened.enter_context(self._source)

    @abstractmethod
    def fetch(self, order: Order) -> AbstractContextManager[Iterator[Batch]]:
        """Return the batches of these positions, in this order; leaving the block stops fetching.

        An error of a thread or a process is raised when the batch is asked for.
        """


class Reader:
    """Reads batches of a source, from any number of threads; a pickled copy has buffers of its own.

    kept: number of batches that are usually alive at a time.
    """

    def __init__(self, source: Source, batch_size: int, kept: int) -> None:
        self.source, self._batch_size, self._kept = source, batch_size, kept
        self._buffers = Buffers(batch_size, source.shape, kept)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.source, self._batch_size, self._kept)

    def read(self, positions: Order, parts: Iterable[slice] = (slice(None),)) -> Batch:
        """Return the samples at these positions. parts: slices of them, which are read one after the other."""
        images = self._buffers.take(len(positions))
        for part in parts:
            self.source.fill(positions[part], images[part])
        return Batch(images, self.source.arrays.labels[positions])


_this_worker = threading.local()  # in a worker process of a pool: its reader, which is sent only once


def begin_worker(reader: Reader) -> None:
    """Open the source of a reader in a worker process, until the process ends."""
    reader.source.__enter__()
    _this_worker.reader = reader


def read_in_worker(positions: Order) -> Batch:
    """Return the samples at these positions, in a worker process."""
    batch: Batch = _this_worker.reader.read(positions)
    return batch
