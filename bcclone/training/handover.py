"""The end of a training -> its result, and the model that is handed over.

A fine-tuned model may be worse than the one that it began with; so they are compared.
"""

from dataclasses import replace
from functools import partial

from bcclone.dataset.sample_settings import TEST, VALIDATION
from bcclone.feed.selection import select
from bcclone.model.model_file import mean_content
from bcclone.system.atomic import write_bytes
from bcclone.training.loop import Trained, Training, current_model
from bcclone.training.result import (
    HALFWAY,
    MEAN,
    START,
    TRAINED,
    TRAINED_NAME,
    SampleCounts,
    TrainResult,
)
from bcclone.training.samples import validation_batch_size
from bcclone.training.saving import try_to_write
from bcclone.training.scoring import evaluate_file, score_mean, score_of
from bcclone.training.training_state import ValidationScore


def start_model(training: Training) -> bytes:
    """Return the file of the model that a fine-tuning begins with, empty without one.

    Called before the trainer is loaded from a checkpoint.
    """
    if not (training.settings.start and training.validates):
        return b""
    return current_model(training, 0, None)


def hand_over(training: Training, trained: Trained, start: bytes) -> tuple[TrainResult, bytes]:
    """Return the result, and the file of the model that is best on the validation samples.

    start: as start_model() returns it
    """
    data = training.samples.data
    settings = training.settings
    folder = training.folder
    batch_size = validation_batch_size(settings, training.part.count)
    test = select(data, TEST, settings.seq_length)
    counts = SampleCounts(len(training.feeds.training), len(training.feeds.validation), len(test))
    drivers = _other_drivers(training, trained.model, start, batch_size)
    result = TrainResult.of(trained.state, settings, counts, folder.path, drivers)
    model = trained.model
    if start and result.handed_over != TRAINED:
        # the trained model stays in the run folder, under another name
        described = {"epoch": result.epoch, "val_loss": result.val_loss}
        other = start if result.handed_over == START else trained.model
        model = mean_content(start, other, described)
        write_trained = partial(write_bytes, folder.path / TRAINED_NAME, trained.model)
        try_to_write(write_trained, folder, training.notify)
        try_to_write(partial(write_bytes, folder.model, model), folder, training.notify)
    if len(test):
        loss, mae, _ = evaluate_file(training.trainer, model, test, batch_size)
        result = replace(result, test_loss=loss, test_mae=mae)
    return replace(result, ended=trained.limit), model


def _other_drivers(
    training: Training, trained: bytes, start: bytes, batch_size: int
) -> dict[str, ValidationScore]:
    """Return the scores of the drivers that the trained model is compared with."""
    if not training.validates:
        return {}
    drivers = {MEAN: score_mean(training.samples, training.settings.loss)}
    if start:
        # a model file answers the steering, and perhaps other outputs than those of this training
        data = training.samples.data
        steering_alone = select(data, VALIDATION, training.settings.seq_length)
        models = {START: start, HALFWAY: mean_content(start, trained, {})}
        for name, model in models.items():
            figures = evaluate_file(training.trainer, model, steering_alone, batch_size)
            drivers[name] = score_of(training.samples.validation, *figures)
    return drivers
