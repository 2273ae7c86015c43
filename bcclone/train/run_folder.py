"""runs/NAME/: everything that one training leaves behind, in a folder that no other training touches."""

import contextlib
import datetime
import glob
import hashlib
import itertools
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
# how runs trained that were begun before these could be chosen
_BEFORE: Mapping[str, Any] = {"augment": False, "weight_decay": 0.0, "keep": "best", "augment_on": "cpu"}


@dataclass(frozen=True)
class Task:
    """What a run is for: the store (and which content of it) and the model to write."""

    store: str
    content_hash: str
    output: str


def check_name(runs: Path, name: str) -> None:
    """Raise UserError for a name that is none of a folder in `runs`."""
    if name in ("", ".", "..") or Path(name).name != name:
        raise UserError(f"--name {name!r}, expected the name of a folder in {runs}")


def new_path(runs: Path, name: str | None) -> Path:
    """Return where a new run is to lie; without a name in a new folder, of date and time.

    Raises UserError for a name that is none of a folder.
    """
    if name is not None:
        check_name(runs, name)
        return runs / name
    begun = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for number in itertools.count(1):
        path = runs / (begun if number == 1 else f"{begun}~{number}")
        with contextlib.suppress(FileExistsError):  # another one may begin in the same second
            path.mkdir(parents=True)
            return path
    raise AssertionError("there are always more numbers")


@dataclass(frozen=True)
class Plan:
    """How a run trains. start: the model that it begins with, None for an untrained network."""

    settings: TrainSettings
    feed: FeedSettings
    start: Path | None = None


class RunFolder:
    """The files of one run: settings, environment, history, checkpoints, model, plots, result."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.model = path / "model.h5"
        self.plots = path / "plots"
        self._start = path / "start.h5"

    @classmethod
    def create(cls, path: Path, task: Task, plan: Plan, force: bool = False) -> "RunFolder":
        """Make the folder of a new run; raises UserError where it exists.

        force: the run may write over the output that is there.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            beginnings = {entry.name for entry in path.iterdir()} - {"start.h5"}
        except OSError as error:
            raise UserError(f"{path}: cannot make the run folder: {error.strerror}; choose other --runs") from None
        if any(".partial" not in name for name in beginnings):  # those of a run killed as it began do not count
            raise UserError(
                f"{path}: this run exists already; choose another --name, or continue it with --resume and the store "
                "and the output that it was begun with"
            )
        folder = cls(path)
        begun = datetime.datetime.now().isoformat()
        if plan.start:  # a copy, since a resume needs it, whatever becomes of the original
            atomic.write_bytes(folder._start, plan.start.read_bytes())
        stored = {"task": asdict(task), "begun": begun, "force": force}
        folder._store(stored | {"settings": asdict(plan.settings), "feed": asdict(plan.feed)})
        return folder

    @classmethod
    def find(cls, runs: Path, task: Task, name: str | None = None) -> "RunFolder | None":
        """Return the run of this task that was begun last, or None.

        With a name only that run counts. Folders that are no runs are passed over.
        """
        found = []
        for path in runs.glob(f"{glob.escape(name) if name else '*'}/{_SETTINGS}"):
            run = cls(path.parent)
            stored = run._stored()
            if stored and stored["task"] == asdict(task):
                found.append((stored["begun"], run))
        return max(found, key=lambda entry: entry[0])[1] if found else None

    @property
    def task(self) -> Task | None:
        """Return what the run is for; None where the folder is no run."""
        stored = self._stored()
        return Task(**stored["task"]) if stored else None

    @property
    def settings(self) -> TrainSettings:
        """Return the settings that the run was begun with."""
        return _settings((self._stored() or {})["settings"])

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
            _settings(stored["settings"])
            FeedSettings(**stored.get("feed", {}))  # which older runs do not have
            return stored if {"task", "begun"} <= set(stored) else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _store(self, stored: Mapping[str, Any]) -> None:
        atomic.write_text(self.path / _SETTINGS, json.dumps(stored, indent=2))

    @property
    def result(self) -> dict[str, Any] | None:
        """Return what the run came to, or None while it is unfinished."""
        try:
            result: dict[str, Any] = json.loads((self.path / _RESULT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return result if "epoch" in result else None  # an older run ends once more, from its last checkpoint

    def extend(self, settings: TrainSettings) -> None:
        """Let the run go on to a later epoch, or for longer; it is unfinished again."""
        stored = self._stored() or {}
        stored["settings"] = asdict(settings)
        (self.path / _RESULT).unlink(missing_ok=True)
        self._store(stored)

    def note_environment(self, environment: Mapping[str, Any]) -> None:
        """Write what the run is trained on into environment.json, behind what it was on before a resume.

        The same machine with another command is noted once.
        """
        path, unlike = self.path / "environment.json", dict(environment, command=None)
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            earlier = []
        if unlike not in [dict(noted, command=None) for noted in earlier]:
            atomic.write_text(path, json.dumps([*earlier, environment], indent=2))

    def write_settings(self, values: Mapping[str, Any]) -> None:
        """Write all settings, by the names of the options, as a file that --settings takes."""
        atomic.write_text(self.path / _RESOLVED, tomli_w.dumps(values))

    def publish(self, output: Path, model: bytes) -> None:
        """Write the model to where the user wants it, its settings beside it, and note that it is this run's."""
        atomic.write_bytes(output, model)
        with contextlib.suppress(OSError):  # a run folder that is gone must not cost the model
            atomic.write_bytes(settings_beside(output), (self.path / _RESOLVED).read_bytes())
            stored = self._stored() or {}
            stored["published"] = hashlib.sha256(model).hexdigest()
            self._store(stored)

    def has_published(self, output: Path) -> bool:
        """Return True when `output` is what this run put there, now or before it was extended."""
        if not output.is_file():
            return False
        content = output.read_bytes()
        if self.model.is_file() and content == self.model.read_bytes():
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


def _settings(stored: Mapping[str, Any]) -> TrainSettings:
    return TrainSettings(**{**_BEFORE, **stored})
