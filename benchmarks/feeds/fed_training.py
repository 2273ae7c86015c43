"""Measure whether training waits for its data: the real step on a feed, compared with Keras on a single batch.

Both train in this process, in rounds, each with its own network.
"""

import math
import time
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from bcclone.cluster.shards import open_store
from bcclone.feed.feed import Batch, Feed
from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.open import open_feed
from bcclone.feed.selection import select
from bcclone.model.network import build_network
from bcclone.train.loop import Trainer
from bcclone.train.prepare import make_trainer, with_augment_device
from bcclone.train.train_settings import LEARNING_RATE, TrainSettings
from benchmarks.measures import Measure

_WAIT_BAR_PERCENT, _RATE_BAR_PERCENT, _AUGMENTED_BAR_PERCENT = 2.0, 95.0, 90.0
_STEPS, _WARM_STEPS = 200, 20
_GPU_BATCHES = 256, 1024


@dataclass(frozen=True)
class TrainingRates:
    """Samples per second of training on the feed, on it without augmentation, and on one batch on the device.

    waited: fraction of the time in which the step waited for its next batch.
    """

    fed: float
    unaugmented: float
    repeated: float
    waited: float


def measure_training(store: Path, rounds: int) -> list[Measure]:
    """Measure in this process, in which load_tensorflow() was called, on the GPU if there is one."""
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    feed, sizes = ("device", _GPU_BATCHES) if on_gpu else ("hdf5-shuffle", (TrainSettings().batch_size,))
    return [
        measure
        for size in sizes
        for measure in training_measures(rates_of(store, rounds, size, feed), f"{feed}, batches of {size}")
    ]


def rates_of(path: Path, rounds: int, batch_size: int, feed: str, steps: int = _STEPS) -> list[TrainingRates]:
    """Measure trainings of some steps in each round, after a short one that is not counted.

    Each training on a feed begins an epoch; the wait for its first batch counts. Samples are augmented on the GPU if
    there is one, else by threads.
    """
    settings = with_augment_device(TrainSettings(batch_size=batch_size, seq_length=1, learning_rate=LEARNING_RATE))
    unaugmented = replace(settings, augment=False)
    with (
        open_store(path) as store,
        open_feed(select(store), FeedSettings(feed), settings.sampling) as augmented,
        open_feed(select(store), FeedSettings(feed), unaugmented.sampling) as plain,
    ):
        trainer, plain_trainer = make_trainer(store, settings), make_trainer(store, unaugmented)
        with plain.epoch(1) as batches:
            first = next(iter(batches))
            batch = tf.constant(np.array(first.images)), tf.constant(np.array(first.labels))
        model = build_network(store.preprocessing.height, store.preprocessing.width)
        model.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE), loss="mse")
        _train_an_epoch(trainer, augmented, 1, _WARM_STEPS)
        _train_an_epoch(plain_trainer, plain, 1, _WARM_STEPS)
        _train_repeatedly(model, batch, _WARM_STEPS)
        rates = []
        for epoch in range(2, rounds + 2):
            fed, waited = _train_an_epoch(trainer, augmented, epoch, steps)
            without, _ = _train_an_epoch(plain_trainer, plain, epoch, steps)
            rates.append(TrainingRates(fed, without, _train_repeatedly(model, batch, steps), waited))
        return rates


def train(
    trainer: Trainer, batches: Iterable[Batch], steps: float = math.inf, seconds: float = math.inf
) -> tuple[float, float]:
    """Train for some steps or seconds.

    Return the samples per second, and the fraction of the time spent waiting for the next batch.
    """
    samples, waited = 0, 0.0
    since = asked = time.perf_counter()
    for step, batch in enumerate(batches, 1):
        waited += time.perf_counter() - asked
        trainer.train(batch, LEARNING_RATE)
        samples += len(batch)
        asked = time.perf_counter()
        if step >= steps or asked - since >= seconds:
            break
    trainer.totals.means()  # waits for the device
    elapsed = time.perf_counter() - since
    return samples / elapsed, waited / elapsed


def _train_an_epoch(trainer: Trainer, feed: Feed, epoch: int, steps: int) -> tuple[float, float]:
    with closing(_epoch(feed, epoch)) as batches:
        return train(trainer, batches, steps)


def _epoch(feed: Feed, epoch: int) -> Generator[Batch]:
    with feed.epoch(epoch) as batches:
        yield from batches


def _train_repeatedly(model: keras.Model, batch: tuple[tf.Tensor, tf.Tensor], steps: int) -> float:
    since = time.perf_counter()
    for _ in range(steps):
        model.train_on_batch(*batch)
    return steps * int(batch[1].shape[0]) / (time.perf_counter() - since)


def training_measures(rates: list[TrainingRates], trained_on: str) -> list[Measure]:
    """Return the medians over the rounds, also of the rounds' ratios. trained_on: such as "batches of 32"."""

    def rate(name: str, values: list[float]) -> Measure:
        return Measure(f"{name}, {trained_on}", float(np.median(values)), "samples/s")

    def percent(name: str, fractions: list[float], bar: float, least: bool = True) -> Measure:
        return Measure(f"{name}, {trained_on}", 100 * float(np.median(fractions)), "%", bar, least)

    to_plain, to_keras = "with augmentation to without", "with augmentation to train_on_batch"
    plain_to_keras = "without augmentation to train_on_batch"
    return [
        rate("training with augmentation", [each.fed for each in rates]),
        rate("training without augmentation", [each.unaugmented for each in rates]),
        rate("train_on_batch on one batch", [each.repeated for each in rates]),
        percent(to_plain, [each.fed / each.unaugmented for each in rates], _AUGMENTED_BAR_PERCENT),
        percent(to_keras, [each.fed / each.repeated for each in rates], _AUGMENTED_BAR_PERCENT),
        percent(plain_to_keras, [each.unaugmented / each.repeated for each in rates], _RATE_BAR_PERCENT),
        percent("waiting for data", [each.waited for each in rates], _WAIT_BAR_PERCENT, least=False),
    ]
