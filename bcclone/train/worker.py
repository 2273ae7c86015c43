"""The process that trains: what a training asks of it, and the answers of one that trains alone, on one device."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from bcclone.feed.order import BatchPart
from bcclone.feed.selection import TrainingData
from bcclone.system.arrays import FloatArray
from bcclone.system.tensorflow_quietly import load_tensorflow
from bcclone.train.plan import Plan
from bcclone.train.train_settings import TrainSettings

if TYPE_CHECKING:  # it loads Keras
    from bcclone.train.trainer import Trainer


class Worker:
    """A process that trains alone; a subclass trains together with others, of which the first one writes.

    count: number of workers; index: of this one.
    """

    count: int = 1
    index: int = 0

    @property
    def part(self) -> BatchPart:
        return BatchPart(self.index, self.count)

    @property
    def writes(self) -> bool:
        """Return whether this worker decides, and writes the run and the model."""
        return self.index == 0

    def share(self, content: bytes) -> bytes:
        """Return the content that the writing worker gave; every worker calls this."""
        return content

    def sum(self, values: FloatArray) -> FloatArray:
        """Return the sum of the arrays that the workers gave; every worker calls this."""
        return values

    def decide(self, data: TrainingData, make_plan: Callable[[], Plan]) -> Plan:
        return make_plan()

    def load(self, settings: TrainSettings) -> str:
        return load_tensorflow(gpu_memory=settings.gpu_memory, onednn=settings.onednn)

    def make_trainer(self, data: TrainingData, settings: TrainSettings, labels: int) -> "Trainer":
        from bcclone.train.prepare import make_trainer

        return make_trainer(data, settings, labels)
