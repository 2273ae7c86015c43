"""A feed loads the batches of an epoch ahead, in threads, in a given order.

In: an order and a source. Out: `Batch`. Here are the strategies "hdf5-shuffle", "memory", "files",
"hdf5-chunks" and "shards". Each is a function (selection, order, settings, delivery) -> Feed.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple, Self

from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.order import Batches, BatchSpan, EpochOrder, Order, split_into_windows
from bcclone.feed.selection import Selection
from bcclone.feed.source import Batch, Buffers, FrameSource, SampleSource
from bcclone.system.pool import prefetch_ordered

_AHEAD = 4  # batches that most strategies load ahead when max_queue_size does not say
_CORES = os.cpu_count() or 1
# two: a thread also flips frames and looks up labels, so it copies at only half a core's speed
_THREADS = min(2, _CORES)


class BatchPlace(NamedTuple):
    """Where in the training a batch comes.

    With the seed, this alone decides the random augmentation of the batch.
    """

    positions: Order  # positions of the batch's samples
    epoch: int
    # index in the epoch of the first sample of the whole batch, not of this worker's part
    first: int


# changes a batch, in several threads at once
Transform = Callable[[Batch, BatchPlace], Batch]


@dataclass(frozen=True)
class Delivery:
    """What becomes of a batch after it was loaded."""

    transforms: tuple[Transform, ...] = ()  # applied one after the other
    threads: int | None = None  # number that load and transform; None: what suits the strategy
    # batches that one call of the training step takes; more than 1 only where batches are positions
    # and the compiled program gathers the frames itself
    steps_a_call: int = 1


AS_LOADED = Delivery()


class Feed:
    """The batches of the training or of the validation samples, epoch by epoch.

    A context manager, which opens and closes what it needs. The order decides alone which sample
    comes next, so that every feed gives the same batches.

    ahead: number of batches that are loaded before they are asked for
    threads: number of loading threads; 0 loads in the caller's thread; delivery.threads overrides
        it
    """

    def __init__(
        self,
        source: SampleSource,
        order: EpochOrder,
        delivery: Delivery = AS_LOADED,
        ahead: int = _AHEAD,
        threads: int = _THREADS,
    ) -> None:
        self.source = source
        self.order = order
        self.steps_a_call = delivery.steps_a_call
        self._transforms = delivery.transforms
        self._threads = min(threads, ahead) if delivery.threads is None else delivery.threads
        # each thread has a batch in work and one that is ready
        self._ahead = max(ahead, 2 * self._threads)
        # the training uses one batch, and may still hold the one before
        self._buffers = Buffers(order.batch_size, source.shape, kept=self._ahead + 2)
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
        """Return whether a first batch can come without waiting for processes to start.

        Always True here. A feed with loader processes overrides it, and is True once they run.
        """
        return True

    def pieces(self, batches: Batches, stop: Event) -> AbstractContextManager[Iterator[Any]]:
        """Give the pieces of an epoch; one thread at a time takes one.

        A piece is what load() takes: the positions of a batch, or a finished Batch.

        stop: set to end a wait
        """
        return nullcontext(iter(batches))

    def load(self, piece: Any) -> Batch:
        """Return the batch of a piece of pieces(); several threads load at once."""
        if isinstance(piece, Batch):
            return piece
        return self.source.read(piece, self._buffers)

    @contextmanager
    def epoch(self, number: int, start: int = 0) -> Iterator[Iterator[Batch]]:
        """Give the batches of an epoch; each sample comes once.

        The last batch may be smaller. An error in a worker is raised when the batch is asked for.

        start: number of samples of the epoch to skip, which were used before a resume
        """
        batches = self.order.batches(number, start)
        is_part = batches.part.count > 1
        stop = Event()

        def deliver(numbered: "_NumberedPiece") -> Batch:
            batch = self.load(numbered.piece)
            if is_part:
                batch = replace(batch, span=numbered.span)
            place = BatchPlace(numbered.positions, number, numbered.first)
            for transform in self._transforms:
                batch = transform(batch, place)
            return batch

        def with_numbers(pieces: Iterator[Any]) -> Iterator[_NumberedPiece]:
            spans = map(batches.span, range(len(batches)))
            firsts = range(start, start + len(batches.order), batches.size)
            # map, not zip: zip keeps a reference to its last tuple, and hence to a batch
            return map(_NumberedPiece, pieces, batches, spans, firsts)

        with (
            self.pieces(batches, stop) as pieces,
            prefetch_ordered(
                deliver, with_numbers(pieces), self._threads, self._ahead
            ) as delivered,
        ):
            try:
                yield delivered
            finally:
                stop.set()  # first, since a thread may wait for a window of samples


class _NumberedPiece(NamedTuple):
    """A piece, and which batch of the epoch it becomes."""

    piece: Any  # as pieces() gives it
    positions: Order  # positions of the batch's samples
    span: BatchSpan
    first: int  # as in BatchPlace


class WindowFeed(Feed):
    """Fill batches from windows of samples; a thread reads the next window ahead.

    For stores larger than memory. A window is a chunk of the store, or some of its files, which may
    be at a URL.

    split: divides an order into windows
    """

    source: FrameSource

    def __init__(
        self,
        source: FrameSource,
        order: EpochOrder,
        split: Callable[[Order], list[slice]],
        delivery: Delivery = AS_LOADED,
        ahead: int = _AHEAD,
    ) -> None:
        super().__init__(source, order, delivery, ahead, threads=1)
        self._split = split

    @contextmanager
    def pieces(self, batches: Batches, stop: Event) -> Iterator[Iterator[Batch]]:
        """Give the batches, which one thread fills; a used window is unloaded at once."""
        order = batches.positions
        windows = _LoadedWindows(self.source, order, stop)
        try:
            with prefetch_ordered(windows.load, self._split(order), threads=1, ahead=1) as sizes:
                yield self._filled(batches, windows, sizes)
        finally:
            windows.unload_all()

    def _filled(
        self, batches: Batches, windows: "_LoadedWindows", sizes: Iterator[int]
    ) -> Iterator[Batch]:
        """Yield the batches. sizes: waits for the next window, and gives its number of samples."""
        for positions in batches:
            parts = windows.parts_of(len(positions), sizes)
            # read() copies a part before it asks for the next one, which unloads an earlier window
            yield self.source.read(positions, self._buffers, parts)


class _LoadedWindows:
    """The windows in memory, in the order in which batches use them up.

    One thread loads them, another takes their samples.

    order: the positions of all samples of the epoch, which the windows divide
    stop: set to end a wait for frames
    """

    def __init__(self, source: FrameSource, order: Order, stop: Event) -> None:
        self._frames = source.frames
        self._frame_numbers = source.arrays.frame
        self._order = order
        self._stop = stop
        self._handles: deque[Any] = deque()  # for frames.unload(), one for each window
        self._left = 0  # samples of the first window that no batch has used yet

    def load(self, window: slice) -> int:
        """Load the frames of a window, a part of the order; return its number of samples."""
        positions = self._order[window]
        self._handles.append(self._frames.load(self._frame_numbers[positions], self._stop))
        return len(positions)

    def parts_of(self, samples: int, sizes: Iterator[int]) -> Iterator[slice]:
        """Yield the parts of a batch that lie in one window each, and unload used windows.

        samples: number of samples in the batch
        sizes: waits for the next window, and gives its number of samples
        """
        start = 0
        while start < samples:
            if not self._left:
                self._left = next(sizes)
            end = min(start + self._left, samples)
            yield slice(start, end)
            self._left -= end - start
            start = end
            if not self._left:
                self._frames.unload(self._handles.popleft())

    def unload_all(self) -> None:
        """Unload the windows that are left, also when an epoch ends early."""
        for handle in self._handles:
            self._frames.unload(handle)


# ---- the strategies


def hdf5_shuffle(
    selection: Selection, order: EpochOrder, settings: FeedSettings, delivery: Delivery
) -> Feed:
    """Read the memory-mapped store, in any order. Trainings shuffle, hence the name.

    Shuffling costs nothing while the file fits into memory.
    """
    ahead = settings.max_queue_size or _AHEAD
    return Feed(selection.mapped_source(), order, delivery, ahead)


def memory(
    selection: Selection, order: EpochOrder, settings: FeedSettings, delivery: Delivery
) -> Feed:
    ahead = settings.max_queue_size or _AHEAD
    return Feed(selection.memory_source(), order, delivery, ahead)


def files(
    selection: Selection, order: EpochOrder, settings: FeedSettings, delivery: Delivery
) -> Feed:
    """Read and decode the images of a recording for each batch, in a thread per core."""
    threads = settings.feed_workers or _CORES
    ahead = settings.max_queue_size or max(_AHEAD, threads)
    return Feed(selection.file_source(), order, delivery, ahead, threads)


def hdf5_chunks(
    selection: Selection, order: EpochOrder, settings: FeedSettings, delivery: Delivery
) -> WindowFeed:
    ahead = settings.max_queue_size or _AHEAD
    size = settings.chunk_size

    def split(positions: Order) -> list[slice]:
        return [slice(start, start + size) for start in range(0, len(positions), size)]

    return WindowFeed(selection.mapped_source(), order, split, delivery, ahead)


def shards(
    selection: Selection, order: EpochOrder, settings: FeedSettings, delivery: Delivery
) -> WindowFeed:
    """Read windows of a store's files ahead.

    Raises UserError when the copies of files at a URL do not fit into the cache.
    """
    frames = selection.store.frames
    frames.check_cache(settings.cache_bytes, settings.window_shards * order.streams)
    folder = Path(settings.cache) if settings.cache else None
    frames.set_cache(folder, settings.cache_bytes)
    return windows(selection, order, settings, delivery)


def windows(
    selection: Selection, order: EpochOrder, settings: FeedSettings, delivery: Delivery
) -> WindowFeed:
    """Read windows of a store's files ahead as shards() does, but choose no cache for copies."""
    ahead = settings.max_queue_size or _AHEAD

    def split(positions: Order) -> list[slice]:
        return split_into_windows(selection.shard[positions])

    return WindowFeed(selection.mapped_source(), order, split, delivery, ahead)
