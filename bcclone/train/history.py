"""The losses of each epoch <-> history.csv in the run folder, a row for each epoch."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TypeVar

from bcclone.system.errors import UserError

START_NAME = "start.h5"  # beside it in a run folder: the model that the run began with


@dataclass(frozen=True)
class Epoch:
    """The errors of one epoch, of steering from -1 to 1, over all samples.

    val_loss, val_mae: None without validation samples.
    """

    epoch: int
    loss: float
    mae: float
    val_loss: float | None
    val_mae: float | None
    learning_rate: float

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


@dataclass(frozen=True)
class EpochFigures(Epoch):
    """One row of history.csv: the errors of an epoch and its speed.

    seconds: of training, without validation; data_wait_share: fraction of them spent waiting for data.
    """

    seconds: float
    samples_per_second: float
    data_wait_share: float


_AnyEpoch = TypeVar("_AnyEpoch", bound=Epoch)


def best_epoch(history: Sequence[_AnyEpoch]) -> _AnyEpoch:
    """Return the epoch with the smallest score, the first of equal ones."""
    return min(history, key=lambda epoch: epoch.score)


def history_csv(history: Sequence[EpochFigures]) -> str:
    """Return the content of history.csv."""
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(EpochFigures)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(figures) for figures in history)
    return text.getvalue()


def read_history(path: Path) -> list[Epoch]:
    """Read a history.csv; raises UserError if it is not one."""
    epochs: list[Epoch] = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                epochs.append(_epoch(row))
    except (csv.Error, KeyError, ValueError, TypeError) as error:
        reason = f"there is no column {error}" if isinstance(error, KeyError) else "a number is missing or invalid"
        raise UserError(
            f"{path}: row {len(epochs) + 2}: {reason}, expected the history of a run; "
            "remove the file to continue without it"
        ) from None
    return epochs


def _epoch(row: dict[str, str]) -> Epoch:
    validation = [float(row[name]) if row[name] else None for name in ("val_loss", "val_mae")]
    rate = float(row["learning_rate"])
    return Epoch(int(row["epoch"]), float(row["loss"]), float(row["mae"]), validation[0], validation[1], rate)
