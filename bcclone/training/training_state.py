"""The state of a training between two steps, and the figures of its complete epochs.

history_csv() turns the figures into the text of history.csv in a run folder, with a row for each
epoch; read_history() reads them back.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np

from bcclone.feed.selection import Selection
from bcclone.system.codec import explained, read_table
from bcclone.system.errors import Table, TableColumn
from bcclone.system.numbers import FloatArray
from bcclone.system.statistics import correlation
from bcclone.system.values import from_json, names_of


def right_side(steering: FloatArray, labels: FloatArray, beyond: float) -> float | None:
    """Return the share of the turns in which the steering is to the label's side, the correct one.

    Returns None if there are no turns.

    steering, labels: (values,) each
    beyond: a row is a turn if the absolute value of its label is larger than this
    """
    turns = np.abs(labels) > beyond
    if not turns.any():
        return None
    return float((steering[turns] * labels[turns] > 0).mean())


@dataclass(frozen=True)
class ValidationScore:
    """How well a driver agrees with the validation samples."""

    loss: float
    mae: float
    # the next two are computed from one sample of each recorded row, without mirror images
    # Pearson's correlation of steering and label; None if one of them is constant
    correlation: float | None
    # among the frames whose label is clearly left or right: fraction steered to the label's side
    right_side: float | None

    @classmethod
    def of(
        cls, validation: Selection, loss: float, mae: float, steering: FloatArray
    ) -> "ValidationScore":
        """Return the score of a driver, by its steering for all validation samples.

        loss, mae: mean loss and mean absolute error of that steering
        steering: (samples,)
        """
        if not math.isfinite(loss):
            return cls(loss, mae, None, None)
        # one sample of each row: what the driver steers, and its label
        driven = steering[validation.first_of_row]
        labels = validation.labels[validation.first_of_row, 0]
        # if a label is about straight ahead, neither side is the correct one; so small labels do
        # not count: those up to 0.05, or on straighter roads the smaller half
        small = min(0.05, float(np.median(np.abs(labels))))
        return cls(loss, mae, correlation(driven, labels), right_side(driven, labels, small))

    def is_better_than(self, other: "ValidationScore") -> bool:
        """Return whether this driver is clearly better: by the correlation, else by the loss.

        The loss alone can mislead: on a nearly straight road, a network that stops reacting to
        bends has a lower loss. So the loss decides only when the correlations are about equal.
        """
        mine = self.correlation or 0.0
        others = other.correlation or 0.0
        if abs(mine - others) > 0.05:  # less is noise
            return mine > others
        equal_loss = 0.01  # as a fraction of the other loss; a smaller gain is noise
        return self.loss < (1 - equal_loss) * other.loss


@dataclass(frozen=True)
class Epoch:
    """One epoch's mean errors over its samples, and its speed; a row of history.csv.

    Steering is -1 (left) to 1 (right). Without validation samples, all val_ values are None.
    """

    epoch: int
    loss: float
    mae: float
    val_loss: float | None
    val_mae: float | None
    learning_rate: float
    seconds: float  # of training, without validation
    samples_per_second: float
    data_wait_share: float  # fraction of the seconds spent waiting for data
    val_correlation: float | None = None
    val_right_side: float | None = None

    @property
    def validation(self) -> ValidationScore | None:
        if self.val_loss is None or self.val_mae is None:
            return None
        return ValidationScore(
            self.val_loss, self.val_mae, self.val_correlation, self.val_right_side
        )

    @property
    def score(self) -> float:
        """Return the loss by which epochs are compared; the best epoch has the smallest.

        This is the validation loss, or the training loss if there are no validation samples.
        """
        return self.loss if self.val_loss is None else self.val_loss


def best_epoch(history: Sequence[Epoch]) -> Epoch:
    return min(history, key=lambda epoch: epoch.score)


def history_csv(history: Sequence[Epoch]) -> str:
    columns = [TableColumn(name) for name in names_of(Epoch)]
    return Table(columns, [astuple(epoch) for epoch in history]).csv()


def read_history(path: Path) -> list[Epoch]:
    """Read a history.csv; raises UserError if it is not one."""
    remedy = "remove the file to continue without it"
    epochs = []
    for line, cells in read_table(path, names_of(Epoch), "the history of a run", remedy):
        with explained(f"{path}: line {line}", "", remedy):
            values = {name: json.loads(cell or "null") for name, cell in cells.items()}
            epochs.append(from_json(Epoch, values))
    return epochs


@dataclass(frozen=True)
class TrainingState:
    """The complete epochs of a training, and the progress of the current one.

    Checkpoints store this value.
    """

    history: tuple[Epoch, ...] = ()  # the complete epochs, oldest first
    step: int = 0  # number of steps since the training began, in all epochs
    samples: int = 0  # number of samples that the current epoch has used
    # seconds of the whole training, validation and writing included; the time between an
    # interruption and the resume does not count
    elapsed: float = 0.0
    seconds: float = 0.0  # seconds of training in the current epoch
    waited: float = 0.0  # the part of `seconds` that was spent waiting for data
    # `elapsed` when the first call of the training step, which compiles it, had ended; 0 before
    begun: float = 0.0
    model_epoch: int = 0  # whose weights the model file to keep has, from 1

    @property
    def epoch(self) -> int:
        return len(self.history)

    @property
    def best(self) -> Epoch:
        return best_epoch(self.history)

    def after_epoch(self, figures: Epoch) -> "TrainingState":
        """Return the state at the beginning of the next epoch. figures: of the complete one."""
        return replace(self, history=(*self.history, figures), samples=0, seconds=0.0, waited=0.0)


def epoch_summary(state: TrainingState) -> str:
    last = state.history[-1]
    validation = ""
    if last.val_loss is not None:
        validation = f", val_loss {last.val_loss:.4f}, val_mae {last.val_mae:.4f}"
    best = " (best)" if state.best.epoch == last.epoch else ""
    return (
        f"epoch {last.epoch}: loss {last.loss:.4f}{validation}{best}, "
        f"{last.samples_per_second:.0f} samples/s, {last.data_wait_share:.1%} waiting for data"
    )
