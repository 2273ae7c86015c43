"""Score a trained model on the test samples, which no training has seen.

In: the content of a model file, and the store. Out: a `FinalScore`.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import keras

from bcclone.dataset.sample_settings import TEST
from bcclone.feed.feed import open_validation_feed
from bcclone.feed.selection import TrainingData, select
from bcclone.model.model_file import load_model_file
from bcclone.train.losses import Totals, losses_of, sums_of
from bcclone.train.train_settings import TrainSettings

_BATCH = 256  # frames


@dataclass(frozen=True)
class FinalScore:
    """The errors of the steering on the test samples. loss, mae: as val_loss and val_mae; None without such samples."""

    samples: int = 0
    loss: float | None = None
    mae: float | None = None

    def __post_init__(self) -> None:
        if (self.loss is None) != (not self.samples):
            raise ValueError(f"a loss of {self.loss} on {self.samples} test samples")


def score_test_samples(model: bytes, data: TrainingData, settings: TrainSettings) -> FinalScore:
    """Return the errors of a model on the test samples. model: the content of its file."""
    selection = select(data, TEST, settings.seq_length)
    if not len(selection):
        return FinalScore()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.h5"
        path.write_bytes(model)
        network = load_model_file(path).model
    dtype, totals = network.inputs[0].dtype, Totals()
    with (
        open_validation_feed(selection, max(_BATCH // settings.seq_length, 1)) as feed,
        feed.epoch(1) as batches,
    ):
        for batch in batches:
            predicted = network(keras.ops.cast(batch.images, dtype), training=False)
            errors = keras.ops.cast(predicted, "float32")[:, :1] - batch.labels[:, :1]
            totals.add(sums_of(losses_of(settings.loss, errors), errors, keras.ops.ones_like(errors)))
    return FinalScore(len(selection), *totals.means())
