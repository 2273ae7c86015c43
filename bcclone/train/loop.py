"""Feed + network -> model file, in a run folder that a killed training can be taken up from."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from bcclone.errors import UserError
from bcclone.feed.feed import Feed
from bcclone.feed.opening import TrainingData, open_feed, open_validation_feed
from bcclone.feed.settings import FeedSettings
from bcclone.model_file import save_model
from bcclone.network import build_network
from bcclone.plots import plot_history
from bcclone.progress import Progress as Bar
from bcclone.train.checkpoint import Progress, load_checkpoint, save_checkpoint
from bcclone.train.run_folder import EpochFigures, RunFolder
from bcclone.train.settings import TrainSettings
from bcclone.train.step import Trainer

_VALIDATION_BATCH = 256  # frames
_STEPS_BETWEEN_FIGURES = 20


@dataclass(frozen=True)
class _Epoch:
    """What a pass over the training samples measured."""

    loss: float
    mae: float
    seconds: float
    waited: float


def prepare(data: TrainingData, settings: TrainSettings) -> Trainer:
    """Return the untrained network of the seed; raises UserError where the samples do not suit it."""
    if not data.part(validation=False).size:
        raise UserError(f"{data.path}: holds no training samples; make it with more driving or less --validation")
    keras.utils.set_random_seed(settings.seed)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    model = build_network(data.preprocessing.height, data.preprocessing.width, seq_length=settings.seq_length)
    return Trainer(model, keras.optimizers.Adam(settings.learning_rate))


def train(
    trainer: Trainer,
    data: TrainingData,
    feed_settings: FeedSettings,
    folder: RunFolder,
    output: Path,
    notify: Callable[[str], None],
) -> dict[str, Any]:
    """Train, or go on with, the run in `folder`; copy its best model to `output`; return the run's result.

    Raises UserError when the loss is no number any more, or a loader has died; nothing is copied then.
    """
    begun, settings = time.monotonic(), folder.settings
    progress = load_checkpoint(folder.checkpoint, trainer.variables) if folder.checkpoint.exists() else Progress()
    with (
        open_feed(data, feed_settings, settings.batch_size, settings.seed, settings.seq_length) as training,
        open_validation_feed(data, _VALIDATION_BATCH // settings.seq_length, settings.seq_length) as validation,
    ):
        if not len(validation):
            notify(f"note: {data.path} holds no validation samples; the best epoch is chosen by the training loss")
        while progress.epoch < settings.epochs and not progress.is_out_of_patience(settings.patience):
            progress.history.append(_run_epoch(trainer, progress.epoch + 1, training, validation, settings))
            _refuse_divergence(progress, folder)
            folder.write_history(progress.history)
            if progress.best.epoch == progress.epoch:
                save_model(folder.best_model, trainer.model, data.preprocessing, _describe(data, settings, progress))
            save_checkpoint(folder.checkpoint, trainer.variables, progress)
            notify(_line(progress))
    plot_history(progress.history, folder.plot)
    folder.publish(output)
    result = _result(output, progress, time.monotonic() - begun) | {"feed": feed_settings.feed}
    folder.write_result(result)
    return result


def _refuse_divergence(progress: Progress, folder: RunFolder) -> None:
    if math.isfinite(progress.history[-1].score) and math.isfinite(progress.history[-1].loss):
        return
    kept = f"; the best model before that is {folder.best_model}" if progress.epoch > 1 else ""
    raise UserError(
        f"training diverged in epoch {progress.epoch}: its loss is no number; try a smaller --learning-rate{kept}"
    )


def _run_epoch(
    trainer: Trainer, number: int, training: Feed, validation: Feed, settings: TrainSettings
) -> EpochFigures:
    epoch = _fit(trainer, training, settings, number)
    val_loss, val_mae = _evaluate(trainer, validation)
    return EpochFigures(
        epoch=number,
        loss=epoch.loss,
        mae=epoch.mae,
        val_loss=val_loss,
        val_mae=val_mae,
        learning_rate=settings.learning_rate,
        seconds=epoch.seconds,
        samples_per_second=len(training) / epoch.seconds,
        data_wait_share=epoch.waited / epoch.seconds,
    )


def _fit(trainer: Trainer, feed: Feed, settings: TrainSettings, number: int) -> _Epoch:
    """Train on every sample once, in the order of this epoch."""
    trainer.totals.reset()
    figures = ""
    begun, waited = time.perf_counter(), 0.0
    label = f"epoch {number}/{settings.epochs}"
    with feed.epoch(number) as batches, Bar(label, len(feed), "samples") as bar:
        asked = time.perf_counter()
        for step, batch in enumerate(batches, 1):
            waited += time.perf_counter() - asked
            trainer.train(batch)
            if step % _STEPS_BETWEEN_FIGURES == 0:  # asking for them waits for the device
                share = waited / (time.perf_counter() - begun)
                figures = f"loss {trainer.totals.means()[0]:.4f}, waiting for data {share:.1%}"
            bar.advance(len(batch), figures)
            asked = time.perf_counter()
        loss, mae = trainer.totals.means()
    return _Epoch(loss, mae, time.perf_counter() - begun, waited)


def _evaluate(trainer: Trainer, feed: Feed) -> tuple[float | None, float | None]:
    """Return mean squared and mean absolute error over all samples of the feed; None, None when it is empty."""
    if not len(feed):
        return None, None
    trainer.totals.reset()
    with feed.epoch(1) as batches:
        for batch in batches:
            trainer.validate(batch)
    return trainer.totals.means()


def _describe(data: TrainingData, settings: TrainSettings, progress: Progress) -> dict[str, Any]:
    return {
        "settings": asdict(settings),
        "samples": dict(data.sample_settings),
        "store_content_hash": data.content_hash,
        "epoch": progress.epoch,
        "val_loss": progress.best.val_loss,
    }


def _line(progress: Progress) -> str:
    last = progress.history[-1]
    validation = "" if last.val_loss is None else f", val_loss {last.val_loss:.4f}, val_mae {last.val_mae:.4f}"
    best = " (best)" if progress.best.epoch == last.epoch else ""
    return (
        f"epoch {last.epoch}: loss {last.loss:.4f}{validation}{best}, {last.samples_per_second:.0f} samples/s, "
        f"{last.data_wait_share:.1%} waiting for data"
    )


def _result(output: Path, progress: Progress, seconds: float) -> dict[str, Any]:
    last, best = progress.history[-1], progress.best
    trained = sum(figures.seconds for figures in progress.history)
    samples = sum(figures.samples_per_second * figures.seconds for figures in progress.history)
    waited = sum(figures.data_wait_share * figures.seconds for figures in progress.history)
    return {
        "model": str(output),
        "epochs": last.epoch,
        "best_epoch": best.epoch,
        "loss": best.loss,
        "val_loss": best.val_loss,
        "val_mae": best.val_mae,
        "samples_per_second": round(samples / trained, 1),
        "data_wait_share": round(waited / trained, 5),
        "seconds": round(seconds, 3),
    }
