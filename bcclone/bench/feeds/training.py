"""Store -> whether training waits for its data: the real step on a feed, and Keras on one batch where it trains.

Both train in this process, in turns, on networks of their own.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bcclone.augment.settings import AugmentSettings
from bcclone.bench import Measure
from bcclone.feed.feed import Feed
from bcclone.feed.open import open_feed
from bcclone.feed.selection import select
from bcclone.feed.settings import FeedSettings
from bcclone.network import build_network
from bcclone.store import Store
from bcclone.train.settings import TrainSettings
from bcclone.train.trainer import Trainer, prepare, with_augment_device

_WAIT_BAR_PERCENT, _RATE_BAR_PERCENT, _AUGMENTED_BAR_PERCENT = 2.0, 95.0, 90.0
_WARM_STEPS = 20
_LEARNING_RATE = TrainSettings().learning_rate


@dataclass(frozen=True)
class TrainingTurn:
    """Samples a second of training on the feed, on it without augmentation, and on one batch that lies where it trains.

    waited: share of the time in which the step waited for its next batch.
    """

    fed: float
    unaugmented: float
    repeated: float
    waited: float


def measure_training(path: Path, steps: int, rounds: int, batch_size: int, feed: str) -> list[TrainingTurn]:
    """Take turns of so many steps, `rounds` times, after a short one that does not count.

    TensorFlow should have been loaded before. A turn on the feed begins an epoch; the wait for its first batch counts.
    Samples are augmented on the GPU where there is one, else by threads.
    """
    settings = with_augment_device(TrainSettings(batch_size=batch_size))
    unaugmented = replace(settings, augmentation=AugmentSettings(augment=False))
    with (
        Store(path) as store,
        open_feed(select(store), FeedSettings(feed), settings.sampling) as augmented,
        open_feed(select(store), FeedSettings(feed), unaugmented.sampling) as plain,
    ):
        trainers = prepare(store, settings), prepare(store, unaugmented)
        with plain.epoch(1) as batches:
            first = next(iter(batches))
            batch = tf.constant(np.array(first.images)), tf.constant(np.array(first.steering))
        model = build_network(store.preprocessing.height, store.preprocessing.width)
        model.compile(optimizer=keras.optimizers.Adam(_LEARNING_RATE), loss="mse")
        for trainer, warmed in zip(trainers, (augmented, plain), strict=True):
            _train_on_feed(trainer, warmed, 1, _WARM_STEPS)
        _train_repeatedly(model, batch, _WARM_STEPS)
        turns = []
        for epoch in range(2, rounds + 2):
            fed, waited = _train_on_feed(trainers[0], augmented, epoch, steps)
            without, _ = _train_on_feed(trainers[1], plain, epoch, steps)
            turns.append(TrainingTurn(fed, without, _train_repeatedly(model, batch, steps), waited))
        return turns


def _train_on_feed(trainer: Trainer, feed: Feed, epoch: int, steps: int) -> tuple[float, float]:
    """Return samples a second and the share of the time that was spent waiting for the next batch."""
    samples, waited = 0, 0.0
    begun = asked = time.perf_counter()
    with feed.epoch(epoch) as batches:
        for step, batch in enumerate(batches, 1):
            waited += time.perf_counter() - asked
            trainer.train(batch, _LEARNING_RATE)
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


def judge_training(turns: list[TrainingTurn], told: str) -> list[Measure]:
    """Return the medians of the turns, and of their ratios. told: on what was trained, for example "batches of 32"."""

    def rate(name: str, rates: list[float]) -> Measure:
        return Measure(f"{name}, {told}", float(np.median(rates)), "samples/s")

    def percent(name: str, shares: list[float], bar: float, least: bool = True) -> Measure:
        return Measure(f"{name}, {told}", 100 * float(np.median(shares)), "%", bar, least)

    return [
        rate("training with augmentation", [timing.fed for timing in turns]),
        rate("training without augmentation", [timing.unaugmented for timing in turns]),
        rate("train_on_batch on one batch", [timing.repeated for timing in turns]),
        percent(
            "with augmentation to without",
            [timing.fed / timing.unaugmented for timing in turns],
            _AUGMENTED_BAR_PERCENT,
        ),
        percent(
            "with augmentation to train_on_batch",
            [timing.fed / timing.repeated for timing in turns],
            _AUGMENTED_BAR_PERCENT,
        ),
        percent(
            "without augmentation to train_on_batch",
            [timing.unaugmented / timing.repeated for timing in turns],
            _RATE_BAR_PERCENT,
        ),
        percent("waiting for data", [timing.waited for timing in turns], _WAIT_BAR_PERCENT, least=False),
    ]
