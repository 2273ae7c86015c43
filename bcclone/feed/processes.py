"""The feeds "workers" and "queue": loader processes fetch batches, through shared memory or through a pipe.

In: positions. Out: batches, in the same order, whichever process is faster.
"""

import contextlib
import multiprocessing
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from bcclone.dataset.images import Image
from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.fetcher import Fetcher
from bcclone.feed.loader_process import MAX_REQUESTS, Loader, LoaderError, Slots, running_loaders
from bcclone.feed.order import EpochOrder, Order, batches
from bcclone.feed.selection import Selection
from bcclone.feed.source import Batch, Buffers, Source, lend
from bcclone.feed.threads import PrefetchThread

_QUEUE_SIZE = 8  # batches
_IN_FLIGHT = 2  # batches of each pipe: one is loaded while another is sent
_PROCESSES, _SLOTS_PER_PROCESS = 2, 4


def queue(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings) -> "PipeFetcher":
    """Read with loader processes, by default one, that send batches through pipes into a bounded queue."""
    ahead, processes = settings.max_queue_size or _QUEUE_SIZE, settings.feed_workers or 1
    return PipeFetcher(selection.mapped_source(), epoch_order.batch_samples, processes, ahead)


def workers(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings) -> "SharedMemoryFetcher":
    """Read with loader processes that write into shared memory; the order does not depend on their speed."""
    processes = settings.feed_workers or _PROCESSES
    slots = settings.max_queue_size or processes * _SLOTS_PER_PROCESS
    return SharedMemoryFetcher(selection.mapped_source(), epoch_order.batch_samples, processes, slots)


class _ProcessFetcher(Fetcher):
    """Fetch batches with loader processes; process k modulo their number loads batch k, whichever is faster."""

    _loaders: list[Loader]

    def __init__(self, source: Source, batch_size: int, processes: int) -> None:
        super().__init__(source, batch_size)
        self._processes = processes

    @property
    def has_started(self) -> bool:
        """Return whether all loader processes have started."""
        return all(loader.has_started for loader in self._loaders)

    def _start(self, count: int, images: bool) -> Slots:
        """Start the processes; return their slots. count: of slots; images: whether these hold images, too."""
        context = multiprocessing.get_context("spawn")
        slots = Slots(context, count, self._batch_size, self._source.shape, images=images)
        loaders = running_loaders(context, self._source, slots, self._processes)
        self._loaders = self._opened.enter_context(loaders)
        return slots


class SharedMemoryFetcher(_ProcessFetcher):
    """Fetch batches with loader processes that write into shared memory, which training reads without a copy.

    Process k modulo their number loads batch k, so that the order does not depend on their speed. slots: batches that
    fit into the shared memory, including those in use by training.
    """

    _slots: Slots

    def __init__(self, source: Source, batch_size: int, processes: int, slots: int) -> None:
        super().__init__(source, batch_size, processes)
        self._free = deque(range(max(slots, 2 * processes + 2)))
        self._requested: deque[tuple[Loader, int, Order]] = deque()

    def _open(self) -> None:
        super()._open()
        self._slots = self._start(len(self._free), images=True)

    @contextmanager
    def fetch(self, order: Order) -> Iterator[Iterator[Batch]]:
        """Give the batches of these positions."""
        try:
            yield self._batches(order)
            self._discard()
        except Exception as error:
            if isinstance(error, LoaderError):
                self.close()
            self._discard()
            raise
        except BaseException:  # Ctrl-C, perhaps while an answer is received
            self.close()
            raise

    def _batches(self, order: Order) -> Iterator[Batch]:
        numbered = enumerate(batches(order, self._batch_size))
        self._request(numbered)
        while self._requested:
            loader, slot, positions = self._requested.popleft()
            try:
                loader.wait(self._loaders)
            except Exception:
                self._free.append(slot)
                raise
            yield Batch(self._take(slot, len(positions)), self._source.arrays.labels[positions])
            self._request(numbered)

    def _request(self, numbered: Iterator[tuple[int, Order]]) -> None:
        """Request further batches while there are free slots, up to the limit per process."""
        most = MAX_REQUESTS * len(self._loaders)
        while self._free and len(self._requested) < most and (entry := next(numbered, None)) is not None:
            number, positions = entry
            loader, slot = self._loaders[number % len(self._loaders)], self._free.popleft()
            loader.request(positions, slot)
            self._requested.append((loader, slot, positions))

    def _take(self, slot: int, count: int) -> Image:
        """Return the images of a slot, or a copy when the caller keeps so many batches that slots run out."""
        shape = (count, *self._slots.shape)
        if len(self._free) + len(self._requested) <= len(self._loaders):
            images = self._slots.images(slot, count).copy()
            self._free.append(slot)
            return images
        free = self._free
        return lend(self._slots.memory(slot), shape, lambda: free.append(slot))

    def _discard(self) -> None:
        """Wait for the requested batches and drop them."""
        while self._requested:
            loader, slot, _ = self._requested.popleft()
            with contextlib.suppress(Exception):
                loader.wait()
            self._free.append(slot)


class PipeFetcher(_ProcessFetcher):
    """Fetch batches with loader processes that send them through pipes; a thread receives them ahead of time.

    Process k modulo their number loads batch k. ahead: batches in the queue.
    """

    def __init__(self, source: Source, batch_size: int, processes: int, ahead: int) -> None:
        super().__init__(source, batch_size, processes)
        self._ahead = ahead
        self._buffers = Buffers(batch_size, source.shape, kept=ahead + 2)

    def _open(self) -> None:
        super()._open()
        self._start(self._in_flight, images=False)

    @property
    def _in_flight(self) -> int:
        return _IN_FLIGHT * self._processes

    def fetch(self, order: Order) -> AbstractContextManager[Iterator[Batch]]:
        """Return the batches of these positions."""
        return PrefetchThread(self._batches(order), self._ahead)

    def _batches(self, order: Order) -> Iterator[Batch]:
        requested: deque[tuple[Loader, Order]] = deque()
        try:
            for number, positions in enumerate(batches(order, self._batch_size)):
                loader = self._loaders[number % self._processes]
                loader.request(positions, number % self._in_flight)
                requested.append((loader, positions))
                if len(requested) == self._in_flight:
                    yield self._receive(requested)
            while requested:
                yield self._receive(requested)
        finally:
            while requested:
                with contextlib.suppress(Exception):
                    self._receive(requested)

    def _receive(self, requested: deque[tuple[Loader, Order]]) -> Batch:
        loader, positions = requested.popleft()
        loader.wait()
        images = self._buffers.take(len(positions))
        loader.receive_images(images)
        return Batch(images, self._source.arrays.labels[positions])
