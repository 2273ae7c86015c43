"""Train in a run folder; resumable at any step."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bcclone.cluster.worker_group import ONE_WORKER, JointDecision, WorkerGroup
from bcclone.feed.feed import Batch, Feed
from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.open import open_feed, open_validation_feed
from bcclone.feed.selection import Selection
from bcclone.system.errors import UserError
from bcclone.system.interrupts import Interrupts
from bcclone.system.progress import ProgressBar as Bar
from bcclone.train.checkpoint import Checkpointing
from bcclone.train.history import EpochFigures
from bcclone.train.run_folder import RunFolder
from bcclone.train.tensorboard import TensorBoard
from bcclone.train.train_settings import CheckpointSettings, TrainSettings
from bcclone.train.trainer import Trainer
from bcclone.train.training_state import SampleCounts, TrainResult, epoch_summary, fraction_done, learning_rate

_VALIDATION_BATCH = 256  # frames
_STEPS_BETWEEN_FIGURES = 20


@dataclass(frozen=True)
class Training:
    """The parts of a training.

    folder: None for a worker that writes nothing; output: where the model goes in the end; notify: called with lines
    for the user; group: the workers that train together.
    """

    selection: Selection
    validation: Selection
    trainer: Trainer
    folder: RunFolder | None
    settings: TrainSettings
    feed: FeedSettings
    checkpointing: CheckpointSettings
    output: Path
    notify: Callable[[str], None]
    group: WorkerGroup = ONE_WORKER


@dataclass(frozen=True)
class Trained:
    """The result of a training, the content of its model file, and its epochs."""

    result: TrainResult
    model: bytes
    history: Sequence[EpochFigures]


def train(training: Training) -> Trained:
    """Train, or continue, the run in the folder.

    Raises UserError when the loss is not finite or a loader process has died, and KeyboardInterrupt, after saving the
    state, when the process is asked to stop. Files that cannot be written are reported and do not stop the training.
    """
    settings, group = training.settings, training.group
    with ExitStack() as opened:
        feed, validation, board = group.each(lambda: _open(training, opened))
        if not len(validation):
            training.notify("note: there are no validation samples; the best epoch is the one with the smallest loss")
        checkpointing = Checkpointing(training.trainer, training.folder, training.checkpointing, training.notify, group)
        with Interrupts().listening() as interrupts:
            ended = _TrainingLoop(training, checkpointing, (feed, validation), board, interrupts).run()
    result = TrainResult.of(
        checkpointing.state,
        settings.keep,
        model=str(training.output),
        samples=SampleCounts(len(feed), len(validation)),
        feed=training.feed.feed,
        ended=ended,
        run=training.folder.path if training.folder else Path(),
        worker=group.index,
    )
    return Trained(result, checkpointing.model, checkpointing.state.history)


def _open(training: Training, opened: ExitStack) -> tuple[Feed, Feed, TensorBoard | None]:
    """Open the feeds of training and validation, and the log for TensorBoard."""
    settings, part = training.settings, training.group.part
    board = None
    if training.checkpointing.tensorboard and training.folder:
        board = opened.enter_context(TensorBoard(training.folder.path / "tensorboard", training.notify))
    feed = opened.enter_context(open_feed(training.selection, training.feed, settings.sampling, part))
    batch_size = max(_VALIDATION_BATCH // settings.seq_length, part.count)
    return feed, opened.enter_context(open_validation_feed(training.validation, batch_size, part)), board


class _TrainingLoop:
    """A training from its newest checkpoint to its end."""

    def __init__(
        self,
        training: Training,
        checkpointing: Checkpointing,
        feeds: tuple[Feed, Feed],
        board: TensorBoard | None,
        interrupts: Interrupts,
    ) -> None:
        self._training, self._checkpointing, self._board, self._interrupts = training, checkpointing, board, interrupts
        self._trainer, self._settings, self._state = training.trainer, training.settings, checkpointing.state
        self._feed, self._validation = feeds
        self._steps_per_epoch = -(-len(self._feed) // self._settings.batch_size)
        self._group = training.group
        self._clock = time.monotonic()
        self._must_stop = False  # a worker was asked to stop
        self._ending = 0.0  # seconds that the end of an epoch took
        self._is_cut = False  # the time limit has ended an epoch early

    def run(self) -> str:
        """Train to the end; return the limit that ended it."""
        state = self._state
        self._checkpointing.save()
        if ended := self._end():
            self._training.notify(f"note: nothing is left to train: {ended}; increase it to train on")
        self._decide()
        while not (ended := self._end()):
            self._raise_if_interrupted()
            self._train_epoch()
            self._decide()
            if self._group.count > 1:
                self._group.check_agreement({"weights": self._trainer.weights_digest()})
            begun = self._elapsed()
            state.complete_epoch(self._epoch_figures())
            if not state.history[-1].is_finite:
                raise self._divergence(state.epoch)
            if state.kept(self._settings.keep).epoch == state.epoch:
                self._checkpointing.take_model(self._training.selection.data, self._settings)
            self._checkpointing.save()
            self._decide()
            self._ending = self._elapsed() - begun
            if self._board:
                self._board.log_epoch(state.history[-1])
            self._training.notify(epoch_summary(state))
        return ended

    def _decide(self) -> bool:
        """Decide with the other workers whether to stop, and what time it is, so that all take the same steps.

        Return whether the time left only suffices for the end of the epoch.
        """
        elapsed = self._measured()
        decision = self._group.decide(JointDecision(self._interrupts.requested, elapsed, self._time_is_up()))
        self._must_stop, self._state.elapsed = decision.must_stop, decision.elapsed
        return decision.time_is_up

    def _raise_if_interrupted(self) -> None:
        if self._must_stop:
            raise KeyboardInterrupt

    def _end(self) -> str:
        """Return the limit that has been reached, "" while there is none."""
        settings, state = self._settings, self._state
        if settings.epochs and state.epoch >= settings.epochs:
            return f"--epochs {settings.epochs}"
        if state.is_out_of_patience(settings.patience):
            return f"--patience {settings.patience}"
        if state.epoch and (self._is_cut or self._time_is_up()):
            return f"--time {settings.time:g}s"
        return ""

    def _time_is_up(self) -> bool:
        """Return whether the time left only suffices for the end of the epoch."""
        limit, state = self._settings.time, self._state
        if not limit:
            return False
        ending = self._ending
        # validation takes less than half as long as training; the first steps, with compilation, say nothing yet
        if not ending and state.step >= _STEPS_BETWEEN_FIGURES and state.samples:
            ending = len(self._validation) * state.seconds / state.samples / 2
        return self._elapsed() + ending >= limit

    def _elapsed(self) -> float:
        """Return the seconds since the training began, with those before a resume.

        Several workers have the same time, that of their last decision.
        """
        return self._measured() if self._group.count == 1 else self._state.elapsed

    def _measured(self) -> float:
        now = time.monotonic()
        self._state.elapsed += now - self._clock
        self._clock = now
        return self._state.elapsed

    def _train_epoch(self) -> None:
        """Train on the rest of this epoch, or until the time is up."""
        state, number = self._state, self._state.epoch + 1
        if not state.samples:
            self._trainer.totals.reset()
        label = f"epoch {number}/{self._settings.epochs}" if self._settings.epochs else f"epoch {number}"
        left = len(self._feed) - state.samples
        with self._feed.epoch(number, state.samples) as batches, Bar(label, left, "samples") as bar:
            begun = time.perf_counter()
            for batch in batches:
                state.waited += time.perf_counter() - begun
                bar.advance(batch.global_size, self._step(batch))
                state.seconds += time.perf_counter() - begun
                if self._group.decides_after(state.step):
                    self._is_cut = self._decide()
                if self._is_cut:
                    break
                if self._must_stop or self._checkpointing.is_due(self._elapsed()):
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

    def _learning_rate(self) -> float:
        elapsed = self._elapsed() if self._settings.time else 0.0
        done = fraction_done(self._settings, self._state.step, self._steps_per_epoch, elapsed)
        return learning_rate(self._settings, done)

    def _epoch_figures(self) -> EpochFigures:
        """Evaluate the validation samples; return the figures of the epoch."""
        state = self._state
        loss, mae = self._trainer.totals.means()
        val_loss, val_mae = self._validate()
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

    def _validate(self) -> tuple[float | None, float | None]:
        """Return mean loss and mean absolute error over the validation samples; None, None without any."""
        if not len(self._validation):
            return None, None
        totals = self._trainer.totals
        totals.reset()
        with self._validation.epoch(1) as batches:
            for batch in batches:
                self._trainer.validate(batch)
        totals.write(self._group.sum(totals.read()))
        return totals.means()

    def _divergence(self, epoch: int) -> UserError:
        folder = self._training.folder
        kept = f"; the model of the epochs before is {folder.model}" if folder and folder.model.exists() else ""
        return UserError(
            f"training diverged in epoch {epoch}: its loss is not finite; try a smaller --learning-rate{kept}"
        )
