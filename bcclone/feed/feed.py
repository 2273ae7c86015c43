"""The interface of every feed: epochs of batches in a given order, in memory that is reused.

The memory of a batch is reused as soon as no array or tensor refers to it.
"""

import math
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np

from bcclone.dataset.images import Image
from bcclone.feed.augment.kind import AugmentationInputs, Draws
from bcclone.feed.order import BatchSpan, EpochOrder, Order

PAGE = 4096


def lend(memory: memoryview, shape: tuple[int, ...], give_back: Callable[[], object]) -> Image:
    """Return an array in `memory`, uint8 (*shape,).

    `give_back` is called when the array, its views and the tensors made from it are gone; TensorFlow uses an aligned
    array without copying it.
    """
    owner = np.frombuffer(memory, np.uint8, math.prod(shape))  # every array made from it keeps it alive
    weakref.finalize(owner, give_back).atexit = False
    return owner.reshape(shape)


def to_middle_of_page(memory: memoryview) -> int:
    """Return the number of bytes to the first middle of a page, where a batch should begin.

    In a memory map frames begin at page boundaries. When the copy begins a few bytes into its page, as memory from the
    system does, the processor assumes that loads depend on the stores just before, and copying is a third slower.
    """
    address = np.frombuffer(memory, np.uint8).ctypes.data
    return int((PAGE // 2 - address) % PAGE)


class Buffers:
    """A pool of buffers; more than `kept` exist only while all of them are in use.

    The system would zero new memory for each batch page by page, which takes as long as the copy.
    """

    def __init__(self, batch_size: int, shape: tuple[int, ...], kept: int) -> None:
        self._shape, self._size = shape, batch_size * math.prod(shape)
        self._free: deque[memoryview] = deque(maxlen=kept)

    def take(self, count: int) -> Image:
        """Return an uninitialised array for `count` samples, uint8 (count, *shape)."""
        try:
            memory = self._free.pop()
        except IndexError:
            memory = np.empty(self._size + PAGE, np.uint8).data
            memory = memory[to_middle_of_page(memory) :]
        return lend(memory, (count, *self._shape), lambda: self._free.append(memory))


@dataclass(frozen=True)
class Augmentation:
    """The inputs and random numbers that determine how the samples of a batch are augmented."""

    inputs: AugmentationInputs
    draws: Draws


@dataclass(frozen=True)
class Batch:
    """images: uint8 (batch, height, width, 3), or windows (batch, seq_length, height, width, 3), oldest frame first;
    labels: float32 (batch, 1), the steering, -1 left to 1 right, or (batch, 2) with the speed; augmentation: given when
    the training step augments the batch; span: given when these samples are one worker's part of a batch, of which each
    worker has at least one sample, which does not count if the part is empty.

    The arrays are NumPy's, or tensors when TensorFlow gathers the frames.
    """

    images: Any
    labels: Any
    augmentation: Augmentation | None = None
    span: BatchSpan | None = None

    def __len__(self) -> int:
        return int(self.labels.shape[0])

    @property
    def samples(self) -> int:
        """Return the number of samples that count."""
        return len(self) if self.span is None else self.span.samples

    @property
    def global_size(self) -> int:
        """Return the number of samples over all workers."""
        return len(self) if self.span is None else self.span.size

    def with_span(self, span: BatchSpan) -> "Batch":
        """Return these samples as a worker's part of a batch."""
        return replace(self, span=span)


class Fetcher(Protocol):
    """Fetches samples in a given order, batch by batch."""

    def fetch(self, order: Order) -> AbstractContextManager[Iterator[Batch]]:
        """Return the batches of these positions, in this order; leaving the block stops fetching."""

    def close(self) -> None:
        """Stop its threads and processes."""


def with_spans(
    fetched: AbstractContextManager[Iterator[Batch]], epoch_order: EpochOrder, start: int
) -> AbstractContextManager[Iterator[Batch]]:
    """Return the fetched batches of an epoch from sample `start` on, as a worker's parts if there are several."""
    return fetched if epoch_order.part.count == 1 else _with_spans(fetched, epoch_order, start)


@contextmanager
def _with_spans(
    fetched: AbstractContextManager[Iterator[Batch]], epoch_order: EpochOrder, start: int
) -> Iterator[Iterator[Batch]]:
    with fetched as batches:
        yield map(Batch.with_span, batches, epoch_order.spans(start))


class Feed:
    """The batches of one side of the split, epoch by epoch.

    epoch_order: decides alone which sample comes next, so that every fetcher gives the same batches.
    """

    def __init__(self, epoch_order: EpochOrder, fetcher: Fetcher) -> None:
        self._epoch_order, self._fetcher = epoch_order, fetcher

    def __len__(self) -> int:
        """Return the number of samples in an epoch."""
        return len(self._epoch_order)

    def epoch(self, number: int, start: int = 0) -> AbstractContextManager[Iterator[Batch]]:
        """Return a context manager that gives the batches of an epoch; each sample comes once, over all workers.

        The last batch may be smaller. start: number of samples of the epoch to skip, used before a resume. An error in
        a worker is raised when the batch is asked for.
        """
        fetched = self._fetcher.fetch(self._epoch_order.positions(number, start))
        return with_spans(fetched, self._epoch_order, start)

    def close(self) -> None:
        """Stop the workers."""
        self._fetcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
