"""How far a training is: its epochs so far, and the state of the one under way."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from bcclone.history import EpochFigures, best_epoch
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


@dataclass
class Progress:
    """How far a training is: the epochs that are complete, and the state of the one under way.

    step: steps taken in all; samples: used of this epoch; elapsed: seconds of all the training so far, with
    validation and writing; seconds, waited: of this epoch's training, and of them waiting for data.
    """

    history: list[EpochFigures] = field(default_factory=list)
    step: int = 0
    samples: int = 0
    elapsed: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0

    @property
    def epoch(self) -> int:
        """Count the complete epochs."""
        return len(self.history)

    @property
    def best(self) -> EpochFigures:
        """Return the epoch of least validation loss; the earlier of equals."""
        return best_epoch(self.history)

    def kept(self, keep: str) -> EpochFigures:
        """Return the epoch whose model is kept: the "last" or the "best"."""
        return self.best if keep == "best" else self.history[-1]

    def is_out_of_patience(self, patience: int) -> bool:
        """Return True when the last `patience` epochs have not bettered the best; patience 0 never ends."""
        return patience > 0 and self.epoch > 0 and self.epoch - self.best.epoch >= patience

    def complete_epoch(self, figures: EpochFigures) -> None:
        """Note what the epoch came to, and begin the next."""
        self.history.append(figures)
        self.samples, self.seconds, self.waited = 0, 0.0, 0.0

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Progress":
        """Read what to_json() gave; raises TypeError or KeyError for anything else."""
        history = [EpochFigures(**figures) for figures in stored["history"]]
        return cls(**{**stored, "history": history})


def told(progress: Progress) -> str:
    """Return the last epoch in a line, for people."""
    last = progress.history[-1]
    validation = "" if last.val_loss is None else f", val_loss {last.val_loss:.4f}, val_mae {last.val_mae:.4f}"
    best = " (best)" if progress.best.epoch == last.epoch else ""
    return (
        f"epoch {last.epoch}: loss {last.loss:.4f}{validation}{best}, {last.samples_per_second:.0f} samples/s, "
        f"{last.data_wait_share:.1%} waiting for data"
    )


def result_of(progress: Progress, keep: str) -> dict[str, Any]:
    """Return what a training came to, as result.json has it; seconds: of all of it, before and after a resume."""
    kept = progress.kept(keep)
    trained = sum(figures.seconds for figures in progress.history)
    samples = sum(figures.samples_per_second * figures.seconds for figures in progress.history)
    waited = sum(figures.data_wait_share * figures.seconds for figures in progress.history)
    return {
        "epochs": progress.epoch,
        "epoch": kept.epoch,
        "best_epoch": progress.best.epoch,
        "loss": kept.loss,
        "val_loss": kept.val_loss,
        "val_mae": kept.val_mae,
        "samples_per_second": round(samples / trained, 1),
        "data_wait_share": round(waited / trained, 5),
        "seconds": round(progress.elapsed, 3),
    }
