"""Tell the learning rate of the next step, and the limit that ends a training."""

import math
from dataclasses import dataclass

from bcclone.train.train_settings import TrainSettings
from bcclone.train.training_state import TrainingState

_FINAL_FRACTION = 0.01  # of the highest learning rate, at the end of a falling schedule
_FIRST_STEPS = 20  # compilation takes most of their time, so they give no estimate


@dataclass(frozen=True)
class TrainingSchedule:
    """The learning rate and the limits of a training; each method answers for the state that it is given.

    samples: number of training samples in an epoch; validation_samples: number evaluated after each epoch.
    """

    settings: TrainSettings
    samples: int
    validation_samples: int

    def learning_rate(self, state: TrainingState) -> float:
        steps_per_epoch = -(-self.samples // self.settings.batch_size)
        return learning_rate(self.settings, fraction_done(self.settings, state.step, steps_per_epoch, state.elapsed))

    def is_time_up(self, state: TrainingState, seconds_of_ending: float) -> bool:
        """Return whether --time leaves no more than the end of an epoch needs.

        seconds_of_ending: duration of the end of the last epoch, with its validation; 0 before the first, where it is
        estimated.
        """
        limit, ending = self.settings.time, seconds_of_ending
        if not limit:
            return False
        if not ending and state.step >= _FIRST_STEPS and state.samples:
            # validation takes less than half as long as training
            ending = self.validation_samples * state.seconds / state.samples / 2
        return state.elapsed + ending >= limit

    def reached_limit(self, state: TrainingState, is_time_up: bool) -> str:
        """Return the option whose limit the training has reached, such as "--epochs 5"; "" before that."""
        settings = self.settings
        if settings.epochs and state.epoch >= settings.epochs:
            return f"--epochs {settings.epochs}"
        if state.is_out_of_patience(settings.patience):
            return f"--patience {settings.patience}"
        return f"--time {settings.time:g}s" if state.epoch and is_time_up else ""


def fraction_done(settings: TrainSettings, step: int, steps_per_epoch: int, elapsed: float) -> float:
    """Return the fraction of the training that is complete, by steps or by seconds, whichever is larger."""
    by_steps = step / (settings.epochs * steps_per_epoch) if settings.epochs else 0.0
    by_time = elapsed / settings.time if settings.time else 0.0
    return min(max(by_steps, by_time), 1.0)


def learning_rate(settings: TrainSettings, fraction: float) -> float:
    """Return the learning rate of the next step. fraction: how much of the training is complete, 0 to 1.

    The rate rises linearly during the warm-up and then falls by the schedule to a hundredth of its highest value.
    "cosine" follows I. Loshchilov and F. Hutter, https://arxiv.org/abs/1608.03983, without restarts.
    """
    rise = min((fraction + 1e-3) / settings.warmup, 1.0) if settings.warmup else 1.0
    fallen = max(fraction - settings.warmup, 0.0) / (1.0 - settings.warmup)
    left = {"constant": 1.0, "linear": 1.0 - fallen, "cosine": (1.0 + math.cos(math.pi * fallen)) / 2}
    falling = _FINAL_FRACTION + (1.0 - _FINAL_FRACTION) * left[settings.schedule]
    return settings.learning_rate * rise * (1.0 if settings.schedule == "constant" else falling)
