"""Train epoch by epoch from the newest checkpoint on; resumable at any step."""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from bcclone.feed.feed import Batch, Feed
from bcclone.feed.open import open_feed, open_validation_feed
from bcclone.feed.order import WHOLE_BATCH, BatchPart
from bcclone.feed.selection import Selection
from bcclone.system.errors import UserError
from bcclone.system.interrupts import Interrupts
from bcclone.system.progress import ProgressBar
from bcclone.train.checkpoint import Checkpointing
from bcclone.train.history import EpochFigures
from bcclone.train.run_folder import RunFolder
from bcclone.train.tensorboard import TensorBoard
from bcclone.train.train_settings import TrainSettings
from bcclone.train.trainer import Trainer
from bcclone.train.training_state import (
    SampleCounts,
    Trained,
    TrainingState,
    TrainResult,
    epoch_summary,
    fraction_done,
    learning_rate,
)

_VALIDATION_BATCH = 256  # frames
_STEPS_BETWEEN_FIGURES = 20


class Pace:
    """Counts the seconds of a training, and tells whether it was asked to stop."""

    def __init__(self, interrupts: Interrupts) -> None:
        self._interrupts, self._clock = interrupts, time.monotonic()
        self.must_stop = False

    def update(self, state: TrainingState, is_epoch_end: bool = False) -> None:
        """Bring must_stop and the seconds of the state up to date; called after each step, and around each epoch."""
        now = time.monotonic()
        state.elapsed += now - self._clock
        self._clock, self.must_stop = now, self._interrupts.requested


@dataclass(frozen=True)
class Training:
    """The parts of a training.

    notify: called with lines for the user; part: of each batch that this process trains on; make_pace: of the time and
    the requests to stop that count here.
    """

    trainer: Trainer
    samples: Selection
    validation: Selection
    settings: TrainSettings
    folder: RunFolder
    notify: Callable[[str], None]
    part: BatchPart = WHOLE_BATCH
    make_pace: Callable[[Interrupts], Pace] = Pace


def train_epochs(training: Training) -> Trained:
    """Train, or continue, the run in the folder; return its result, the model file and the epochs.

    Raises UserError when the loss is not finite or a loader process has died, and KeyboardInterrupt, after saving the
    state, when the process is asked to stop. Files that cannot be written are reported and do not stop the training.
    """
    settings, folder, notify, part = training.settings, training.folder, training.notify, training.part
    with ExitStack() as opened:
        board = opened.enter_context(TensorBoard(folder.tensorboard, notify)) if settings.tensorboard else None
        feed = opened.enter_context(open_feed(training.samples, settings, settings.sampling, part))
        size = max(_VALIDATION_BATCH // settings.seq_length, part.count)
        validation = opened.enter_context(open_validation_feed(training.validation, size, part))
        if not len(validation):
            notify("note: there are no validation samples; the best epoch is the one with the smallest loss")
        checkpointing = Checkpointing(training.trainer, folder, training.samples.data, settings, notify)
        with Interrupts().listening() as interrupts:
            ended = _Loop(training, (feed, validation), checkpointing, training.make_pace(interrupts), board).run()
    state, counts = checkpointing.state, SampleCounts(len(feed), len(validation))
    return Trained(TrainResult.of(state, settings, counts, ended, folder.path), checkpointing.model, state.history)


class _Loop:
    """A training from its newest checkpoint to its end."""

    def __init__(
        self,
        training: Training,
        feeds: tuple[Feed, Feed],
        checkpointing: Checkpointing,
        pace: Pace,
        board: TensorBoard | None,
    ) -> None:
        self._trainer, self._settings, self._notify = training.trainer, training.settings, training.notify
        self._feed, self._validation = feeds
        self._checkpointing, self._pace, self._board = checkpointing, pace, board
        self._state = checkpointing.state
        self._steps_per_epoch = -(-len(self._feed) // self._settings.batch_size)
        self._ending = 0.0  # seconds that the end of an epoch took
        self._is_cut = False  # the time limit has ended an epoch early

    def run(self) -> str:
        """Train to the end; return the limit that ended it."""
        self._checkpointing.save()
        if ended := self._end():
            self._notify(f"note: nothing is left to train: {ended}; increase it to train on")
        self._pace.update(self._state, is_epoch_end=True)
        while not (ended := self._end()):
            self._raise_if_interrupted()
            self._train_epoch()
            self._pace.update(self._state, is_epoch_end=True)
            self._complete_epoch()
        return ended

    def _train_epoch(self) -> None:
        """Train on the rest of this epoch, or until the time is up."""
        state, number = self._state, self._state.epoch + 1
        if not state.samples:
            self._trainer.totals.reset()
        label = f"epoch {number}/{self._settings.epochs}" if self._settings.epochs else f"epoch {number}"
        left = len(self._feed) - state.samples
        with self._feed.epoch(number, state.samples) as batches, ProgressBar(label, left, "samples") as progress:
            begun = time.perf_counter()
            for batch in batches:
                state.waited += time.perf_counter() - begun
                progress.advance(batch.global_size, self._step(batch))
                state.seconds += time.perf_counter() - begun
                self._pace.update(state)
                self._is_cut = self._is_time_up()
                if self._is_cut:
                    break
                if self._pace.must_stop or self._checkpointing.is_due():
                    self._checkpointing.save()
                self._raise_if_interrupted()
                begun = time.perf_counter()

    def _step(self, batch: Batch) -> str:
        """Take a step; return the figures of the epoch so far, every few steps."""
        state, rate = self._state, self._learning_rate()
        self._trainer.train(batch, rate)
        state.step += 1
        state.samples += batch.global_size
        if state.step % _STEPS_BETWEEN_FIGURES:
            return ""
        loss, _ = self._trainer.totals.means()  # waits for the device
        if not math.isfinite(loss):
            raise self._divergence(state.epoch + 1)
        if self._board:
            self._board.log_step(state.step, loss, rate)
        return f"loss {loss:.4f}, waiting for data {state.waited / max(state.seconds, 1e-9):.1%}"

    def _complete_epoch(self) -> None:
        """Validate, keep the model if it is the one to keep, and save everything."""
        state, began = self._state, self._state.elapsed
        state.complete_epoch(self._epoch_figures())
        if not state.history[-1].is_finite:
            raise self._divergence(state.epoch)
        if state.kept(self._settings.keep).epoch == state.epoch:
            self._checkpointing.take_model()
        self._checkpointing.save()
        self._pace.update(state, is_epoch_end=True)
        self._ending = state.elapsed - began
        if self._board:
            self._board.log_epoch(state.history[-1])
        self._notify(epoch_summary(state))

    def _epoch_figures(self) -> EpochFigures:
        """Evaluate the validation samples; return the figures of the epoch."""
        state = self._state
        loss, mae = self._trainer.totals.means()
        val_loss, val_mae = None, None
        if len(self._validation):
            with self._validation.epoch(1) as batches:
                val_loss, val_mae = self._trainer.evaluate(batches)
        seconds = max(state.seconds, 1e-9)
        return EpochFigures(
            epoch=state.epoch + 1,
            loss=loss,
            mae=mae,
            val_loss=val_loss,
            val_mae=val_mae,
            learning_rate=self._learning_rate(),
            seconds=seconds,
            samples_per_second=state.samples / seconds,
            data_wait_share=state.waited / seconds,
        )

    def _learning_rate(self) -> float:
        state, settings = self._state, self._settings
        return learning_rate(settings, fraction_done(settings, state.step, self._steps_per_epoch, state.elapsed))

    def _end(self) -> str:
        """Return the limit that has been reached, "" while there is none."""
        settings, state = self._settings, self._state
        if settings.epochs and state.epoch >= settings.epochs:
            return f"--epochs {settings.epochs}"
        if state.is_out_of_patience(settings.patience):
            return f"--patience {settings.patience}"
        if state.epoch and (self._is_cut or self._is_time_up()):
            return f"--time {settings.time:g}s"
        return ""

    def _is_time_up(self) -> bool:
        """Return whether the time left only suffices for the end of the epoch."""
        limit, state, ending = self._settings.time, self._state, self._ending
        if not limit:
            return False
        # validation takes less than half as long as training; the first steps, with compilation, say nothing yet
        if not ending and state.step >= _STEPS_BETWEEN_FIGURES and state.samples:
            ending = len(self._validation) * state.elapsed / (state.step * self._settings.batch_size) / 2
        return state.elapsed + ending >= limit

    def _raise_if_interrupted(self) -> None:
        if self._pace.must_stop:
            kept = f"the model so far is {self._checkpointing.path}; " if self._checkpointing.path.exists() else ""
            raise KeyboardInterrupt(f"{kept}continue with the same command and --resume")

    def _divergence(self, epoch: int) -> UserError:
        path = self._checkpointing.path
        kept = f"; the model of the epochs before is {path}" if path.exists() else ""
        return UserError(
            f"training diverged in epoch {epoch}: its loss is not finite; try a smaller --learning-rate{kept}"
        )
