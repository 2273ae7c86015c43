"""Fetch batches with a thread of this process."""

import contextlib
import queue
import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Self

from bcclone.feed.feed import Batch
from bcclone.feed.order import Order, batches
from bcclone.feed.source import Reader, Source

_BATCHES_AHEAD = 4
_Result = Batch | Exception | None  # of the thread that prefetches


class ThreadFetcher:
    """Read batches ahead of time in a thread. ahead: number of batches, 0 for the default."""

    def __init__(self, source: Source, batch_size: int, ahead: int = 0) -> None:
        self._source, self._batch_size, self._ahead = source, batch_size, ahead or _BATCHES_AHEAD
        self._reader = Reader(source, batch_size, kept=self._ahead + 2)

    def fetch(self, order: Order) -> AbstractContextManager[Iterator[Batch]]:
        """Return the batches of these positions."""
        return PrefetchThread(self._batches(order), self._ahead)

    def _batches(self, order: Order) -> Iterator[Batch]:
        for positions in batches(order, self._batch_size):
            yield self._reader.read(positions)

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class PrefetchThread:
    """A thread that takes up to `ahead` batches from an iterator while the current one is trained on.

    The thread ends with the iterator, the block or the process, even if Ctrl-C comes before the block is entered or
    while it is left; then it closes the iterator. Errors in the thread are raised by next().
    """

    def __init__(self, batches: Iterator[Batch], ahead: int) -> None:
        # SimpleQueue costs a tenth of queue.Queue; each token permits the thread to take one more batch
        self._results: queue.SimpleQueue[_Result] = queue.SimpleQueue()
        self._tokens: queue.SimpleQueue[bool] = queue.SimpleQueue()
        for _ in range(ahead):
            self._tokens.put(True)
        work = (batches, self._tokens, self._results)
        self._thread = threading.Thread(target=_take_all, args=work, name="bcclone-feed", daemon=True)
        # a daemon thread inside OpenCV when Python shuts down would abort the process
        weakref.finalize(self, _end, self._thread, self._tokens)

    def __enter__(self) -> Iterator[Batch]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._thread, self._tokens)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        result = self._results.get()
        if isinstance(result, Batch):
            self._tokens.put(True)
            return result
        self._results.put(result)  # for the next call
        if result is None:
            raise StopIteration
        raise result


def _take_all(
    batches: Iterator[Batch], tokens: "queue.SimpleQueue[bool]", results: "queue.SimpleQueue[_Result]"
) -> None:
    try:
        while tokens.get() and (batch := next(batches, None)) is not None:
            results.put(batch)
            del batch  # so that its memory can be reused
        results.put(None)
    except Exception as error:  # raised by next() in the trainer
        results.put(error)
    finally:
        if hasattr(batches, "close"):
            batches.close()


def _end(thread: threading.Thread, tokens: "queue.SimpleQueue[bool]") -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            tokens.get_nowait()
    tokens.put(False)
    if thread.ident is not None:
        thread.join()
