"""The workers that train one network together, as one of them sees the group: here, it is alone.

several.Group connects several machines, or several GPUs of this one. Importing this loads no Keras.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.feed.order import ALL, BatchPart
from bcclone.system.numbers import FloatArray
from bcclone.system.process import Notify
from bcclone.training.decisions import Device, load_device
from bcclone.training.train_settings import TrainSettings
from bcclone.training.training_state import TrainingState

if TYPE_CHECKING:  # it loads TensorFlow
    from bcclone.training.trainer import Trainer


class Workers:
    """What a training does in another way when several workers or several GPUs train together.

    part: the part of each batch that this worker trains on
    """

    part: BatchPart = ALL

    @property
    def count(self) -> int:
        return self.part.count

    @property
    def writes(self) -> bool:
        """Return whether this worker writes the run folder and the model that the user gets."""
        return self.part.index == 0

    def all_sum(self, values: FloatArray) -> FloatArray:
        """Return the sum of the arrays of all workers; waits for them."""
        return values

    def load_device(self, settings: TrainSettings) -> Device:
        """Load TensorFlow, and return what it trains on."""
        return load_device(settings)

    def strategy(self, settings: TrainSettings) -> Any:
        """Return the strategy of tf.distribute that has the devices; None for one device."""
        return None

    def load_checkpoint(
        self, folder: Path, trainer: "Trainer", notify: Notify
    ) -> tuple[TrainingState, bytes]:
        """Load the newest checkpoint into the trainer, as checkpoint.load_checkpoint() does."""
        from bcclone.training.checkpoint import load_checkpoint

        return load_checkpoint(folder, trainer, notify)
