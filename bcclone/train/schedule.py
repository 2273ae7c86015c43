"""How far a training is -> its learning rate. No TensorFlow, no clock."""

import math

from bcclone.train.settings import TrainSettings

_LAST = 0.01  # of the learning rate is what a falling schedule ends with


def share_done(settings: TrainSettings, step: int, steps_per_epoch: int, elapsed: float) -> float:
    """Return how much of the training is done, 0 to 1: by its steps or, where that is more, by its seconds."""
    by_steps = step / (settings.epochs * steps_per_epoch) if settings.epochs else 0.0
    by_time = elapsed / settings.time if settings.time else 0.0
    return min(max(by_steps, by_time), 1.0)


def learning_rate(settings: TrainSettings, share: float) -> float:
    """Return the learning rate of the next step when `share` of the training is done.

    It rises in a line in the warm-up and then falls by the schedule to a hundredth of its height; "cosine" after
    I. Loshchilov and F. Hutter, https://arxiv.org/abs/1608.03983, without its restarts.
    """
    rise = min((share + 1e-3) / settings.warmup, 1.0) if settings.warmup else 1.0
    fallen = max(share - settings.warmup, 0.0) / (1.0 - settings.warmup)
    left = {"constant": 1.0, "linear": 1.0 - fallen, "cosine": (1.0 + math.cos(math.pi * fallen)) / 2}
    height = 1.0 if settings.schedule == "constant" else _LAST + (1.0 - _LAST) * left[settings.schedule]
    return settings.learning_rate * rise * height
