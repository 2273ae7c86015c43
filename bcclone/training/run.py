"""A run: the files of its folder, runs/NAME/, from which a training can be resumed, and its output.

The files are JSON, CSV and TOML, which users may read, too.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bcclone.dataset.store import Store
from bcclone.system.codec import read_bytes, read_json
from bcclone.system.errors import UserError
from bcclone.system.files import (
    MODEL,
    REMEDY,
    check_output,
    inputs_of,
    make_folder,
    write_bytes,
    write_text,
)
from bcclone.system.values import to_json
from bcclone.training.result import TrainResult
from bcclone.training.train_settings import RunFiles, TrainSettings, settings_as_text, values_of
from bcclone.training.training_state import Epoch, history_csv, read_history

START_NAME = "start.h5"  # the model that the run began with, in its folder
RECORD_NAME = "settings.json"
SETTINGS_NAME = "settings.toml"
_RESULT = "result.json"


@dataclass(frozen=True)
class Record:
    """The content of a run folder's settings.json.

    Content and output identify the run for --resume, wherever store and run folder are moved.
    """

    store: str  # absolute path or URL
    content_hash: str
    output: str  # absolute path of the model file to write
    started: str  # date and time, ISO 8601
    settings: TrainSettings
    # SHA-256 of the model that the run last wrote to the output; None before it wrote one
    published: str | None = None
    # the output as seen from the run folder, which holds also when both are moved together; None on
    # two drives of Windows
    output_from_run: str | None = None

    def is_of(self, files: RunFiles, data: Store, folder: Path) -> bool:
        """Return whether a run with these files and samples would be this one.

        A run that the user has named only needs the same samples.

        folder: the run folder
        """
        outputs = [self.output]
        if self.output_from_run:
            with suppress(ValueError):  # for a path with a NUL
                outputs.append(os.path.realpath(folder / self.output_from_run))
        is_output = bool(files.name) or os.path.realpath(files.output) in outputs
        return is_output and data.content_hash == self.content_hash


def read_record(path: Path) -> Record:
    """Return the content of a run folder's settings.json; raises UserError if it is damaged."""
    remedy = "copy the file back, or train anew, in a new run"
    same = path / SETTINGS_NAME  # which users may read and give
    if same.is_file():
        remedy += f" with its settings: leave out --resume, and give --settings {same}"
    return read_json(path / RECORD_NAME, Record, "the settings of a run", remedy)


class Run:
    """A run, and the files in its folder: settings, history, checkpoints, model, ...

    record: nobody else changes it, nor the folder, while train_run() has locked the folder
    settings: with which it is trained now; some may still be "auto": those that
        plan.fit_to_device() sets
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
        self._is_made_here = False  # whether this process has made the folder

    def make_folder(self) -> None:
        """Make the folder of a new run, with a copy of its start; raises UserError if it exists."""
        if self.path.is_dir() and any(self.path.iterdir()):
            raise UserError(
                f"{self.path}: this run exists already; choose another --name, "
                "or continue it with --resume and the same store or recordings"
            )
        self._is_made_here = not self.path.exists()
        make_folder(self.path, "other --runs")
        start = self.settings.start
        if start:  # a copy, since a resume needs the model even if the original is gone
            write_bytes(self.path / START_NAME, read_bytes(start, "model"))
        self._write_record(self.record)

    def remove_before_steps(self) -> bool:
        """Remove the folder, if this process has made it and no step was taken; return whether."""
        # on a full disk there may be steps, but no checkpoint: its name has the number of the step
        is_begun = self.model.exists() or any(self.checkpoints.glob("checkpoint-*[1-9]*.h5"))
        if is_begun or not self._is_made_here:
            return False
        shutil.rmtree(self.path, ignore_errors=True)
        return True

    def begin(self, settings: TrainSettings) -> None:
        """Note the settings with which the run is trained from now on.

        The run counts as unfinished again: result.json is deleted.
        """
        self.settings = settings
        (self.path / _RESULT).unlink(missing_ok=True)
        output = os.path.realpath(settings.output)
        self._write_record(replace(self.record, settings=settings, output=output))
        write_text(self.path / SETTINGS_NAME, settings_as_text(settings))

    def _write_record(self, record: Record) -> None:
        with suppress(ValueError):  # on two drives of Windows
            beside = os.path.relpath(record.output, os.path.realpath(self.path))
            record = replace(record, output_from_run=beside)
        # values_of() leaves out the fields of RunFiles, which a resume gets from its own options
        content = to_json(record) | {"settings": values_of(record.settings)}
        write_text(self.path / RECORD_NAME, json.dumps(content, indent=2))
        self.record = record

    def write_history(self, history: Sequence[Epoch]) -> None:
        write_text(self.path / "history.csv", history_csv(history))

    def read_history(self) -> list[Epoch]:
        """Return the figures of the complete epochs; empty if they cannot be read."""
        with suppress(UserError):
            return read_history(self.path / "history.csv")
        return []

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
        """Write the model to the output, and note that this run wrote it."""
        write_bytes(output, model, follow=True)
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

    def check_output(self, remedy: str = REMEDY) -> None:
        """Raise UserError when the output may not be written.

        remedy: what the message tells the user to do about an earlier model there
        """
        settings = self.settings
        check_output(settings.output, MODEL, self.may_overwrite(), inputs_of(settings), remedy)
