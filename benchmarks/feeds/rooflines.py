"""Measure the limits of this machine like loaders: copying random frames, and decoding JPEG files."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from bcclone.cluster.shards import open_store
from bcclone.dataset.images import decode_jpeg
from bcclone.feed.source import Buffers
from bcclone.system.prefetch import prefetch_ordered
from benchmarks.feeds.jpeg import jpeg_samples
from benchmarks.feeds.meter import Benchmark, OnBatch

_MOST_FILES = 4096


def gather(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Copy mapped frames in random order into one batch, again and again, by one thread.

    Without flips, new memory and tables, it is the upper limit of any loader that copies frames by one thread.
    """
    with open_store(benchmark.store) as store:
        frames = store.frames
        size = min(benchmark.batch_size, len(frames))
        batch = Buffers(size, frames.frame_shape, kept=1).take(size)  # aligned as the feeds' batches
        for indices in _random_indices(len(frames), size, benchmark.seed):
            frames.take(indices, batch)
            if not on_batch(size):
                return


def decode(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Decode and resize JPEG files that are in memory, with a thread per core; nothing is kept."""
    samples = jpeg_samples(benchmark.store)
    files = np.random.default_rng(benchmark.seed).permutation(samples.files)[:_MOST_FILES]
    contents = [Path(file).read_bytes() for file in files]
    cv2.setNumThreads(1)

    def decode_some(start: int) -> int:
        batch = contents[start : start + benchmark.batch_size]
        for content in batch:
            samples.preprocessing.apply(decode_jpeg(content))
        return len(batch)

    starts = itertools.cycle(range(0, len(contents), benchmark.batch_size))
    with prefetch_ordered(decode_some, starts, benchmark.workers, 2 * benchmark.workers) as sizes:
        for size in sizes:
            if not on_batch(size):
                return


def _random_indices(count: int, size: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield full batches of 0 ... count - 1 in random order, again and again: int64 (size,)."""
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(count)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]
