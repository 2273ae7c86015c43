"""Compute the order of the samples in each epoch, from the seed and the epoch alone; without I/O.

In: number of samples, seed and epoch. Out: positions, uint32, in the order in which they are trained on.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bcclone.dataset.rows import RowTable
from bcclone.feed.feed_settings import CHUNKS, IN_ORDER, WINDOWS, Ordering

Order = npt.NDArray[np.uint32]

_ZERO_TOLERANCE = 1e-6  # recorded steering this small counts as 0


@dataclass(frozen=True)
class BatchSpan:
    """A contiguous part of a batch of `size` samples: `samples` of them from `first` on, perhaps none."""

    first: int
    samples: int
    size: int

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.first + self.samples <= self.size:
            raise ValueError(f"{self.samples} samples from {self.first} on, expected a part of {self.size} samples")


@dataclass(frozen=True)
class EpochOrder:
    """The order of the samples in every epoch. A subclass may fetch a part of each batch only.

    size: number of samples; zero_steering: bool (samples,), which samples have zero steering, None to use all of them;
    zero_fraction: the largest fraction of an epoch that may have zero steering; batch_size: samples of a batch;
    shard: uint32 (samples,), the shard of each sample, for windows.
    """

    size: int
    ordering: Ordering = Ordering()
    seed: int = 0
    zero_steering: npt.NDArray[np.bool_] | None = None
    zero_fraction: float = 1.0
    batch_size: int = 0
    shard: Order | None = None

    def __post_init__(self) -> None:
        if self.zero_steering is not None and len(self.zero_steering) != self.size:
            raise ValueError(f"the steering of {len(self.zero_steering)} samples, expected {self.size}")
        if not 0 <= self.zero_fraction <= 1:
            raise ValueError(f"zero fraction {self.zero_fraction}, expected 0 to 1")
        if self.ordering.kind == WINDOWS and (self.shard is None or len(self.shard) != self.size):
            raise ValueError(f"windows of shards, expected the shard of each of {self.size} samples")

    @property
    def batch_samples(self) -> int:
        """Return the number of samples to fetch for a full batch."""
        return self.batch_size

    @property
    def streams(self) -> int:
        """Return from how many streams of windows the batches are fetched."""
        return self.ordering.streams

    def __len__(self) -> int:
        """Return the number of samples in an epoch."""
        if self.zero_steering is None:
            return self.size
        zeros = int(self.zero_steering.sum())
        return self.size - zeros + allowed_zeros(self.size - zeros, zeros, self.zero_fraction)

    def order(self, epoch: int) -> Order:
        """Return the positions of the samples in the order of an epoch. epoch: counted from 1."""
        kind = self.ordering.kind
        if kind == WINDOWS and self.shard is not None:
            # leave samples out first: later, it would move samples to the part of another worker
            kept = self._balanced(sequential(self.size), epoch)
            return kept[self._windowed(self.shard[kept], epoch)]
        if kind == CHUNKS:
            order = chunked(self.size, self.ordering.size, self.seed, epoch)
        else:
            order = sequential(self.size) if kind == IN_ORDER else shuffled(self.size, self.seed, epoch)
        return self._balanced(order, epoch)

    def _balanced(self, order: Order, epoch: int) -> Order:
        if self.zero_steering is None:
            return order
        return balanced(order, self.zero_steering, self.zero_fraction, self.seed, epoch)

    def positions(self, epoch: int, start: int = 0) -> Order:
        """Return the positions to fetch in an epoch. start: sample to begin at, the first of a batch."""
        return self.order(epoch)[start:]

    def spans(self, start: int = 0) -> Iterator[BatchSpan] | None:
        """Return which part of each batch the positions are; None where they are all of it. start: as above."""
        return None

    def _windowed(self, shard: Order, epoch: int) -> Order:
        streams = min(self.ordering.streams, len(np.unique(shard)))
        if streams <= 1:
            return windowed(shard, self.ordering.size, self.seed, epoch)
        random = np.random.default_rng([self.seed, epoch])
        return streamed(shard, self.ordering.size, streams, self.batch_size, random)


def sequential(size: int) -> Order:
    """Return 0, 1, ... size - 1."""
    return np.arange(size, dtype=np.uint32)


def shuffled(size: int, seed: int, epoch: int) -> Order:
    """Return a permutation of 0 ... size - 1 that depends on size, seed and epoch alone."""
    order = sequential(size)
    np.random.default_rng([seed, epoch]).shuffle(order)
    return order


def chunked(size: int, chunk_size: int, seed: int, epoch: int) -> Order:
    """Return a permutation: chunks of neighbouring samples in random order, each chunk shuffled."""
    order = sequential(size)
    chunks = [order[start : start + chunk_size] for start in range(0, size, chunk_size)]
    random = np.random.default_rng([seed, epoch])
    for chunk in chunks:
        random.shuffle(chunk)
    return np.concatenate([order[:0], *(chunks[number] for number in random.permutation(len(chunks)))])


def windowed(shard: Order, window: int, seed: int, epoch: int) -> Order:
    """Return a permutation: shards are grouped at random into windows, and the samples of each window are shuffled.

    shard: of each sample, (samples,); window: number of shards. Each epoch groups the shards differently.
    """
    random = np.random.default_rng([seed, epoch])
    shards, index = np.unique(shard, return_inverse=True)
    return _shuffled_windows((random.permutation(len(shards)) // window)[index], random)


def _shuffled_windows(window: npt.NDArray[np.int64], random: np.random.Generator) -> Order:
    """Return the samples window by window, and shuffle each window. window: of each sample, (samples,)."""
    order = np.argsort(window, kind="stable").astype(np.uint32)
    ends = np.cumsum(np.bincount(window)).tolist()
    for start, end in itertools.pairwise([0, *ends]):
        random.shuffle(order[start:end])
    return order


def streamed(shard: Order, window: int, streams: int, batch_size: int, random: np.random.Generator) -> Order:
    """Return a permutation whose batches take an equal part from each of several streams of windows.

    Each shard belongs to one stream. Only the last batches differ: they hold the rest of the longer streams. shard: of
    each sample, (samples,); window: number of shards.
    """
    shards, index, sizes = np.unique(shard, return_inverse=True, return_counts=True)
    stream_of, window_of = np.zeros((2, len(shards)), np.int64)
    samples, members = np.zeros((2, streams), np.int64)
    for number in random.permutation(len(shards)).tolist():
        stream = int(np.argmin(samples))
        stream_of[number], window_of[number] = stream, members[stream] // window
        samples[stream] += sizes[number]
        members[stream] += 1
    parts = []
    for stream in range(streams):
        own = np.flatnonzero(stream_of[index] == stream)
        parts.append(own[_shuffled_windows(window_of[index][own], random)].astype(np.uint32))
    return interleaved(parts, batch_size)


def interleaved(streams: Sequence[Order], batch_size: int) -> Order:
    """Return batches that join a part of each stream, in the order of the streams, then the rest of longer streams."""
    lengths = map(len, np.array_split(np.arange(batch_size), len(streams)))
    pairs = list(zip(streams, lengths, strict=True))
    rounds = min(len(stream) // length for stream, length in pairs)
    batches = [stream[: rounds * length].reshape(rounds, length) for stream, length in pairs]
    rest = [stream[rounds * length :] for stream, length in pairs]
    return np.concatenate([np.concatenate(batches, axis=1).reshape(-1), *rest])


def split_into_windows(shard: Order) -> list[slice]:
    """Return the parts of an order; a new part begins where a shard begins after another shard has ended.

    shard: of each sample, in the order. A part needs only the shards that are open at the same time.
    """
    positions = sequential(len(shard))
    first, last = np.zeros((2, int(shard.max(initial=0)) + 1), np.int64)
    last[shard] = positions  # NumPy keeps the last position that is assigned to a shard
    first[shard[::-1]] = positions[::-1]
    used = np.unique(shard)
    begins = np.sort(first[used])
    ended = np.searchsorted(np.sort(last[used]), begins)  # how many shards have ended before each begins
    cuts = begins[1:][np.diff(ended) > 0].tolist()
    return [slice(start, end) for start, end in itertools.pairwise([0, *cuts, len(shard)]) if end > start]


def batches(order: Order, batch_size: int) -> Iterator[Order]:
    """Yield consecutive slices of batch_size positions; the last may be shorter."""
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def has_zero_steering(row: npt.NDArray[np.uint32], rows: RowTable) -> npt.NDArray[np.bool_]:
    """Return which samples were recorded with a steering of 0, bool (samples,). row: index into rows, (samples,)."""
    return np.asarray(np.abs(rows["steering"][row]) < _ZERO_TOLERANCE)


def balanced(order: Order, zero_steering: npt.NDArray[np.bool_], zero_fraction: float, seed: int, epoch: int) -> Order:
    """Leave out samples of zero steering, until they are at most zero_fraction of the order.

    zero_steering: bool (samples,) by position. Each epoch leaves out different samples, but the same number of them.
    """
    zeros = np.flatnonzero(zero_steering[order])
    surplus = len(zeros) - allowed_zeros(len(order) - len(zeros), len(zeros), zero_fraction)
    if surplus <= 0:
        return order
    removed = np.random.default_rng([seed, epoch, len(order)]).choice(zeros, surplus, replace=False)
    return np.delete(order, removed)


def allowed_zeros(others: int, zeros: int, zero_fraction: float) -> int:
    """Return how many samples of zero steering to keep, so that they are at most zero_fraction of all samples kept."""
    return zeros if zero_fraction >= 1 else min(zeros, int(zero_fraction * others / (1 - zero_fraction)))
