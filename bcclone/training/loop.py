"""A trainer, samples and a run folder -> the trained epochs, step by step from the newest
checkpoint on.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tensorflow as tf

from bcclone.dataset.sample_settings import TEST, VALIDATION
from bcclone.dataset.store import common_framing
from bcclone.feed.feed import open_feed, open_validation_feed
from bcclone.feed.selection import Selection, select
from bcclone.feed.source import Batch
from bcclone.feed.strategies import Feed
from bcclone.model.model_file import load_model, mean_content, model_content
from bcclone.system.arrays import FloatArray
from bcclone.system.atomic import write_bytes
from bcclone.system.errors import UserError, first_line, require_package
from bcclone.system.interrupts import noting_interrupts
from bcclone.system.json_values import names_of
from bcclone.system.progress import Notify, ProgressBar
from bcclone.system.statistics import correlation, right_side
from bcclone.training.checkpoint import restore, save_checkpoint
from bcclone.training.plan import Worker
from bcclone.training.train_settings import DECIDE_WEIGHTS, TrainSettings, values_of
from bcclone.training.trainer import STEPS_A_CALL, Trainer, losses_of
from bcclone.training.training_folder import RunFolder
from bcclone.training.training_state import (
    HALFWAY,
    MEAN,
    START,
    TRAINED,
    TRAINED_NAME,
    Epoch,
    SampleCounts,
    TrainingSchedule,
    TrainingState,
    TrainResult,
    ValidationScore,
    epoch_summary,
    learning_rate,
)

_VALIDATION_BATCH = 256  # frames
_SMALL_STEERING = 0.05  # has no side, and where it is straighter, the smaller half of the steering
_LOOK_SECONDS = 0.05  # between two looks whether a feed has started


@dataclass(eq=False)
class Training:
    """A training in its run folder, from its newest checkpoint to its end.

    notify: called with lines for the user; worker: the process that trains. Several workers agree
    every few steps on the time, which the first one measures, and on whether to stop.
    """

    trainer: Trainer
    samples: Selection
    validation: Selection
    settings: TrainSettings
    folder: RunFolder
    notify: Notify
    worker: Worker

    def __post_init__(self) -> None:
        settings, part = self.settings, self.worker.part
        if settings.tensorboard:
            require_package("tensorboard", "--tensorboard", "tensorboard")
        self._events = (
            tf.summary.create_file_writer(str(self.folder.tensorboard))
            if settings.tensorboard
            else None
        )
        self._feed = open_feed(self.samples, settings, settings.sampling, part)
        self._validation_batch = max(_VALIDATION_BATCH // settings.seq_length, self.worker.count)
        self._validation_feed = open_validation_feed(
            self.validation, self._validation_batch, part, settings.feed
        )
        for feed in (self._feed, self._validation_feed):
            self.trainer.take_from(feed)
        if not len(self.validation):
            self.notify(
                "note: there are no validation samples, so nothing shows whether the model has become better; the best "
                "epoch is the one with the smallest loss"
            )
        self._limits = TrainingSchedule(settings, len(self._feed), len(self.validation))
        self._interrupted, self._must_stop, self._seconds_of_ending = threading.Event(), False, 0.0
        self._first: TrainingState | None = None  # after the call of the step that compiled it
        # the trainer has the weights of the start until restore()
        self._begin = self._content(0, None) if settings.start and len(self.validation) else b""
        self.state, self._model = restore(self.folder, self.trainer, self.worker, self.notify)
        self._saved, self._model_is_written = (
            self.state,
            not self._model,
        )  # a killed training may have left a newer one
        self._start = time.monotonic() - self.state.elapsed  # the time of --time runs

    def run(self) -> tuple[TrainResult, bytes]:
        """Train, or continue, the run in the folder; return its result and the model file.

        Raises UserError when the loss is not finite, a loader process has died, or --time is over
        before the loaders have started, and KeyboardInterrupt, after saving the state, when the
        process is asked to stop. Files that cannot be written are reported and do not stop the
        training.
        """
        with self._feed, self._validation_feed, noting_interrupts() as self._interrupted:
            limit = self._train_epochs()
        test, begin = select(self.samples.data, TEST, self.settings.seq_length), self._begin
        counts = SampleCounts(len(self._feed), len(self.validation), len(test))
        others = {MEAN: self._score_mean()} if len(self.validation) else {}
        if begin:
            steering_alone = select(self.samples.data, VALIDATION, self.settings.seq_length)
            models = {START: begin, HALFWAY: mean_content(begin, self._model, {})}
            others |= {
                name: self._score(*self._score_file(each, steering_alone))
                for name, each in models.items()
            }
        result = TrainResult.of(self.state, self.settings, counts, self.folder.path, others)
        if begin and result.handed_over != TRAINED:
            trained, described = self._model, {"epoch": result.epoch, "val_loss": result.val_loss}
            self._model = mean_content(
                begin, begin if result.handed_over == START else trained, described
            )
            self._try(lambda: write_bytes(self.folder.path / TRAINED_NAME, trained))
            self._try(lambda: write_bytes(self.folder.model, self._model))
        if len(test):
            loss, mae, _ = self._score_file(self._model, test)
            result = replace(result, test_loss=loss, test_mae=mae)
        return replace(result, ended=limit), self._model

    def _train_epochs(self) -> str:
        """Train to the end; return the limit that ended it."""
        self._save()
        settings, resumed_after = self.settings, self.state.elapsed
        while not self._feed.has_started and not self._interrupted.is_set():
            # a training whose time was over when it was resumed ends below
            if resumed_after < settings.time <= time.monotonic() - self._start:
                raise UserError(
                    f"--time {settings.time:g}s was over before the processes of --feed {settings.feed} had started; "
                    "give more time, or fewer --feed-workers"
                )
            time.sleep(_LOOK_SECONDS)
        if limit := self._limits.reached_limit(self.state, self._is_time_up()):
            self.notify(f"note: nothing is left to train: {limit}; increase it to train on")
        self._take_time(is_epoch_end=True)
        is_cut = False
        while not (limit := self._limits.reached_limit(self.state, is_cut or self._is_time_up())):
            self._raise_if_interrupted()
            is_cut = self._train_epoch()
            self._take_time(is_epoch_end=True)
            self._complete_epoch()
        return limit

    def _train_epoch(self) -> bool:
        """Train on the rest of this epoch; return whether it was cut, as the time left is needed
        for validation.
        """
        number, samples = self.state.epoch + 1, self.state.samples
        if not samples:
            self.trainer.totals.reset()
        label = (
            f"epoch {number}/{self.settings.epochs}" if self.settings.epochs else f"epoch {number}"
        )
        steps, seconds = (
            self.settings.checkpoint_steps or math.inf,
            self.settings.checkpoint_minutes * 60 or math.inf,
        )
        left = len(self._feed) - samples
        with (
            self._feed.epoch(number, samples) as batches,
            ProgressBar(label, left, "samples") as progress,
        ):
            start = time.perf_counter()
            while group := list(islice(batches, self._steps_at_once())):
                progress.advance(
                    sum(batch.global_size for batch in group), self._steps(group, start)
                )
                self._take_time()
                if self._is_time_up():
                    return True
                state, saved = self.state, self._saved
                if (
                    self._must_stop
                    or state.step - saved.step >= steps
                    or state.elapsed - saved.elapsed >= seconds
                ):
                    self._save()
                self._raise_if_interrupted()
                start = time.perf_counter()
        return False

    def _steps_at_once(self) -> int:
        """Return how many steps one call takes before there is something to show or to save."""
        step, most, every = (
            self.state.step,
            self._feed.steps_a_call,
            self.settings.checkpoint_steps or math.inf,
        )
        return int(min(most - step % most, max(self._saved.step + every - step, 1)))

    def _steps(self, group: Sequence[Batch], start: float) -> str:
        """Train on batches, waited for since `start`; return the figures to show, every few steps."""
        waited, state, rates = time.perf_counter() - start, self.state, list[float]()
        for batch in group:
            rates.append(learning_rate(self.settings, self._limits.fraction_done(state)))
            state = replace(state, step=state.step + 1, samples=state.samples + batch.global_size)
        self.trainer.train(group, rates)
        loss = (
            None if state.step % STEPS_A_CALL else self.trainer.totals.means()[0]
        )  # waits for the device
        seconds = state.seconds + time.perf_counter() - start
        self.state = state = replace(state, seconds=seconds, waited=state.waited + waited)
        if loss is None:
            return ""
        self._check_finite(loss, state.epoch + 1)
        self._log(state.step, {"step/loss": loss, "step/learning_rate": rates[-1]})
        return f"loss {loss:.4f}, waiting for data {state.waited / max(state.seconds, 1e-9):.1%}"

    def _complete_epoch(self) -> None:
        """Validate, keep the model if it is the one to keep, and save everything."""
        state, (loss, mae), seconds = (
            self.state,
            self.trainer.totals.means(),
            max(self.state.seconds, 1e-9),
        )
        score = self._validate(self._validation_feed) if len(self.validation) else None
        last = Epoch(
            epoch=state.epoch + 1,
            loss=loss,
            mae=mae,
            **{f"val_{name}": getattr(score, name, None) for name in names_of(ValidationScore)},
            learning_rate=learning_rate(self.settings, self._limits.fraction_done(state)),
            seconds=seconds,
            samples_per_second=state.samples / seconds,
            data_wait_share=state.waited / seconds,
        )
        self._check_finite(last.loss + last.score, last.epoch)
        self.state = state.after_epoch(last)
        if self.state.kept(self.settings.keep) is last:
            self._model, self._model_is_written = self._content(last.epoch, last.val_loss), False
        self._save()
        self._take_time(is_epoch_end=True)
        self._seconds_of_ending = self.state.elapsed - state.elapsed
        names = ("loss", "mae", "val_loss", "val_mae", "samples_per_second", "data_wait_share")
        self._log(last.epoch, {f"epoch/{name}": getattr(last, name) for name in names})
        self.notify(epoch_summary(self.state))

    def _validate(self, feed: Feed) -> ValidationScore:
        """Score the current weights on the validation samples; every worker calls this."""
        with feed.epoch(1) as batches:
            return self._score(*self.trainer.evaluate(batches, self.worker.sum))

    def _score_mean(self) -> ValidationScore:
        """Score the driver that always answers the mean steering of the training samples, mirrored
        in mirror images.
        """
        arrays, training = self.validation.arrays, self.samples
        mean = float(training.arrays.labels[training.recorded, 0].mean())
        steering, labels = np.where(arrays.flipped, -mean, mean), arrays.labels[:, 0]
        losses = losses_of(self.settings.loss, steering - labels, labels)
        return self._score(
            float(np.mean(losses)), float(np.abs(steering - labels).mean()), steering
        )

    def _score(self, loss: float, mae: float, steering: FloatArray) -> ValidationScore:
        """Return the score of the steering of all validation samples, (samples,)."""
        if not math.isfinite(loss):
            return ValidationScore(loss, mae, None, None)
        recorded = self.validation.recorded
        own, labels = steering[recorded], self.validation.arrays.labels[recorded, 0]
        small = min(_SMALL_STEERING, float(np.median(np.abs(labels))))
        return ValidationScore(loss, mae, correlation(own, labels), right_side(own, labels, small))

    def _score_file(self, model: bytes, samples: Selection) -> tuple[float, float, FloatArray]:
        """Return mean loss, mean absolute error and the steering, (samples,), of a model, the
        content of its file.
        """
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.h5"
            write_bytes(path, model)
            network = load_model(path).model
        with (
            open_validation_feed(samples, self._validation_batch) as feed,
            feed.epoch(1) as batches,
        ):
            return self.trainer.evaluate(batches, model=network)

    def _content(self, epoch: int, val_loss: float | None) -> bytes:
        """Return the model file of the current weights, those after an epoch."""
        data = self.samples.data
        described = {
            "settings": values_of(self.settings, DECIDE_WEIGHTS),
            "samples": asdict(data.sample_settings),
            "store_content_hash": data.content_hash,
            "epoch": epoch,
            "val_loss": val_loss,
        }
        return model_content(
            self.trainer.export(), data.preprocessing, described, common_framing(data.recordings)
        )

    def _save(self) -> None:
        """Write the model, a checkpoint and the history; when writing fails, notify, and training
        continues.
        """
        self._saved, folder = self.state, self.folder
        if not self._model_is_written:
            self._model_is_written = self._try(lambda: write_bytes(folder.model, self._model))
        self._try(
            lambda: save_checkpoint(folder.checkpoints, self.trainer, self.state, self._model)
        )
        self._try(lambda: folder.write_history(self.state.history))

    def _log(self, step: int, values: Mapping[str, float | None]) -> None:
        """Write figures into the event files of TensorBoard, until that fails: a full disk does not
        stop a training.
        """

        def write(events: Any) -> None:
            with events.as_default(step):
                for name in [name for name, value in values.items() if value is not None]:
                    tf.summary.scalar(name, values[name])
            events.flush()

        if self._events and not self._try(partial(write, self._events)):
            self._events = None

    def _try(self, write: Callable[[], object]) -> bool:
        try:
            write()
        except (OSError, tf.errors.OpError) as error:
            place, reason = getattr(error, "filename", None), getattr(error, "strerror", None)
            self.notify(
                f"note: {place or self.folder.path}: cannot be written: {reason or first_line(error)}; "
                "training continues, and the earlier files are unchanged"
            )
            return False
        return True

    def _take_time(self, is_epoch_end: bool = False) -> None:
        """Update the elapsed time, and whether to stop; called after each call of the step, and
        around each epoch.
        """
        if self.worker.count > 1 and not is_epoch_end and self.state.step % STEPS_A_CALL:
            return
        elapsed = time.monotonic() - self._start if self.worker.writes else 0.0
        elapsed, must_stop = self.worker.sum(
            np.array([elapsed, self._interrupted.is_set()])
        ).tolist()
        passed, self._must_stop = elapsed - self.state.elapsed, bool(must_stop)
        self.state = replace(self.state, elapsed=elapsed)
        if not self._first and not is_epoch_end:
            self._first = self.state = replace(self.state, compiling=self.state.compiling + passed)

    def _is_time_up(self) -> bool:
        return self._limits.is_time_up(self.state, self._seconds_of_ending, self._first)

    def _raise_if_interrupted(self) -> None:
        if self._must_stop:
            kept = (
                f"the model so far is {self.folder.model}; " if self.folder.model.exists() else ""
            )
            raise KeyboardInterrupt(f"{kept}continue with the same command and --resume")

    def _check_finite(self, loss: float, epoch: int) -> None:
        """Raise UserError when the training has diverged."""
        if not math.isfinite(loss):
            path = self.folder.model
            kept = f"; the model of the epochs before is {path}" if path.exists() else ""
            raise UserError(
                f"training diverged in epoch {epoch}: its loss is not finite; try a --learning-rate smaller than "
                f"{self.settings.learning_rate:g}{kept}"
            )
