"""Settings + seed -> the order of the samples in each epoch, and how many there are."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from bcclone.feed.balance import allowed, balanced
from bcclone.feed.order import Order, chunked, sequential, shuffled
from bcclone.feed.settings import FeedSettings


@dataclass(frozen=True)
class Epochs:
    """The orders of all epochs; nothing but these values decides them.

    size: samples there are; ordering: "in order", "shuffled" or "chunks"; straight: bool (samples,), which of them
    drive straight on, and zero_share, how large their share may be; None where all are used.
    """

    size: int
    ordering: str = "in order"
    chunk_size: int = 0
    seed: int = 0
    straight: npt.NDArray[np.bool_] | None = None
    zero_share: float = 1.0

    @classmethod
    def of(cls, settings: FeedSettings, size: int, seed: int) -> Self:
        """Return the orders that a feed gives, of all samples."""
        ordering, chunk_size = settings.ordering
        return cls(size, ordering, chunk_size, seed)

    def __len__(self) -> int:
        """Return the number of samples in an epoch."""
        if self.straight is None:
            return self.size
        straight = int(self.straight.sum())
        return self.size - straight + allowed(self.size - straight, straight, self.zero_share)

    def order(self, epoch: int) -> Order:
        """Return the positions of an epoch, counted from 1."""
        order = self._whole(epoch)
        if self.straight is None:
            return order
        return balanced(order, self.straight, self.zero_share, self.seed, epoch)

    def _whole(self, epoch: int) -> Order:
        if self.ordering == "chunks":
            return chunked(self.size, self.chunk_size, self.seed, epoch)
        if self.ordering == "shuffled":
            return shuffled(self.size, self.seed, epoch)
        return sequential(self.size)
