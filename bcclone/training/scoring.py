"""Score drivers on the validation samples: the network in training, model files, and the mean.

In: a driver (see result.py), and a `Selection`. Out: losses, steering, and a `ValidationScore`.
"""

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bcclone.feed.feed import open_validation_feed
from bcclone.feed.loading import Feed
from bcclone.feed.selection import Selection
from bcclone.model.model_file import load_model
from bcclone.system.files import write_bytes
from bcclone.system.numbers import FloatArray, correlation, right_side
from bcclone.training.trainer import Trainer, losses_of
from bcclone.training.training_state import ValidationScore
from bcclone.training.workers import Workers


def score_weights(
    trainer: Trainer, feed: Feed, validation: Selection, workers: Workers
) -> ValidationScore:
    """Score the current weights on the validation samples; all workers must call this together."""
    # epoch 1: validation samples have the same order in every epoch
    with feed.epoch(1) as batches:
        loss, mae, steering = trainer.evaluate(batches, workers.all_sum)
    return score_of(validation, loss, mae, steering)


def score_mean(training: Selection, validation: Selection, loss: str) -> ValidationScore:
    """Score the driver that always steers the mean of the training samples.

    For a mirror image it steers the opposite.

    loss: one of train_settings.LOSSES
    """
    # one sample of each row: the steering as it was recorded, not mirrored
    mean = float(training.labels[training.first_of_row, 0].mean())
    steering = np.where(validation.flipped, -mean, mean)
    labels = validation.labels[:, 0]
    losses = losses_of(loss, steering - labels, labels)
    mae = float(np.abs(steering - labels).mean())
    return score_of(validation, float(np.mean(losses)), mae, steering)


def score_of(
    validation: Selection, loss: float, mae: float, steering: FloatArray
) -> ValidationScore:
    """Return the score of a driver, by its steering for all validation samples.

    loss, mae: mean loss and mean absolute error of that steering
    steering: (samples,)
    """
    if not math.isfinite(loss):
        return ValidationScore(loss, mae, None, None)
    # one sample of each row: what the driver steers, and its label
    driven = steering[validation.first_of_row]
    labels = validation.labels[validation.first_of_row, 0]
    # if a label is about straight ahead, neither side is the correct one; so small labels do not
    # count: those up to 0.05, or on straighter roads the smaller half
    small = min(0.05, float(np.median(np.abs(labels))))
    return ValidationScore(
        loss, mae, correlation(driven, labels), right_side(driven, labels, small)
    )


def evaluate_file(
    trainer: Trainer, model: bytes, samples: Selection, batch_size: int
) -> tuple[float, float, FloatArray]:
    """Evaluate a model file; return mean loss, mean absolute error and steering, (samples,).

    trainer: only computes the losses; its own weights are not used
    model: the content of the model file
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.h5"
        write_bytes(path, model)
        network = load_model(path).model
    # epoch 1: as in score_weights()
    with open_validation_feed(samples, batch_size) as feed, feed.epoch(1) as batches:
        return trainer.evaluate(batches, model=network)
