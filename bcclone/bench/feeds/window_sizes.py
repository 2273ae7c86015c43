"""Measure how well the feed shards shuffles, for several sizes of its windows, and what it means for training."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bcclone.bench.feeds.chunk_sizes import SampledDrive, sampled_drive, shuffle_quality
from bcclone.bench.feeds.synthetic import given_or_synthetic_store, sharded_copy
from bcclone.bench.settings import SYNTHETIC_FRAMES, WindowsBenchSettings
from bcclone.errors import UserError
from bcclone.feed.feed import Batch, Feed
from bcclone.feed.open import open_feed, open_validation_feed
from bcclone.feed.order import EpochOrder
from bcclone.feed.selection import select
from bcclone.feed.settings import FeedSettings
from bcclone.store import Store
from bcclone.tensorflow_quietly import load_tensorflow
from bcclone.train.settings import LEARNING_RATE, TrainSettings
from bcclone.train.state import learning_rate

WINDOWS = (1, 2, 4, 8)
_SHUFFLE = FeedSettings("hdf5-shuffle")
_VALIDATION_BATCH = 256


@dataclass(frozen=True)
class WindowSize:
    """The measures of a window size.

    window_shards: 0 for a shuffle of all samples; fraction: of the store's shards; driving_seconds: recorded time in a
    window; distance: mean distance, in the order of the store, between samples that follow each other; stretches,
    spread: see ShuffleQuality; these three relative to those of a shuffle of all samples, so that 1 is as good;
    val_loss: of each round, after equal steps.
    """

    window_shards: int
    fraction: float
    driving_seconds: float
    distance: float
    stretches: float
    spread: float
    val_loss: tuple[float, ...]

    def as_json(self) -> dict[str, float | tuple[float, ...]]:
        """Return the measures as JSON values."""
        return asdict(self)


def measure_window_sizes(
    settings: WindowsBenchSettings, notify: Callable[[str], None] = lambda text: None, windows: Sequence[int] = WINDOWS
) -> list[WindowSize]:
    """Train with a shuffle of all samples and with windows of each size, in rounds of another seed each."""
    load_tensorflow()
    feeds = [_SHUFFLE, *(FeedSettings("shards", window_shards=size) for size in windows)]
    losses: list[list[float]] = [[] for _ in feeds]
    with _sharded_store(settings) as path, Store(path) as store:
        if len(store.frames.files) < 2 * max(windows):
            raise UserError(
                f"{path} has {len(store.frames.files)} shards, expected at least {2 * max(windows)}; make it with a "
                "smaller --shard-mb"
            )
        if not len(select(store, validation=True)):
            raise UserError(f"{path} has no validation samples; make it with --validation 0.2")
        for seed in range(settings.rounds):
            for feed, found in zip(feeds, losses, strict=True):
                found.append(_train(store, feed, _training(settings.epochs, seed)))
                name = _name(feed.window_shards if feed != _SHUFFLE else 0)
                notify(f"round {seed + 1} of {settings.rounds}: {name}: validation loss {found[-1]:.4f}")
        return _collect(store, feeds, losses)


def to_rows(sizes: Sequence[WindowSize]) -> list[str]:
    """Return the table, a line for each size."""
    titles = (
        ("of the store", 14),
        ("driving, s", 12),
        ("distance", 10),
        ("stretches", 11),
        ("spread", 8),
        ("val_loss", 10),
        ("range", 17),
    )
    head = f"{'window':>12}" + "".join(f"{title:>{width}}" for title, width in titles)
    return [head, *(_row(size) for size in sizes)]


def _row(size: WindowSize) -> str:
    low, high = min(size.val_loss), max(size.val_loss)
    return (
        f"{_name(size.window_shards):>12}{size.fraction:>14.0%}{size.driving_seconds:>12.1f}{size.distance:>10.0%}{size.stretches:>11.0%}"
        f"{size.spread:>8.2f}{np.median(size.val_loss):>10.4f}{f'{low:.4f} - {high:.4f}':>17}"
    )


def _name(window_shards: int) -> str:
    return f"{window_shards} shards" if window_shards else "all samples"


@contextmanager
def _sharded_store(settings: WindowsBenchSettings) -> Iterator[Path]:
    with given_or_synthetic_store(settings.store, settings.frames or SYNTHETIC_FRAMES) as store:
        if store.is_dir():
            yield store
            return
        with sharded_copy(store, settings.shards) as folder:
            yield folder


def _training(epochs: int, seed: int) -> TrainSettings:
    return TrainSettings(epochs=epochs, learning_rate=LEARNING_RATE, seq_length=1, seed=seed)


def _train(store: Store, feed: FeedSettings, settings: TrainSettings) -> float:
    """Train an untrained network for some epochs, and return its validation loss."""
    from bcclone.train.prepare import prepare, with_augment_device

    settings = with_augment_device(settings)
    trainer = prepare(store, settings)
    with open_feed(select(store), feed, settings.sampling) as training:
        samples, done = settings.epochs * len(training), 0
        for batch in _batches(training, settings.epochs):
            trainer.train(batch, learning_rate(settings, done / samples))
            done += len(batch)
    trainer.totals.reset()
    with (
        open_validation_feed(select(store, validation=True), _VALIDATION_BATCH) as validation,
        validation.epoch(1) as batches,
    ):
        for batch in batches:
            trainer.validate(batch)
    return trainer.totals.means()[0]


def _batches(feed: Feed, epochs: int) -> Iterator[Batch]:
    for epoch in range(1, epochs + 1):
        with feed.epoch(epoch) as batches:
            yield from batches


def _collect(store: Store, feeds: Sequence[FeedSettings], losses: Sequence[Sequence[float]]) -> list[WindowSize]:
    drive, files = sampled_drive(store), len(store.frames.files)
    steps = np.diff(store.rows["time_ms"])
    seconds = float(np.median(steps)) / 1000 * len(store.rows)
    measured = [_order_quality(store, feed, drive) for feed in feeds]
    best = measured[0]

    def measures(feed: FeedSettings, quality: tuple[float, float, float], val_loss: Sequence[float]) -> WindowSize:
        size = feed.window_shards if feed != _SHUFFLE else 0
        distance, stretches, spread = (value / whole for value, whole in zip(quality, best, strict=True))
        fraction = (size or files) / files
        return WindowSize(size, fraction, fraction * seconds, distance, stretches, spread, tuple(val_loss))

    return [measures(*each) for each in zip(feeds, measured, losses, strict=True)]


def _order_quality(store: Store, feed: FeedSettings, drive: SampledDrive) -> tuple[float, float, float]:
    """Return the mean distance of samples that follow each other, the stretches in a batch and the spread."""
    selection = select(store)
    order = EpochOrder.of(feed, len(selection), 0, selection.shard).order(1)
    quality = shuffle_quality(drive, order, TrainSettings().batch_size)
    distance = float(np.abs(np.diff(order.astype(np.int64))).mean())
    return distance, quality.stretches, quality.spread
