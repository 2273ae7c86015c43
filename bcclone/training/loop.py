"""The training loop: train epoch after epoch until a limit is reached.

In: a trainer, its samples, a run, and the state to begin with (of a new training or of a
checkpoint). Out: a `Trained`, with the last state, the model file to keep, and the limit. A
`TrainingState` is never changed in place: each step makes a new one.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import tensorflow as tf

from bcclone.dataset.fingerprint import merged
from bcclone.dataset.store import Store, common_framing
from bcclone.feed.feed import open_feed, open_feed_in_order
from bcclone.feed.selection import Batch, Selection
from bcclone.model.model_file import model_content, stated_recordings
from bcclone.system.errors import UserError, first_line
from bcclone.system.files import write_bytes
from bcclone.system.interrupts import noting_interrupts
from bcclone.system.progress import Notify, ProgressBar
from bcclone.system.values import to_json
from bcclone.training.checkpoint import save_checkpoint
from bcclone.training.run import Run
from bcclone.training.score import ValidationScore
from bcclone.training.train_settings import SETTINGS_OF_WEIGHTS, TrainSettings, values_of
from bcclone.training.trainer import STEPS_A_CALL, Trainer
from bcclone.training.training_state import Epoch, TrainingState, epoch_summary
from bcclone.training.workers import Workers


@dataclass(frozen=True)
class Trained:
    """What a training has reached."""

    state: TrainingState  # the last one
    model: bytes  # model file of the last epoch, or with --patience of the best
    limit: str  # the option that ended the training, such as "--epochs 5"
    samples_an_epoch: int  # number of training samples in an epoch


class Loop:
    """A training, from the state that it begins with to the limit that ends it.

    All workers of a training must make the same calls of workers.all_sum() in the same order.

    run: its settings are those of the training
    """

    def __init__(
        self,
        trainer: Trainer,
        training: Selection,
        validation: Selection,
        run: Run,
        notify: Notify,
        workers: Workers,
    ) -> None:
        self.trainer = trainer
        self.training = training
        self.validation = validation
        self.settings = settings = run.settings
        self.run = run
        self.notify = notify
        self.workers = workers
        self.training_feed = open_feed(
            training,
            settings,
            settings.batch_size,
            seed=settings.seed,
            zero_fraction=settings.zero_fraction,
            augment=settings if settings.augment else None,
            part=workers.part,
            program_steps=trainer.program_steps,
        )
        self.validation_feed = open_feed_in_order(
            validation,
            validation_batch_size(settings.seq_length, workers),
            workers.part,
            settings.feed,
            trainer.program_steps,
        )
        self.state = TrainingState()
        self.model = b""  # empty before the end of the first epoch
        self._saved = self.state  # of the newest checkpoint, from which the next one's time follows
        self._is_model_written = True
        self._begin = 0.0  # time.monotonic(), less the seconds that it ran before a resume
        # whether this process is asked to stop
        self._interrupted: Callable[[], bool] = lambda: False
        self._must_stop = False  # whether any worker was asked to stop
        # how long the end of the last epoch took (validation and saving); 0 before the first end
        self._ending_seconds = 0.0

    def train(self, state: TrainingState, model: bytes) -> Trained:
        """Train until the first of the limits (epochs, time, patience) is reached.

        Raises UserError when the loss is not finite, and KeyboardInterrupt, after saving the state,
        when the process is asked to stop. Files that cannot be written are reported and do not stop
        the training.

        state: of the checkpoint that was loaded into the trainer, or TrainingState()
        model: the model file in that checkpoint, or b""
        """
        self.state = state
        self.model = model
        # a resumed training writes its model again: the file may be newer than the checkpoint, if
        # the process was killed between the two writes
        self._is_model_written = not model
        # --time counts the seconds before a resume, and from here on also those of opening the
        # feeds
        self._begin = time.monotonic() - state.elapsed
        with self.training_feed, self.validation_feed, noting_interrupts() as interrupted:
            self._interrupted = interrupted
            self._save()
            self._measure_time()
            limit = self._reached_limit()
            if limit:  # by a training that was then resumed
                self.notify(f"note: nothing is left to train: {limit}; increase it to train on")
            while not limit:
                self._stop_if_asked()
                is_cut = self._train_epoch()
                self._measure_time()
                self._end_epoch()
                limit = self._reached_limit(is_cut)
        return Trained(self.state, self.model, limit, len(self.training_feed))

    # ---- steps

    def _train_epoch(self) -> bool:
        """Train on the rest of the current epoch.

        Return whether it was ended early because the rest of --time is needed for validation.
        """
        # an epoch that is resumed in its middle goes on with the sums that its checkpoint held
        if not self.state.samples:
            self.trainer.reset_totals()
        feed = self.training_feed
        number = self.state.epoch + 1
        epochs = self.settings.epochs
        label = f"epoch {number}/{epochs}" if epochs else f"epoch {number}"
        left = len(feed) - self.state.samples
        with (
            feed.epoch(number, self.state.samples) as batches,
            ProgressBar(label, left, "samples") as progress,
        ):
            asked = time.perf_counter()
            # a call ends where the next progress line is due
            while group := list(
                islice(batches, feed.steps_a_call - self.state.step % feed.steps_a_call)
            ):
                figures = self._take_steps(group, asked)
                progress.advance(sum(batch.global_size for batch in group), figures)
                # several workers must exchange messages to agree on the time, so they do it only
                # every STEPS_A_CALL steps, when _take_steps() waits for the device anyway
                if self.workers.count == 1 or self.state.step % STEPS_A_CALL == 0:
                    self._measure_time()
                    if not self.state.begun:  # the first call has compiled the step
                        self.state = replace(self.state, begun=self.state.elapsed)
                if self._is_time_up():
                    return True
                seconds = 60 * self.settings.checkpoint_minutes
                is_due = 0 < seconds <= self.state.elapsed - self._saved.elapsed
                if self._must_stop or is_due:
                    self._save()
                self._stop_if_asked()
                asked = time.perf_counter()
        return False

    def _take_steps(self, group: Sequence[Batch], asked: float) -> str:
        """Train on batches, one for each step; return the figures for the progress line.

        They are "" except after every STEPS_A_CALL-th step, when the loss is read.

        asked: time.perf_counter() when the feed was asked for these batches
        """
        waited = time.perf_counter() - asked
        state = self.state
        rates = []
        for batch in group:
            rates.append(self._rate(state))
            samples = state.samples + batch.global_size
            state = replace(state, step=state.step + 1, samples=samples)
        self.trainer.train(group, rates)
        # the loss waits for the device, so it is read only every few steps
        loss = None
        if state.step % STEPS_A_CALL == 0:
            loss, _ = self.trainer.mean_errors()
        seconds = state.seconds + time.perf_counter() - asked
        self.state = state = replace(state, seconds=seconds, waited=state.waited + waited)
        if loss is None:
            return ""
        self._check_finite(loss, state.epoch + 1)
        return f"loss {loss:.4f}, waiting for data {state.waited / max(seconds, 1e-9):.1%}"

    def _rate(self, state: TrainingState) -> float:
        settings = self.settings
        steps_an_epoch = -(-len(self.training_feed) // settings.batch_size)  # rounded up
        steps = (settings.epochs or 0) * steps_an_epoch
        return learning_rate(settings.learning_rate, fraction_done(state, steps, settings.time))

    def _end_epoch(self) -> None:
        """Validate, and save everything."""
        state = self.state
        # the training loss is read first, since validation resets and reuses the totals
        loss, mae = self.trainer.mean_errors()
        score = None
        if len(self.validation):
            # epoch 1: validation samples have the same order in every epoch
            with self.validation_feed.epoch(1) as batches:
                figures = self.trainer.evaluate(batches, self.workers.all_sum)
            score = ValidationScore.of(self.validation, *figures)
        seconds = max(state.seconds, 1e-9)
        epoch = Epoch(
            epoch=state.epoch + 1,
            loss=loss,
            mae=mae,
            val_loss=score.loss if score else None,
            val_mae=score.mae if score else None,
            val_correlation=score.correlation if score else None,
            val_right_side=score.right_side if score else None,
            learning_rate=self._rate(state),
            seconds=seconds,
            samples_per_second=state.samples / seconds,
            data_wait_share=state.waited / seconds,
        )
        # the sum is finite only if both the training loss and the score are
        self._check_finite(epoch.loss + epoch.score, epoch.epoch)
        # save first, so that the epoch is not lost if the process is killed from here on
        self.state = state.after_epoch(epoch)
        # --patience waits for a better epoch than the one whose model is kept
        if not self.settings.patience or self.state.best.epoch == epoch.epoch:
            self.state = replace(self.state, model_epoch=epoch.epoch)
            self.model = current_model(
                self.trainer, self.training.data, self.settings, epoch.epoch, epoch.val_loss
            )
            self._is_model_written = False
        self._save()
        self._measure_time()
        self._ending_seconds = self.state.elapsed - state.elapsed
        self.notify(epoch_summary(self.state))

    def _check_finite(self, loss: float, epoch: int) -> None:
        """Raise UserError when the training has diverged."""
        if math.isfinite(loss):
            return
        path = self.run.model
        kept = f"; the model of the epochs before is {path}" if path.exists() else ""
        raise UserError(
            f"training diverged in epoch {epoch}: its loss is not finite; "
            f"try a --learning-rate smaller than {self.settings.learning_rate:g}{kept}"
        )

    # ---- files

    def _save(self) -> None:
        """Write the model if it is a new one, a checkpoint, and the history."""
        self._saved = self.state
        run = self.run
        if not self._is_model_written:
            write_model = partial(write_bytes, run.model, self.model)
            self._is_model_written = try_to_write(write_model, run.path, self.notify)
        write_checkpoint = partial(
            save_checkpoint, run.checkpoints, self.trainer, self.state, self.model
        )
        try_to_write(write_checkpoint, run.path, self.notify)
        try_to_write(partial(run.write_history, self.state.history), run.path, self.notify)

    # ---- time

    def _measure_time(self) -> None:
        """Set the elapsed time of the state, and whether to stop.

        All workers must act on the same time. So only the first worker measures: it adds its
        seconds to a sum over all workers, to which the others add 0. A second sum counts the
        workers that were asked to stop.
        """
        seconds = time.monotonic() - self._begin if self.workers.writes else 0.0
        sums = self.workers.all_sum(np.array([seconds, self._interrupted()]))
        elapsed, interrupted = sums.tolist()
        self._must_stop = bool(interrupted)
        self.state = replace(self.state, elapsed=elapsed)

    def _is_time_up(self) -> bool:
        """Return whether the rest of --time is needed to end the epoch."""
        state = self.state
        ending = self._ending_seconds
        if not ending and state.step >= STEPS_A_CALL:  # the speed of fewer steps says too little
            # a sample takes less than half as long in validation, which computes no gradients
            samples = state.step * self.settings.batch_size
            ending = len(self.validation) * (state.elapsed - state.begun) / samples / 2
        return 0 < self.settings.time <= state.elapsed + ending

    def _reached_limit(self, is_cut: bool = False) -> str:
        """Return the option whose limit is reached, such as "--epochs 5"; "" if none is.

        is_cut: the last epoch was ended early because the time was up
        """
        state = self.state
        settings = self.settings
        if settings.epochs and state.epoch >= settings.epochs:
            return f"--epochs {settings.epochs}"
        if not state.epoch:
            return ""  # at least one epoch is trained, perhaps cut short, so that there is a model
        if settings.patience and state.epoch - state.best.epoch >= settings.patience:
            return f"--patience {settings.patience}"
        return f"--time {settings.time:g}s" if is_cut or self._is_time_up() else ""

    def _stop_if_asked(self) -> None:
        """Raise KeyboardInterrupt if any worker was asked to stop; call it after saving."""
        if self._must_stop:
            raise KeyboardInterrupt


def validation_batch_size(seq_length: int, workers: Workers) -> int:
    # large batches are fast, and without gradients they fit into memory
    return max(256 // seq_length, workers.count)


# ---- files


def current_model(
    trainer: Trainer, data: Store, settings: TrainSettings, epoch: int, val_loss: float | None
) -> bytes:
    """Return a model file with the current weights.

    epoch: the number of the epoch after which the network has these weights; 0 before training
    val_loss: the validation loss of that epoch, None if it is not known
    """
    recordings, has_others = stated_recordings(settings.start) if settings.start else ((), False)
    if epoch:
        recordings = merged([*recordings, *data.fingerprints])
    described = {
        "settings": values_of(settings, SETTINGS_OF_WEIGHTS),
        "samples": asdict(data.sample_settings),
        "store_content_hash": data.content_hash,
        "epoch": epoch,
        "val_loss": val_loss,
        "recordings": to_json(recordings),
        "has_unknown_recordings": has_others,
    }
    framing = common_framing(data.recordings)
    return model_content(trainer.export(), data.preprocessing, described, framing)


def try_to_write(write: Callable[[], object], folder: Path, notify: Notify) -> bool:
    """Call `write`; return whether it has succeeded, and tell the user why it has not.

    A full disk, for example, does not stop the training.

    folder: where the file is, if the error does not say it
    """
    try:
        write()
    except (OSError, tf.errors.OpError) as error:
        place = getattr(error, "filename", None) or folder
        reason = getattr(error, "strerror", None) or first_line(error)
        notify(
            f"note: {place}: cannot be written: {reason}; "
            "training continues, and the earlier files are unchanged"
        )
        return False
    return True


# ---- the schedule


def fraction_done(state: TrainingState, steps: int, seconds: float) -> float:
    """Return the fraction of the training that is done, 0 to 1: the larger of two fractions.

    The first call of the step, which compiles it, does not count.

    steps: of all epochs; 0 for no limit
    seconds: of the whole training; 0 for no limit
    """
    by_steps = state.step / steps if steps else 0.0
    by_time = 0.0
    if seconds and state.begun:
        by_time = (state.elapsed - state.begun) / max(seconds - state.begun, 1e-9)
    return min(max(by_steps, by_time), 1.0)


def learning_rate(highest: float, fraction: float) -> float:
    """Return the learning rate of the next step.

    The rate rises linearly during the warm-up and then falls along a cosine to a hundredth of its
    highest value (I. Loshchilov and F. Hutter, https://arxiv.org/abs/1608.03983, without restarts).

    fraction: the fraction of the training that is done, 0 to 1
    """
    warmup = 0.02  # fraction of the training
    begin = 1e-3  # added to the fraction: the first step would change nothing at a rate of 0
    rise = min((fraction + begin) / warmup, 1.0)
    fallen = max(fraction - warmup, 0.0) / (1.0 - warmup)
    left = (1.0 + math.cos(math.pi * fallen)) / 2
    lowest = 0.01  # the rate at the end, as a fraction of the highest rate
    return highest * rise * (lowest + (1.0 - lowest) * left)
