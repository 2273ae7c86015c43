"""An order and what fetches it -> the batches of each epoch; the same for every strategy."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, Self

from bcclone.augment.draws import AugmentationInputs, Draws
from bcclone.feed.order import Epochs, Order


@dataclass(frozen=True)
class Augmentation:
    """What decides how the samples of a batch are augmented."""

    inputs: AugmentationInputs
    draws: Draws


@dataclass(frozen=True)
class Batch:
    """images: uint8 (batch, height, width, 3), or windows (batch, seq_length, height, width, 3), oldest frame first;
    steering: float32 (batch, 1), -1 left to 1 right; augmentation: where the training step is to augment them.

    NumPy arrays, or tensors where the frames are gathered by TensorFlow.
    """

    images: Any
    steering: Any
    augmentation: Augmentation | None = None

    def __len__(self) -> int:
        return int(self.steering.shape[0])


class Fetcher(Protocol):
    """Gets the samples of an order, batch by batch."""

    def fetch(self, order: Order) -> AbstractContextManager[Iterator[Batch]]:
        """Return the batches of these positions, in this order; leaving the block ends the work on them."""

    def close(self) -> None:
        """End what works for it."""


class Feed:
    """The batches of one side of the split, epoch by epoch.

    epochs: their orders, which alone decide what comes next, so that every fetcher gives the same.
    """

    def __init__(self, epochs: Epochs, fetcher: Fetcher) -> None:
        self._epochs, self._fetcher = epochs, fetcher

    def __len__(self) -> int:
        """Return the number of samples in an epoch."""
        return len(self._epochs)

    def epoch(self, number: int, start: int = 0) -> AbstractContextManager[Iterator[Batch]]:
        """Return the batches of an epoch, to be entered; each sample comes once, and the last batch may be short.

        start: how many samples of the epoch have been used before; it goes on with the next one. What a worker
        raises is raised where the next batch is asked for.
        """
        return self._fetcher.fetch(self._epochs.order(number)[start:])

    def close(self) -> None:
        """End the workers."""
        self._fetcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
