"""Compute the order of the samples in each epoch, from the seed and the epoch alone; without I/O.

In: number of samples, seed and epoch. Out: positions, uint32, in the order in which they are
trained on.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bcclone.dataset.rows import RowTable
from bcclone.feed.feed_settings import CHUNKS, IN_ORDER, WINDOWS, Ordering
from bcclone.system.arrays import BoolArray, IndexArray, Uint32Array

Order = Uint32Array

_ZERO_TOLERANCE = 1e-6  # recorded steering this small counts as 0


class BatchSpan(NamedTuple):
    """A contiguous part of a batch of `size` samples: `samples` of them from `first` on, perhaps
    none.
    """

    first: int
    samples: int
    size: int


@dataclass(frozen=True)
class BatchPart:
    """The part of each batch that one worker trains on. index: of the worker, from 0; count: number
    of workers.

    The parts of all workers make up the batch, in the order of their indices; their lengths differ
    by at most one.
    """

    index: int = 0
    count: int = 1

    def span(self, size: int) -> BatchSpan:
        """Return this worker's part of a batch of `size` samples; an empty one begins at 0."""
        samples, longer = divmod(size, self.count)
        first = self.index * samples + min(self.index, longer)
        samples += self.index < longer
        return BatchSpan(first if samples else 0, samples, size)


ALL = BatchPart()


@dataclass(frozen=True)
class Batches:
    """An order, cut into batches: the positions of each batch, or of one worker's part of it.

    A worker without a sample in the last batch fetches the first one, so that it takes part in the
    step; there the sample has no weight.
    """

    order: Order
    size: int
    part: BatchPart = ALL

    def __len__(self) -> int:
        return -(-len(self.order) // self.size)

    def __iter__(self) -> Iterator[Order]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> Order:
        batch = self._whole(number)
        span = self.part.span(len(batch))
        return batch[span.first : span.first + max(span.samples, 1)]

    def span(self, number: int) -> BatchSpan:
        """Return which part of the batch the positions are."""
        return self.part.span(len(self._whole(number)))

    @property
    def positions(self) -> Order:
        return self.order if self.part.count == 1 else np.concatenate([self.order[:0], *self])

    def _whole(self, number: int) -> Order:
        return self.order[number * self.size : (number + 1) * self.size]


@dataclass(frozen=True)
class EpochOrder:
    """The order of the samples in every epoch.

    size: number of samples; zero_steering: bool (samples,), which samples have zero steering, None
    to use all of them; zero_fraction: the largest fraction of an epoch that may have zero steering;
    batch_size: samples of a batch; shard: uint32 (samples,), the shard of each sample, for windows;
    part: of each batch that this worker fetches.
    """

    size: int
    ordering: Ordering = Ordering()
    seed: int = 0
    zero_steering: BoolArray | None = None
    zero_fraction: float = 1.0
    batch_size: int = 1
    shard: Order | None = None
    part: BatchPart = ALL

    @property
    def streams(self) -> int:
        """Return from how many streams of windows this worker fetches its batches."""
        return -(-self.ordering.streams // self.part.count)

    def __len__(self) -> int:
        if self.zero_steering is None:
            return self.size
        zeros = int(self.zero_steering.sum())
        return self.size - zeros + allowed_zeros(self.size - zeros, zeros, self.zero_fraction)

    def batches(self, epoch: int, start: int = 0) -> Batches:
        """Return the batches of an epoch. start: sample of the epoch to begin at, the first of a
        batch.
        """
        return Batches(self.order(epoch)[start:], self.batch_size, self.part)

    def order(self, epoch: int) -> Order:
        """Return the positions of the samples in the order of an epoch. epoch: counted from 1."""
        kind = self.ordering.kind
        if kind == WINDOWS and self.shard is not None:
            # leave samples out first: later, it would move samples to the part of another worker
            kept = self._balanced(sequential(self.size), epoch)
            shard, window = self.shard[kept], self.ordering.size
            streams = min(self.ordering.streams, len(np.unique(shard)))
            if streams <= 1:
                return kept[windowed(shard, window, self.seed, epoch)]
            return kept[
                streamed(
                    shard,
                    window,
                    streams,
                    self.batch_size,
                    np.random.default_rng([self.seed, epoch]),
                )
            ]
        if kind == CHUNKS:
            order = chunked(self.size, self.ordering.size, self.seed, epoch)
        else:
            order = (
                sequential(self.size) if kind == IN_ORDER else shuffled(self.size, self.seed, epoch)
            )
        return self._balanced(order, epoch)

    def _balanced(self, order: Order, epoch: int) -> Order:
        if self.zero_steering is None:
            return order
        return balanced(order, self.zero_steering, self.zero_fraction, self.seed, epoch)


def sequential(size: int) -> Order:
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
    return np.concatenate(
        [order[:0], *(chunks[number] for number in random.permutation(len(chunks)))]
    )


def windowed(shard: Order, window: int, seed: int, epoch: int) -> Order:
    """Return a permutation: shards are grouped at random into windows, and the samples of each
    window are shuffled.

    shard: of each sample, (samples,); window: number of shards. Each epoch groups the shards
    differently.
    """
    random = np.random.default_rng([seed, epoch])
    shards, index = np.unique(shard, return_inverse=True)
    return _shuffled_windows((random.permutation(len(shards)) // window)[index], random)


def _shuffled_windows(window: IndexArray, random: np.random.Generator) -> Order:
    """Return the samples window by window, and shuffle each window. window: of each sample,
    (samples,).
    """
    order = np.argsort(window, kind="stable").astype(np.uint32)
    ends = np.cumsum(np.bincount(window)).tolist()
    for start, end in itertools.pairwise([0, *ends]):
        random.shuffle(order[start:end])
    return order


def streamed(
    shard: Order, window: int, streams: int, batch_size: int, random: np.random.Generator
) -> Order:
    """Return a permutation whose batches take an equal part from each of several streams of
    windows.

    Each shard belongs to one stream. Only the last batches differ: they hold the rest of the longer
    streams. shard: of each sample, (samples,); window: number of shards.
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
    """Return batches that join a part of each stream, in the order of the streams, then the rest of
    longer streams.
    """
    lengths = map(len, np.array_split(np.arange(batch_size), len(streams)))
    pairs = list(zip(streams, lengths, strict=True))
    rounds = min(len(stream) // length for stream, length in pairs)
    batches = [stream[: rounds * length].reshape(rounds, length) for stream, length in pairs]
    rest = [stream[rounds * length :] for stream, length in pairs]
    return np.concatenate([np.concatenate(batches, axis=1).reshape(-1), *rest])


def split_into_windows(shard: Order) -> list[slice]:
    """Return the parts of an order; a new part begins where a shard begins after another shard has
    ended.

    shard: of each sample, in the order. A part needs only the shards that are open at the same
    time.
    """
    positions = sequential(len(shard))
    first, last = np.zeros((2, int(shard.max(initial=0)) + 1), np.int64)
    last[shard] = positions  # NumPy keeps the last position that is assigned to a shard
    first[shard[::-1]] = positions[::-1]
    used = np.unique(shard)
    begins = np.sort(first[used])
    ended = np.searchsorted(
        np.sort(last[used]), begins
    )  # how many shards have ended before each begins
    cuts = begins[1:][np.diff(ended) > 0].tolist()
    return [
        slice(start, end)
        for start, end in itertools.pairwise([0, *cuts, len(shard)])
        if end > start
    ]


def has_zero_steering(row: Uint32Array, rows: RowTable) -> BoolArray:
    """Return which samples were recorded with a steering of 0, bool (samples,). row: index into
    rows, (samples,).
    """
    return np.asarray(np.abs(rows["steering"][row]) < _ZERO_TOLERANCE)


def balanced(
    order: Order, zero_steering: BoolArray, zero_fraction: float, seed: int, epoch: int
) -> Order:
    """Leave out samples of zero steering, until they are at most zero_fraction of the order.

    zero_steering: bool (samples,) by position. Each epoch leaves out different samples, but the
    same number of them.
    """
    zeros = np.flatnonzero(zero_steering[order])
    surplus = len(zeros) - allowed_zeros(len(order) - len(zeros), len(zeros), zero_fraction)
    if surplus <= 0:
        return order
    removed = np.random.default_rng([seed, epoch, len(order)]).choice(zeros, surplus, replace=False)
    return np.delete(order, removed)


def allowed_zeros(others: int, zeros: int, zero_fraction: float) -> int:
    """Return how many samples of zero steering to keep, so that they are at most zero_fraction of
    all samples kept.
    """
    return (
        zeros
        if zero_fraction >= 1
        else min(zeros, int(zero_fraction * others / (1 - zero_fraction)))
    )
