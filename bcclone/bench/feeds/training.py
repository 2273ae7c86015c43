"""Store -> whether training waits for its data: the real step on the default feed, and Keras on one batch in memory.

Both train in this process, in turns, on networks of their own.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from bcclone.bench import Measure
from bcclone.feed.feed import Feed
from bcclone.feed.opening import open_feed
from bcclone.feed.settings import FeedSettings
from bcclone.network import build_network
from bcclone.store import Store
from bcclone.train.prepare import prepare
from bcclone.train.settings import TrainSettings
from bcclone.train.step import Trainer

_WAIT_BAR_PERCENT, _RATE_BAR_PERCENT, _VARIED_BAR_PERCENT = 2.0, 95.0, 90.0
_WARM_STEPS = 20
_LEARNING_RATE = TrainSettings().learning_rate


@dataclass(frozen=True)
class TrainingTurn:
    """Samples a second of training on the feed, on it without varying the samples, and on one repeated batch.

    waited: share of the time the feed was awaited.
    """

    fed: float
    unvaried: float
    repeated: float
    waited: float


def measure_training(path: Path, steps: int, rounds: int) -> list[TrainingTurn]:
    """Take turns of so many steps, `rounds` times, after a short one that does not count.

    TensorFlow should have been loaded before. A turn on the feed begins an epoch; the wait for its first batch counts.
    """
    settings = TrainSettings()
    unvaried = replace(settings, augment=False)
    with (
        Store(path) as store,
        open_feed(store, FeedSettings(), settings.drawn) as feed,
        open_feed(store, FeedSettings(), unvaried.drawn) as plain,
    ):
        trainer = prepare(store, settings)
        with feed.epoch(1) as batches:
            first = next(iter(batches))
            images, steering = np.array(first.images), np.array(first.steering)
        model = build_network(store.preprocessing.height, store.preprocessing.width)
        model.compile(optimizer=keras.optimizers.Adam(_LEARNING_RATE), loss="mse")
        _train_on_feed(trainer, feed, 1, _WARM_STEPS)
        _train_repeatedly(model, images, steering, _WARM_STEPS)
        turns = []
        for epoch in range(2, rounds + 2):
            fed, waited = _train_on_feed(trainer, feed, epoch, steps)
            without, _ = _train_on_feed(trainer, plain, epoch, steps)
            turns.append(TrainingTurn(fed, without, _train_repeatedly(model, images, steering, steps), waited))
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


def _train_repeatedly(model: keras.Model, images: np.ndarray, steering: np.ndarray, steps: int) -> float:
    begun = time.perf_counter()
    for _ in range(steps):
        model.train_on_batch(images, steering)
    return steps * len(images) / (time.perf_counter() - begun)


def judge_training(turns: list[TrainingTurn]) -> list[Measure]:
    """Return the medians of the turns, and of their ratios."""
    waited = 100 * float(np.median([turn.waited for turn in turns]))
    share = 100 * float(np.median([turn.unvaried / turn.repeated for turn in turns]))
    varied = 100 * float(np.median([turn.fed / turn.unvaried for turn in turns]))
    return [
        Measure("training on the default feed", float(np.median([turn.fed for turn in turns])), "samples/s"),
        Measure("the same, samples not varied", float(np.median([turn.unvaried for turn in turns])), "samples/s"),
        Measure(
            "train_on_batch, one batch again and again",
            float(np.median([turn.repeated for turn in turns])),
            "samples/s",
        ),
        Measure("training on varied samples to the same unvaried", varied, "%", _VARIED_BAR_PERCENT),
        Measure("training on unvaried samples to train_on_batch", share, "%", _RATE_BAR_PERCENT),
        Measure("training time spent waiting for data", waited, "%", _WAIT_BAR_PERCENT, least=False),
    ]
