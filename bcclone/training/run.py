"""A run: its folder, runs/NAME/, from which a training can be resumed, and what it may write.

In: settings, samples and the run folders of earlier trainings. Out: a new `Run`, or the one that is
resumed; and the files of its folder, JSON, CSV and TOML, which users may read, too.
"""

import datetime
import glob
import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from bcclone.dataset.store import Store
from bcclone.feed.feed_settings import AUTO, ORDERS
from bcclone.system.codec import read_bytes, read_json
from bcclone.system.errors import UserError
from bcclone.system.files import (
    MODEL,
    SETTINGS,
    check_output,
    inputs_of,
    make_folder,
    write_bytes,
    write_text,
)
from bcclone.system.process import Notify
from bcclone.system.settings import differences, option_of
from bcclone.system.values import names_of, to_json
from bcclone.training.decisions import fit_to_samples
from bcclone.training.result import TrainResult
from bcclone.training.train_settings import (
    FIXED,
    LEFT_OPEN,
    LIMITS,
    SETTINGS_OF_WEIGHTS,
    RunFiles,
    TrainSettings,
    settings_as_text,
    settings_path,
    values_of,
)
from bcclone.training.training_state import Epoch, history_csv

START_NAME = "start.h5"  # the model that the run began with, in its folder
_SETTINGS = "settings.json"
_RESULT = "result.json"


@dataclass(frozen=True)
class Record:
    """The content of a run folder's settings.json.

    Store, content and output identify the run for --resume.
    """

    store: str  # absolute path or URL
    content_hash: str
    output: str  # absolute path of the model file to write
    started: str  # date and time, ISO 8601
    settings: TrainSettings
    # SHA-256 of the model that the run last wrote to the output; None before it wrote one
    published: str | None = None

    def is_of(self, files: RunFiles, data: Store) -> bool:
        """Return whether a run with these files and samples would be this one."""
        asked = (_store_of(data), data.content_hash, os.path.realpath(files.output))
        return asked == (self.store, self.content_hash, self.output)


def _store_of(data: Store) -> str:
    return str(data.path.resolve())


def read_record(path: Path) -> Record | None:
    """Return the content of a run folder's settings.json; None if it is missing or damaged."""
    with suppress(UserError):
        return read_json(path / _SETTINGS, Record, "the settings of a run", "")
    return None


class Run:
    """A run, and the files in its folder: settings, environment, history, checkpoints, model, ...

    record: nobody else changes it, nor the folder, while the output is locked, of which each run
        has one
    settings: with which it is trained now; some may still be "auto": those that
        decisions.fit_to_device() sets
    is_new: whether it has no folder yet
    result: if the run is complete already
    """

    def __init__(
        self,
        path: Path,
        record: Record,
        settings: TrainSettings,
        is_new: bool = False,
        result: TrainResult | None = None,
    ) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.model = path / "model.h5"
        self.record = record
        self.settings = settings
        self.is_new = is_new
        self.result = result

    def make_folder(self) -> None:
        """Make the folder of a new run, with a copy of its start; raises UserError if it exists."""
        if self.path.is_dir() and any(self.path.iterdir()):
            raise UserError(
                f"{self.path}: this run exists already; choose another --name, "
                "or continue it with --resume and the same store and output"
            )
        make_folder(self.path, "other --runs")
        start = self.settings.start
        if start:  # a copy, since a resume needs the model even if the original is gone
            write_bytes(self.path / START_NAME, read_bytes(start, "model"))
        self._write_record(self.record)

    def begin(self, settings: TrainSettings, environment: Mapping[str, Any]) -> None:
        """Note the settings and the environment with which the run is trained from now on.

        The run counts as unfinished again: result.json is deleted. environment.json is a list with
        the environment of each resume.
        """
        self.settings = settings
        (self.path / _RESULT).unlink(missing_ok=True)
        self._write_record(replace(self.record, settings=settings))
        write_text(self.path / "settings.toml", settings_as_text(settings))
        path = self.path / "environment.json"
        earlier: list[dict[str, Any]] = []
        if path.exists():
            remedy = "remove the file to continue without it"
            earlier = read_json(path, list[dict[str, Any]], "the environment of a run", remedy)
        write_text(path, json.dumps([*earlier, dict(environment)], indent=2))

    def _write_record(self, record: Record) -> None:
        # values_of() leaves out the fields of RunFiles, which a resume gets from its own options
        content = to_json(record) | {"settings": values_of(record.settings)}
        write_text(self.path / _SETTINGS, json.dumps(content, indent=2))
        self.record = record

    def write_history(self, history: Sequence[Epoch]) -> None:
        write_text(self.path / "history.csv", history_csv(history))

    def read_result(self) -> TrainResult | None:
        """Return the result of the run, or None while it is unfinished."""
        # a result.json that cannot be read counts as unfinished: the resume then ends the training
        # again, from the last checkpoint
        with suppress(UserError):
            stored = read_json(self.path / _RESULT, TrainResult, "the result of a run", "")
            return replace(stored, run=self.path)
        return None

    def write_result(self, result: TrainResult) -> None:
        """Write result.json, which marks the run as complete."""
        write_text(self.path / _RESULT, json.dumps(result.as_json(), indent=2))

    # ---- the output

    def publish(self, output: Path, model: bytes) -> None:
        """Write the model to the output with a settings file, and note that this run wrote it."""
        write_bytes(output, model, follow=True)
        write_bytes(settings_path(output), (self.path / "settings.toml").read_bytes())
        self._write_record(replace(self.record, published=hashlib.sha256(model).hexdigest()))

    def has_published(self, output: Path) -> bool:
        """Return whether this run wrote the model file `output`, perhaps before a resume."""
        if self.is_new or not output.is_file():
            return False
        content = read_bytes(output, "model")
        if self.model.is_file() and content == read_bytes(self.model, "model"):
            # the file is the run's model, but its hash may not be noted: the run may have been
            # killed between the two writes of publish()
            return True
        return hashlib.sha256(content).hexdigest() == self.record.published

    def may_overwrite(self) -> bool:
        """Return whether the output, as it is now, may be replaced if it exists."""
        # a run may always replace the model that it has written itself
        return self.settings.force or self.has_published(self.settings.output)

    def check_output(self) -> None:
        """Raise UserError when the output may not be written, or its settings file beside it."""
        output = self.settings.output
        inputs = inputs_of(self.settings)
        overwrites = self.may_overwrite()
        check_output(output, MODEL, overwrites, inputs)
        # a settings file is written beside the model, so it must not overwrite the user's either
        path = settings_path(output)
        is_ours = (
            not self.is_new
            and path.is_file()
            and path.read_bytes() == settings_as_text(self.record.settings).encode()
        )
        check_output(path, SETTINGS, overwrites or is_ours, inputs)


# ---- a new run


def new_run(settings: TrainSettings, data: Store, notify: Notify, workers: int = 1) -> Run:
    """Return a new run, which has no folder yet.

    Raises UserError when its output may not be written, and for settings that need a start model.
    """
    if not settings.start:
        for name, needs_start in (
            ("batch_norm", settings.batch_norm == FIXED),
            ("hand_over", settings.hand_over != AUTO),
        ):
            if needs_start:
                raise UserError(
                    f"{option_of(settings, name)} {getattr(settings, name)} is for fine-tuning; "
                    "give the model to begin with by --from, or leave it out"
                )
    decided = fit_to_samples(settings, data, notify, workers)
    now = datetime.datetime.now()
    name = settings.name or f"{now:%Y-%m-%d_%H-%M-%S}"
    record = Record(
        _store_of(data),
        data.content_hash,
        os.path.realpath(settings.output),
        now.isoformat(),
        decided,
    )
    run = Run(settings.runs / name, record, decided, is_new=True)
    run.check_output()
    return run


# ---- a resumed run


def resumed_run(
    files: RunFiles,
    changes: Mapping[str, Any],
    data: Store,
    notify: Notify,
    workers: int = 1,
) -> Run:
    """Return the newest run of these samples and this output; without one, a new run.

    Folders that are not runs are ignored. The limits of the run may be changed. Raises UserError
    for other changes that would lead to other weights, and when the output may not be written.

    files: with a `name`, only this run folder is considered
    changes: the settings that the user gave, name -> value
    """
    file_settings = {name: getattr(files, name) for name in names_of(RunFiles)}
    found = []
    for path in files.runs.glob(f"{glob.escape(files.name) if files.name else '*'}/{_SETTINGS}"):
        record = read_record(path.parent)
        if record and record.is_of(files, data):
            found.append((record.started, path.parent, record))
    if not found:
        notify(
            f"note: {files.runs} has no run of {_store_of(data)} with its present content "
            f"for {os.path.realpath(files.output)}; beginning a new one"
        )
        return new_run(TrainSettings(**file_settings | dict(changes)), data, notify, workers)
    _, path, record = max(found, key=lambda run: run[0])
    stored = record.settings
    run = Run(path, record, stored)
    start = path / START_NAME  # the copy in the run folder; the original may be gone
    file_settings["start"] = start if start.exists() else None
    _check_start(files, run, file_settings["start"])
    # a value such as "auto" leaves a setting open, so the run keeps the value that it has
    chosen = {name: value for name, value in changes.items() if value != LEFT_OPEN.get(name)}
    settings = TrainSettings(**values_of(stored) | file_settings | chosen)
    fixed = [name for name in SETTINGS_OF_WEIGHTS if name in chosen and name not in LIMITS]
    if settings.ordering != stored.ordering:
        fixed += ["feed", *ORDERS[stored.ordering[0]]]
    lines = differences(stored, replace(stored, **values_of(settings, fixed)))
    if lines:
        raise UserError(
            f"{path} has other settings, which give other samples or weights; leave these options "
            f"out to resume it, or leave out --resume:{lines}"
        )
    run.settings = settings
    # with other limits, a complete run counts as unfinished; the training finds whether one is
    # reached, and then which model is handed over
    ending = (*LIMITS, "hand_over")
    if values_of(settings, ending) == values_of(stored, ending):
        run.result = run.read_result()
    run.check_output()
    return run


def _check_start(files: RunFiles, run: Run, start: Path | None) -> None:
    """Raise UserError if --from names another model than the run's start model.

    start: the start model's copy in the run folder
    """
    if not files.start:
        return
    if start and read_bytes(start, "model") == read_bytes(files.start, "model"):
        return
    if start and run.has_published(files.start):
        return  # the run has since overwritten that model
    raise UserError(f"{run.path} did not begin with --from {files.start}; leave that out to resume")


# ---- the environment of a training, for environment.json


def describe_environment() -> dict[str, Any]:
    """Describe machine and packages of this process, as JSON values; loads TensorFlow."""
    import tensorflow as tf

    from bcclone.system.tensorflow_quietly import used_gpus

    versions = [(entry.name, entry.version) for entry in metadata.distributions() if entry.name]
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpus": [gpu.describe() for gpu in used_gpus()],
        # the version of CUDA that TensorFlow was built for
        "cuda": tf.sysconfig.get_build_info().get("cuda_version"),
        "packages": dict(sorted(versions)),
    }
