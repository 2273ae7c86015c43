"""Score a trained model on the test samples, which no training has seen.

In: the content of a model file, and the store. Out: a `FinalScore`.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import tensorflow as tf

from bcclone.dataset.sample_settings import TEST
from bcclone.feed.feed import open_validation_feed
from bcclone.feed.selection import TrainingData, select
from bcclone.model.model_file import load_model_file
from bcclone.system.atomic import write_bytes
from bcclone.train.losses import Totals, errors_of, losses_of, sums_of
from bcclone.train.train_settings import TrainSettings


@dataclass(frozen=True)
class FinalScore:
    """The errors of the steering on the test samples. loss, mae: as val_loss and val_mae; None without such samples."""

    samples: int = 0
    loss: float | None = None
    mae: float | None = None

    def __post_init__(self) -> None:
        if (self.loss is None) != (not self.samples):
            raise ValueError(f"a loss of {self.loss} on {self.samples} test samples")


def score_test_samples(model: bytes, data: TrainingData, settings: TrainSettings, batch_size: int) -> FinalScore:
    """Return the errors of a model on the test samples. model: the content of its file."""
    selection = select(data, TEST, settings.seq_length)
    if not len(selection):
        return FinalScore()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.h5"
        write_bytes(path, model)
        network = load_model_file(path).model
    totals = Totals()
    with open_validation_feed(selection, batch_size) as feed, feed.epoch(1) as batches:
        for batch in batches:
            errors = errors_of(network, batch.images, batch.labels, training=False)
            totals.add(sums_of(losses_of(settings.loss, errors, batch.labels), errors, tf.ones_like(errors[:, :1])))
    return FinalScore(len(selection), *totals.means())
