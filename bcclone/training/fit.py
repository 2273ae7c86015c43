"""Train a run with TensorFlow, and choose the model that the user gets.

In: a run and its samples. Out: a `TrainResult`, and the file of the chosen model. Usually this is
the trained model. A fine-tuning may have made the start model worse; so the start model, and the
model with the mean of both models' weights, are compared with the trained model on the validation
samples; without such samples, the mean is chosen, unless the start model does not read the place.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bcclone.dataset.answer import outputs_of
from bcclone.dataset.sample_settings import TEST, TRAINING, VALIDATION
from bcclone.feed.feed import open_feed_in_order
from bcclone.feed.feed_settings import STEERING
from bcclone.feed.selection import Selection, select
from bcclone.model.model_file import load_model, load_own_model, mean_content
from bcclone.model.plain_keras import OtherAnswers, check_plain_keras
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError, number_of
from bcclone.system.files import write_bytes
from bcclone.system.progress import Notify
from bcclone.system.tensorflow_quietly import used_gpus
from bcclone.system.xla import gpu_compiler_fault
from bcclone.training.checkpoint import checkpoint_content, load_checkpoint, load_content
from bcclone.training.held_out import judge_held_out
from bcclone.training.loop import (
    Loop,
    Trained,
    current_model,
    try_to_write,
    validation_batch_size,
)
from bcclone.training.plan import fit_to_device
from bcclone.training.prepare import make_trainer, report_network
from bcclone.training.result import (
    HALFWAY,
    MEAN_STEERING,
    START,
    TRAINED_NAME,
    SampleCounts,
    TrainResult,
    best_model,
)
from bcclone.training.run import Run
from bcclone.training.score import ValidationScore, score_mean
from bcclone.training.train_settings import TRAINED, TrainSettings
from bcclone.training.trainer import Trainer
from bcclone.training.workers import Workers


def fit(
    run: Run,
    training: Selection,
    validation: Selection,
    device: str,
    compiling_pays: bool,
    notify: Notify,
    workers: Workers,
) -> tuple[TrainResult, bytes]:
    """Train until a limit is reached; return the result, and the model file for the output.

    device: name of what TensorFlow trains on
    compiling_pays: whether XLA saves more time than compiling takes
    """
    data = training.data
    xla_fault = gpu_compiler_fault() if compiling_pays else ""
    settings, compiled = fit_to_device(
        run.settings, bool(used_gpus()), xla_fault, compiling_pays, workers.count, notify
    )
    labels = training.labels.shape[1]
    trainer = make_trainer(data, compiled, labels, workers.strategy(settings.gpus))
    # before a checkpoint is loaded over the first weights
    untrained = current_model(trainer, data, settings, epoch=0, val_loss=None)
    # not after hours of training: a network that plain Keras reads otherwise is refused now
    note = _checked_as_a_stranger(untrained)
    if run.is_new:
        run.make_folder()
    run.begin(settings)
    loop = Loop(trainer, training, validation, run, notify, workers)
    report_network(trainer.model, data, settings, notify)
    if note:
        notify(f"note: {note}")
    # the run folder of a worker that does not write is temporary, so nothing is said about it
    if workers.writes:
        notify(_described_run(run, settings, device, trainer.is_one_program))
    if not len(validation):
        notify(
            "note: there are no validation samples, so nothing shows whether the model has "
            "become better; the best epoch is the one with the smallest loss"
        )
    start = untrained if settings.start else b""
    state, model = load_checkpoint(run.checkpoints, trainer, notify)
    if workers.count > 1:  # only the chief's folder may have checkpoints
        content = checkpoint_content(trainer, state, model) if workers.writes else b""
        state, model = load_content(io.BytesIO(workers.share(content)), trainer)
    trained = loop.train(state, model)
    batch_size = validation_batch_size(settings.seq_length, workers)
    return _hand_over(run, trainer, training, validation, trained, start, batch_size, notify)


def _described_run(run: Run, settings: TrainSettings, device: str, is_one_program: bool) -> str:
    """Return lines that say what is trained, on what and how."""
    if device == "CPU":
        device = f"CPU (oneDNN {settings.onednn})"
    if is_one_program:
        device += ", in programs of XLA"
    if not run.is_new:
        return f"resuming {run.path} on {device}, feed {settings.feed}"
    augmentation = ", augmenting on the CPU"
    if not settings.augment:
        augmentation = ", without augmentation"
    elif settings.augment_on == "device":
        augmentation = ", augmenting there"
    begin = f"from {settings.start}" if settings.start else f"a new {settings.network}"
    length = "as many epochs as --time allows"
    if settings.epochs:
        length = number_of(settings.epochs, "epoch")
    return (
        f"training on {device}{augmentation}, in batches of {settings.batch_size}; the run is in "
        f"{run.path}\n{begin}, by {settings.optimizer} at a learning rate of "
        f"{settings.learning_rate:g}, for {length}"
    )


# ---- the model that the user gets


def _hand_over(
    run: Run,
    trainer: Trainer,
    training: Selection,
    validation: Selection,
    trained: Trained,
    start: bytes,
    batch_size: int,
    notify: Notify,
) -> tuple[TrainResult, bytes]:
    """Return the result, and the model file for the output.

    start: file of the start model; empty if a new network was trained
    batch_size: of the samples on which models are compared
    """
    settings = run.settings
    scores = _scores(trainer, training, validation, trained, start, batch_size)
    chosen = TRAINED
    start_correlation = None
    # a start model that lacks outputs cannot answer for them, and the mean of its weights and the
    # trained ones would halve what was learned of them
    if settings.start and settings.hand_over != TRAINED:
        known = load_own_model(settings.start).outputs
        if known == outputs_of(settings.predict):
            if not scores:
                start_correlation = _start_correlation(trainer, training, start, batch_size)
            chosen = best_model(scores, start_correlation)
    model = trained.model
    if chosen != TRAINED:
        # the mean of the start model with itself changes only its description
        model = mean_content(start, start if chosen == START else trained.model, {})
    held_out = None
    if scores:
        samples = select(validation.data, VALIDATION, training.seq_length, predict=STEERING)
        _, _, steering = _evaluate_file(trainer, model, samples, batch_size)
        mean_steering = float(training.labels[training.first_of_row, 0].mean())
        held_out = judge_held_out(samples, mean_steering, steering)
    test = select(training.data, TEST, settings.seq_length)
    counts = SampleCounts(trained.samples_an_epoch, len(validation), len(test))
    result = TrainResult.of(
        trained.state,
        settings,
        counts,
        run.path,
        trained.limit,
        scores,
        chosen,
        start_correlation,
        training.data.recordings,
        held_out,
    )
    if chosen == TRAINED:
        # an earlier completion of this run, which chose another model, may have left this file
        (run.path / TRAINED_NAME).unlink(missing_ok=True)
    else:
        described = {"epoch": result.epoch, "val_loss": result.val_loss}
        model = mean_content(start, start if chosen == START else trained.model, described)
        for path, content in ((run.path / TRAINED_NAME, trained.model), (run.model, model)):
            try_to_write(partial(write_bytes, path, content), run.path, notify)
    try:
        _checked_as_a_stranger(model, validation if len(validation) else training)
    except OtherAnswers as error:
        raise UserError(f"{run.model}: {error}") from None
    # the test samples score only the model that was chosen, and have no part in the choice
    if len(test):
        loss, mae, _ = _evaluate_file(trainer, model, test, batch_size)
        result = replace(result, test_loss=loss, test_mae=mae)
    return result, model


def _scores(
    trainer: Trainer,
    training: Selection,
    validation: Selection,
    trained: Trained,
    start: bytes,
    batch_size: int,
) -> dict[str, ValidationScore]:
    """Return the validation score of each model by name; empty without validation samples."""
    state = trained.state
    score = ValidationScore.of_epoch(state.history[state.model_epoch - 1])
    if not score:
        return {}
    scores = {MEAN_STEERING: score_mean(training, validation)}
    if start:
        # the outputs of a model file may be others than those that this training learns, so only
        # the steering is scored
        samples = select(validation.data, VALIDATION, training.seq_length, predict=STEERING)
        models = {START: start, HALFWAY: mean_content(start, trained.model, {})}
        for name, model in models.items():
            figures = _evaluate_file(trainer, model, samples, batch_size)
            scores[name] = ValidationScore.of(validation, *figures)
    return {**scores, TRAINED: score}


def _start_correlation(
    trainer: Trainer, training: Selection, start: bytes, batch_size: int
) -> float | None:
    """Return the correlation of the start model's steering with that of the training samples."""
    samples = select(training.data, TRAINING, training.seq_length, predict=STEERING)
    figures = _evaluate_file(trainer, start, samples, batch_size)
    return ValidationScore.of(samples, *figures).correlation


def _checked_as_a_stranger(model: bytes, samples: Selection | None = None) -> str:
    """Return a note if plain Keras cannot be asked; "" if it answers from the file as bcclone.

    Raises OtherAnswers if it answers otherwise.

    model: the content of the model file
    samples: the first ones of them are answered; None for random images
    """
    frames = None
    if samples is not None:
        with open_feed_in_order(samples, 16) as feed, feed.epoch(1) as batches:
            frames = np.array(next(iter(batches)).images)
    with _written(model) as file:
        return check_plain_keras(file, load_model(file).model, frames)


@contextmanager
def _written(model: bytes) -> Iterator[Path]:
    """Give the path of a temporary file with this content."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.h5"
        write_bytes(path, model)
        yield path


def _evaluate_file(
    trainer: Trainer, model: bytes, samples: Selection, batch_size: int
) -> tuple[float, float, FloatArray]:
    """Evaluate a model file; return mean loss, mean absolute error and steering, (samples,).

    trainer: only computes the losses; its own weights are not used
    model: the content of the model file
    """
    with _written(model) as file:
        network = load_model(file).model
    # epoch 1: validation samples have the same order in every epoch
    with open_feed_in_order(samples, batch_size) as feed, feed.epoch(1) as batches:
        return trainer.evaluate(batches, model=network)
