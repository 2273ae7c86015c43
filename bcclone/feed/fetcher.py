"""Load batches from a source, in threads: the feeds "hdf5-shuffle", "memory", "files", "hdf5-chunks" and "shards".

In: the positions of each batch. Out: `Batch`.

`Feed` calls prefetch_ordered() with the pieces and load() of a fetcher, so that a batch goes from one thread to another
only once.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from threading import Event
from typing import Any, Self

from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.order import Batches, EpochOrder, Order, split_into_windows
from bcclone.feed.selection import Selection
from bcclone.feed.source import Batch, Buffers, FrameSource, SampleSource
from bcclone.system.prefetch import prefetch_ordered

_AHEAD = 4  # batches
_CORES = os.cpu_count() or 1
_THREADS = min(2, _CORES)  # one alone copies half of what a core can: it also flips, looks up labels and hands over


class Fetcher:
    """Loads the batches of an order from a source; a context manager, which opens and closes what it needs.

    threads: how many load at once, 0 for the thread that asks for a batch; ahead: number of batches that they load
    before these are asked for.
    """

    def __init__(self, source: SampleSource, batch_size: int, ahead: int = 0, threads: int = _THREADS) -> None:
        self.source, self.ahead = source, ahead or _AHEAD
        self.threads = min(threads, self.ahead)
        self._buffers = Buffers(batch_size, source.shape, kept=self.ahead + 2)
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            self._open(opening)
            self._opened = opening.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)

    def _open(self, opened: ExitStack) -> None:
        opened.enter_context(self.source)

    @property
    def has_started(self) -> bool:
        """Return whether the processes that load have started; until then, for seconds, the first batch waits."""
        return True

    def pieces(self, batches: Batches, stop: Event) -> AbstractContextManager[Iterator[Any]]:
        """Give what load() makes each batch of; one thread at a time asks for the next. stop: do not wait any more."""
        return nullcontext(iter(batches))

    def load(self, piece: Any) -> Batch:
        """Return the batch of a piece, which may be one already; several threads may load at once."""
        return piece if isinstance(piece, Batch) else self.source.read(piece, self._buffers)


def hdf5_shuffle(selection: Selection, order: EpochOrder, settings: FeedSettings) -> Fetcher:
    """Read the memory-mapped store. Shuffling costs nothing while the file fits into memory."""
    return Fetcher(selection.mapped_source(), order.batch_size, settings.max_queue_size)


def memory(selection: Selection, order: EpochOrder, settings: FeedSettings) -> Fetcher:
    return Fetcher(selection.memory_source(), order.batch_size, settings.max_queue_size)


def files(selection: Selection, order: EpochOrder, settings: FeedSettings) -> Fetcher:
    """Read and decode the images of a recording for each batch, in a thread per core."""
    threads = settings.feed_workers or _CORES
    ahead = settings.max_queue_size or max(_AHEAD, threads)
    return Fetcher(selection.file_source(), order.batch_size, ahead, threads)


def hdf5_chunks(selection: Selection, order: EpochOrder, settings: FeedSettings) -> "WindowFetcher":
    def split(order: Order) -> list[slice]:
        return [slice(start, start + settings.chunk_size) for start in range(0, len(order), settings.chunk_size)]

    return WindowFetcher(selection.mapped_source(), order.batch_size, settings.max_queue_size, split)


def shards(selection: Selection, order: EpochOrder, settings: FeedSettings) -> "WindowFetcher":
    """Read windows of a store's files ahead; raises UserError when the copies of far ones do not fit into the cache."""
    frames, limit = selection.store.frames, settings.cache_bytes
    frames.check_cache(limit, settings.window_shards * order.streams)
    frames.set_cache(Path(settings.cache) if settings.cache else None, limit)
    return windows(selection, order, settings)


def windows(selection: Selection, order: EpochOrder, settings: FeedSettings) -> "WindowFetcher":
    """Read the next files of an order ahead."""

    def split(order: Order) -> list[slice]:
        return split_into_windows(selection.shard[order])

    return WindowFetcher(selection.mapped_source(), order.batch_size, settings.max_queue_size, split)


class WindowFetcher(Fetcher):
    """Fill batches from windows of samples, of which a thread brings the next one near; for stores larger than memory.

    A window is a chunk of the store, or some of its files, which may be far away. split: divides an order into windows.
    """

    source: FrameSource

    def __init__(self, source: FrameSource, batch_size: int, ahead: int, split: Callable[[Order], list[slice]]) -> None:
        super().__init__(source, batch_size, ahead, threads=1)
        self._split = split

    @contextmanager
    def pieces(self, batches: Batches, stop: Event) -> Iterator[Iterator[Batch]]:
        """Give the batches, which one thread fills: a window is given up as soon as its samples are used."""
        frames, frame, order = self.source.frames, self.source.arrays.frame, batches.positions
        loaded: deque[Any] = deque()  # of each window that is near, what is to be unloaded
        left = 0  # samples of the current window that are not used yet

        def load(window: slice) -> int:
            loaded.append(frames.load(frame[order[window]], stop))
            return len(order[window])

        def parts(samples: int) -> Iterator[slice]:
            nonlocal left
            start = 0
            while start < samples:
                left = left or next(sizes)
                end = min(start + left, samples)
                yield slice(start, end)
                left -= end - start
                start = end
                if not left:
                    frames.unload(loaded.popleft())

        try:
            with prefetch_ordered(load, self._split(order), threads=1, ahead=1) as sizes:
                yield (self.source.read(positions, self._buffers, parts(len(positions))) for positions in batches)
        finally:
            for window in loaded:
                frames.unload(window)
