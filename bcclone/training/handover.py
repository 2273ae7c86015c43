"""Score drivers on the validation samples, and choose the model that the user gets.

In: a training at its end. Out: a `TrainResult`, and the file of the chosen model. Usually this is
the trained model. A fine-tuning may have made the start model worse; so the start model, and the
model with the mean of both models' weights, are compared with the trained model on the validation
samples; without such samples, the mean is chosen. "Driver" is explained in result.py.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bcclone.dataset.answer import outputs_of
from bcclone.dataset.sample_settings import TEST, VALIDATION
from bcclone.feed.feed import open_feed_in_order
from bcclone.feed.feed_settings import STEERING
from bcclone.feed.selection import Selection, select
from bcclone.model.model_file import load_model, load_own_model, mean_content
from bcclone.system.files import write_bytes
from bcclone.system.numbers import FloatArray
from bcclone.training.loop import Loop
from bcclone.training.result import (
    MEAN_STEERING,
    START,
    TRAINED_NAME,
    SampleCounts,
    TrainResult,
)
from bcclone.training.train_settings import HALFWAY, TRAINED
from bcclone.training.trainer import Trainer
from bcclone.training.training_state import ValidationScore


def start_model(loop: Loop) -> tuple[bytes, bool]:
    """Return the model file with the start weights, and whether the training adds outputs to it.

    The file is empty without --from.

    loop: before a checkpoint is loaded, while its trainer has the start weights
    """
    settings = loop.settings
    if not settings.start:
        return b"", False
    known = load_own_model(settings.start).outputs
    file = loop.current_model(epoch=0, val_loss=None)
    return file, known != outputs_of(settings.predict)


def hand_over(loop: Loop, start: bytes, adds_outputs: bool) -> tuple[TrainResult, bytes]:
    """Return the result, and the model file for the output.

    That is the trained model, unless another one is asked for, or is clearly better on the
    validation samples, or there are none of them.

    loop: at its end
    start, adds_outputs: what start_model() returned
    """
    data = loop.training.data
    settings = loop.settings
    run = loop.run
    test = select(data, TEST, settings.seq_length)
    counts = SampleCounts(len(loop.training_feed), len(loop.validation_feed), len(test))
    # TrainResult.of() compares these drivers' scores with that of the trained model, and names the
    # best model as result.handed_over
    others = _other_drivers(loop, start)
    if adds_outputs:  # the start model knows nothing of them; prepare.py refuses HALFWAY, too
        settings = replace(settings, hand_over=TRAINED)
    result = TrainResult.of(loop.state, settings, counts, run.path, others)
    model = loop.model
    if start and result.handed_over != TRAINED:
        # HALFWAY is the mean of the start model and the trained one. The mean of the start model
        # with itself is the start model, but with these values in its description
        described = {"epoch": result.epoch, "val_loss": result.val_loss}
        second = start if result.handed_over == START else loop.model
        model = mean_content(start, second, described)
        # the trained model stays in the run folder, under another name
        loop.try_to_write(partial(write_bytes, run.path / TRAINED_NAME, loop.model))
        loop.try_to_write(partial(write_bytes, run.model, model))
    else:  # there is one if the run was complete before, and handed over another model
        (run.path / TRAINED_NAME).unlink(missing_ok=True)
    # the test samples score only the model that was chosen, and have no part in the choice
    if len(test):
        loss, mae, _ = evaluate_file(loop.trainer, model, test, loop.validation_batch_size)
        result = replace(result, test_loss=loss, test_mae=mae)
    return replace(result, ended=loop.limit), model


def _other_drivers(loop: Loop, start: bytes) -> dict[str, ValidationScore]:
    """Return the validation scores of all drivers except the trained model, by name.

    start: file of the start model; may be empty
    """
    validation = loop.validation
    if not len(validation):
        return {}
    # MEAN_STEERING is only for comparison: it is no model, and is never handed over
    drivers = {MEAN_STEERING: score_mean(loop.training, validation)}
    if start:
        # the outputs of a model file may be others than those that this training learns, so only
        # the steering is scored
        data = validation.data
        samples = select(data, VALIDATION, loop.settings.seq_length, predict=STEERING)
        models = {START: start, HALFWAY: mean_content(start, loop.model, {})}
        for name, model in models.items():
            figures = evaluate_file(loop.trainer, model, samples, loop.validation_batch_size)
            drivers[name] = ValidationScore.of(validation, *figures)
    return drivers


# ---- scores


def score_mean(training: Selection, validation: Selection) -> ValidationScore:
    """Score the driver that always steers the mean of the training samples.

    For a mirror image it steers the opposite.
    """
    # one sample of each row: the steering as it was recorded, not mirrored
    mean = float(training.labels[training.first_of_row, 0].mean())
    steering = np.where(validation.flipped, -mean, mean)
    errors = steering - validation.labels[:, 0]
    loss = float(np.mean(errors**2))
    return ValidationScore.of(validation, loss, float(np.abs(errors).mean()), steering)


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
    # epoch 1: validation samples have the same order in every epoch
    with open_feed_in_order(samples, batch_size) as feed, feed.epoch(1) as batches:
        return trainer.evaluate(batches, model=network)
