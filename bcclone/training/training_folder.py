"""Read and write the files in a run folder, runs/NAME/, from which a training can be resumed.

In: settings, environment and results as values. Out: JSON, CSV and TOML files, which users may
read, too.
"""

import datetime
import glob
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w

from bcclone.system.codec import read_bytes, read_json
from bcclone.system.errors import UserError
from bcclone.system.files import locked, make_folder, write_bytes, write_text
from bcclone.system.settings import SettingError, key_of, read_settings_file
from bcclone.system.values import names_of, to_json
from bcclone.training.result import TrainResult
from bcclone.training.train_settings import RunFiles, TrainSettings, values_of
from bcclone.training.training_state import Epoch, history_csv

# in a run folder
START_NAME = "start.h5"  # the model that the run began with
_SETTINGS = "settings.json"
_RESULT = "result.json"


@dataclass(frozen=True)
class RunIdentity:
    """What identifies a run for --resume: the store, its content and the model file to write."""

    store: str  # absolute path or URL
    content_hash: str
    output: str  # absolute path


@dataclass(frozen=True)
class RunRecord:
    """The content of settings.json, which identifies a run."""

    identity: RunIdentity
    started: str  # date and time, ISO 8601
    settings: TrainSettings
    force: bool = False  # whether the run was begun with --force, so may overwrite the output
    # SHA-256 of the model that the run last wrote to the output; None before it wrote one
    published: str | None = None


def read_record(path: Path) -> RunRecord | None:
    """Return the content of a run folder's settings.json; None if it is missing or damaged."""
    with suppress(UserError):
        return read_json(path / _SETTINGS, RunRecord, "the settings of a run", "")
    return None


class RunFolder:
    """The files of one run: settings, environment, history, checkpoints, model, plots, result.

    record: the content of settings.json; nobody else writes it while the output is locked
    """

    def __init__(self, path: Path, record: RunRecord) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.model = path / "model.h5"
        self.settings_file = path / "settings.toml"
        self.tensorboard = path / "tensorboard"
        self._start = path / START_NAME
        self._record = record

    @classmethod
    def create(cls, path: Path, identity: RunIdentity, settings: TrainSettings) -> "RunFolder":
        """Make the folder of a new run, with a copy of its start; raises UserError if it exists."""
        if path.is_dir() and any(path.iterdir()):
            raise UserError(
                f"{path}: this run exists already; choose another --name, "
                "or continue it with --resume and the same store and output"
            )
        make_folder(path, "other --runs")
        started = datetime.datetime.now().isoformat()
        record = RunRecord(identity, started, settings, settings.force)
        folder = cls(path, record)
        if settings.start:  # a copy, since a resume needs the model even if the original is gone
            write_bytes(folder._start, read_bytes(settings.start, "model"))
        folder._write_record(record)
        return folder

    @classmethod
    def find(
        cls,
        runs: Path,
        identity: RunIdentity,
        name: str | None = None,
        any_output: bool = False,
    ) -> "RunFolder | None":
        """Return the newest run of this identity, or None.

        Folders that are not runs are ignored.

        runs: the folder that holds the run folders
        name: name of a run folder, to consider this one only
        any_output: consider the runs for other outputs, too
        """
        newest = None
        newest_time = ""
        folders = glob.escape(name) if name else "*"
        for path in runs.glob(f"{folders}/{_SETTINGS}"):
            record = read_record(path.parent)
            if record is None:
                continue
            wanted = replace(identity, output=record.identity.output) if any_output else identity
            if record.identity == wanted and record.started > newest_time:
                newest = cls(path.parent, record)
                newest_time = record.started
        return newest

    @property
    def output(self) -> str:
        """Return the absolute path of the model file that the run writes."""
        return self._record.identity.output

    @property
    def settings(self) -> TrainSettings:
        return self._record.settings

    def find_start(self) -> Path | None:
        """Return the path of the start model's copy, None if the run began untrained."""
        return self._start if self._start.exists() else None

    def locked(self) -> AbstractContextManager[None]:
        """Lock the run against other trainings within the block.

        Raises UserError while another one holds the lock.
        """
        return locked(self.path, "wait until it ends, or begin a new run without --resume")

    @property
    def forces_first_write(self) -> bool:
        """Return whether the run was begun with --force and has not written the output yet."""
        return self._record.force and not self._record.published

    def _write_record(self, record: RunRecord) -> None:
        # values_of() leaves out the fields of RunFiles, which a resume gets from its own options
        content = to_json(record) | {"settings": values_of(record.settings)}
        write_text(self.path / _SETTINGS, json.dumps(content, indent=2))
        self._record = record

    def read_result(self) -> TrainResult | None:
        """Return the result of the run, or None while it is unfinished."""
        # a result.json of an older version that cannot be read counts as unfinished: the resume
        # then ends the training again, from the last checkpoint
        with suppress(UserError):
            stored = read_json(self.path / _RESULT, TrainResult, "the result of a run", "")
            return replace(stored, run=self.path)
        return None

    def record(self, settings: TrainSettings, environment: Mapping[str, Any]) -> None:
        """Record the settings and the environment with which the run is trained from now on.

        The run counts as unfinished again: result.json is deleted. environment.json is a list with
        the environment of each resume; one that differs in the command alone is not added.
        """
        (self.path / _RESULT).unlink(missing_ok=True)
        self._write_record(replace(self._record, settings=settings))
        write_text(self.settings_file, settings_as_text(settings))
        path = self.path / "environment.json"
        earlier: list[dict[str, Any]] = []
        if path.exists():
            remedy = "remove the file to continue without it"
            earlier = read_json(path, list[dict[str, Any]], "the environment of a run", remedy)
        any_command = {"command": None}
        if dict(environment) | any_command not in [noted | any_command for noted in earlier]:
            write_text(path, json.dumps([*earlier, dict(environment)], indent=2))

    def publish(self, output: Path, model: bytes) -> None:
        """Write the model to the output with a settings file, and record that this run wrote it."""
        write_bytes(output, model, follow=True)
        # "json" only limits the size of the file
        write_bytes(settings_path(output), read_bytes(self.settings_file, "json"))
        self._write_record(replace(self._record, published=hashlib.sha256(model).hexdigest()))

    def has_published(self, output: Path) -> bool:
        """Return whether this run wrote the model file `output`, perhaps before a resume."""
        if not output.is_file():
            return False
        content = read_bytes(output, "model")
        if self.model.is_file() and content == read_bytes(self.model, "model"):
            # the file is the run's model, but its hash may not be recorded: the run may have been
            # killed between the two writes of publish()
            return True
        return hashlib.sha256(content).hexdigest() == self._record.published

    def write_result(self, result: TrainResult) -> None:
        """Write result.json, which marks the run as complete."""
        write_text(self.path / _RESULT, json.dumps(result.as_json(), indent=2))

    def write_history(self, history: Sequence[Epoch]) -> None:
        write_text(self.path / "history.csv", history_csv(history))


# ---- the settings, as a TOML file with the names of the options


def settings_path(output: Path) -> Path:
    """Return the path of the settings file beside a model: model.settings.toml for model.h5."""
    return output.with_suffix(".settings.toml")


def settings_as_text(settings: TrainSettings) -> str:
    """Return the settings as TOML; those that are None are left out, since TOML has no null."""
    values = values_of(settings)
    given = {key_of(name): value for name, value in values.items() if value is not None}
    return tomli_w.dumps(given)


def read_settings(path: Path, output: Path) -> dict[str, Any]:
    """Return the settings in a TOML file, by field name.

    Raises UserError for a file that is wrong, or that this training would overwrite.

    output: the model file that the training writes; its settings file is beside it
    """
    if path.resolve() == settings_path(output).resolve():
        raise UserError(
            f"{path} will be overwritten with the settings of this training; "
            "copy it to another name, or change -o"
        )
    values = read_settings_file(path, TrainSettings, without=names_of(RunFiles))
    try:
        TrainSettings(**values)
    except SettingError as error:
        raise UserError(f"{path}: {error.naming(key_of)}") from None
    return values
