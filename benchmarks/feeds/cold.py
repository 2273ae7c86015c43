"""Measure hdf5-chunks on a store that is not in the page cache, compared with reading the file sequentially.

Both are measured in each round, after the file's pages were dropped. The cache of a virtual machine's host cannot be
dropped; it affects both alike.
"""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from bcclone.cluster.shards import open_store
from bcclone.feed.feed_settings import FeedSettings, SamplingSettings
from bcclone.feed.open import open_feed
from bcclone.feed.selection import select
from benchmarks.feeds.meter import in_fresh_process
from benchmarks.measures import Measure

_FEED, _BAR_PERCENT = "hdf5-chunks", 70.0
_READ_BYTES = 1 << 20  # larger reads do not stay in the processor's cache, and were up to half as fast
_BATCH = 64


@dataclass(frozen=True)
class ColdRates:
    """Rates from an uncached file.

    sequential: bytes per second of a sequential read; delivered: of frames delivered by the feed; fetched: fraction of
    the frames' bytes that came from the disk while the feed ran, near 1 if the file was uncached; None on systems that
    do not count them.
    """

    sequential: float
    delivered: float
    samples_per_second: float
    fetched: float | None


def measure_cold(store: Path, rounds: int) -> list[ColdRates]:
    """Measure both in each round; raises OSError where pages cannot be dropped."""
    rates = []
    for _ in range(rounds):
        drop_pages(store)
        sequential = in_fresh_process(read_through, store)
        drop_pages(store)
        rates.append(in_fresh_process(run_epoch, store, FeedSettings(feed=_FEED), sequential))
    return rates


def can_drop_pages() -> bool:
    """Return whether this system can drop a file from the page cache."""
    return sys.platform == "linux"


def drop_pages(path: Path) -> None:
    """Drop a file from the page cache; it must not be mapped."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)  # pages that are not written yet would stay
        if sys.platform == "linux":
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def read_through(path: Path) -> float:
    """Read a file sequentially; return bytes per second."""
    buffer = bytearray(_READ_BYTES)
    total, since = 0, time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            total += count
    return total / (time.perf_counter() - since)


def run_epoch(path: Path, settings: FeedSettings, sequential: float = 0.0) -> ColdRates:
    """Open the feed and run one epoch; opening counts, too. sequential: the rate of the sequential read."""
    since, fetched = time.perf_counter(), _fetched_bytes()
    with open_store(path) as store, open_feed(select(store), settings, SamplingSettings(_BATCH)) as feed:
        samples = 0
        with feed.epoch(1) as batches:
            for batch in batches:
                samples += len(batch.images)
        seconds = time.perf_counter() - since
        frames = np.unique(store.samples["frame"][store.split_indices(validation=False)])
        size = len(frames) * store.frames[0].nbytes
        fraction = None if fetched is None else ((_fetched_bytes() or 0) - fetched) / size
        return ColdRates(sequential, size / seconds, samples / seconds, fraction)


def _fetched_bytes() -> int | None:
    """Return how many bytes this process has read from the disk, if the system counts them."""
    process = psutil.Process()
    return process.io_counters().read_bytes if hasattr(process, "io_counters") else None


def cold_measures(rates: Sequence[ColdRates]) -> list[Measure]:
    """Return the medians over the rounds, also of the rounds' ratios."""

    def median(values: list[float]) -> float:
        return float(np.median(values))

    fetched = [100 * each.fetched for each in rates if each.fetched is not None]
    checks = [Measure("frames that came from the disk", median(fetched), "%")] if fetched else []
    ratio = 100 * median([each.delivered / each.sequential for each in rates])
    return [
        *checks,
        Measure("cold file, read from end to end", median([each.sequential for each in rates]) / 1e6, "MB/s"),
        Measure(f"cold file, {_FEED}", median([each.delivered for each in rates]) / 1e6, "MB/s"),
        Measure(f"cold file, {_FEED}", median([each.samples_per_second for each in rates]), "samples/s"),
        Measure(f"{_FEED} to reading from end to end", ratio, "%", _BAR_PERCENT),
    ]
