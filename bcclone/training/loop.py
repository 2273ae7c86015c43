"""The training loop: train epoch after epoch until a limit is reached.

In: a trainer, its feeds, a run folder, and the state to begin with (of a new training or of a
checkpoint). Out: `Trained`. The state is never changed in place: each function takes a
`TrainingState` and returns a new one.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from bcclone.dataset.store import common_framing
from bcclone.feed.source import Batch
from bcclone.model.model_file import model_content
from bcclone.system.errors import UserError
from bcclone.system.process import Notify, ProgressBar, noting_interrupts
from bcclone.training.clock import Clock
from bcclone.training.samples import Feeds, TrainingSamples
from bcclone.training.saving import EventLog, Saver
from bcclone.training.schedule import TrainingSchedule
from bcclone.training.scoring import score_weights
from bcclone.training.train_settings import SETTINGS_OF_WEIGHTS, TrainSettings, values_of
from bcclone.training.trainer import STEPS_A_CALL, Trainer
from bcclone.training.training_folder import RunFolder
from bcclone.training.training_state import Epoch, TrainingState, epoch_summary
from bcclone.training.worker_group import ONE_WORKER, WorkerGroup


@dataclass(frozen=True)
class Training:
    """The objects that a training uses; they stay the same from its beginning to its end."""

    trainer: Trainer
    samples: TrainingSamples
    feeds: Feeds
    settings: TrainSettings
    folder: RunFolder
    events: EventLog
    notify: Notify
    group: WorkerGroup = ONE_WORKER

    @cached_property
    def schedule(self) -> TrainingSchedule:
        return TrainingSchedule(self.settings, len(self.feeds.training), len(self.feeds.validation))

    @property
    def validates(self) -> bool:
        return len(self.samples.validation) > 0


class Trained(NamedTuple):
    """A training at its end."""

    state: TrainingState
    model: bytes  # model file of the last or the best epoch, as --keep says
    limit: str  # the option that ended the training, such as "--epochs 5"


def train_epochs(training: Training, state: TrainingState, model: bytes) -> Trained:
    """Train until the first of the limits (epochs, time, patience) is reached.

    Raises UserError when the loss is not finite, and KeyboardInterrupt, after saving the state,
    when the process is asked to stop. Files that cannot be written are reported and do not stop the
    training.

    state: of the checkpoint that was loaded into the trainer, or TrainingState() in a new training
    model: the model file in that checkpoint, or b"" in a new training
    """
    saver = Saver(training.folder, training.trainer, state, model)
    # --time counts the seconds before a resume, and from here on also those of opening the feeds
    begin = time.monotonic() - state.elapsed
    feeds = training.feeds
    with feeds.training, feeds.validation, noting_interrupts() as interrupted:
        clock = Clock(begin, interrupted, training.group)
        saver.save(state, training.notify)
        # a resumed training may have reached a limit before it was resumed
        limit = _reached_limit(training, clock, state)
        if limit:
            training.notify(f"note: nothing is left to train: {limit}; increase it to train on")
        # again with the present time, of which opening the feeds has taken some
        state = clock.now(state)
        limit = _reached_limit(training, clock, state)
        while not limit:
            _stop_if_asked(clock)
            state, is_cut = _train_epoch(training, clock, saver, state)
            state = clock.now(state)
            state = _end_epoch(training, clock, saver, state)
            limit = _reached_limit(training, clock, state, is_cut)
    return Trained(state, saver.model, limit)


def _train_epoch(
    training: Training, clock: Clock, saver: Saver, state: TrainingState
) -> tuple[TrainingState, bool]:
    """Train on the rest of the current epoch.

    Return the state, and whether the epoch was ended early because the rest of --time is needed
    for validation.
    """
    # an epoch that is resumed in its middle goes on with the sums that its checkpoint held
    if not state.samples:
        training.trainer.totals.reset()
    feed = training.feeds.training
    number = state.epoch + 1
    epochs = training.settings.epochs
    label = f"epoch {number}/{epochs}" if epochs else f"epoch {number}"
    left = len(feed) - state.samples
    with (
        feed.epoch(number, state.samples) as batches,
        ProgressBar(label, left, "samples") as progress,
    ):
        asked = time.perf_counter()
        while group := list(islice(batches, _steps_at_once(training, saver, state))):
            state, figures = _take_steps(training, state, group, asked)
            progress.advance(sum(batch.global_size for batch in group), figures)
            # several workers must exchange messages to agree on the time, so they do it only every
            # STEPS_A_CALL steps, when _take_steps() waits for the device anyway
            if training.group.size == 1 or state.step % STEPS_A_CALL == 0:
                state = clock.after_call(state)
            if _is_time_up(training, clock, state):
                return state, True
            if clock.must_stop or _is_checkpoint_due(training.settings, saver, state):
                saver.save(state, training.notify)
            _stop_if_asked(clock)
            asked = time.perf_counter()
    return state, False


def _steps_at_once(training: Training, saver: Saver, state: TrainingState) -> int:
    """Return how many steps the trainer may take in one call.

    The call ends at the next progress line or the next checkpoint, whichever comes first.
    """
    steps_a_call = training.feeds.training.steps_a_call
    until_progress = steps_a_call - state.step % steps_a_call
    checkpoint_steps = training.settings.checkpoint_steps
    if not checkpoint_steps:
        return until_progress
    next_checkpoint = saver.saved.step + checkpoint_steps
    return min(until_progress, max(next_checkpoint - state.step, 1))


def _take_steps(
    training: Training, state: TrainingState, group: Sequence[Batch], asked: float
) -> tuple[TrainingState, str]:
    """Train on batches; return the state, and the figures for the progress line.

    The figures are "" except after every STEPS_A_CALL-th step, when the loss is read.

    group: the batches, one for each step
    asked: time.perf_counter() when the feed was asked for these batches
    """
    waited = time.perf_counter() - asked
    schedule = training.schedule
    trained = state
    rates = []
    for batch in group:
        rates.append(schedule.rate(trained))
        samples = trained.samples + batch.global_size
        trained = replace(trained, step=trained.step + 1, samples=samples)
    training.trainer.train(group, rates)
    # the loss waits for the device, so it is read only every few steps
    loss = None
    if trained.step % STEPS_A_CALL == 0:
        loss, _ = training.trainer.totals.means()
    seconds = state.seconds + time.perf_counter() - asked
    trained = replace(trained, seconds=seconds, waited=state.waited + waited)
    if loss is None:
        return trained, ""
    _check_finite(training, loss, trained.epoch + 1)
    figures = {"step/loss": loss, "step/learning_rate": rates[-1]}
    training.events.write(trained.step, figures, training.notify)
    wait_share = trained.waited / max(trained.seconds, 1e-9)
    return trained, f"loss {loss:.4f}, waiting for data {wait_share:.1%}"


def _is_checkpoint_due(settings: TrainSettings, saver: Saver, state: TrainingState) -> bool:
    steps = settings.checkpoint_steps
    if steps and state.step - saver.saved.step >= steps:
        return True
    seconds = settings.checkpoint_minutes * 60
    return seconds > 0 and state.elapsed - saver.saved.elapsed >= seconds


def _end_epoch(
    training: Training, clock: Clock, saver: Saver, state: TrainingState
) -> TrainingState:
    """Validate, keep this epoch's model if settings.keep wants it, and save everything."""
    # the training loss is read first, since validation resets and reuses the totals
    loss, mae = training.trainer.totals.means()
    score = None
    if training.validates:
        score = score_weights(
            training.trainer,
            training.feeds.validation,
            training.samples.validation,
            training.group,
        )
    seconds = max(state.seconds, 1e-9)
    epoch = Epoch(
        epoch=state.epoch + 1,
        loss=loss,
        mae=mae,
        val_loss=score.loss if score else None,
        val_mae=score.mae if score else None,
        val_correlation=score.correlation if score else None,
        val_right_side=score.right_side if score else None,
        learning_rate=training.schedule.rate(state),
        seconds=seconds,
        samples_per_second=state.samples / seconds,
        data_wait_share=state.waited / seconds,
    )
    # the sum is finite only if both the training loss and the score are
    _check_finite(training, epoch.loss + epoch.score, epoch.epoch)
    # save first, so that the epoch is not lost if the process is killed from here on
    state = state.after_epoch(epoch)
    if state.kept(training.settings.keep) is epoch:
        saver.keep(current_model(training, epoch.epoch, epoch.val_loss))
    saver.save(state, training.notify)
    state = clock.after_ending(state)
    # report the epoch to TensorBoard and on the terminal
    figures = {
        "epoch/loss": epoch.loss,
        "epoch/mae": epoch.mae,
        "epoch/val_loss": epoch.val_loss,
        "epoch/val_mae": epoch.val_mae,
        "epoch/samples_per_second": epoch.samples_per_second,
        "epoch/data_wait_share": epoch.data_wait_share,
    }
    training.events.write(epoch.epoch, figures, training.notify)
    training.notify(epoch_summary(state))
    return state


def current_model(training: Training, epoch: int, val_loss: float | None) -> bytes:
    """Return a model file with the current weights.

    epoch: the number of the epoch after which the network has these weights; 0 before training
    val_loss: the validation loss of that epoch, None if it is not known
    """
    data = training.samples.data
    described = {
        "settings": values_of(training.settings, SETTINGS_OF_WEIGHTS),
        "samples": asdict(data.sample_settings),
        "store_content_hash": data.content_hash,
        "epoch": epoch,
        "val_loss": val_loss,
    }
    framing = common_framing(data.recordings)
    return model_content(training.trainer.export(), data.preprocessing, described, framing)


# ---- when a training ends


def _reached_limit(
    training: Training, clock: Clock, state: TrainingState, is_cut: bool = False
) -> str:
    """Return the option whose limit is reached, such as "--epochs 5"; "" if none is.

    is_cut: the last epoch was ended early because the time was up
    """
    is_time_up = is_cut or _is_time_up(training, clock, state)
    return training.schedule.reached_limit(state, is_time_up)


def _is_time_up(training: Training, clock: Clock, state: TrainingState) -> bool:
    return training.schedule.is_time_up(state, clock.ending_seconds, clock.compiled)


def _stop_if_asked(clock: Clock) -> None:
    """Raise KeyboardInterrupt if any worker was asked to stop; call it after saving the state."""
    if clock.must_stop:
        raise KeyboardInterrupt


def _check_finite(training: Training, loss: float, epoch: int) -> None:
    """Raise UserError when the training has diverged."""
    if math.isfinite(loss):
        return
    path = training.folder.model
    kept = f"; the model of the epochs before is {path}" if path.exists() else ""
    raise UserError(
        f"training diverged in epoch {epoch}: its loss is not finite; "
        f"try a --learning-rate smaller than {training.settings.learning_rate:g}{kept}"
    )
