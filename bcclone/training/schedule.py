"""The state of a training and its settings -> the next learning rate, and the limits."""

import math
from dataclasses import dataclass

from bcclone.training.train_settings import TrainSettings
from bcclone.training.training_state import TrainingState


@dataclass(frozen=True)
class TrainingSchedule:
    """The learning rate and the limits of a training; each method answers for a state."""

    settings: TrainSettings
    samples: int  # of training in an epoch
    validation_samples: int  # that are evaluated after each epoch

    def rate(self, state: TrainingState) -> float:
        """Return the learning rate of the next step."""
        return learning_rate(self.settings, self.fraction_done(state))

    def fraction_done(self, state: TrainingState) -> float:
        """Return the fraction of the training that is done, by steps or by seconds: the larger.

        Seconds of compiling do not count.
        """
        epochs = self.settings.epochs
        steps_an_epoch = -(-self.samples // self.settings.batch_size)
        by_steps = state.step / (epochs * steps_an_epoch) if epochs else 0.0
        seconds = max(self.settings.time - state.compiling, 1e-9)
        trained_seconds = state.elapsed - state.compiling
        by_time = trained_seconds / seconds if self.settings.time else 0.0
        return min(max(by_steps, by_time), 1.0)

    def is_time_up(
        self, state: TrainingState, ending_seconds: float, compiled: TrainingState | None = None
    ) -> bool:
        """Return whether --time leaves no more than the end of an epoch needs.

        ending_seconds: of the last epoch, with its validation; 0 before the first one ends
        compiled: the state after the call that compiled the step, None before
        """
        if not self.settings.time:
            return False
        if not ending_seconds and compiled:
            ending_seconds = self._estimated_ending(state, compiled)
        return state.elapsed + ending_seconds >= self.settings.time

    def _estimated_ending(self, state: TrainingState, compiled: TrainingState) -> float:
        """Return how many seconds the end of the first epoch will take, by the pace until now."""
        few_steps = 20  # say too little about the pace
        if state.step < compiled.step + few_steps:
            return 0.0
        seconds = state.elapsed - compiled.elapsed
        seconds_a_sample = seconds / max(state.samples - compiled.samples, 1)
        # validation takes less than half as long as training
        return self.validation_samples * seconds_a_sample / 2

    def reached_limit(self, state: TrainingState, is_time_up: bool) -> str:
        """Return the option whose limit is reached, such as "--epochs 5"; "" before that."""
        settings = self.settings
        if settings.epochs and state.epoch >= settings.epochs:
            return f"--epochs {settings.epochs}"
        if not state.epoch:
            return ""  # a model needs an epoch, even if it is cut
        if settings.patience and state.epoch - state.best.epoch >= settings.patience:
            return f"--patience {settings.patience}"
        return f"--time {settings.time:g}s" if is_time_up else ""


def learning_rate(settings: TrainSettings, fraction: float) -> float:
    """Return the learning rate of the next step. fraction: of the training that is done, 0 to 1.

    The rate rises linearly during the warm-up and then falls by the schedule to a hundredth of its
    highest value. "cosine" follows I. Loshchilov and F. Hutter, https://arxiv.org/abs/1608.03983,
    without restarts.
    """
    begin = 1e-3  # a training that begins at a rate of 0 would lose its first step
    rise = min((fraction + begin) / settings.warmup, 1.0) if settings.warmup else 1.0
    if settings.schedule == "constant":
        return settings.learning_rate * rise
    fallen = max(fraction - settings.warmup, 0.0) / (1.0 - settings.warmup)
    left = 1.0 - fallen
    if settings.schedule == "cosine":
        left = (1.0 + math.cos(math.pi * fallen)) / 2
    lowest = 0.01  # of the highest rate
    return settings.learning_rate * rise * (lowest + (1.0 - lowest) * left)
