"""The state of a training at any step <-> a file from which it goes on as if never interrupted.

A checkpoint holds all that the steps to come depend on: weights, the state of the dropouts' generators, the
optimizer's moments, the sums of the epoch's losses, how far the training is, and the model file so far.
The order of the samples follows from seed and epoch. The last two checkpoints are kept.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np

from bcclone.atomic import write_bytes
from bcclone.errors import UserError
from bcclone.train.progress import Progress
from bcclone.train.step import Trainer

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
