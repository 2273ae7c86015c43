"""runs/NAME/: everything that one training leaves behind, in a folder that no other training touches."""

import datetime
import glob
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import filelock
import tomli_w

from bcclone import atomic
from bcclone.errors import UserError
from bcclone.feed.settings import FeedSettings
from bcclone.train.settings import TrainSettings

_SETTINGS, _RESULT, _RESOLVED = "settings.json", "result.json", "settings.toml"


@dataclass(frozen=True)
class Task:
    """What a run is for: the store (and which content of it) and the model to write."""

    store: str
    content_hash: str
    output: str


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


@dataclass(frozen=True)
class Plan:
    """How a run trains. start: the model that it begins with, None for an untrained network."""

    settings: TrainSettings
    feed: FeedSettings
    start: Path | None = None


class RunFolder:
    """The files of one run: settings, environment, history, checkpoints, best model, plots, result."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.best_model = path / "best.h5"
        self.plots = path / "plots"
        self._start = path / "start.h5"

    @classmethod
    def create(cls, path: Path, task: Task, plan: Plan, force: bool = False) -> "RunFolder":
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
        if plan.start:  # a copy, since a resume needs it, whatever becomes of the original
            atomic.write_bytes(folder._start, plan.start.read_bytes())
        stored = {"task": asdict(task), "begun": begun, "force": force}
        folder._store(stored | {"settings": asdict(plan.settings), "feed": asdict(plan.feed)})
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
    def start(self) -> Path | None:
        """Return the model that the run began with, or None for an untrained network."""
        return self._start if self._start.exists() else None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other trainings out of the run until the block is left; raises UserError while another one is in it."""
        try:
            with filelock.FileLock(self.path / ".lock", timeout=0):
                yield
        except filelock.Timeout:
            raise UserError(
                f"{self.path}: another process is training this run; wait for its end, or begin a new run without "
                "--resume"
            ) from None

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

    def extend(self, settings: TrainSettings) -> None:
        """Let the run go on to a later epoch, or for longer; it is unfinished again."""
        stored = self._stored() or {}
        stored["settings"] = asdict(settings)
        (self.path / _RESULT).unlink(missing_ok=True)
        self._store(stored)

    def note_environment(self, environment: Mapping[str, Any]) -> None:
        """Write what the run is trained on into environment.json, behind what it was on before a resume."""
        path = self.path / "environment.json"
        earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        if dict(environment) not in earlier:
            atomic.write_text(path, json.dumps([*earlier, environment], indent=2))

    def write_settings(self, values: Mapping[str, Any]) -> None:
        """Write all settings, by the names of the options, as a file that --settings takes."""
        atomic.write_text(self.path / _RESOLVED, tomli_w.dumps(values))

    def publish(self, output: Path) -> None:
        """Copy the best model to where the user wants it, its settings beside it, and note that it is this run's."""
        content = self.best_model.read_bytes()
        atomic.write_bytes(output, content)
        if (resolved := self.path / _RESOLVED).exists():
            atomic.write_bytes(settings_beside(output), resolved.read_bytes())
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

    def write_history(self, table: str) -> None:
        """Write history.csv anew."""
        atomic.write_text(self.path / "history.csv", table)


def settings_beside(output: Path) -> Path:
    """Return where the settings of a model are written: model.settings.toml beside model.h5."""
    return output.with_suffix(".settings.toml")
