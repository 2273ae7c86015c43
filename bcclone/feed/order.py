"""Compute the order of the samples in each epoch, from the seed and the epoch alone; without I/O.

In: number of samples, seed and epoch. Out: positions, uint32, in the order of the training.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from bcclone.dataset.labels import RowTable
from bcclone.feed.feed_settings import CHUNKS, IN_ORDER, ORDERS, SHUFFLED, WINDOWS
from bcclone.system.arrays import BoolArray, IndexArray, Uint32Array

Positions = Uint32Array


class BatchSpan(NamedTuple):
    """A contiguous part of a batch."""

    first: int  # index, in the batch, of the part's first sample
    samples: int  # number of samples in the part, perhaps 0
    size: int  # number of samples in the batch


@dataclass(frozen=True)
class BatchPart:
    """The part of each batch that one worker trains on.

    The parts of all workers make up the batch, in the order of their indices; their lengths differ
    by at most one.
    """

    index: int = 0  # number of the worker, from 0
    count: int = 1  # number of workers

    def span(self, size: int) -> BatchSpan:
        """Return this worker's part of a batch of `size` samples; an empty one begins at 0."""
        samples, extra = divmod(size, self.count)
        first = self.index * samples + min(self.index, extra)
        if self.index < extra:  # each of the first workers gets one of the extra samples
            samples += 1
        return BatchSpan(first if samples else 0, samples, size)


ALL = BatchPart()


@dataclass(frozen=True)
class Batches:
    """An order, cut into batches: the positions of each batch, or of one worker's part of it.

    A worker without a sample in the last batch fetches that batch's first sample, without weight:
    so it can take part in the step.
    """

    order: Positions
    size: int  # number of samples in a batch
    part: BatchPart = ALL

    def __len__(self) -> int:
        return -(-len(self.order) // self.size)  # divided and rounded up

    def __iter__(self) -> Iterator[Positions]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> Positions:
        batch = self._whole(number)
        span = self.part.span(len(batch))
        return batch[span.first : span.first + max(span.samples, 1)]

    def span(self, number: int) -> BatchSpan:
        """Return which part of the batch the positions are."""
        return self.part.span(len(self._whole(number)))

    @property
    def positions(self) -> Positions:
        if self.part.count == 1:
            return self.order
        # an empty order comes first, because concatenate() fails without any array
        return np.concatenate([self.order[:0], *self])

    def _whole(self, number: int) -> Positions:
        """Return a whole batch; a negative number counts from the end, as in a list.

        Raises IndexError for a number beyond the batches.
        """
        first = range(0, len(self.order), self.size)[number]
        return self.order[first : first + self.size]


@dataclass(frozen=True)
class Order:
    """The order of the samples in every epoch."""

    size: int  # number of samples
    kind: str = IN_ORDER  # one of feed_settings.ORDERS
    chunk: int = 1  # number of samples in a chunk, or of shards in a window
    seed: int = 0
    # (samples,), True where the steering is 0; None: keep all samples
    zero_steering: BoolArray | None = None
    zero_fraction: float = 1.0  # largest fraction of an epoch that may have zero steering
    batch_size: int = 1
    shard_of_sample: Uint32Array | None = None  # number of each sample's shard, for WINDOWS
    part: BatchPart = ALL  # the part of each batch that this worker fetches
    streams: int = 1  # with WINDOWS: number of windows that each batch is drawn from

    def __post_init__(self) -> None:
        if self.kind not in ORDERS:
            raise ValueError(f"order {self.kind!r}, expected one of {', '.join(ORDERS)}")
        if self.kind == WINDOWS and self.shard_of_sample is None:
            raise ValueError(f"the order {WINDOWS!r} needs shard_of_sample")

    def __len__(self) -> int:
        if self.zero_steering is None:
            return self.size
        zeros = int(self.zero_steering.sum())
        return self.size - zeros + allowed_zeros(self.size - zeros, zeros, self.zero_fraction)

    def batches(self, epoch: int, start: int = 0) -> Batches:
        """Return the batches of an epoch.

        start: sample of the epoch to begin at, the first of a batch
        """
        return Batches(self.positions(epoch)[start:], self.batch_size, self.part)

    def positions(self, epoch: int) -> Positions:
        """Return the positions of the samples in the order of an epoch. epoch: counted from 1."""
        if self.kind == WINDOWS:
            # balance before making windows: removing samples afterwards would shift the rest into
            # another worker's part
            kept = self._balanced(sequential(self.size), epoch)
            assert self.shard_of_sample is not None  # for mypy: __post_init__() checks it
            return kept[self._windows(self.shard_of_sample[kept], epoch)]
        if self.kind == CHUNKS:
            order = chunked(self.size, self.chunk, self.seed, epoch)
        elif self.kind == SHUFFLED:
            order = shuffled(self.size, self.seed, epoch)
        else:
            order = sequential(self.size)
        return self._balanced(order, epoch)

    def _windows(self, shard_of_sample: Uint32Array, epoch: int) -> Positions:
        # each stream has a shard at least, and gives each batch a sample at least
        streams = min(self.streams, len(np.unique(shard_of_sample)), self.batch_size)
        if streams <= 1:
            return windowed(shard_of_sample, self.chunk, self.seed, epoch)
        random = np.random.default_rng([self.seed, epoch])
        return streamed(shard_of_sample, self.chunk, streams, self.batch_size, random)

    def _balanced(self, order: Positions, epoch: int) -> Positions:
        if self.zero_steering is None:
            return order
        return balanced(order, self.zero_steering, self.zero_fraction, self.seed, epoch)


def sequential(size: int) -> Positions:
    return np.arange(size, dtype=np.uint32)


def shuffled(size: int, seed: int, epoch: int) -> Positions:
    """Return a permutation of 0 ... size - 1 that depends on size, seed and epoch alone."""
    order = sequential(size)
    np.random.default_rng([seed, epoch]).shuffle(order)
    return order


def chunked(size: int, chunk_size: int, seed: int, epoch: int) -> Positions:
    """Return a permutation: chunks of neighbouring samples in random order, each chunk shuffled."""
    order = sequential(size)
    chunks = [order[start : start + chunk_size] for start in range(0, size, chunk_size)]
    random = np.random.default_rng([seed, epoch])
    for chunk in chunks:
        random.shuffle(chunk)
    shuffled_chunks = [chunks[number] for number in random.permutation(len(chunks))]
    # an empty order comes first, because concatenate() fails without any array
    return np.concatenate([order[:0], *shuffled_chunks])


def windowed(shard_of_sample: Uint32Array, window_shards: int, seed: int, epoch: int) -> Positions:
    """Return a permutation: windows of random shards, and the samples of each window shuffled.

    Each epoch groups the shards differently.

    shard_of_sample: number of each sample's shard, (samples,)
    window_shards: number of shards in a window
    """
    random = np.random.default_rng([seed, epoch])
    shards, index = np.unique(shard_of_sample, return_inverse=True)
    window_of_shard = random.permutation(len(shards)) // window_shards
    return _shuffled_windows(window_of_shard[index], random)


def _shuffled_windows(window_of_sample: IndexArray, random: np.random.Generator) -> Positions:
    """Return the samples window by window, each window shuffled.

    window_of_sample: number of each sample's window, (samples,)
    """
    order = np.argsort(window_of_sample, kind="stable").astype(np.uint32)
    ends = np.cumsum(np.bincount(window_of_sample)).tolist()
    for start, end in itertools.pairwise([0, *ends]):
        random.shuffle(order[start:end])
    return order


def streamed(
    shard_of_sample: Uint32Array,
    window_shards: int,
    streams: int,
    batch_size: int,
    random: np.random.Generator,
) -> Positions:
    """Return a permutation whose batches take an equal part from each of several streams of
    windows.

    Each shard belongs to one stream. Only the last batches differ: they hold the rest of the longer
    streams.

    shard_of_sample: number of each sample's shard, (samples,)
    window_shards: number of shards in a window
    """
    shards, index, sizes = np.unique(shard_of_sample, return_inverse=True, return_counts=True)
    # each shard, in random order, goes to the stream that has the fewest samples
    stream_of_shard = np.zeros(len(shards), np.int64)
    window_of_shard = np.zeros(len(shards), np.int64)
    sample_counts = np.zeros(streams, np.int64)
    shard_counts = np.zeros(streams, np.int64)
    for shard in random.permutation(len(shards)).tolist():
        stream = int(np.argmin(sample_counts))
        stream_of_shard[shard] = stream
        window_of_shard[shard] = shard_counts[stream] // window_shards
        sample_counts[stream] += sizes[shard]
        shard_counts[stream] += 1
    # the samples of each stream, by windows
    parts = []
    for stream in range(streams):
        positions = np.flatnonzero(stream_of_shard[index] == stream)
        order = _shuffled_windows(window_of_shard[index][positions], random)
        parts.append(positions[order].astype(np.uint32))
    return interleaved(parts, batch_size)


def interleaved(streams: Sequence[Positions], batch_size: int) -> Positions:
    """Return batches that join a part of each stream, then the rest of longer streams."""
    # how many samples each stream gives to a batch, as equal as possible
    lengths = map(len, np.array_split(np.arange(batch_size), len(streams)))
    pairs = list(zip(streams, lengths, strict=True))
    rounds = min(len(stream) // length for stream, length in pairs)
    columns = [stream[: rounds * length].reshape(rounds, length) for stream, length in pairs]
    batches = np.concatenate(columns, axis=1).reshape(-1)
    rest = [stream[rounds * length :] for stream, length in pairs]
    return np.concatenate([batches, *rest])


def split_into_windows(shard_of_sample: Uint32Array) -> list[slice]:
    """Split an order into windows.

    In the order, a shard begins with its first sample and ends with its last one. A new window
    begins where a shard begins, if some shard has ended since a shard last began. So a window needs
    only the shards whose samples are mixed with each other.

    shard_of_sample: number of each sample's shard, in the order of training, (samples,)
    """
    positions = sequential(len(shard_of_sample))
    count = int(shard_of_sample.max(initial=0)) + 1
    first = np.zeros(count, np.int64)
    last = np.zeros(count, np.int64)
    # NumPy keeps the last position that is assigned to a shard
    last[shard_of_sample] = positions
    first[shard_of_sample[::-1]] = positions[::-1]
    used = np.unique(shard_of_sample)
    begins = np.sort(first[used])
    ended_before = np.searchsorted(np.sort(last[used]), begins)  # how many shards have ended
    cuts = begins[1:][np.diff(ended_before) > 0].tolist()
    edges = itertools.pairwise([0, *cuts, len(shard_of_sample)])
    return [slice(start, end) for start, end in edges if end > start]


def has_zero_steering(row: Uint32Array, rows: RowTable) -> BoolArray:
    """Return which samples were recorded with a steering of 0, bool (samples,).

    row: index of each sample's row in `rows`, (samples,)
    """
    tolerance = 1e-6  # recorded steering this small counts as 0
    return np.asarray(np.abs(rows["steering"][row]) < tolerance)


def balanced(
    order: Positions, zero_steering: BoolArray, zero_fraction: float, seed: int, epoch: int
) -> Positions:
    """Leave out samples of zero steering, until they are at most zero_fraction of the order.

    Each epoch leaves out different samples, but the same number of them.

    zero_steering: bool (samples,), by position
    """
    zero_places = np.flatnonzero(zero_steering[order])
    zeros = len(zero_places)
    surplus = zeros - allowed_zeros(len(order) - zeros, zeros, zero_fraction)
    if surplus <= 0:
        return order
    # the third number makes this seed differ from that of the shuffling
    random = np.random.default_rng([seed, epoch, len(order)])
    removed_places = random.choice(zero_places, surplus, replace=False)
    return np.delete(order, removed_places)


def allowed_zeros(others: int, zeros: int, zero_fraction: float) -> int:
    """Return how many samples of zero steering to keep, at most zero_fraction of all kept."""
    if zero_fraction >= 1:
        return zeros
    # exact, since 0.7 * 3 / (1 - 0.7) is a little less than 7 in floats
    fraction = Fraction(str(zero_fraction))
    return min(zeros, int(fraction * others / (1 - fraction)))
