"""Seed and epoch -> the order of the samples; nothing else decides it, and nothing is fetched here."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from bcclone.feed.settings import FeedSettings
from bcclone.samples import RowTable, SampleTable

Order = npt.NDArray[np.uint32]


def sequential(size: int) -> Order:
    """Return 0, 1, ... size - 1."""
    return np.arange(size, dtype=np.uint32)


def shuffled(size: int, seed: int, epoch: int) -> Order:
    """Return a permutation of 0 ... size - 1 that depends on size, seed and epoch alone."""
    order = sequential(size)
    np.random.default_rng([seed, epoch]).shuffle(order)
    return order


def chunked(size: int, chunk_size: int, seed: int, epoch: int) -> Order:
    """Return the permutation that takes chunks of neighbours in random order and shuffles each within itself."""
    order = sequential(size)
    chunks = [order[start : start + chunk_size] for start in range(0, size, chunk_size)]
    random = np.random.default_rng([seed, epoch])
    for chunk in chunks:
        random.shuffle(chunk)
    return np.concatenate([order[:0], *(chunks[place] for place in random.permutation(len(chunks)))])


def batches(order: Order, batch_size: int) -> Iterator[Order]:
    """Yield the order in pieces of batch_size; the last may be shorter."""
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


_NEARLY = 1e-6


def goes_straight(samples: SampleTable, rows: RowTable) -> npt.NDArray[np.bool_]:
    """Return which samples are of a row with a recorded steering of 0, bool (samples,)."""
    return np.asarray(np.abs(rows["steering"][samples["row"]]) < _NEARLY)


def balanced(order: Order, straight: npt.NDArray[np.bool_], share: float, seed: int, epoch: int) -> Order:
    """Return the order without so many samples of driving straight on that they are at most `share` of what is left.

    straight: bool (samples,) by position; the same size is left in every epoch.
    """
    places = np.flatnonzero(straight[order])
    surplus = len(places) - allowed(len(order) - len(places), len(places), share)
    if surplus <= 0:
        return order
    drawn = np.random.default_rng([seed, epoch, len(order)]).choice(places, surplus, replace=False)
    return np.delete(order, drawn)


def allowed(curved: int, straight: int, share: float) -> int:
    """Return how many of the straight samples stay beside `curved` others, so that they are at most `share` of all."""
    return straight if share >= 1 else min(straight, int(share * curved / (1 - share)))


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
