"""Measure the speed and the shuffle quality of the feed hdf5-chunks for several chunk sizes."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bcclone.arrays import Float32Array, IndexArray
from bcclone.bench.feeds.cold import can_drop_pages, drop_pages, run_epoch
from bcclone.bench.feeds.meter import Benchmark, Meter, Timing, in_fresh_process
from bcclone.bench.feeds.rounds import deliver
from bcclone.bench.feeds.synthetic import given_or_synthetic_store
from bcclone.bench.settings import SYNTHETIC_FRAMES, ChunksBenchSettings
from bcclone.feed.order import Order, chunked, shuffled
from bcclone.feed.settings import FeedSettings
from bcclone.store import Store

SIZES = tuple(2**power for power in range(6, 17))
_FEED = "hdf5-chunks"
_STRETCH_MS = 10_000


@dataclass(frozen=True)
class ChunkSize:
    """The measures of a chunk size.

    driving_seconds: recorded time that a chunk spans; warm, cold: samples per second from a cached and an uncached
    file, cold None where the cache cannot be dropped; stretches, spread: see ShuffleQuality, relative to those of a
    global shuffle, so that 1 is as good.
    """

    chunk_size: int
    driving_seconds: float
    warm: float
    cold: float | None
    stretches: float
    spread: float

    def as_json(self) -> dict[str, float | None]:
        """Return the measures as JSON values."""
        return asdict(self)


def measure_chunk_sizes(
    settings: ChunksBenchSettings, notify: Callable[[str], None] = lambda text: None, sizes: Sequence[int] = SIZES
) -> list[ChunkSize]:
    """Measure the sizes in rounds; the figures are medians."""
    warm: dict[int, list[float]] = {size: [] for size in sizes}
    cold: dict[int, list[float]] = {size: [] for size in sizes}
    with given_or_synthetic_store(settings.store, settings.frames or SYNTHETIC_FRAMES) as path:
        with Store(path) as store:
            samples = int(store.split_indices(validation=False).size)
        benchmark = Benchmark(path, workers=os.cpu_count() or 1)
        timing = Timing(warm_samples=samples, seconds=settings.seconds)
        for number in range(1, settings.rounds + 1):
            for size in sizes:
                warm[size].append(in_fresh_process(_measure_warm, size, benchmark, timing))
                notify(f"round {number} of {settings.rounds}: {size}: {warm[size][-1]:,.0f} samples/s")
        for number in range(1, settings.rounds + 1 if can_drop_pages() else 1):
            for size in sizes:
                cold[size].append(_measure_cold(size, path))
                notify(f"round {number} of {settings.rounds}, cold: {size}: {cold[size][-1]:,.0f} samples/s")
        return _collect(benchmark, warm, cold)


def to_rows(sizes: Sequence[ChunkSize]) -> list[str]:
    """Return the table, a line for each size."""
    titles = ("driving, s", 12), ("warm, samples/s", 17), ("cold, samples/s", 17), ("stretches", 11), ("spread", 8)
    head = f"{'chunk size':>10}" + "".join(f"{title:>{width}}" for title, width in titles)
    return [head, *(_row(size) for size in sizes)]


def _row(size: ChunkSize) -> str:
    cold = "" if size.cold is None else f"{size.cold:,.0f}"
    return (
        f"{size.chunk_size:>10}{size.driving_seconds:>12.1f}{size.warm:>17,.0f}{cold:>17}"
        f"{size.stretches:>11.0%}{size.spread:>8.2f}"
    )


def _measure_warm(chunk_size: int, benchmark: Benchmark, timing: Timing) -> float:
    meter = Meter(timing)
    deliver(FeedSettings(feed=_FEED, chunk_size=chunk_size), benchmark, meter.take)
    return meter.figures().samples_per_second


def _measure_cold(chunk_size: int, path: Path) -> float:
    drop_pages(path)
    settings = FeedSettings(feed=_FEED, chunk_size=chunk_size)
    return in_fresh_process(run_epoch, path, settings).samples_per_second


def _collect(benchmark: Benchmark, warm: dict[int, list[float]], cold: dict[int, list[float]]) -> list[ChunkSize]:
    with Store(benchmark.store) as store:
        drive = sampled_drive(store)
        rows = np.unique(store.samples["row"][store.split_indices(validation=False)])
        row_seconds = float(np.median(np.diff(store.rows["time_ms"][rows]))) / 1000
    samples = len(drive.steering)
    best = shuffle_quality(drive, shuffled(samples, benchmark.seed, 1), benchmark.batch_size)

    def measures(size: int) -> ChunkSize:
        quality = shuffle_quality(drive, chunked(samples, size, benchmark.seed, 1), benchmark.batch_size)
        return ChunkSize(
            chunk_size=size,
            driving_seconds=min(size, samples) * len(rows) / samples * row_seconds,
            warm=float(np.median(warm[size])),
            cold=float(np.median(cold[size])) if cold[size] else None,
            stretches=quality.stretches / best.stretches,
            spread=quality.spread / best.spread,
        )

    return [measures(size) for size in warm]


@dataclass(frozen=True)
class SampledDrive:
    """Steering of each training sample, -1 to 1, and the index of its ten seconds of the drive, (samples,) each."""

    steering: Float32Array
    stretch: IndexArray


@dataclass(frozen=True)
class ShuffleQuality:
    """How well an order mixes the samples of a drive.

    stretches: mean number of different ten-second stretches in a batch; spread: standard deviation of the batches' mean
    absolute steering. Signed steering would not do: with mirrored samples its mean is 0 in any batch.
    """

    stretches: float
    spread: float


def sampled_drive(store: Store) -> SampledDrive:
    """Return the drive of a store's training samples."""
    samples = store.samples[store.split_indices(validation=False)]
    _, stretch = np.unique(store.rows["time_ms"] // _STRETCH_MS, return_inverse=True)
    return SampledDrive(samples["steering"].copy(), stretch[samples["row"]].astype(np.int64))


def shuffle_quality(drive: SampledDrive, order: Order, batch_size: int) -> ShuffleQuality:
    """Return the quality of an order, by its complete batches."""
    batches = order[: len(order) // batch_size * batch_size].reshape(-1, batch_size)
    ranked = np.sort(drive.stretch[batches], axis=1)
    stretches = 1 + (np.diff(ranked, axis=1) != 0).sum(axis=1)
    return ShuffleQuality(float(stretches.mean()), float(np.abs(drive.steering[batches]).mean(axis=1).std()))
