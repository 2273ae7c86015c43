"""Feeds: the batches of an order of samples, from a source, loaded ahead in threads, epoch by
epoch.

In: an order and a source. Out: `Batch`. Here are the strategies "hdf5-shuffle", "memory", "files",
"hdf5-chunks" and "shards", each a function from samples, their order and the settings to a feed.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any, Self

from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.order import Batches, BatchSpan, EpochOrder, Order, split_into_windows
from bcclone.feed.selection import Selection
from bcclone.feed.source import Batch, Buffers, FrameSource, SampleSource
from bcclone.system.prefetch import prefetch_ordered

# batch, positions of its samples, number of the epoch, first sample of the whole batch in the epoch
# -> the batch
Augment = Callable[[Batch, Order, int, int], Batch]
Place = Callable[[Batch], Batch]

_AHEAD = 4  # batches
_CORES = os.cpu_count() or 1
# one thread reaches half a core's copying speed, since it also flips and looks up labels
_THREADS = min(2, _CORES)


class Feed:
    """The batches of one side of the split, epoch by epoch. A context manager, which opens and
    closes what it needs.

    order: decides alone which sample comes next, so that every feed gives the same batches; ahead:
    number of batches that are loaded before they are asked for; threads: how many load and augment
    at once, 0 for the one that asks for a batch; augment: of each batch, None for unchanged
    samples; its draws depend on (seed, epoch, first sample of the batch over all workers), so that
    a resume is exact; augments_images: whether it takes their images; steps_a_call: how many
    batches one call of the training step takes, 1 of images, or more of positions.
    """

    augment: Augment | None = None
    augments_images: bool = False
    steps_a_call: int = 1
    _place: Place | None = None

    def __init__(
        self, source: SampleSource, order: EpochOrder, ahead: int = 0, threads: int = _THREADS
    ) -> None:
        self.source, self.order, self.ahead = source, order, ahead or _AHEAD
        self.threads = min(threads, self.ahead)
        self._buffers = Buffers(order.batch_size, source.shape, kept=self.ahead + 2)
        self._opened = ExitStack()

    def __len__(self) -> int:
        return len(self.order)

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
        """Return whether the processes that load have started; until then, for seconds, the first
        batch waits.
        """
        return True

    def serve(self, steps: int, place: Place) -> None:
        """Give the batches that a program of XLA takes; called before the block.

        steps: that it takes in one call if it gathers the images itself; place: copies a batch to
        the device, ahead of its step.
        """
        self._place = place

    def pieces(self, batches: Batches, stop: Event) -> AbstractContextManager[Iterator[Any]]:
        """Give the pieces from which load() makes batches; one thread at a time takes one. stop:
        set to end a wait.
        """
        return nullcontext(iter(batches))

    def load(self, piece: Any) -> Batch:
        """Return the batch of a piece, which may be one already; several threads may load at once."""
        return piece if isinstance(piece, Batch) else self.source.read(piece, self._buffers)

    @contextmanager
    def epoch(self, number: int, start: int = 0) -> Iterator[Iterator[Batch]]:
        """Give the batches of an epoch; each sample comes once.

        The last batch may be smaller. start: number of samples of the epoch to skip, used before a
        resume. An error in a worker is raised when the batch is asked for.
        """
        batches, stop = self.order.batches(number, start), Event()

        def load(piece: Any, positions: Order, span: BatchSpan, first: int) -> Batch:
            batch = self.load(piece)
            if batches.part.count > 1:
                batch = replace(batch, span=span)
            batch = self.augment(batch, positions, number, first) if self.augment else batch
            return self._place(batch) if self._place else batch

        def tasks(pieces: Iterator[Any]) -> Iterator[tuple[Any, Order, BatchSpan, int]]:
            firsts = range(start, start + len(batches.order), batches.size)
            # zip() would keep the last batch's memory alive
            return map(
                lambda *each: each, pieces, batches, map(batches.span, range(len(batches))), firsts
            )

        ahead = max(self.ahead, 2 * self.threads)
        with (
            self.pieces(batches, stop) as pieces,
            prefetch_ordered(
                lambda item: load(*item), tasks(pieces), self.threads, ahead
            ) as loaded,
        ):
            try:
                yield loaded
            finally:
                stop.set()  # first, since a thread may wait for a window of samples


class WindowFeed(Feed):
    """Fill batches from windows of samples; a thread reads the next window ahead. For stores larger
    than memory.

    A window is a chunk of the store, or some of its files, which may be at a URL. split: divides an
    order into windows.
    """

    source: FrameSource

    def __init__(
        self,
        source: FrameSource,
        order: EpochOrder,
        ahead: int,
        split: Callable[[Order], list[slice]],
    ) -> None:
        super().__init__(source, order, ahead, threads=1)
        self._split = split

    @contextmanager
    def pieces(self, batches: Batches, stop: Event) -> Iterator[Iterator[Batch]]:
        """Give the batches, which one thread fills; a window is unloaded as soon as its samples are
        used.
        """
        frames, frame, order = self.source.frames, self.source.arrays.frame, batches.positions
        loaded: deque[Any] = deque()  # what each loaded window has to unload
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
                yield (
                    self.source.read(positions, self._buffers, parts(len(positions)))
                    for positions in batches
                )
        finally:
            for window in loaded:
                frames.unload(window)


def hdf5_shuffle(selection: Selection, order: EpochOrder, settings: FeedSettings) -> Feed:
    """Read the memory-mapped store. Shuffling costs nothing while the file fits into memory."""
    return Feed(selection.mapped_source(), order, settings.max_queue_size)


def memory(selection: Selection, order: EpochOrder, settings: FeedSettings) -> Feed:
    return Feed(selection.memory_source(), order, settings.max_queue_size)


def files(selection: Selection, order: EpochOrder, settings: FeedSettings) -> Feed:
    """Read and decode the images of a recording for each batch, in a thread per core."""
    threads = settings.feed_workers or _CORES
    ahead = settings.max_queue_size or max(_AHEAD, threads)
    return Feed(selection.file_source(), order, ahead, threads)


def hdf5_chunks(selection: Selection, order: EpochOrder, settings: FeedSettings) -> WindowFeed:
    source, ahead, size = selection.mapped_source(), settings.max_queue_size, settings.chunk_size
    return WindowFeed(
        source,
        order,
        ahead,
        lambda order: [slice(start, start + size) for start in range(0, len(order), size)],
    )


def shards(selection: Selection, order: EpochOrder, settings: FeedSettings) -> WindowFeed:
    """Read windows of a store's files ahead; raises UserError when the copies of far ones do not
    fit into the cache.
    """
    frames, limit = selection.store.frames, settings.cache_bytes
    frames.check_cache(limit, settings.window_shards * order.streams)
    frames.set_cache(Path(settings.cache) if settings.cache else None, limit)
    return windows(selection, order, settings)


def windows(selection: Selection, order: EpochOrder, settings: FeedSettings) -> WindowFeed:
    """Read the next files of an order ahead."""
    source, ahead = selection.mapped_source(), settings.max_queue_size
    return WindowFeed(
        source, order, ahead, lambda order: split_into_windows(selection.shard[order])
    )
