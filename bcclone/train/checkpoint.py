"""The state of a training between two epochs <-> one file, from which it goes on as if never interrupted."""

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import h5py
import keras

from bcclone.atomic import replacing
from bcclone.errors import UserError
from bcclone.train.run_folder import EpochFigures


@dataclass
class Progress:
    """How far a run is: the epochs that are complete, and the best of them."""

    history: list[EpochFigures] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """Count the complete epochs."""
        return len(self.history)

    @property
    def best(self) -> EpochFigures:
        """Return the epoch of least validation loss; the earlier of equals."""
        return min(self.history, key=lambda figures: figures.score)

    def is_out_of_patience(self, patience: int) -> bool:
        """Return True when the last `patience` epochs have not bettered the best; patience 0 never ends."""
        return patience > 0 and self.epoch > 0 and self.epoch - self.best.epoch >= patience


def save_checkpoint(path: Path, variables: Sequence[keras.Variable], progress: Progress) -> None:
    """Write all that training changes, and the history; the old checkpoint stays until the new is whole."""
    content = io.BytesIO()  # HDF5 does not survive a disk that fills while it closes a file
    with h5py.File(content, "w") as file:
        for number, variable in enumerate(variables):
            file.create_dataset(f"{number:04d}", data=keras.ops.convert_to_numpy(variable))
        file.create_dataset("history", data=json.dumps([asdict(figures) for figures in progress.history]))
    with replacing(path) as temporary:
        temporary.write_bytes(content.getvalue())


def load_checkpoint(path: Path, variables: Sequence[keras.Variable]) -> Progress:
    """Put a checkpoint into the variables of the same network and return how far the run was.

    Raises UserError when the file does not fit the network.
    """
    try:
        with h5py.File(path, "r") as file:
            history = [EpochFigures(**figures) for figures in json.loads(file["history"].asstr()[()])]
            values = [file[name][()] for name in sorted(file) if name != "history"]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path}: no whole checkpoint: {error}; train anew without --resume") from None
    if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
        raise UserError(f"{path}: the checkpoint is of another network; train anew without --resume")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return Progress(history)
