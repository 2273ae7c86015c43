"""The feeds "hdf5", "hdf5-shuffle", "memory" and "files": threads of this process fetch batches.

In: positions. Out: batches, in the same order.
"""

import contextlib
import os
import queue
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from itertools import islice
from typing import Self

from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.fetcher import Fetcher, Reader
from bcclone.feed.order import EpochOrder, Order, batches
from bcclone.feed.selection import Selection
from bcclone.feed.source import Batch, Source

_BATCHES_AHEAD = 4
_THREADS = 2  # one alone copies half of what a core can, since it also flips, looks up labels and hands over
_Result = Batch | Exception | None  # of the thread that prefetches


def hdf5(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings) -> "ThreadFetcher":
    """Read the memory-mapped store: hdf5 in its order, hdf5-shuffle truly shuffled.

    Shuffling costs nothing while the file fits into memory.
    """
    return ThreadFetcher(selection.mapped_source(), epoch_order.batch_samples, settings.max_queue_size)


def memory(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings) -> "ThreadFetcher":
    """Read all frames into memory first."""
    return ThreadFetcher(selection.memory_source(), epoch_order.batch_samples, settings.max_queue_size)


def files(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings) -> "ThreadFetcher":
    """Read and decode the images of a recording for each batch; needs no store."""
    source = selection.file_source(settings.feed_workers)
    return ThreadFetcher(source, epoch_order.batch_samples, settings.max_queue_size, threads=1)


class ThreadFetcher(Fetcher):
    """Read batches ahead of time in threads, which take turns.

    ahead: number of batches, 0 for the default; threads: 0 for the default.
    """

    def __init__(self, source: Source, batch_size: int, ahead: int = 0, threads: int = 0) -> None:
        super().__init__(source, batch_size)
        self._ahead = ahead or _BATCHES_AHEAD
        self._threads = min(threads or _THREADS, os.cpu_count() or 1, self._ahead)
        self._reader = Reader(source, batch_size, kept=self._ahead + 2)

    def fetch(self, order: Order) -> AbstractContextManager[Iterator[Batch]]:
        """Return the batches of these positions."""
        return PrefetchThreads([self._thread(order, number) for number in range(self._threads)])

    def _thread(self, order: Order, number: int) -> "PrefetchThread":
        """Return the thread that reads batch `number` and every further one whose turn it is."""
        ahead = len(range(number, self._ahead, self._threads))
        return PrefetchThread(self._batches(order, number), ahead)

    def _batches(self, order: Order, number: int) -> Iterator[Batch]:
        for positions in islice(batches(order, self._batch_size), number, None, self._threads):
            yield self._reader.read(positions)


class PrefetchThreads:
    """Threads whose batches are taken in turns, one of each; the first that has no more, or fails, ends them all.

    prefetch_ordered() does the same with an executor, and is a fifth slower with batches of 32.
    """

    def __init__(self, threads: Sequence["PrefetchThread"]) -> None:
        self._threads, self._taken = threads, 0
        self._running = ExitStack()

    def __enter__(self) -> Iterator[Batch]:
        with ExitStack() as starting:
            for thread in self._threads:
                starting.enter_context(thread)
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        batch = next(self._threads[self._taken % len(self._threads)])
        self._taken += 1
        return batch


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
