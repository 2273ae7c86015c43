"""Save a training at any step in a checkpoint, and continue it exactly from there.

A checkpoint holds everything that later steps depend on: the weights, the state of the dropout layers' random
generators, the optimizer's moments, the sums of the epoch's losses, the training state and the model file so far.
The order of the samples follows from seed and epoch. The last two checkpoints are kept.
"""

import io
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import h5py
import keras
import numpy as np

from bcclone.dataset.store import common_framing
from bcclone.feed.selection import TrainingData
from bcclone.model.model_file import model_content
from bcclone.system.atomic import write_bytes
from bcclone.system.codec import parse_json
from bcclone.system.errors import UserError
from bcclone.system.hdf5_file import read_hdf5
from bcclone.system.json_values import from_json, json_text
from bcclone.system.progress import Notify
from bcclone.train.history import history_csv
from bcclone.train.run_folder import RunFolder
from bcclone.train.train_settings import DECIDE_WEIGHTS, TrainSettings, values_of
from bcclone.train.trainer import Trainer
from bcclone.train.training_state import TrainingState
from bcclone.train.worker import Worker

_KEPT = 2


def save_checkpoint(folder: Path, trainer: Trainer, state: TrainingState, model: bytes) -> None:
    """Write a checkpoint and delete all but the last two; an OSError leaves the earlier ones.

    model: the model file so far, empty before the first epoch is complete.
    """
    folder.mkdir(exist_ok=True)
    content = _content(trainer, state, model)
    for leftover in folder.glob(".checkpoint-*.partial.h5"):  # of killed trainings; this one holds the lock
        leftover.unlink()
    write_bytes(folder / f"checkpoint-{state.step:09d}.h5", content)
    for path in checkpoint_paths(folder)[_KEPT:]:
        path.unlink(missing_ok=True)


def load_checkpoint(folder: Path, trainer: Trainer, notify: Notify) -> tuple[TrainingState, bytes]:
    """Load the newest intact checkpoint into the trainer; without checkpoints return the initial state.

    Raises UserError when there are checkpoints, but none is intact and of this network.
    """
    paths, faults = checkpoint_paths(folder), []
    cause: Exception | None = None
    for path in paths:
        try:
            return _load(path, trainer)
        except (OSError, LookupError, ValueError, TypeError, RuntimeError, MemoryError) as error:
            fault = str(error).partition("\n")[0]
            cause = error
            faults.append(f"{path}: not an intact checkpoint of this network: {fault}")
            if len(faults) < len(paths):
                notify(f"note: {faults[-1]}; continuing from the one before it")
    if faults:
        raise UserError(f"{faults[-1]}; train again without --resume") from cause
    return TrainingState(), b""


def checkpoint_paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*[0-9].h5"), reverse=True)


def _content(trainer: Trainer, state: TrainingState, model: bytes) -> bytes:
    content = io.BytesIO()  # HDF5 crashes when the disk is full while it closes a file
    with h5py.File(content, "w") as file:
        for number, variable in enumerate(trainer.variables):
            file.create_dataset(f"variables/{number:04d}", data=keras.ops.convert_to_numpy(variable))
        file.create_dataset("model", data=np.frombuffer(model, np.uint8))
        file.create_dataset("totals", data=trainer.totals.read())
        file.create_dataset("progress", data=json_text(state))
    return content.getvalue()


def _load(source: Path, trainer: Trainer) -> tuple[TrainingState, bytes]:
    variables = trainer.variables
    parts = read_hdf5(source, {"progress": str, "variables": list, "totals": np.float64, "model": np.uint8})
    values, totals, model = parts["variables"], parts["totals"], parts["model"]
    state = from_json(TrainingState, parse_json(parts["progress"][0]))
    if len(values) != len(variables):
        raise ValueError(f"it has {len(values)} arrays of weights, and the network {len(variables)} of other shapes")
    if totals.shape != trainer.totals.read().shape or model.ndim != 1:
        raise ValueError("its sums or its model have another shape")
    if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
        raise ValueError("its weights have other shapes than the network's")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    trainer.totals.write(totals)
    return state, model.tobytes()


class Checkpointing:
    """Restores a training from its newest checkpoint, and saves its state and its model from then on.

    model: the model file so far, empty before the first epoch is complete.
    """

    def __init__(
        self, trainer: Trainer, folder: RunFolder, data: TrainingData, settings: TrainSettings, notify: Notify
    ) -> None:
        self._trainer, self._folder, self._data, self._settings = trainer, folder, data, settings
        self._notify, self._saved, self.model, self._model_is_written = notify, TrainingState(), b"", True

    @property
    def path(self) -> Path:
        """Return the path of the model so far, which exists once an epoch is complete."""
        return self._folder.model

    def restore(self, worker: Worker) -> TrainingState:
        """Load the newest checkpoint into the trainer, as load_checkpoint() does; several workers get the chief's."""
        self._saved, self.model = load_checkpoint(self._folder.checkpoints, self._trainer, self._notify)
        if worker.count > 1:
            shared = worker.share(_content(self._trainer, self._saved, self.model) if worker.writes else b"")
            if not worker.writes:
                path = self._folder.path / "shared.h5"
                write_bytes(path, shared)
                self._saved, self.model = _load(path, self._trainer)
        self._model_is_written = not self.model  # a killed training may have left a newer one
        return self._saved

    def is_due(self, state: TrainingState) -> bool:
        """Return whether a checkpoint is due by steps or minutes since the last one."""
        steps, minutes = self._settings.checkpoint_steps, self._settings.checkpoint_minutes
        by_steps = bool(steps) and state.step - self._saved.step >= steps
        return by_steps or bool(minutes) and state.elapsed - self._saved.elapsed >= minutes * 60

    def take_model(self, state: TrainingState) -> None:
        """Use the current weights, of the last epoch, for the model."""
        last, data = state.history[-1], self._data
        described = {
            "settings": values_of(self._settings, DECIDE_WEIGHTS),
            "samples": asdict(data.sample_settings),
            "store_content_hash": data.content_hash,
            "epoch": last.epoch,
            "val_loss": last.val_loss,
        }
        self.model = model_content(
            self._trainer.export(), data.preprocessing, described, common_framing(data.recordings)
        )
        self._model_is_written = False

    def save(self, state: TrainingState) -> None:
        """Write the model, a checkpoint and the history; when writing fails, notify, and training continues."""
        self._saved = state
        if not self._model_is_written:
            self._model_is_written = self._try(lambda: write_bytes(self._folder.model, self.model))
        self._try(lambda: save_checkpoint(self._folder.checkpoints, self._trainer, state, self.model))
        self._try(lambda: self._folder.write_history(history_csv(state.history)))

    def _try(self, write: Callable[[], object]) -> bool:
        try:
            write()
        except OSError as error:
            self._notify(
                f"note: {error.filename or self._folder.path}: cannot be written: {error.strerror or error}; "
                "training continues, and the earlier files are unchanged"
            )
            return False
        return True
