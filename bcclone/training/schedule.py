"""Compute the next learning rate of a training, and whether it has reached one of its limits.

In: the settings and the state of a training. Out: numbers and names of options.
"""

import math
from dataclasses import dataclass

from bcclone.training.train_settings import TrainSettings
from bcclone.training.training_state import TrainingState


@dataclass(frozen=True)
class TrainingSchedule:
    """The learning rate and the limits of a training, computed from its present state."""

    settings: TrainSettings
    samples: int  # number of training samples in an epoch
    validation_samples: int  # number of samples that are evaluated after each epoch

    def rate(self, state: TrainingState) -> float:
        """Return the learning rate of the next step."""
        return learning_rate(self.settings, self.fraction_done(state))

    def fraction_done(self, state: TrainingState) -> float:
        """Return the fraction of the training that is done, 0 to 1.

        This is the larger of two fractions: of the steps of --epochs, and of the seconds of --time.
        Seconds of compiling do not count.
        """
        epochs = self.settings.epochs
        # divided and rounded up
        steps_an_epoch = -(-self.samples // self.settings.batch_size)
        by_steps = state.step / (epochs * steps_an_epoch) if epochs else 0.0
        seconds = max(self.settings.time - state.compiling, 1e-9)
        trained_seconds = state.elapsed - state.compiling
        by_time = trained_seconds / seconds if self.settings.time else 0.0
        return min(max(by_steps, by_time), 1.0)

    def is_time_up(
        self, state: TrainingState, ending_seconds: float, compiled: TrainingState | None = None
    ) -> bool:
        """Return whether the rest of --time is only enough for ending an epoch.

        ending_seconds: how long the end of the last epoch took, with its validation; 0 before the
            first epoch ends
        compiled: the state after the call that compiled the step; None before that call
        """
        if not self.settings.time:
            return False
        if not ending_seconds and compiled:
            ending_seconds = self._estimated_ending(state, compiled)
        return state.elapsed + ending_seconds >= self.settings.time

    def _estimated_ending(self, state: TrainingState, compiled: TrainingState) -> float:
        """Estimate how many seconds the end of the first epoch will take, from the speed until now.

        The estimate is 0 during the first steps.
        """
        few_steps = 20  # the speed of fewer steps says too little
        if state.step < compiled.step + few_steps:
            return 0.0
        seconds = state.elapsed - compiled.elapsed
        seconds_a_sample = seconds / max(state.samples - compiled.samples, 1)
        # a sample takes less than half as long in validation as in training, which has gradients
        return self.validation_samples * seconds_a_sample / 2

    def reached_limit(self, state: TrainingState, is_time_up: bool) -> str:
        """Return the option whose limit is reached, such as "--epochs 5"; "" if none is."""
        settings = self.settings
        if settings.epochs and state.epoch >= settings.epochs:
            return f"--epochs {settings.epochs}"
        if not state.epoch:
            return ""  # at least one epoch is trained, perhaps cut short, so that there is a model
        if settings.patience and state.epoch - state.best.epoch >= settings.patience:
            return f"--patience {settings.patience}"
        return f"--time {settings.time:g}s" if is_time_up else ""


def learning_rate(settings: TrainSettings, fraction: float) -> float:
    """Return the learning rate of the next step.

    The rate rises linearly during the warm-up and then falls by the schedule to a hundredth of its
    highest value. "cosine" follows I. Loshchilov and F. Hutter, https://arxiv.org/abs/1608.03983,
    without restarts.

    fraction: the fraction of the training that is done, 0 to 1
    """
    begin = 1e-3  # added to the fraction: the first step would change nothing at a rate of 0
    rise = min((fraction + begin) / settings.warmup, 1.0) if settings.warmup else 1.0
    if settings.schedule == "constant":
        return settings.learning_rate * rise
    fallen = max(fraction - settings.warmup, 0.0) / (1.0 - settings.warmup)
    left = 1.0 - fallen
    if settings.schedule == "cosine":
        left = (1.0 + math.cos(math.pi * fallen)) / 2
    lowest = 0.01  # the rate at the end, as a fraction of the highest rate
    return settings.learning_rate * rise * (lowest + (1.0 - lowest) * left)
