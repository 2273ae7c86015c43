"""Write and read history.csv of a run folder, a row with the figures of each epoch."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bcclone.system.codec import explained, read_table, whole_number

START_NAME = "start.h5"  # beside it in a run folder: the model that the run began with


@dataclass(frozen=True)
class Epoch:
    """The errors of one epoch, of steering from -1 to 1, over all samples, and its speed: a row of history.csv.

    val_loss, val_mae: None without validation samples; seconds: of training, without validation; data_wait_share:
    fraction of them spent waiting for data.
    """

    epoch: int
    loss: float
    mae: float
    val_loss: float | None
    val_mae: float | None
    learning_rate: float
    seconds: float
    samples_per_second: float
    data_wait_share: float

    def __post_init__(self) -> None:
        if self.epoch < 1:  # of an edited history.csv
            raise ValueError(f"epoch {self.epoch}, expected 1 or more")

    @property
    def score(self) -> float:
        """Return the number that is smallest in the best epoch: the validation loss, or without one the loss."""
        return self.loss if self.val_loss is None else self.val_loss

    @property
    def is_finite(self) -> bool:
        """Return whether the losses are finite; they are not once the training has diverged."""
        return math.isfinite(self.loss) and math.isfinite(self.score)


def best_epoch(history: Sequence[Epoch]) -> Epoch:
    return min(history, key=lambda epoch: epoch.score)


def history_csv(history: Sequence[Epoch]) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(Epoch)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(epoch) for epoch in history)
    return text.getvalue()


def read_history(path: Path) -> list[Epoch]:
    """Read a history.csv; raises UserError if it is not one."""
    epochs: list[Epoch] = []
    what, remedy = "the history of a run", "remove the file to continue without it"
    for line, cells in read_table(path, [each.name for each in fields(Epoch)], what, remedy):
        with explained(f"{path}: line {line}", "", remedy):
            validation = {name: float(cells[name]) if cells[name] else None for name in ("val_loss", "val_mae")}
            numbers: dict[str, Any] = {name: float(cells[name]) for name in cells if name not in (*validation, "epoch")}
            epochs.append(Epoch(**numbers | validation, epoch=whole_number("epoch", cells["epoch"])))
    return epochs
