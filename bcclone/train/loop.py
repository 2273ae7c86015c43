"""Feed + network -> the model, in a run folder that a killed training is taken up from at the step it was at."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from bcclone.errors import UserError
from bcclone.feed.feed import Batch, Feed
from bcclone.feed.open import TrainingData, open_feed, open_validation_feed
from bcclone.feed.settings import FeedSettings
from bcclone.history import EpochFigures
from bcclone.interrupts import Interrupts
from bcclone.progress import ProgressBar as Bar
from bcclone.train.checkpoint import Keeper
from bcclone.train.run_folder import RunFolder
from bcclone.train.settings import CheckpointSettings, TrainSettings
from bcclone.train.state import learning_rate, result_of, share_done, told
from bcclone.train.tensorboard import TensorBoard
from bcclone.train.trainer import Trainer

_VALIDATION_BATCH = 256  # frames
_STEPS_BETWEEN_FIGURES = 20


@dataclass(frozen=True)
class Training:
    """What a training works with. notify: is told what a person should know."""

    data: TrainingData
    trainer: Trainer
    folder: RunFolder
    settings: TrainSettings
    feed: FeedSettings
    checkpointing: CheckpointSettings
    notify: Callable[[str], None]


@dataclass(frozen=True)
class Trained:
    """What a training came to, its model file, and all its epochs."""

    result: Mapping[str, Any]
    model: bytes
    history: Sequence[EpochFigures]


def train(training: Training) -> Trained:
    """Train, or go on with, the run in the folder.

    Raises UserError when the loss is no number any more, or a loader has died; KeyboardInterrupt, with all of it kept,
    when the process is asked to end. What cannot be written is told, and costs no training.
    """
    data, settings = training.data, training.settings
    board: AbstractContextManager[TensorBoard | None] = nullcontext()
    if training.checkpointing.tensorboard:
        board = TensorBoard(training.folder.path / "tensorboard", training.notify)
    with (
        open_feed(data, training.feed, settings.drawn) as feed,
        open_validation_feed(data, _VALIDATION_BATCH // settings.seq_length, settings.seq_length) as validation,
        board as opened,
    ):
        if not len(validation):
            training.notify("note: there are no validation samples; the best epoch is that of least loss")
        keeper = Keeper(training.trainer, training.folder, training.checkpointing, training.notify)
        with Interrupts().listening() as interrupts:
            ended = _Course(training, keeper, (feed, validation), opened, interrupts).run()
    result = result_of(keeper.progress, settings.keep) | {
        "samples": {"train": len(feed), "validation": len(validation)},
        "feed": training.feed.feed,
        "ended": ended,
    }
    return Trained(result, keeper.model, keeper.progress.history)


class _Course:
    """A training from where its newest checkpoint is to its end."""

    def __init__(
        self,
        training: Training,
        keeper: Keeper,
        feeds: tuple[Feed, Feed],
        board: TensorBoard | None,
        interrupts: Interrupts,
    ) -> None:
        self._training, self._keeper, self._board, self._interrupts = training, keeper, board, interrupts
        self._trainer, self._settings, self._progress = training.trainer, training.settings, keeper.progress
        self._feed, self._validation = feeds
        self._steps_per_epoch = -(-len(self._feed) // self._settings.batch_size)
        self._clock = time.monotonic()
        self._ending = 0.0  # seconds that the end of an epoch took
        self._is_cut = False  # the clock has ended an epoch

    def run(self) -> str:
        """Train to the end, and return what ended it."""
        progress = self._progress
        self._keeper.keep()
        if ended := self._end():
            self._training.notify(f"note: nothing is left to train: {ended}; give more of that to train on")
        while not (ended := self._end()):
            self._end_if_asked()
            self._train_epoch()
            begun = self._elapsed()
            progress.complete_epoch(self._epoch_figures())
            if not progress.history[-1].is_finite:
                raise self._divergence(progress.epoch)
            if progress.kept(self._settings.keep).epoch == progress.epoch:
                self._keeper.take_model(self._training.data, self._settings)
            self._keeper.keep()
            self._ending = self._elapsed() - begun
            if self._board:
                self._board.wrote_epoch(progress.history[-1])
            self._training.notify(told(progress))
        return ended

    def _end_if_asked(self) -> None:
        if self._interrupts.requested:
            raise KeyboardInterrupt

    def _end(self) -> str:
        """Return why nothing is left to train, or nothing while there is."""
        settings, progress = self._settings, self._progress
        if settings.epochs and progress.epoch >= settings.epochs:
            return f"--epochs {settings.epochs}"
        if progress.is_out_of_patience(settings.patience):
            return f"--patience {settings.patience}"
        if progress.epoch and (self._is_cut or self._time_is_up()):
            return f"--time {settings.time:g}s"
        return ""

    def _time_is_up(self) -> bool:
        """Return True when there is just time left for the end of the epoch."""
        limit, progress = self._settings.time, self._progress
        if not limit:
            return False
        ending = self._ending
        # validating takes less than half of training's time, in which the first step, compiled, outweighs the first few
        if not ending and progress.step >= _STEPS_BETWEEN_FIGURES and progress.samples:
            ending = len(self._validation) * progress.seconds / progress.samples / 2
        return self._elapsed() + ending >= limit

    def _elapsed(self) -> float:
        """Return the seconds of training so far, with those before a resume."""
        now = time.monotonic()
        self._progress.elapsed += now - self._clock
        self._clock = now
        return self._progress.elapsed

    def _train_epoch(self) -> None:
        """Train on what is left of this epoch, in its order, or until the time is up."""
        progress, number = self._progress, self._progress.epoch + 1
        if not progress.samples:
            self._trainer.totals.reset()
        label = f"epoch {number}/{self._settings.epochs}" if self._settings.epochs else f"epoch {number}"
        left = len(self._feed) - progress.samples
        with self._feed.epoch(number, progress.samples) as batches, Bar(label, left, "samples") as bar:
            asked = time.perf_counter()
            for batch in batches:
                progress.waited += time.perf_counter() - asked
                bar.advance(len(batch), self._step(batch))
                progress.seconds += time.perf_counter() - asked
                self._is_cut = self._time_is_up()
                if self._is_cut:
                    break
                if self._interrupts.requested or self._keeper.is_due(self._elapsed()):
                    self._keeper.keep()
                self._end_if_asked()
                asked = time.perf_counter()

    def _step(self, batch: Batch) -> str:
        """Take a step and return, now and then, how the epoch goes."""
        progress, rate = self._progress, self._learning_rate()
        self._trainer.train(batch, rate)
        progress.step += 1
        progress.samples += len(batch)
        if progress.step % _STEPS_BETWEEN_FIGURES:
            return ""
        loss, _ = self._trainer.totals.means()  # asking for it waits for the device
        if not math.isfinite(loss):
            raise self._divergence(progress.epoch + 1)
        if self._board:
            self._board.wrote_step(progress.step, loss, rate)
        return f"loss {loss:.4f}, waiting for data {progress.waited / max(progress.seconds, 1e-9):.1%}"

    def _learning_rate(self) -> float:
        elapsed = self._elapsed() if self._settings.time else 0.0
        share = share_done(self._settings, self._progress.step, self._steps_per_epoch, elapsed)
        return learning_rate(self._settings, share)

    def _epoch_figures(self) -> EpochFigures:
        """Measure the validation samples and return the figures of the epoch."""
        progress = self._progress
        loss, mae = self._trainer.totals.means()
        val_loss, val_mae = self._validated()
        seconds = max(progress.seconds, 1e-9)
        return EpochFigures(
            epoch=progress.epoch + 1,
            loss=loss,
            mae=mae,
            val_loss=val_loss,
            val_mae=val_mae,
            learning_rate=self._learning_rate(),
            seconds=seconds,
            samples_per_second=progress.samples / seconds,
            data_wait_share=progress.waited / seconds,
        )

    def _validated(self) -> tuple[float | None, float | None]:
        """Return mean loss and mean absolute error over all validation samples; None, None without any."""
        if not len(self._validation):
            return None, None
        self._trainer.totals.reset()
        with self._validation.epoch(1) as batches:
            for batch in batches:
                self._trainer.validate(batch)
        return self._trainer.totals.means()

    def _divergence(self, epoch: int) -> UserError:
        model = self._training.folder.model
        kept = f"; the model before that is {model}" if model.exists() else ""
        return UserError(
            f"training diverged in epoch {epoch}: its loss is no number; try a smaller --learning-rate{kept}"
        )
