"""The interface of every feed: epochs of batches, in an order that a fetcher follows."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, Self

from bcclone.augment.draws import AugmentationInputs, Draws
from bcclone.feed.order import EpochOrder, Order


@dataclass(frozen=True)
class Augmentation:
    """The inputs and random numbers that determine how the samples of a batch are augmented."""

    inputs: AugmentationInputs
    draws: Draws


@dataclass(frozen=True)
class Batch:
    """images: uint8 (batch, height, width, 3), or windows (batch, seq_length, height, width, 3), oldest frame first;
    steering: float32 (batch, 1), -1 left to 1 right; augmentation: given when the training step augments the batch.

    The arrays are NumPy's, or tensors when TensorFlow gathers the frames.
    """

    images: Any
    steering: Any
    augmentation: Augmentation | None = None

    def __len__(self) -> int:
        return int(self.steering.shape[0])


class Fetcher(Protocol):
    """Fetches samples in a given order, batch by batch."""

    def fetch(self, order: Order) -> AbstractContextManager[Iterator[Batch]]:
        """Return the batches of these positions, in this order; leaving the block stops fetching."""

    def close(self) -> None:
        """Stop its threads and processes."""


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
        """Return a context manager that gives the batches of an epoch; each sample comes once.

        The last batch may be smaller. start: number of samples of the epoch to skip, used before a resume. An error in
        a worker is raised when the batch is asked for.
        """
        return self._fetcher.fetch(self._epoch_order.order(number)[start:])

    def close(self) -> None:
        """Stop the workers."""
        self._fetcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
