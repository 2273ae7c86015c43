"""A worker: one process that trains a network, alone or together with workers on other machines.

A `Worker` says on which part of each batch the process trains. It also has the functions that
differ with the number of workers, such as the one that makes the trainer. Importing this loads
no Keras.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.feed.selection import TrainingData
from bcclone.system.process import Notify
from bcclone.training.decisions import Device, load_device
from bcclone.training.train_settings import TrainSettings
from bcclone.training.training_state import TrainingState
from bcclone.training.worker_group import ONE_WORKER, WorkerGroup

if TYPE_CHECKING:  # it loads TensorFlow
    from bcclone.training.trainer import Trainer


def _make_trainer(data: TrainingData, settings: TrainSettings, labels: int) -> "Trainer":
    from bcclone.training.prepare import make_trainer

    return make_trainer(data, settings, labels)


def _load_checkpoint(
    folder: Path, trainer: "Trainer", notify: Notify
) -> tuple[TrainingState, bytes]:
    from bcclone.training.checkpoint import load_checkpoint

    return load_checkpoint(folder, trainer, notify)


@dataclass(frozen=True)
class Worker:
    """What a training does in another way when several workers or several GPUs train together.

    The defaults are those of a worker that trains alone, on one device.
    """

    group: WorkerGroup = ONE_WORKER
    load_device: Callable[[TrainSettings], Device] = load_device  # loads TensorFlow, too
    # data, settings, number of labels of a sample -> the trainer
    make_trainer: Callable[[TrainingData, TrainSettings, int], "Trainer"] = _make_trainer
    # loads the newest of a folder's checkpoints into the trainer, as checkpoint.load_checkpoint()
    load_checkpoint: Callable[[Path, "Trainer", Notify], tuple[TrainingState, bytes]] = (
        _load_checkpoint
    )


ALONE = Worker()
