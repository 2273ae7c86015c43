"""Source -> batches, by processes: through shared memory, or through a pipe."""

import contextlib
import multiprocessing
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from bcclone.feed.buffers import Buffers, lend
from bcclone.feed.feed import Batch
from bcclone.feed.loader_process import MOST_ASKED, Loader, LoaderError, Slots, close_loaders
from bcclone.feed.order import Order, batches
from bcclone.feed.source import Source
from bcclone.feed.threads import Prefetch
from bcclone.images import Image

_UNDER_WAY = 2  # batches of a pipe: one is made while another is on its way


class SharedMemoryFetcher:
    """Loader processes that write batches into shared memory, from where they are trained on without a copy.

    Batch k is asked of process k modulo their number and taken from it in turn: their speed decides nothing.
    slots: batches there is room for, those that are trained on included.
    """

    def __init__(self, source: Source, batch_size: int, processes: int, slots: int, start_method: str) -> None:
        context = multiprocessing.get_context(start_method)
        self._source, self._batch_size = source, batch_size
        self._slots = Slots(context, max(slots, 2 * processes + 2), batch_size, source.shape, images=True)
        self._loaders = [Loader(context, source, self._slots) for _ in range(processes)]
        self._free = deque(range(self._slots.count))
        self._asked: deque[tuple[Loader, int, Order]] = deque()
        self._end = weakref.finalize(self, close_loaders, self._loaders)

    @contextmanager
    def fetch(self, order: Order) -> Iterator[Iterator[Batch]]:
        """Give the batches of these positions."""
        try:
            yield self._batches(order)
            self._forget()
        except Exception as error:
            if isinstance(error, LoaderError):
                self.close()
            self._forget()
            raise
        except BaseException:  # Ctrl-C, perhaps in the middle of an answer
            self.close()
            raise

    def _batches(self, order: Order) -> Iterator[Batch]:
        pieces = enumerate(batches(order, self._batch_size))
        self._ask(pieces)
        while self._asked:
            loader, slot, positions = self._asked.popleft()
            try:
                loader.wait(self._loaders)
            except Exception:
                self._free.append(slot)
                raise
            yield Batch(self._take(slot, len(positions)), self._source.columns.steering_of(positions))
            self._ask(pieces)

    def _ask(self, pieces: Iterator[tuple[int, Order]]) -> None:
        """Ask for as many further batches as there are free slots, within what may be under way."""
        most = MOST_ASKED * len(self._loaders)
        while self._free and len(self._asked) < most and (piece := next(pieces, None)) is not None:
            number, positions = piece
            loader, slot = self._loaders[number % len(self._loaders)], self._free.popleft()
            loader.ask(positions, slot)
            self._asked.append((loader, slot, positions))

    def _take(self, slot: int, count: int) -> Image:
        """Lend the images of a slot; who keeps many batches gets copies, since the slots are needed."""
        shape = (count, *self._slots.shape)
        if len(self._free) + len(self._asked) <= len(self._loaders):
            images = self._slots.images(slot, count).copy()
            self._free.append(slot)
            return images
        free = self._free
        return lend(self._slots.memory(slot), shape, lambda: free.append(slot))

    def _forget(self) -> None:
        """Wait for what was asked for and is not wanted any more."""
        while self._asked:
            loader, slot, _ = self._asked.popleft()
            with contextlib.suppress(Exception):
                loader.wait()
            self._free.append(slot)

    def close(self) -> None:
        """End the processes and close the source."""
        self._end()
        self._source.close()


class PipeFetcher:
    """One loader process that sends its batches through a pipe, which a thread puts into a bounded queue."""

    def __init__(self, source: Source, batch_size: int, ahead: int, start_method: str) -> None:
        self._source, self._batch_size, self._ahead = source, batch_size, ahead
        self._buffers = Buffers(batch_size, source.shape, kept=ahead + 2)
        context = multiprocessing.get_context(start_method)
        self._loader = Loader(context, source, Slots(context, _UNDER_WAY, batch_size, source.shape, images=False))
        self._end = weakref.finalize(self, close_loaders, [self._loader])

    def fetch(self, order: Order) -> AbstractContextManager[Iterator[Batch]]:
        """Return the batches of these positions."""
        return Prefetch(self._batches(order), self._ahead)

    def _batches(self, order: Order) -> Iterator[Batch]:
        asked: deque[Order] = deque()
        try:
            for number, positions in enumerate(batches(order, self._batch_size)):
                self._loader.ask(positions, number % _UNDER_WAY)
                asked.append(positions)
                if len(asked) == _UNDER_WAY:
                    yield self._receive(asked)
            while asked:
                yield self._receive(asked)
        finally:
            while asked:
                with contextlib.suppress(Exception):
                    self._receive(asked)

    def _receive(self, asked: deque[Order]) -> Batch:
        positions = asked.popleft()
        self._loader.wait()
        images = self._buffers.take(len(positions))
        self._loader.receive_images(images)
        return Batch(images, self._source.columns.steering_of(positions))

    def close(self) -> None:
        """End the process and close the source."""
        self._end()
        self._source.close()
