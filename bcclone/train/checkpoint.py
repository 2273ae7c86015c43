"""Save and restore the state of a training at any step, exactly.

A checkpoint holds everything that later steps depend on: the weights, the state of the dropout layers' random
generators, the optimizer's moments, the sums of the epoch's losses, the training state and the model file so far.
The order of the samples follows from seed and epoch. The last two checkpoints are kept.
"""

import io
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import h5py
import keras
import numpy as np

from bcclone.cluster.worker_group import ONE_WORKER, WorkerGroup
from bcclone.feed.selection import TrainingData
from bcclone.model.model_file import model_content
from bcclone.system.atomic import write_bytes
from bcclone.system.errors import UserError
from bcclone.train.history import history_csv
from bcclone.train.run_folder import RunFolder
from bcclone.train.train_settings import CheckpointSettings, TrainSettings
from bcclone.train.trainer import Trainer
from bcclone.train.training_state import TrainingState

_KEPT = 2


class Checkpoints:
    """The checkpoint files of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def paths(self) -> list[Path]:
        """Return the paths of the checkpoints, the newest first."""
        return sorted(self.folder.glob("checkpoint-*[0-9].h5"), reverse=True)

    def save(self, trainer: Trainer, state: TrainingState, model: bytes) -> None:
        """Write a checkpoint and delete all but the last two; an OSError leaves the earlier ones.

        model: the model file so far, empty before the first epoch is complete.
        """
        self.folder.mkdir(exist_ok=True)
        content = _content(trainer, state, model)
        for leftover in self.folder.glob(".checkpoint-*.partial.h5"):  # of killed trainings; this one holds the lock
            leftover.unlink()
        write_bytes(self.folder / f"checkpoint-{state.step:09d}.h5", content)
        for path in self.paths()[_KEPT:]:
            path.unlink(missing_ok=True)

    def load(self, trainer: Trainer, notify: Callable[[str], None]) -> tuple[TrainingState, bytes]:
        """Load the newest intact checkpoint into the trainer; without checkpoints return the initial state.

        Raises UserError when no checkpoint is intact and of this network.
        """
        paths, faults = self.paths(), []
        cause: Exception | None = None
        for path in paths:
            try:
                return _load(path, trainer)
            except (OSError, LookupError, ValueError, TypeError, RuntimeError) as error:
                fault = str(error).partition("\n")[0]
                cause = error
                faults.append(f"{path}: not an intact checkpoint of this network: {fault}")
                if len(faults) < len(paths):
                    notify(f"note: {faults[-1]}; continuing from the one before it")
        if faults:
            raise UserError(f"{faults[-1]}; train again without --resume") from cause
        return TrainingState(), b""


def _content(trainer: Trainer, state: TrainingState, model: bytes) -> bytes:
    """Return the content of a checkpoint, which _load() reads."""
    content = io.BytesIO()  # HDF5 crashes when the disk is full while it closes a file
    with h5py.File(content, "w") as file:
        for number, variable in enumerate(trainer.variables):
            file.create_dataset(f"variables/{number:04d}", data=keras.ops.convert_to_numpy(variable))
        file.create_dataset("model", data=np.frombuffer(model, np.uint8))
        file.create_dataset("totals", data=trainer.totals.read())
        file.create_dataset("progress", data=json.dumps(state.to_json()))
    return content.getvalue()


def _load(source: Path | io.BytesIO, trainer: Trainer) -> tuple[TrainingState, bytes]:
    with h5py.File(source, "r") as file:
        state = TrainingState.from_json(json.loads(file["progress"].asstr()[()]))
        values = [file["variables"][name][()] for name in sorted(file["variables"])]
        totals = file["totals"][()]
        model = file["model" if "model" in file else "best"][()].tobytes()  # the name in older runs
    variables = trainer.variables
    if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
        raise ValueError("the weights have other shapes")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    trainer.totals.write(totals)
    return state, model


class Checkpointing:
    """Restores a training from its newest checkpoint, and saves its state and its model from then on.

    Of several workers, the chief has the run folder; the others get its state and save nothing.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: RunFolder | None,
        settings: CheckpointSettings,
        notify: Callable[[str], None],
        group: WorkerGroup = ONE_WORKER,
    ) -> None:
        """Load the newest checkpoint into the trainer; raises UserError when there are some, but none is intact.

        folder: None for a worker that saves nothing.
        """
        self._trainer, self._folder, self._settings, self._notify = trainer, folder, settings, notify
        self.state, self._model = self._restored(group)
        self._step, self._elapsed = self.state.step, self.state.elapsed
        self._model_is_written = not self._model  # a killed training may have left a newer one

    def _restored(self, group: WorkerGroup) -> tuple[TrainingState, bytes]:
        """Return the state of the newest checkpoint, which the chief reads, with its model file."""
        folder, trainer = self._folder, self._trainer
        found = group.each(
            lambda: Checkpoints(folder.checkpoints).load(trainer, self._notify) if folder else (TrainingState(), b"")
        )
        if group.count == 1:
            return found
        content = group.broadcast(_content(trainer, *found) if group.is_chief else b"")
        return found if group.is_chief else _load(io.BytesIO(content), trainer)

    def is_due(self, elapsed: float) -> bool:
        """Return whether a checkpoint is due by steps or minutes. elapsed: seconds since the training began."""
        steps, minutes = self._settings.checkpoint_steps, self._settings.checkpoint_minutes
        by_steps = bool(steps) and self.state.step - self._step >= steps
        return by_steps or bool(minutes) and elapsed - self._elapsed >= minutes * 60

    def take_model(self, data: TrainingData, settings: TrainSettings) -> None:
        """Use the current weights, those of the last epoch, for the model."""
        if self._folder is None:
            return
        last = self.state.history[-1]
        described = {
            "settings": settings.flat(),
            "samples": asdict(data.sample_settings),
            "store_content_hash": data.content_hash,
            "epoch": last.epoch,
            "val_loss": last.val_loss,
        }
        self._model = model_content(self._trainer.export(), data.preprocessing, described)
        self._model_is_written = False

    def save(self) -> None:
        """Write the model, a checkpoint and the history; when writing fails, notify, and training continues."""
        self._step, self._elapsed = self.state.step, self.state.elapsed
        if self._folder is None:
            return
        for write in (self._write_model, self._write_checkpoint, self._write_history):
            try:
                write(self._folder)
            except OSError as error:
                self._notify(
                    f"note: {error.filename or self._folder.path}: cannot be written: {error.strerror or error}; "
                    "training continues, and the earlier files are unchanged"
                )

    @property
    def model(self) -> bytes:
        """Return the model file so far, empty before the first epoch is complete."""
        return self._model

    def _write_checkpoint(self, folder: RunFolder) -> None:
        Checkpoints(folder.checkpoints).save(self._trainer, self.state, self._model)

    def _write_history(self, folder: RunFolder) -> None:
        folder.write_history(history_csv(self.state.history))

    def _write_model(self, folder: RunFolder) -> None:
        if not self._model_is_written:
            write_bytes(folder.model, self._model)
            self._model_is_written = True
