"""runs/NAME/: everything that one training leaves behind, in a folder that no other training touches."""

import csv
import datetime
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bcclone import atomic
from bcclone.errors import UserError
from bcclone.train.settings import TrainSettings

_SETTINGS, _RESULT = "settings.json", "result.json"


@dataclass(frozen=True)
class Task:
    """What a run is for: the store (and which content of it) and the model to write."""

    store: str
    content_hash: str
    output: str


@dataclass(frozen=True)
class EpochFigures:
    """One row of history.csv. val_loss and val_mae are None without validation samples."""

    epoch: int
    loss: float
    mae: float
    val_loss: float | None
    val_mae: float | None
    learning_rate: float
    seconds: float
    samples_per_second: float
    data_wait_share: float

    @property
    def score(self) -> float:
        """Return what the best epoch has least of: the validation loss, or the loss where there is none."""
        return self.loss if self.val_loss is None else self.val_loss


class RunFolder:
    """The files of one run: settings, history, checkpoint, best model, plot, result."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = path / "checkpoint.h5"
        self.best_model = path / "best.h5"
        self.plot = path / "history.png"

    @classmethod
    def create(cls, runs: Path, name: str | None, task: Task, settings: TrainSettings) -> "RunFolder":
        """Make the folder of a new run; raises UserError where the name is taken."""
        path = runs / (name or datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))
        number = 1
        while name is None and path.exists():
            number += 1
            path = path.with_name(f"{path.name.partition('~')[0]}~{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            raise UserError(
                f"{path}: this run exists already; choose another --name, or continue it with --resume"
            ) from None
        except OSError as error:
            raise UserError(f"{path}: cannot make the run folder: {error.strerror}") from None
        folder = cls(path)
        stored = {"task": asdict(task), "begun": datetime.datetime.now().isoformat(), "settings": asdict(settings)}
        atomic.write_text(path / _SETTINGS, json.dumps(stored, indent=2))
        return folder

    @classmethod
    def newest(cls, runs: Path, task: Task) -> "RunFolder | None":
        """Return the run of this task that was begun last, or None."""
        found = []
        for settings in runs.glob(f"*/{_SETTINGS}"):
            stored = json.loads(settings.read_text(encoding="utf-8"))
            if stored["task"] == asdict(task):
                found.append((stored["begun"], settings.parent))
        return cls(max(found)[1]) if found else None

    @property
    def settings(self) -> TrainSettings:
        """Return the settings that the run was begun with."""
        stored = json.loads((self.path / _SETTINGS).read_text(encoding="utf-8"))
        return TrainSettings(**stored["settings"])

    @property
    def result(self) -> dict[str, Any] | None:
        """Return what the run came to, or None while it is unfinished."""
        path = self.path / _RESULT
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def extend(self, epochs: int) -> None:
        """Let the run go on to a later epoch; it is unfinished again."""
        path = self.path / _SETTINGS
        stored = json.loads(path.read_text(encoding="utf-8"))
        stored["settings"]["epochs"] = epochs
        (self.path / _RESULT).unlink(missing_ok=True)
        atomic.write_text(path, json.dumps(stored, indent=2))

    def publish(self, output: Path) -> None:
        """Copy the best model to where the user wants it."""
        with atomic.replacing(output) as temporary:
            shutil.copyfile(self.best_model, temporary)

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Mark the run as complete."""
        atomic.write_text(self.path / _RESULT, json.dumps(result, indent=2))

    def write_history(self, history: Sequence[EpochFigures]) -> None:
        """Write history.csv anew."""
        text = io.StringIO()
        table = csv.DictWriter(text, list(EpochFigures.__dataclass_fields__), lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(figures) for figures in history)
        atomic.write_text(self.path / "history.csv", text.getvalue())
