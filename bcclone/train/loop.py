"""A trainer, samples and a run folder -> the trained epochs, step by step from the newest checkpoint on."""

import math
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bcclone.feed.augment.on_device import DeviceAugmenter
from bcclone.feed.feed import Feed, open_feed, open_validation_feed
from bcclone.feed.selection import Selection
from bcclone.feed.source import Batch
from bcclone.system.errors import UserError
from bcclone.system.interrupts import Interrupts
from bcclone.system.progress import Notify, ProgressBar
from bcclone.train.checkpoint import Checkpointing
from bcclone.train.final_score import score_test_samples
from bcclone.train.history import Epoch
from bcclone.train.losses import Totals, errors_of, label_weights, losses_of, sums_of
from bcclone.train.run_folder import RunFolder
from bcclone.train.schedule import Schedule
from bcclone.train.tensorboard import TensorBoard
from bcclone.train.train_settings import LearningSettings, TrainSettings
from bcclone.train.training_state import SampleCounts, Trained, TrainingState, TrainResult, epoch_summary
from bcclone.train.worker import Worker

_VALIDATION_BATCH = 256  # frames
_STEPS_BETWEEN_FIGURES = 20


class Trainer:
    """A network and its optimizer, with the steps of training and of validation compiled for any batch size.

    exported: the network that takes the weights to be saved, when the trained one computes in 16 bits or has outputs
    that only help in training; augmenter: augments each batch as the first part of a step, None when the feed does or
    samples are not augmented.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        settings: LearningSettings,
        exported: keras.Model | None = None,
        augmenter: DeviceAugmenter | None = None,
    ) -> None:
        self.model, self.optimizer, self.totals = model, optimizer, Totals()
        self._loss, self._label_weights = settings.loss, label_weights(model.output_shape[-1])
        self._exported, self._augmenter = exported, augmenter
        images_and_labels = (
            tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8),
            tf.TensorSpec((None, model.output_shape[-1]), tf.float32),
        )
        self.samples_signature = images_and_labels + (augmenter.input_signature if augmenter else ())
        step = [self.samples_signature, tf.TensorSpec((), tf.float32)]
        self._train = tf.function(self._train_step, input_signature=step, jit_compile=settings.jit_compile or None)
        self._validate = tf.function(self._validate_step, input_signature=images_and_labels)

    @property
    def variables(self) -> list[keras.Variable]:
        """Return all variables that training changes: weights, dropout generators, the optimizer's moments."""
        return [*self.model.variables, *self.optimizer.variables]

    def train(self, batch: Batch, learning_rate: float) -> None:
        """Take one step down the gradient of the mean loss and add the batch to the totals."""
        self._train(samples_of(batch), np.float32(learning_rate))

    def evaluate(self, batches: Iterable[Batch]) -> tuple[float, float]:
        """Return mean loss and mean absolute error over batches, without dropout."""
        self.totals.reset()
        for batch in batches:
            if batch.samples:
                self._validate(batch.images, batch.labels)
        return self.totals.means()

    def export(self) -> keras.Model:
        """Return the network to save, which computes in 32 bits, with the layers and outputs that drive alone."""
        if self._exported is None:
            return self.model
        weights = zip(self.model.get_weights(), self._exported.get_weights(), strict=True)
        self._exported.set_weights([trained[..., : saved.shape[-1]] for trained, saved in weights])
        return self._exported

    def _train_step(self, samples: tuple[Any, ...], learning_rate: Any) -> None:
        """Take a step. samples: images, labels and the other inputs of the augmenter; (samples, ...) each."""
        self.optimizer.learning_rate.assign(learning_rate)
        gradients, sums = self.gradients(samples, tf.shape(samples[1])[0])
        self.optimizer.apply(gradients, self.model.trainable_variables)
        self.totals.add(sums)

    def _validate_step(self, images: Any, labels: Any) -> None:
        errors = errors_of(self.model, images, labels, training=False)
        self.totals.add(sums_of(losses_of(self._loss, errors, labels), errors, tf.ones_like(errors[:, :1])))

    def gradients(self, samples: tuple[Any, ...], size: Any, weights: Any = None) -> tuple[list[Any], Any]:
        """Return the gradient of the loss for each trainable variable, and the sums of the samples for the totals.

        size: number of samples in the batch, by which the loss is divided; weights: float32 (samples, 1), 0 or 1, None
        for 1.
        """
        images, labels = self._augmented(samples)
        with tf.GradientTape() as tape:
            errors = errors_of(self.model, images, labels, training=True)
            errors, weights = (errors, tf.ones_like(errors[:, :1])) if weights is None else (errors * weights, weights)
            each = losses_of(self._loss, errors, labels)
            loss = tf.reduce_sum(each * self._label_weights) / tf.cast(size, tf.float32)
            loss = self.optimizer.scale_loss(loss)
        return tape.gradient(loss, self.model.trainable_variables), sums_of(each, errors, weights)

    def _augmented(self, samples: tuple[Any, ...]) -> tuple[Any, Any]:
        """Return images and labels as the augmenter changes them, which leaves all labels but the steering alone."""
        images, labels, *others = samples
        if not self._augmenter:
            return images, labels
        images, steering = self._augmenter(images, labels[:, :1], *others)
        return images, tf.concat([steering, labels[:, 1:]], axis=1)


def samples_of(batch: Batch) -> tuple[Any, ...]:
    """Return what a step takes of a batch: images, labels, and the inputs of the augmentation if the feed adds them."""
    samples: tuple[Any, ...] = batch.images, batch.labels
    if batch.augmentation is None:
        return samples
    inputs, draws = batch.augmentation.inputs, batch.augmentation.draws
    return (*samples, inputs.flipped, inputs.lookahead_m, draws.normal, draws.uniform)


@dataclass(frozen=True)
class Training:
    """The parts of a training. notify: called with lines for the user; worker: the process that trains."""

    trainer: Trainer
    samples: Selection
    validation: Selection
    settings: TrainSettings
    folder: RunFolder
    notify: Notify
    worker: Worker


def train_epochs(training: Training) -> Trained:
    """Train, or continue, the run in the folder; return its result and the model file.

    Raises UserError when the loss is not finite, a loader process has died, or --time is over before the loaders have
    started, and KeyboardInterrupt, after saving the state, when the process is asked to stop. Files that cannot be
    written are reported and do not stop the training.
    """
    settings, folder, notify, worker = training.settings, training.folder, training.notify, training.worker
    with ExitStack() as opened:
        board = opened.enter_context(TensorBoard(folder.tensorboard, notify)) if settings.tensorboard else None
        feed = open_feed(training.samples, settings, settings.sampling, worker.make_order)
        size = max(_VALIDATION_BATCH // settings.seq_length, worker.count)
        validation = open_validation_feed(training.validation, size, worker.make_order)
        if not len(validation):
            notify("note: there are no validation samples; the best epoch is the one with the smallest loss")
        checkpointing = Checkpointing(training.trainer, folder, training.samples.data, settings, notify)
        interrupts = Interrupts()
        epochs = _Epochs(training, (feed, validation), checkpointing, interrupts, board)  # the time of --time runs
        with feed, validation, interrupts.listening():
            limit = epochs.run()
    test = score_test_samples(checkpointing.model, training.samples.data, settings, size)
    counts = SampleCounts(len(feed), len(validation), test.samples)
    result = TrainResult.of(epochs.state, settings, counts, limit, folder.path)
    return Trained(replace(result, test_loss=test.loss, test_mae=test.mae), checkpointing.model)


class _Epochs:
    """The epochs of a training, from its newest checkpoint to its end. state: written nowhere but here."""

    def __init__(
        self,
        training: Training,
        feeds: tuple[Feed, Feed],
        checkpointing: Checkpointing,
        interrupts: Interrupts,
        board: TensorBoard | None,
    ) -> None:
        self._trainer, self._settings, self._notify = training.trainer, training.settings, training.notify
        self._feed, self._validation = feeds
        self._checkpointing, self._board = checkpointing, board
        self._schedule = Schedule(training.settings, len(self._feed), len(self._validation))
        self.state: TrainingState = checkpointing.restore()
        self._pace = training.worker.pace(training.trainer, interrupts, self.state.elapsed)
        self._must_stop, self._seconds_of_ending = False, 0.0

    def run(self) -> str:
        """Train to the end; return the limit that ended it."""
        self._checkpointing.save(self.state)
        self._pace.await_feed(self._feed, self._settings)
        if limit := self._schedule.reached_limit(self.state, self._is_time_up()):
            self._notify(f"note: nothing is left to train: {limit}; increase it to train on")
        self._take_time(is_epoch_end=True)
        is_cut = False
        while not (limit := self._schedule.reached_limit(self.state, is_cut or self._is_time_up())):
            self._raise_if_interrupted()
            is_cut = self._train_epoch()
            self._take_time(is_epoch_end=True)
            self._complete_epoch()
        return limit

    def _train_epoch(self) -> bool:
        """Train on the rest of this epoch; return whether it was cut, as the time left is needed for validation."""
        number, samples = self.state.epoch + 1, self.state.samples
        if not samples:
            self._trainer.totals.reset()
        label = f"epoch {number}/{self._settings.epochs}" if self._settings.epochs else f"epoch {number}"
        left = len(self._feed) - samples
        with self._feed.epoch(number, samples) as batches, ProgressBar(label, left, "samples") as progress:
            start = time.perf_counter()
            for batch in batches:
                progress.advance(batch.global_size, self._step(batch, start))
                self._take_time()
                if self._is_time_up():
                    return True
                if self._must_stop or self._checkpointing.is_due(self.state):
                    self._checkpointing.save(self.state)
                self._raise_if_interrupted()
                start = time.perf_counter()
        return False

    def _step(self, batch: Batch, start: float) -> str:
        """Take a step; return the figures of the epoch so far, every few steps. start: of the wait for the batch."""
        waited, rate = time.perf_counter() - start, self._schedule.learning_rate(self.state)
        self._trainer.train(batch, rate)
        step = self.state.step + 1
        loss = None if step % _STEPS_BETWEEN_FIGURES else self._trainer.totals.means()[0]  # waits for the device
        self.state = self.state.after_step(batch.global_size, time.perf_counter() - start, waited)
        if loss is None:
            return ""
        if not math.isfinite(loss):
            raise self._divergence(self.state.epoch + 1)
        if self._board:
            self._board.log_step(step, loss, rate)
        return f"loss {loss:.4f}, waiting for data {self.state.waited / max(self.state.seconds, 1e-9):.1%}"

    def _complete_epoch(self) -> None:
        """Validate, keep the model if it is the one to keep, and save everything."""
        start = self.state.elapsed
        self.state = self.state.after_epoch(self._epoch_figures())
        last = self.state.history[-1]
        if not last.is_finite:
            raise self._divergence(last.epoch)
        if self.state.kept(self._settings.keep) is last:
            self._checkpointing.take_model(self.state)
        self._checkpointing.save(self.state)
        self._take_time(is_epoch_end=True)
        self._seconds_of_ending = self.state.elapsed - start
        if self._board:
            self._board.log_epoch(last)
        self._notify(epoch_summary(self.state))

    def _epoch_figures(self) -> Epoch:
        """Evaluate the validation samples; return the figures of the epoch."""
        state = self.state
        loss, mae = self._trainer.totals.means()
        val_loss, val_mae = None, None
        if len(self._validation):
            with self._validation.epoch(1) as batches:
                val_loss, val_mae = self._trainer.evaluate(batches)
        seconds = max(state.seconds, 1e-9)
        return Epoch(
            epoch=state.epoch + 1,
            loss=loss,
            mae=mae,
            val_loss=val_loss,
            val_mae=val_mae,
            learning_rate=self._schedule.learning_rate(state),
            seconds=seconds,
            samples_per_second=state.samples / seconds,
            data_wait_share=state.waited / seconds,
        )

    def _take_time(self, is_epoch_end: bool = False) -> None:
        moment = self._pace.moment(self.state.step, is_epoch_end)
        self.state, self._must_stop = replace(self.state, elapsed=moment.elapsed), moment.must_stop

    def _is_time_up(self) -> bool:
        return self._schedule.is_time_up(self.state, self._seconds_of_ending)

    def _raise_if_interrupted(self) -> None:
        if self._must_stop:
            kept = f"the model so far is {self._checkpointing.path}; " if self._checkpointing.path.exists() else ""
            raise KeyboardInterrupt(f"{kept}continue with the same command and --resume")

    def _divergence(self, epoch: int) -> UserError:
        path = self._checkpointing.path
        kept = f"; the model of the epochs before is {path}" if path.exists() else ""
        return UserError(
            f"training diverged in epoch {epoch}: its loss is not finite; try a --learning-rate smaller than "
            f"{self._settings.learning_rate:g}{kept}"
        )
