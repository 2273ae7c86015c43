"""The state of a training between two steps, and the figures of its complete epochs.

history_csv() turns the figures into the text of history.csv in a run folder, with a row for each
epoch; read_history() reads them back.
"""

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from bcclone.system.codec import explained, read_table
from bcclone.system.table import Table, TableColumn
from bcclone.system.values import from_json, names_of


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
