"""Save a training at any step in a checkpoint, and continue it exactly from there.

save_checkpoint() takes a trainer, its training state and the model file to keep so far, and writes
a .h5 file. load_checkpoint() restores the trainer from the newest intact file, and returns the
state and the model file.

A checkpoint holds everything that later steps depend on: the weights, the state of the dropout
layers' random generators, the optimizer's moments, the sums of the epoch's losses, the training
state, and the model file. It need not hold the order of the samples, which is computed from the
seed and the epoch. The newest two checkpoints are kept.
"""

import io
from pathlib import Path

import h5py
import keras
import numpy as np

from bcclone.system.codec import from_text
from bcclone.system.errors import UserError, first_line
from bcclone.system.files import write_bytes
from bcclone.system.hdf5_file import Source, read_hdf5
from bcclone.system.progress import Notify
from bcclone.system.values import json_text
from bcclone.training.trainer import Trainer
from bcclone.training.training_state import TrainingState


def save_checkpoint(folder: Path, trainer: Trainer, state: TrainingState, model: bytes) -> None:
    """Write a checkpoint and delete all but the newest two.

    If writing raises OSError, such as on a full disk, the earlier checkpoints are unchanged.

    model: the model file to keep so far, empty before the first epoch is complete
    """
    folder.mkdir(exist_ok=True)
    content = checkpoint_content(trainer, state, model)
    # delete what killed trainings have half written; no other training can be writing in this
    # folder, since this one holds the lock of the run
    for leftover in folder.glob(".checkpoint-*.partial.h5"):
        leftover.unlink()
    write_bytes(folder / f"checkpoint-{state.step:09d}.h5", content)
    kept = 2
    for path in checkpoint_paths(folder)[kept:]:
        path.unlink(missing_ok=True)


def load_checkpoint(folder: Path, trainer: Trainer, notify: Notify) -> tuple[TrainingState, bytes]:
    """Load the newest intact checkpoint into the trainer; return its state and model file.

    Without checkpoints, return TrainingState() and b"", with which a new training begins. Raises
    UserError when there are checkpoints, but none is intact and of this network.
    """
    paths = checkpoint_paths(folder)
    for number, path in enumerate(paths, 1):
        try:
            return load_content(path, trainer)
        except (OSError, LookupError, ValueError, TypeError, RuntimeError, MemoryError) as error:
            fault = f"{path}: not an intact checkpoint of this network: {first_line(error)}"
            if number == len(paths):
                raise UserError(f"{fault}; train again without --resume") from error
            notify(f"note: {fault}; continuing from the one before it")
    return TrainingState(), b""


def checkpoint_paths(folder: Path) -> list[Path]:
    """Return the paths of the checkpoints in a folder, newest first."""
    # the digit at the end leaves out what a user has copied, such as checkpoint-000000400-good.h5
    return sorted(folder.glob("checkpoint-*[0-9].h5"), reverse=True)


def checkpoint_content(trainer: Trainer, state: TrainingState, model: bytes) -> bytes:
    """Return the bytes of a checkpoint file, which load_content() reads."""
    # the file is made in memory first, since HDF5 crashes if the disk is full when it closes a file
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for number, variable in enumerate(trainer.variables):
            values = keras.ops.convert_to_numpy(variable)
            file.create_dataset(f"variables/{number:04d}", data=values)
        file.create_dataset("model", data=np.frombuffer(model, np.uint8))
        file.create_dataset("totals", data=trainer.totals.numpy())
        file.create_dataset("progress", data=json_text(state))  # the training state
    return content.getvalue()


def load_content(source: Source, trainer: Trainer) -> tuple[TrainingState, bytes]:
    """Load a checkpoint into the trainer; return its state and model file.

    Raises ValueError, or another of the errors that load_checkpoint() catches, when the checkpoint
    is damaged or of another network.

    source: path or open file of the checkpoint
    """
    parts = read_hdf5(
        source, {"progress": str, "variables": list, "totals": np.float64, "model": np.uint8}
    )
    [state_text] = parts["progress"]  # a list of one text
    state = from_text(TrainingState, state_text)
    variables = trainer.variables
    values = parts["variables"]
    totals = parts["totals"]
    model = parts["model"]
    is_of_network = (
        [value.shape for value in values] == [tuple(variable.shape) for variable in variables]
        and totals.shape == tuple(trainer.totals.shape)
        and model.ndim == 1
    )
    if not is_of_network:
        raise ValueError("its arrays have other shapes than those of the network")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    trainer.totals.assign(totals)
    return state, model.tobytes()
