"""A store that is not in the page cache: hdf5-chunks against reading the file from one end to the other.

Both are measured in turns, each after the file's pages have been dropped. What lies below this machine, a host's own
cache for instance, cannot be dropped from here; it serves both alike.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from bcclone.bench import Measure
from bcclone.bench.feeds.fresh_process import in_fresh_process
from bcclone.feed.open import open_feed
from bcclone.feed.selection import select
from bcclone.feed.settings import FeedSettings, SamplingSettings
from bcclone.store import Store

_FEED, _BAR_PERCENT = "hdf5-chunks", 70.0
_READ_BYTES = 1 << 20  # larger pieces do not stay in the processor's cache, and were up to half as fast
_BATCH = 64


@dataclass(frozen=True)
class Cold:
    """Bytes a second from a cold file: read in order, and as frames delivered by the feed; samples a second of it.

    fetched: the part of the bytes that came from the disk while the feed ran, by the system's own count: near 1 when
    the file was cold; None where the system does not tell.
    """

    sequential: float
    delivered: float
    samples_per_second: float
    fetched: float | None


def measure_cold(store: Path, rounds: int) -> list[Cold]:
    """Take turns, `rounds` times; raises OSError where pages cannot be dropped."""
    turns = []
    for _ in range(rounds):
        drop_pages(store)
        sequential = in_fresh_process(read_through, store)
        drop_pages(store)
        turns.append(in_fresh_process(deliver_epoch, store, FeedSettings(feed=_FEED), sequential))
    return turns


def can_drop_pages() -> bool:
    """Return whether this system lets a program drop a file's pages."""
    return hasattr(os, "posix_fadvise")


def drop_pages(path: Path) -> None:
    """Let the system forget a file's content; nobody may have it mapped."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)  # what is not written yet stays
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def read_through(path: Path) -> float:
    """Read a file in large pieces from its beginning to its end; return bytes a second."""
    room = bytearray(_READ_BYTES)
    total, begun = 0, time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(room):
            total += count
    return total / (time.perf_counter() - begun)


def deliver_epoch(path: Path, settings: FeedSettings, sequential: float = 0.0) -> Cold:
    """Open the feed and run one epoch; the time counts from the opening on, and each distinct frame once."""
    begun, fetched = time.perf_counter(), _fetched_bytes()
    with Store(path) as store, open_feed(select(store), settings, SamplingSettings(_BATCH)) as feed:
        samples = 0
        with feed.epoch(1) as batches:
            for batch in batches:
                samples += len(batch.images)
        seconds = time.perf_counter() - begun
        frames = np.unique(store.samples["frame"][store.split_indices(validation=False)])
        size = len(frames) * store.frames[0].nbytes
        share = None if fetched is None else ((_fetched_bytes() or 0) - fetched) / size
        return Cold(sequential, size / seconds, samples / seconds, share)


def _fetched_bytes() -> int | None:
    """Return how many bytes this process has made the disk read, where the system counts them."""
    process = psutil.Process()
    return process.io_counters().read_bytes if hasattr(process, "io_counters") else None


def judge_cold(turns: list[Cold]) -> list[Measure]:
    """Return the medians, and the median of the turns' ratios."""
    share = 100 * float(np.median([timing.delivered / timing.sequential for timing in turns]))
    fetched = [100 * timing.fetched for timing in turns if timing.fetched is not None]
    checks = [Measure("frames that came from the disk", float(np.median(fetched)), "%")] if fetched else []
    return [
        *checks,
        Measure(
            "cold file, read from end to end", float(np.median([timing.sequential for timing in turns])) / 1e6, "MB/s"
        ),
        Measure(f"cold file, {_FEED}", float(np.median([timing.delivered for timing in turns])) / 1e6, "MB/s"),
        Measure(f"cold file, {_FEED}", float(np.median([timing.samples_per_second for timing in turns])), "samples/s"),
        Measure(f"{_FEED} to reading from end to end", share, "%", _BAR_PERCENT),
    ]
