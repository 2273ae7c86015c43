"""Measure whether training waits for its data: the real step on a feed, compared with Keras on a single batch.

Both train in this process, in rounds, each with its own network.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bcclone.cluster.shards import open_store
from bcclone.feed.augment.augment_settings import AugmentSettings
from bcclone.feed.feed import Feed
from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.open import open_feed
from bcclone.feed.selection import select
from bcclone.model.network import build_network
from bcclone.train.prepare import prepare, with_augment_device
from bcclone.train.train_settings import LEARNING_RATE, TrainSettings
from bcclone.train.trainer import Trainer
from benchmarks import Measure

_WAIT_BAR_PERCENT, _RATE_BAR_PERCENT, _AUGMENTED_BAR_PERCENT = 2.0, 95.0, 90.0
_WARM_STEPS = 20


@dataclass(frozen=True)
class TrainingRates:
    """Samples per second of training on the feed, on it without augmentation, and on one batch on the device.

    waited: fraction of the time in which the step waited for its next batch.
    """

    fed: float
    unaugmented: float
    repeated: float
    waited: float


def measure_training(path: Path, steps: int, rounds: int, batch_size: int, feed: str) -> list[TrainingRates]:
    """Measure trainings of some steps in each round, after a short one that is not counted.

    TensorFlow must have been loaded before. Each training on a feed begins an epoch; the wait for its first batch
    counts. Samples are augmented on the GPU if there is one, else by threads.
    """
    settings = with_augment_device(TrainSettings(batch_size=batch_size, seq_length=1))
    unaugmented = replace(settings, augmentation=AugmentSettings(augment=False))
    with (
        open_store(path) as store,
        open_feed(select(store), FeedSettings(feed), settings.sampling) as augmented,
        open_feed(select(store), FeedSettings(feed), unaugmented.sampling) as plain,
    ):
        trainers = prepare(store, settings), prepare(store, unaugmented)
        with plain.epoch(1) as batches:
            first = next(iter(batches))
            batch = tf.constant(np.array(first.images)), tf.constant(np.array(first.labels))
        model = build_network(store.preprocessing.height, store.preprocessing.width)
        model.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE), loss="mse")
        for trainer, warmed in zip(trainers, (augmented, plain), strict=True):
            _train_on_feed(trainer, warmed, 1, _WARM_STEPS)
        _train_repeatedly(model, batch, _WARM_STEPS)
        rates = []
        for epoch in range(2, rounds + 2):
            fed, waited = _train_on_feed(trainers[0], augmented, epoch, steps)
            without, _ = _train_on_feed(trainers[1], plain, epoch, steps)
            rates.append(TrainingRates(fed, without, _train_repeatedly(model, batch, steps), waited))
        return rates


def _train_on_feed(trainer: Trainer, feed: Feed, epoch: int, steps: int) -> tuple[float, float]:
    """Return samples per second, and the fraction of the time spent waiting for the next batch."""
    samples, waited = 0, 0.0
    begun = asked = time.perf_counter()
    with feed.epoch(epoch) as batches:
        for step, batch in enumerate(batches, 1):
            waited += time.perf_counter() - asked
            trainer.train(batch, LEARNING_RATE)
            samples += len(batch)
            if step == steps:
                break
            asked = time.perf_counter()
        trainer.totals.means()  # waits for the device
        seconds = time.perf_counter() - begun
    return samples / seconds, waited / seconds


def _train_repeatedly(model: keras.Model, batch: tuple[Any, Any], steps: int) -> float:
    begun = time.perf_counter()
    for _ in range(steps):
        model.train_on_batch(*batch)
    return steps * int(batch[1].shape[0]) / (time.perf_counter() - begun)


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
