"""The state of a training at any step <-> a file from which it goes on as if never interrupted.

A checkpoint holds all that the steps to come depend on: weights, the state of the dropouts' generators, the
optimizer's moments, the sums of the epoch's losses, how far the training is, and the model file so far.
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

from bcclone.atomic import write_bytes
from bcclone.errors import UserError
from bcclone.feed.open import TrainingData
from bcclone.history import history_csv
from bcclone.model_file import model_content
from bcclone.train.run_folder import RunFolder
from bcclone.train.settings import CheckpointSettings, TrainSettings
from bcclone.train.state import Progress
from bcclone.train.trainer import Trainer

_KEPT = 2


class Checkpoints:
    """The checkpoints of one run, in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def paths(self) -> list[Path]:
        """Return the checkpoints that there are, the newest first."""
        return sorted(self.folder.glob("checkpoint-*[0-9].h5"), reverse=True)

    def save(self, trainer: Trainer, progress: Progress, model: bytes) -> None:
        """Write the state; those before the last two go. An OSError leaves all that there were.

        model: the model file so far, empty before the first epoch is complete.
        """
        self.folder.mkdir(exist_ok=True)
        content = io.BytesIO()  # HDF5 does not survive a disk that fills while it closes a file
        with h5py.File(content, "w") as file:
            for number, variable in enumerate(trainer.variables):
                file.create_dataset(f"variables/{number:04d}", data=keras.ops.convert_to_numpy(variable))
            file.create_dataset("model", data=np.frombuffer(model, np.uint8))
            file.create_dataset("totals", data=trainer.totals.read())
            file.create_dataset("progress", data=json.dumps(progress.to_json()))
        for leftover in self.folder.glob(".checkpoint-*.partial.h5"):  # of killed trainings; this one has the lock
            leftover.unlink()
        write_bytes(self.folder / f"checkpoint-{progress.step:09d}.h5", content.getvalue())
        for path in self.paths()[_KEPT:]:
            path.unlink(missing_ok=True)

    def load(self, trainer: Trainer, notify: Callable[[str], None]) -> tuple[Progress, bytes]:
        """Put the newest whole checkpoint into the trainer; without any, begin at the beginning.

        Raises UserError when none of those that there are is whole and of this network.
        """
        paths, faults = self.paths(), []
        cause: Exception | None = None
        for path in paths:
            try:
                return _load(path, trainer)
            except (OSError, LookupError, ValueError, TypeError, RuntimeError) as error:
                fault = str(error).partition("\n")[0]
                cause = error
                faults.append(f"{path}: not a whole checkpoint of this network: {fault}")
                if len(faults) < len(paths):
                    notify(f"note: {faults[-1]}; going on from the one before it")
        if faults:
            raise UserError(f"{faults[-1]}; train anew without --resume") from cause
        return Progress(), b""


def _load(path: Path, trainer: Trainer) -> tuple[Progress, bytes]:
    with h5py.File(path, "r") as file:
        progress = Progress.from_json(json.loads(file["progress"].asstr()[()]))
        values = [file["variables"][name][()] for name in sorted(file["variables"])]
        totals = file["totals"][()]
        model = file["model" if "model" in file else "best"][()].tobytes()  # as older runs call it
    variables = trainer.variables
    if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
        raise ValueError("the weights have other shapes")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    trainer.totals.write(totals)
    return progress, model


class Keeper:
    """Keeps one training, from the state of its newest checkpoint on."""

    def __init__(
        self, trainer: Trainer, folder: RunFolder, checkpointing: CheckpointSettings, notify: Callable[[str], None]
    ) -> None:
        """Put the trainer into the state of the newest checkpoint; raises UserError when none of them is whole."""
        self._trainer, self._folder, self._checkpointing, self._notify = trainer, folder, checkpointing, notify
        self._checkpoints = Checkpoints(folder.checkpoints)
        self.progress, self._model = self._checkpoints.load(trainer, notify)
        self._step, self._elapsed = self.progress.step, self.progress.elapsed
        self._model_is_written = not self._model  # a killed training may have left another than that of the checkpoint

    def is_due(self, elapsed: float) -> bool:
        """Return True when so many steps or minutes have passed since the last checkpoint. elapsed: of the training."""
        steps, minutes = self._checkpointing.checkpoint_steps, self._checkpointing.checkpoint_minutes
        by_steps = bool(steps) and self.progress.step - self._step >= steps
        return by_steps or bool(minutes) and elapsed - self._elapsed >= minutes * 60

    def take_model(self, data: TrainingData, settings: TrainSettings) -> None:
        """Take the weights as they are, those of the last epoch, for the model."""
        last = self.progress.history[-1]
        described = {
            "settings": asdict(settings),
            "samples": dict(data.sample_settings),
            "store_content_hash": data.content_hash,
            "epoch": last.epoch,
            "val_loss": last.val_loss,
        }
        self._model = model_content(self._trainer.export(), data.preprocessing, described)
        self._model_is_written = False

    def keep(self) -> None:
        """Write all that a resume needs; where that fails, what was written before stays, and training goes on."""
        self._step, self._elapsed = self.progress.step, self.progress.elapsed
        for write in (self._write_model, self._write_checkpoint, self._write_history):
            try:
                write()
            except OSError as error:
                self._notify(
                    f"note: {error.filename or self._folder.path}: cannot be written: {error.strerror or error}; "
                    "training goes on, and what was written before stays"
                )

    @property
    def model(self) -> bytes:
        """Return the model file so far, empty before the first epoch is complete."""
        return self._model

    def _write_checkpoint(self) -> None:
        self._checkpoints.save(self._trainer, self.progress, self._model)

    def _write_history(self) -> None:
        self._folder.write_history(history_csv(self.progress.history))

    def _write_model(self) -> None:
        if not self._model_is_written:
            write_bytes(self._folder.model, self._model)
            self._model_is_written = True
