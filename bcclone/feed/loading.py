"""Load the batches of an epoch ahead, by threads: an order and a source -> batches."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from threading import Event
from typing import Any, Self

from bcclone.camera.images import opencv_on_one_thread
from bcclone.feed.order import Batches, Order, Positions
from bcclone.feed.selection import Batch, Buffers, Source
from bcclone.system.prefetch import prefetch_ordered

AHEAD = 4  # batches that are loaded ahead

# Changes a loaded batch, in several threads at once. It takes the batch, the positions of its
# samples, and its place: the epoch, and the index in it of the first sample of the whole batch, not
# of this worker's part. With the seed, these alone decide the random augmentation of the batch.
Transform = Callable[[Batch, Positions, tuple[int, int]], Batch]


class Feed:
    """The batches of the training or of the validation samples, epoch by epoch.

    A context manager, which opens and closes what it needs. The order decides alone which sample
    comes next, so that every feed gives the same batches.

    transforms: applied to each loaded batch, one after the other
    threads: number of threads that load and transform batches
    ahead: number of batches that are loaded before they are asked for
    steps_a_call: batches that one call of the training step takes; more than 1 only where batches
        are positions, and the compiled program gathers the frames itself
    """

    def __init__(
        self,
        source: Source,
        order: Order,
        transforms: Sequence[Transform] = (),
        threads: int = 1,
        ahead: int = AHEAD,
        steps_a_call: int = 1,
    ) -> None:
        self.source = source
        self.order = order
        self.steps_a_call = steps_a_call
        self._transforms = transforms
        self._threads = threads
        # each thread loads one batch while another one is ready
        self._ahead = max(ahead, 2 * threads)
        # the training uses one batch, and may still hold the one before
        self.buffers = Buffers(order.batch_size, source.shape, kept=self._ahead + 2)
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
        # this feed's own threads share the cores with the training
        opened.enter_context(opencv_on_one_thread())
        opened.enter_context(self.source)

    @contextmanager
    def _pieces(self, batches: Batches, stop: Event) -> Iterator[Iterator[Batch | Positions]]:
        """Give the batches of an epoch one after the other, or the positions for _load().

        stop: is set to end a wait for frames
        """
        yield iter(batches)

    def _load(self, positions: Positions) -> Batch:
        """Return the batch of these positions; several threads load at once."""
        return self.source.read(positions, self.buffers)

    @contextmanager
    def epoch(self, number: int, start: int = 0) -> Iterator[Iterator[Batch]]:
        """Give the batches of an epoch; each sample comes once.

        The last batch may be smaller. An error in a thread is raised when the batch is asked for.

        start: number of samples of the epoch to skip, which were used before a resume
        """
        batches = self.order.batches(number, start)
        stop = Event()

        def deliver(numbered: tuple[Batch | Positions, int]) -> Batch:
            piece, index = numbered
            batch = piece if isinstance(piece, Batch) else self._load(piece)
            if batches.part.count > 1:
                batch = replace(batch, span=batches.span(index))
            place = number, start + index * batches.size
            for transform in self._transforms:
                batch = transform(batch, batches[index], place)
            return batch

        with self._pieces(batches, stop) as pieces:
            # map, not zip: zip keeps a reference to its last tuple, and hence to a batch
            numbered = map(lambda *values: values, pieces, itertools.count())
            with prefetch_ordered(deliver, numbered, self._threads, self._ahead) as delivered:
                try:
                    yield delivered
                finally:
                    stop.set()  # first, since a thread may wait for a window of samples


class WindowFeed(Feed):
    """Reads the next window of the epoch ahead, for stores larger than memory.

    A window is a chunk of the store, or some of its files, which may be at a URL. One thread at a
    time fills the batches; another loads the next window.

    split: divides the positions of an epoch into windows
    """

    def __init__(
        self,
        split: Callable[[Positions], list[slice]],
        source: Source,
        order: Order,
        transforms: Sequence[Transform] = (),
        threads: int = 1,
    ) -> None:
        super().__init__(source, order, transforms, threads)
        self._split = split

    @contextmanager
    def _pieces(self, batches: Batches, stop: Event) -> Iterator[Iterator[Batch | Positions]]:
        source = self.source
        order = batches.positions

        def load(window: slice) -> int:
            """Load the frames of a window, and return its number of samples."""
            positions = order[window]
            source.frames.load(source.frame[positions], stop)
            return len(positions)

        def filled(sizes: Iterator[int]) -> Iterator[Batch]:
            left = 0  # samples of the first loaded window that no batch has used yet

            def parts_of(samples: int) -> Iterator[slice]:
                """Yield the parts of a batch that lie in one window each."""
                nonlocal left
                start = 0
                while start < samples:
                    if not left:
                        left = next(sizes)  # waits for the next window
                    end = min(start + left, samples)
                    yield slice(start, end)
                    left -= end - start
                    start = end

            for positions in batches:
                yield source.read(positions, self.buffers, parts_of(len(positions)))

        with prefetch_ordered(load, self._split(order), threads=1, ahead=1) as sizes:
            yield filled(sizes)
