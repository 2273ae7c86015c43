"""A store or recordings -> the training and validation samples, and the feeds that give them."""

from dataclasses import dataclass

from bcclone.dataset.answer import outputs_of
from bcclone.dataset.labels import LOST_STEERING
from bcclone.dataset.sample_settings import TRAINING, VALIDATION
from bcclone.feed.feed import check_feed, open_feed, open_validation_feed
from bcclone.feed.loading import Feed
from bcclone.feed.order import ALL, BatchPart
from bcclone.feed.selection import Selection, TrainingData, describe_windows, select
from bcclone.system.errors import UserError
from bcclone.system.numbers import constant
from bcclone.system.process import Notify
from bcclone.training.train_settings import TrainSettings


@dataclass(frozen=True)
class TrainingSamples:
    """The samples of a training: those to train on, and those to validate with."""

    training: Selection
    validation: Selection

    @property
    def data(self) -> TrainingData:
        return self.training.data

    @property
    def label_count(self) -> int:
        """Return how many labels a sample has."""
        return int(self.training.labels.shape[1])

    def report(self, notify: Notify) -> None:
        """Tell the user if there are no validation samples."""
        if not len(self.validation):
            notify(
                "note: there are no validation samples, so nothing shows whether the model has "
                "become better; the best epoch is the one with the smallest loss"
            )


def select_samples(data: TrainingData, settings: TrainSettings, notify: Notify) -> TrainingSamples:
    """Return the samples of a training; raises UserError when the feed cannot read them."""
    check_feed(data, settings)
    training = select(data, TRAINING, settings.seq_length, settings.predict)
    validation = select(data, VALIDATION, settings.seq_length, settings.predict)
    # samples, not windows of them: describe_windows() below reports if there are no windows
    if not data.split_indices(TRAINING).size:
        raise UserError(
            f"{data.path}: no training samples; "
            "make the store with more driving or a smaller --validation"
        )
    _note_constant_outputs(data, settings.predict, notify)
    if settings.seq_length > 1:
        notify(f"note: {describe_windows(training, validation)}")
    return TrainingSamples(training, validation)


def _note_constant_outputs(data: TrainingData, predict: str, notify: Notify) -> None:
    """Tell the user if the steering, or the last other output, is the same in nearly all rows."""
    steering, *others = outputs_of(predict)
    # only the last of the others, which --predict names; it also brings the outputs before it
    for output in (steering, *others[-1:]):
        same_value = constant(data.rows[output.column])
        if not same_value:
            continue
        _, value_and_rows = same_value
        remedy = LOST_STEERING
        if output in others:
            remedy = f"leave out --predict {predict}, or record again"
        notify(
            f"note: the {output.column} is {value_and_rows}, so nothing can be learned from it; "
            f"{remedy}"
        )


@dataclass(frozen=True)
class Feeds:
    """The two feeds of a training, which give the batches of each epoch."""

    training: Feed
    validation: Feed


def open_feeds(
    samples: TrainingSamples,
    settings: TrainSettings,
    program_steps: int = 0,
    part: BatchPart = ALL,
) -> Feeds:
    """Return the feeds of a training, to be used in `with` blocks.

    program_steps: the most steps that the trainer takes in one call of an XLA program; 0 if XLA
        does not compile its steps
    part: the part of each batch that this worker trains on
    """
    batch_size = validation_batch_size(settings, part.count)
    return Feeds(
        open_feed(
            samples.training,
            settings,
            settings.batch_size,
            settings.seed,
            settings.zero_fraction,
            settings if settings.augment else None,
            settings.sees_whole_images,
            part,
            program_steps,
        ),
        open_validation_feed(samples.validation, batch_size, part, settings.feed, program_steps),
    )


def validation_batch_size(settings: TrainSettings, workers: int) -> int:
    """Return the number of samples in a batch of validation, at least one for each worker."""
    frames = 256  # large batches are fast, and without gradients they fit into memory
    return max(frames // settings.seq_length, workers)
