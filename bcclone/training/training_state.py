"""The state of a training between two steps, and the figures of its complete epochs.

history.csv in a run folder has a row with the figures of each epoch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

from bcclone.system.codec import explained, read_table, whole_number
from bcclone.system.json_values import names_of
from bcclone.system.table import Table, TableColumn


@dataclass(frozen=True)
class ValidationScore:
    """How well a driver agrees with the validation samples."""

    loss: float
    mae: float
    # the next two are of the recorded frames, without mirror images and side cameras
    correlation: float | None  # Pearson's, of steering and label, None if one of them is constant
    # fraction of the frames whose label is not small, with the steering on the label's side
    right_side: float | None

    def is_better_than(self, other: "ValidationScore") -> bool:
        """Return whether this driver is clearly better: by the correlation, else by the loss.

        On a nearly straight road the loss falls, too, when a network unlearns what a bend is.
        """
        equal_correlation = 0.05  # a smaller difference is noise
        more = (self.correlation or 0.0) - (other.correlation or 0.0)
        if abs(more) > equal_correlation:
            return more > 0
        equal_loss = 0.01  # a smaller fraction is noise
        return self.loss < (1 - equal_loss) * other.loss


@dataclass(frozen=True)
class Epoch:
    """The errors of one epoch, of steering from -1 to 1 over all samples, and its speed.

    A row of history.csv. Without validation samples, all val_ values are None.
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
        """Return what is smallest in the best epoch: the validation loss, or else the loss."""
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
            epochs.append(_epoch_of(cells))
    return epochs


def _epoch_of(cells: Mapping[str, str]) -> Epoch:
    """Return the epoch in a row of history.csv; raises ValueError for a cell that is no number."""
    values: dict[str, Any] = {}
    for name, cell in cells.items():
        if name == "epoch":
            values[name] = whole_number(name, cell)
        elif name.startswith("val_") and not cell:
            values[name] = None
        else:
            values[name] = float(cell)
    return Epoch(**values)


@dataclass(frozen=True)
class TrainingState:
    """The complete epochs of a training, and the progress of the current one.

    A checkpoint holds it; only the loop replaces it.
    """

    history: tuple[Epoch, ...] = ()
    step: int = 0  # steps taken in all
    samples: int = 0  # number used in this epoch
    elapsed: float = 0.0  # seconds since the training began, with validation and writing
    seconds: float = 0.0  # spent on this epoch's training
    waited: float = 0.0  # how many of them were spent waiting for data
    # how many of the elapsed seconds the first call of the step took, and that after each resume
    compiling: float = 0.0

    @property
    def epoch(self) -> int:
        return len(self.history)

    @property
    def best(self) -> Epoch:
        return best_epoch(self.history)

    def kept(self, keep: str) -> Epoch:
        return self.best if keep == "best" else self.history[-1]

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
