"""--chunk-size -> what it buys and costs: speed of hdf5-chunks from a warm and a cold file, and how it shuffles."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from bcclone.bench.feeds.cold import can_drop_pages, deliver_epoch, drop_pages
from bcclone.bench.feeds.fresh_process import in_fresh_process
from bcclone.bench.feeds.meter import Benchmark, Meter, Timing
from bcclone.bench.feeds.rounds import deliver
from bcclone.feed.order import Order, chunked, shuffled
from bcclone.feed.settings import FeedSettings
from bcclone.store import Store

_STRETCH_MS = 10_000


@dataclass(frozen=True)
class Drive:
    """Of each training sample, (samples,): its steering, -1 to 1, and the number of its ten seconds of the clock."""

    steering: npt.NDArray[np.float32]
    stretch: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Quality:
    """stretches: how many a batch holds, on average; spread: standard deviation of the batches' mean |steering|.

    Of the amount and not of the signed steering, which mirrored samples bring to 0 in any batch.
    """

    stretches: float
    spread: float


def drive_of(store: Store) -> Drive:
    """Return the driving behind a store's training samples."""
    samples = store.samples[store.split_indices(validation=False)]
    _, stretch = np.unique(store.rows["time_ms"] // _STRETCH_MS, return_inverse=True)
    return Drive(samples["steering"].copy(), stretch[samples["row"]].astype(np.int64))


def quality(drive: Drive, order: Order, batch_size: int) -> Quality:
    """Judge an order by its whole batches."""
    batches = order[: len(order) // batch_size * batch_size].reshape(-1, batch_size)
    ranked = np.sort(drive.stretch[batches], axis=1)
    stretches = 1 + (np.diff(ranked, axis=1) != 0).sum(axis=1)
    return Quality(float(stretches.mean()), float(np.abs(drive.steering[batches]).mean(axis=1).std()))


SIZES = tuple(2**power for power in range(6, 17))
_FEED = "hdf5-chunks"


@dataclass(frozen=True)
class ChunkSize:
    """warm, cold: samples a second, cold None where pages cannot be dropped; stretches, spread: see Quality, each
    divided by that of a global shuffle of the same samples, so that 1 is as good; driving_seconds: what a chunk spans.
    """

    chunk_size: int
    driving_seconds: float
    warm: float
    cold: float | None
    stretches: float
    spread: float


def measure_chunk_sizes(
    benchmark: Benchmark,
    timing: Timing,
    rounds: int,
    notify: Callable[[str], None] = lambda text: None,
    sizes: Sequence[int] = SIZES,
) -> list[ChunkSize]:
    """Measure the sizes in turns, `rounds` times; medians."""
    warm: dict[int, list[float]] = {size: [] for size in sizes}
    cold: dict[int, list[float]] = {size: [] for size in sizes}
    for number in range(1, rounds + 1):
        for size in sizes:
            warm[size].append(in_fresh_process(_take_turn, size, benchmark, timing))
            notify(f"round {number} of {rounds}: {size}: {warm[size][-1]:,.0f} samples/s")
    for number in range(1, rounds + 1 if can_drop_pages() else 1):
        for size in sizes:
            drop_pages(benchmark.store)
            cold[size].append(
                in_fresh_process(
                    deliver_epoch, benchmark.store, FeedSettings(feed=_FEED, chunk_size=size)
                ).samples_per_second
            )
            notify(f"round {number} of {rounds}, cold: {size}: {cold[size][-1]:,.0f} samples/s")
    return _gather(benchmark, warm, cold)


def _take_turn(chunk_size: int, benchmark: Benchmark, timing: Timing) -> float:
    meter = Meter(timing)
    deliver(FeedSettings(feed=_FEED, chunk_size=chunk_size), benchmark, meter.take)
    return meter.figures().samples_per_second


def _gather(benchmark: Benchmark, warm: dict[int, list[float]], cold: dict[int, list[float]]) -> list[ChunkSize]:
    with Store(benchmark.store) as store:
        drive = drive_of(store)
        rows = np.unique(store.samples["row"][store.split_indices(validation=False)])
        row_seconds = float(np.median(np.diff(store.rows["time_ms"][rows]))) / 1000
    samples = len(drive.steering)
    best = quality(drive, shuffled(samples, benchmark.seed, 1), benchmark.batch_size)

    def row(size: int) -> ChunkSize:
        mixed: Quality = quality(drive, chunked(samples, size, benchmark.seed, 1), benchmark.batch_size)
        return ChunkSize(
            chunk_size=size,
            driving_seconds=min(size, samples) * len(rows) / samples * row_seconds,
            warm=float(np.median(warm[size])),
            cold=float(np.median(cold[size])) if cold[size] else None,
            stretches=mixed.stretches / best.stretches,
            spread=mixed.spread / best.spread,
        )

    return [row(size) for size in warm]


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


def to_json(sizes: Sequence[ChunkSize]) -> list[dict[str, float | None]]:
    """Return the table as JSON values."""
    return [asdict(size) for size in sizes]
