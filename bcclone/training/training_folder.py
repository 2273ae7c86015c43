"""The files of one training in its run folder, runs/NAME/: written by the training, read by a
resume.

In: settings, environment and results as values. Out: JSON and TOML files, which users may read,
too.
"""

import datetime
import glob
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w

from bcclone.system import atomic
from bcclone.system.codec import read_bytes, read_json
from bcclone.system.errors import UserError
from bcclone.system.json_values import names_of, to_json
from bcclone.system.output import locked
from bcclone.system.settings import SettingError
from bcclone.system.settings_file import key_of, read_settings_file
from bcclone.training.train_settings import RunFiles, TrainSettings, values_of
from bcclone.training.training_state import Epoch, TrainResult, history_csv

START_NAME = "start.h5"  # in a run folder: the model that the run began with
_SETTINGS, _RESULT = "settings.json", "result.json"
_GIT_SECONDS = 10


@dataclass(frozen=True)
class RunIdentity:
    """What identifies a run for --resume: the store, its content and the model file to write."""

    store: str
    content_hash: str
    output: str


@dataclass(frozen=True)
class RunRecord:
    """What settings.json holds of a run.

    started: date and time, ISO 8601; force: whether the run may overwrite the output; published:
    SHA-256 of the model that it wrote there last, None before.
    """

    identity: RunIdentity
    started: str
    settings: TrainSettings
    force: bool = False
    published: str | None = None


class RunFolder:
    """The files of one run: settings, environment, history, checkpoints, model, plots, result."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.model = path / "model.h5"
        self.resolved, self.tensorboard = path / "settings.toml", path / "tensorboard"
        self._start = path / START_NAME

    @classmethod
    def create(cls, path: Path, identity: RunIdentity, settings: TrainSettings) -> "RunFolder":
        """Make the folder of a new run, with a copy of its start; raises UserError when it exists."""
        if path.is_dir() and any(path.iterdir()):
            raise UserError(
                f"{path}: this run exists already; choose another --name, or continue it with --resume and the same "
                "store and output"
            )
        atomic.make_folder(path, "other --runs")
        folder = cls(path)
        if settings.start:  # a copy, since a resume needs the model even if the original is gone
            atomic.write_bytes(folder._start, read_bytes(settings.start, "model"))
        folder._write_record(
            RunRecord(identity, datetime.datetime.now().isoformat(), settings, settings.force)
        )
        return folder

    @classmethod
    def find(cls, runs: Path, identity: RunIdentity, name: str | None = None) -> "RunFolder | None":
        """Return the newest run of this identity, or None. name: consider this run only.

        Folders that are not runs are ignored.
        """
        runs_by_time = []
        for path in runs.glob(f"{glob.escape(name) if name else '*'}/{_SETTINGS}"):
            run = cls(path.parent)
            record = run.find_record()
            if record and record.identity == identity:
                runs_by_time.append((record.started, run))
        return max(runs_by_time, key=lambda entry: entry[0])[1] if runs_by_time else None

    @property
    def settings(self) -> TrainSettings:
        return self._record.settings

    @property
    def start(self) -> Path | None:
        """Return the model that the run began with, None for an untrained network."""
        return self._start if self._start.exists() else None

    def locked(self) -> AbstractContextManager[None]:
        """Lock the run against other trainings within the block; raises UserError while another one
        holds the lock.
        """
        return locked(self.path, "wait until it ends, or begin a new run without --resume")

    @property
    def may_overwrite(self) -> bool:
        """Return whether the run was begun with --force and has not written the output yet."""
        return self._record.force and not self._record.published

    @property
    def _record(self) -> RunRecord:
        record = self.find_record()
        if record is None:
            raise UserError(
                f"{self.path / _SETTINGS}: damaged, expected the settings of a run; train again without --resume"
            )
        return record

    def find_record(self) -> RunRecord | None:
        """Return the content of settings.json; None when the folder is not a run, or the file is
        damaged.
        """
        with suppress(UserError):
            return read_json(self.path / _SETTINGS, RunRecord, "the settings of a run", "")
        return None

    def _write_record(self, record: RunRecord) -> None:
        content = to_json(record) | {"settings": values_of(record.settings)}  # without its files
        atomic.write_text(self.path / _SETTINGS, json.dumps(content, indent=2))

    @property
    def result(self) -> TrainResult | None:
        """Return the result of the run, or None while it is unfinished."""
        with suppress(
            UserError
        ):  # an unreadable older result: finish again from the last checkpoint
            return replace(
                read_json(self.path / _RESULT, TrainResult, "the result of a run", ""),
                run=self.path,
            )
        return None

    def record(self, settings: TrainSettings, environment: Mapping[str, Any]) -> None:
        """Record the settings and the environment that the run is trained with from now on; it is
        unfinished again.

        environment.json keeps those before a resume, too; one that differs in the command alone is
        not added.
        """
        (self.path / _RESULT).unlink(missing_ok=True)
        self._write_record(replace(self._record, settings=settings))
        atomic.write_text(self.resolved, settings_as_text(settings))
        path, described = self.path / "environment.json", dict(environment)
        kind, remedy = list[dict[str, Any]], "remove the file to continue without it"
        earlier = read_json(path, kind, "the environment of a run", remedy) if path.exists() else []
        if described | {"command": None} not in [noted | {"command": None} for noted in earlier]:
            atomic.write_text(path, json.dumps([*earlier, described], indent=2))

    def publish(self, output: Path, model: bytes) -> None:
        """Write the model to the output with a settings file, and record that the output is of this
        run.
        """
        atomic.write_bytes(output, model, follow=True)
        atomic.write_bytes(settings_path(output), read_bytes(self.resolved, "json"))
        self._write_record(replace(self._record, published=hashlib.sha256(model).hexdigest()))

    def has_published(self, output: Path) -> bool:
        """Return whether this run wrote `output`, also before it was extended."""
        if not output.is_file():
            return False
        content = read_bytes(output, "model")
        if self.model.is_file() and content == read_bytes(self.model, "model"):
            return True  # the run was killed before it recorded the copy
        return hashlib.sha256(content).hexdigest() == self._record.published

    def write_result(self, result: TrainResult) -> None:
        """Write result.json, which marks the run as complete."""
        atomic.write_text(self.path / _RESULT, json.dumps(result.as_json(), indent=2))

    def write_history(self, history: Sequence[Epoch]) -> None:
        atomic.write_text(self.path / "history.csv", history_csv(history))


# ---- the settings, as a TOML file with the names of the options


def settings_path(output: Path) -> Path:
    """Return the path of the settings file beside a model: model.settings.toml for model.h5."""
    return output.with_suffix(".settings.toml")


def settings_as_text(settings: TrainSettings) -> str:
    return tomli_w.dumps(
        {key_of(name): value for name, value in values_of(settings).items() if value is not None}
    )


def read_settings(path: Path, output: Path) -> dict[str, Any]:
    """Return the settings in a TOML file, by field name.

    Raises UserError for a file that is wrong, or that would be overwritten by the settings of the
    model `output`.
    """
    if path.resolve() == settings_path(output).resolve():
        raise UserError(
            f"{path} will be overwritten with the settings of this training; copy it to another name, or change -o"
        )
    values = read_settings_file(path, TrainSettings, without=names_of(RunFiles))
    try:
        TrainSettings(**values)
    except SettingError as error:
        raise UserError(f"{path}: {error.naming(key_of)}") from None
    return values


# ---- the machine


def describe_environment() -> dict[str, Any]:
    """Return what this process runs with, as environment.json holds it; TensorFlow is loaded here.

    command: the words of the command line; gpus: a description of each GPU that is used; cuda: the
    version that TensorFlow was built for; packages: version by name; git: of this code, None
    outside of a checkout.
    """
    from importlib import metadata

    import psutil
    import tensorflow as tf

    from bcclone.system.tensorflow_quietly import used_gpus

    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpus": [gpu.describe() for gpu in used_gpus()],
        "cuda": tf.sysconfig.get_build_info().get("cuda_version"),
        "packages": dict(
            sorted((entry.name, entry.version) for entry in metadata.distributions() if entry.name)
        ),
        "git": _git_state(Path(__file__).parent),
    }


def _git_state(folder: Path) -> dict[str, Any] | None:
    """Return commit and changed files of a folder's git checkout; None without a checkout or
    without git.
    """

    def git(*words: str) -> str:
        line = ["git", "-C", str(folder), *words]
        return subprocess.run(
            line, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        ).stdout

    try:
        if not git("ls-files"):  # an installed package may be in another's checkout
            return None
        commit, changed = (
            git("rev-parse", "HEAD"),
            git("status", "--porcelain", "--untracked-files=no"),
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.strip(), "changed": [line[3:] for line in changed.splitlines()]}
