"""Write and read history.csv of a run folder, a row with the figures of each epoch."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from bcclone.system.errors import UserError
from bcclone.system.json_values import from_json
from bcclone.system.reading import MOST_TABLE, read_limited

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
    """Return the epoch with the smallest score, the first of equal ones."""
    return min(history, key=lambda epoch: epoch.score)


def history_csv(history: Sequence[Epoch]) -> str:
    """Return the content of history.csv."""
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(Epoch)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(epoch) for epoch in history)
    return text.getvalue()


def read_history(path: Path) -> list[Epoch]:
    """Read a history.csv; raises UserError if it is not one."""
    epochs: list[Epoch] = []
    try:
        for row in csv.DictReader(io.StringIO(read_limited(path, MOST_TABLE).decode(), newline="")):
            validation = {name: float(row[name]) if row[name] else None for name in ("val_loss", "val_mae")}
            numbers = {each.name: float(row[each.name]) for each in fields(Epoch) if each.name not in validation}
            epochs.append(from_json(Epoch, numbers | validation | {"epoch": int(row["epoch"])}))
    except (csv.Error, KeyError, ValueError, TypeError) as error:
        reason = f"there is no column {error}" if isinstance(error, KeyError) else "a number is missing or invalid"
        raise UserError(
            f"{path}: row {len(epochs) + 2}: {reason}, expected the history of a run; "
            "remove the file to continue without it"
        ) from None
    return epochs
