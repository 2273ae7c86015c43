"""--chunk-size -> what it buys and costs: speed of hdf5-chunks from a warm and a cold file, and how it shuffles."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from bcclone.bench.feeds.alone import alone
from bcclone.bench.feeds.cold import can_drop_pages, deliver_epoch, drop_pages
from bcclone.bench.feeds.meter import Meter, Turn
from bcclone.bench.feeds.race import Race
from bcclone.bench.feeds.shuffle_quality import Quality, drive_of, quality
from bcclone.bench.feeds.strategies import deliver
from bcclone.feed.order import chunked, shuffled
from bcclone.feed.settings import FeedSettings
from bcclone.store import Store

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
    race: Race, turn: Turn, rounds: int, notify: Callable[[str], None] = lambda text: None, sizes: Sequence[int] = SIZES
) -> list[ChunkSize]:
    """Measure the sizes in turns, `rounds` times; medians."""
    warm: dict[int, list[float]] = {size: [] for size in sizes}
    cold: dict[int, list[float]] = {size: [] for size in sizes}
    for number in range(1, rounds + 1):
        for size in sizes:
            warm[size].append(alone(_take_turn, size, race, turn))
            notify(f"round {number} of {rounds}: {size}: {warm[size][-1]:,.0f} samples/s")
    for number in range(1, rounds + 1 if can_drop_pages() else 1):
        for size in sizes:
            drop_pages(race.store)
            cold[size].append(
                alone(deliver_epoch, race.store, FeedSettings(feed=_FEED, chunk_size=size)).samples_per_second
            )
            notify(f"round {number} of {rounds}, cold: {size}: {cold[size][-1]:,.0f} samples/s")
    return _gather(race, warm, cold)


def _take_turn(chunk_size: int, race: Race, turn: Turn) -> float:
    meter = Meter(turn)
    deliver(FeedSettings(feed=_FEED, chunk_size=chunk_size), race, meter.take)
    return meter.figures().samples_per_second


def _gather(race: Race, warm: dict[int, list[float]], cold: dict[int, list[float]]) -> list[ChunkSize]:
    with Store(race.store) as store:
        drive = drive_of(store)
        rows = np.unique(store.samples["row"][store.part(validation=False)])
        row_seconds = float(np.median(np.diff(store.rows["time_ms"][rows]))) / 1000
    samples = len(drive.steering)
    best = quality(drive, shuffled(samples, race.seed, 1), race.batch_size)

    def row(size: int) -> ChunkSize:
        mixed: Quality = quality(drive, chunked(samples, size, race.seed, 1), race.batch_size)
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
