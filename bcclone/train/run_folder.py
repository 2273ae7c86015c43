"""runs/NAME/: everything that one training leaves behind, in a folder that no other training touches."""

import csv
import datetime
import glob
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bcclone import atomic
from bcclone.errors import UserError
from bcclone.feed.settings import FeedSettings
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


def new_path(runs: Path, name: str | None) -> Path:
    """Return where a new run is to lie; without a name one of date and time that is free.

    Raises UserError for a name that is none of a folder.
    """
    if name is not None:
        if name in ("", ".", "..") or Path(name).name != name:
            raise UserError(f"--name {name!r}, expected the name of a folder in {runs}")
        return runs / name
    begun = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    path, number = runs / begun, 1
    while path.exists():
        number += 1
        path = runs / f"{begun}~{number}"
    return path


class RunFolder:
    """The files of one run: settings, history, checkpoint, best model, plot, result."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = path / "checkpoint.h5"
        self.best_model = path / "best.h5"
        self.plot = path / "history.png"

    @classmethod
    def create(
        cls, path: Path, task: Task, settings: TrainSettings, feed: FeedSettings, force: bool = False
    ) -> "RunFolder":
        """Make the folder of a new run; raises UserError where it exists.

        force: the run may write over the output that is there.
        """
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            raise UserError(
                f"{path}: this run exists already; choose another --name, or continue it with --resume and the store "
                "and the output that it was begun with"
            ) from None
        except OSError as error:
            raise UserError(f"{path}: cannot make the run folder: {error.strerror}") from None
        folder = cls(path)
        begun = datetime.datetime.now().isoformat()
        stored = {"task": asdict(task), "begun": begun, "force": force, "settings": asdict(settings)}
        folder._store(stored | {"feed": asdict(feed)})
        return folder

    @classmethod
    def find(cls, runs: Path, task: Task, name: str | None = None) -> "RunFolder | None":
        """Return the unfinished run of this task that was begun last, else the complete one, else None.

        With a name only that run counts. Folders that are no runs are passed over.
        """
        found = []
        for path in runs.glob(f"{glob.escape(name) if name else '*'}/{_SETTINGS}"):
            run = cls(path.parent)
            stored = run._stored()
            if stored and stored["task"] == asdict(task):
                found.append((run.result is None, stored["begun"], run))
        return max(found, key=lambda entry: entry[:2])[2] if found else None

    @property
    def settings(self) -> TrainSettings:
        """Return the settings that the run was begun with."""
        return TrainSettings(**(self._stored() or {})["settings"])

    @property
    def feed(self) -> FeedSettings:
        """Return the feed that the run was begun with."""
        return FeedSettings(**(self._stored() or {}).get("feed", {}))

    @property
    def may_overwrite(self) -> bool:
        """Return True when the run was begun with leave to write over the output, and has not done so yet."""
        stored = self._stored() or {}
        return bool(stored.get("force")) and "published" not in stored

    def _stored(self) -> dict[str, Any] | None:
        """Return settings.json, or None when it is none of ours."""
        try:
            stored = json.loads((self.path / _SETTINGS).read_text(encoding="utf-8"))
            TrainSettings(**stored["settings"])
            FeedSettings(**stored.get("feed", {}))  # which older runs do not have
            return stored if {"task", "begun"} <= set(stored) else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _store(self, stored: Mapping[str, Any]) -> None:
        atomic.write_text(self.path / _SETTINGS, json.dumps(stored, indent=2))

    @property
    def result(self) -> dict[str, Any] | None:
        """Return what the run came to, or None while it is unfinished."""
        path = self.path / _RESULT
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def extend(self, epochs: int) -> None:
        """Let the run go on to a later epoch; it is unfinished again."""
        stored = self._stored() or {}
        stored["settings"]["epochs"] = epochs
        (self.path / _RESULT).unlink(missing_ok=True)
        self._store(stored)

    def publish(self, output: Path) -> None:
        """Copy the best model to where the user wants it, and remember that it is this run's."""
        content = self.best_model.read_bytes()
        with atomic.replacing(output) as temporary:
            temporary.write_bytes(content)
        stored = self._stored() or {}
        stored["published"] = hashlib.sha256(content).hexdigest()
        self._store(stored)

    def has_published(self, output: Path) -> bool:
        """Return True when `output` is what this run put there, now or before it was extended."""
        if not output.is_file():
            return False
        content = output.read_bytes()
        if self.best_model.is_file() and content == self.best_model.read_bytes():
            return True  # killed between the copy and the note of it
        return hashlib.sha256(content).hexdigest() == (self._stored() or {}).get("published")

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
