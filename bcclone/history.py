"""What each epoch of a training came to <-> history.csv of its run folder."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TypeVar

from bcclone.errors import UserError


@dataclass(frozen=True)
class Epoch:
    """How well an epoch went: errors of the steering, -1 to 1, over all samples; val_loss and val_mae are None without
    validation samples."""

    epoch: int
    loss: float
    mae: float
    val_loss: float | None
    val_mae: float | None
    learning_rate: float

    @property
    def score(self) -> float:
        """Return what the best epoch has least of: the validation loss, or the loss where there is none."""
        return self.loss if self.val_loss is None else self.val_loss

    @property
    def is_finite(self) -> bool:
        """Return False when the training has diverged."""
        return math.isfinite(self.loss) and math.isfinite(self.score)


@dataclass(frozen=True)
class EpochFigures(Epoch):
    """One row of history.csv: how well an epoch went, and how fast. seconds: of its training."""

    seconds: float
    samples_per_second: float
    data_wait_share: float


_Some = TypeVar("_Some", bound=Epoch)


def best_epoch(history: Sequence[_Some]) -> _Some:
    """Return the epoch of least validation loss, or of least loss where there is none; the earlier of equals."""
    return min(history, key=lambda epoch: epoch.score)


def history_csv(history: Sequence[EpochFigures]) -> str:
    """Return the table of the epochs."""
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(EpochFigures)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(figures) for figures in history)
    return text.getvalue()


def read_history(path: Path) -> list[Epoch]:
    """Read how well the epochs of a run went from its history.csv; raises UserError where it is none."""
    epochs: list[Epoch] = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                epochs.append(_epoch(row))
    except (csv.Error, KeyError, ValueError, TypeError) as error:
        lacks = f"it has no column {error}" if isinstance(error, KeyError) else "a number is missing, or is none"
        raise UserError(
            f"{path}: row {len(epochs) + 2}: {lacks}; it is not the history of a run: remove it, and it is left out"
        ) from None
    return epochs


def _epoch(row: dict[str, str]) -> Epoch:
    validation = [float(row[name]) if row[name] else None for name in ("val_loss", "val_mae")]
    rate = float(row["learning_rate"])
    return Epoch(int(row["epoch"]), float(row["loss"]), float(row["mae"]), validation[0], validation[1], rate)
