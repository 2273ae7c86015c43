"""Measure the cost of very many samples: time and memory of their order, and memory of a feed's tables.

The store of the second measurement has few frames, because only tables and buffers are measured. It repeats the rows of
another store, each time an hour later, and makes its samples by `bcclone.dataset.samples`.
"""

import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.samples import SAMPLE, sample_chunks
from bcclone.dataset.store import Store
from bcclone.dataset.store_reader import row_frame, row_table
from bcclone.dataset.store_writer import StoreWriter
from bcclone.feed.feed import Feed
from bcclone.feed.feed_settings import FeedSettings, SamplingSettings
from bcclone.feed.open import open_feed
from bcclone.feed.order import shuffled
from bcclone.feed.selection import select
from benchmarks.feeds.meter import in_fresh_process, used_memory
from benchmarks.measures import Measure

BAR_SAMPLES, _BAR_SECONDS, _BAR_BYTES = 10_000_000, 1.0, 8.0
SIZES = tuple(10**power for power in range(4, 10))
_LEAST_BYTES = 8  # per sample, that must be free to measure a size
_LONGEST_SECONDS, _SLOWER_BEYOND_CACHES = 240.0, 3.0
_REPEATED_BELOW, _REPEATS = 10**8, 5
_FEED, _BAR_MB, _BAR_TABLE_BYTES = "hdf5-shuffle", 300.0, 32.0
_BATCH = 64
_SETTINGS = SampleSettings(validation=0.0)
_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class OrderCost:
    """The cost of an order of samples."""

    samples: int
    seconds: float
    bytes_per_sample: float


def order_costs(most: int = SIZES[-1]) -> list[OrderCost]:
    """Return the costs of the sizes up to `most`, as far as memory and a few minutes allow."""
    costs: list[OrderCost] = []
    for size in (size for size in SIZES if size <= most):
        seconds = costs[-1].seconds * size / costs[-1].samples * _SLOWER_BEYOND_CACHES if costs else 0.0
        if size * _LEAST_BYTES > psutil.virtual_memory().available / 2 or seconds > _LONGEST_SECONDS:
            break
        costs.append(_measure(size))
    return costs


def _measure(size: int) -> OrderCost:
    shuffled(1, 0, 0)  # NumPy loads its generators the first time
    tracemalloc.start()  # counts NumPy's memory; a shuffle is not slowed down
    seconds = []
    for epoch in range(_REPEATS if size < _REPEATED_BELOW else 1):
        since = time.perf_counter()
        shuffled(size, 0, epoch)
        seconds.append(time.perf_counter() - since)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return OrderCost(size, float(np.median(seconds)), peak / size)


def order_measures(costs: Sequence[OrderCost]) -> list[Measure]:
    """Return the measures of an order of ten million samples, none if that was not measured."""
    cost = next((cost for cost in costs if cost.samples == BAR_SAMPLES), None)
    if cost is None:
        return []
    return [
        Measure("order of 10,000,000 samples", cost.seconds, "s", _BAR_SECONDS, least=False),
        Measure("memory of that order", cost.bytes_per_sample, "bytes/sample", _BAR_BYTES, least=False),
    ]


def to_rows(costs: Sequence[OrderCost]) -> list[str]:
    """Return the table, a line for each size."""
    head = [f"{'samples':>14}{'order, s':>12}{'bytes/sample':>14}"] if costs else []
    return head + [f"{cost.samples:>14,}{cost.seconds:>12.6f}{cost.bytes_per_sample:>14.2f}" for cost in costs]


@dataclass(frozen=True)
class TableMemory:
    """Memory of a feed. added_mb: added by an epoch of the feed; table_bytes: of the sample table, per sample."""

    samples: int
    added_mb: float
    table_bytes: float


def write_store(path: Path, source: Path, samples: int) -> int:
    """Write a store of at least so many training samples with the frames of `source`; return their number."""
    with Store(source) as store:
        rows = row_frame(store.rows)
        rows = rows[(rows["frame_center"] >= 0) & (rows["frame_left"] >= 0) & (rows["frame_right"] >= 0)]
        rows = rows.assign(validation=False)
        rows = _repeated(rows, -(-samples // sum(map(len, sample_chunks(rows, _SETTINGS)))))
        room = len(rows) * 400 + 2 * samples * SAMPLE.itemsize
        with StoreWriter(path, store.preprocessing, len(store.frames), room) as writer:
            writer.append_from(store)
            writer.finish(sample_chunks(rows, _SETTINGS), row_table(rows), [], store.recordings, _SETTINGS)
    with Store(path) as written:
        return len(written.samples)


def _repeated(rows: pd.DataFrame, times: int) -> pd.DataFrame:
    """Return the rows repeated, each time later and with episodes of their own."""
    episodes = int(rows["episode"].max()) + 1
    repetitions = [
        rows.assign(time_ms=rows["time_ms"] + number * _HOUR_MS, episode=rows["episode"] + number * episodes)
        for number in range(times)
    ]
    return pd.concat(repetitions, ignore_index=True)


def measure_table_memory(path: Path) -> TableMemory:
    """Open a store and run an epoch of the feed in this process, which should be a fresh one."""
    before = used_memory()
    with Store(path) as store, open_feed(select(store), FeedSettings(feed=_FEED), SamplingSettings(_BATCH)) as feed:
        samples, most = _run_epoch(feed)
        table = store.samples.nbytes / len(store.samples)
        return TableMemory(samples, most - (before.anonymous_mb or 0.0), table)


def _run_epoch(feed: Feed) -> tuple[int, float]:
    """Return the number of samples, and the most memory of this process, in MB."""
    samples, most = 0, 0.0
    with feed.epoch(1) as batches:
        for number, batch in enumerate(batches):
            samples += len(batch.images)
            if number % 1000 == 0:
                most = max(most, used_memory().anonymous_mb or 0.0)
        most = max(most, used_memory().anonymous_mb or 0.0)
    return samples, most


def table_measures(few: TableMemory, many: TableMemory) -> list[Measure]:
    """Return the measures of the larger store, and the memory of each further sample."""
    growth = (many.added_mb - few.added_mb) * 1e6 / (many.samples - few.samples)
    return [
        Measure(f"{_FEED}, own memory, {many.samples:,} samples", many.added_mb, "MB", _BAR_MB, least=False),
        Measure("sample table", many.table_bytes, "bytes/sample", _BAR_TABLE_BYTES, least=False),
        Measure("own memory for each further sample", growth, "bytes/sample"),
    ]


def measure_tables(folder: Path, source: Path, samples: int) -> list[Measure]:
    """Return the measures of two stores, written into `folder`, of a tenth of the samples and of all."""
    answers = []
    for count in (samples // 10, samples):
        path = folder / f"samples-{count}.h5"
        write_store(path, source, count)
        answers.append(in_fresh_process(measure_table_memory, path))
        path.unlink()
    return table_measures(*answers)
