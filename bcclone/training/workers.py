"""The workers that train one network together, as one of them sees them.

A worker is a process on one machine. Each reads its part of every batch, and all apply the sum of
all gradients. Worker 0, the chief, writes the run folder and the model. Usually a worker is alone.
"""

from typing import Any

import numpy as np

from bcclone.feed.order import ALL, BatchPart
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError, shown_command
from bcclone.system.tensorflow_quietly import describe_devices, load_tensorflow


class Workers:
    """All workers that train together, as one of them sees them; by default, it is alone.

    Each method waits for the other workers. So all must make the same calls in the same order.

    strategy: the strategy of tf.distribute that connects the workers; None for one worker, whose
        GPUs are connected when the training begins
    part: the part of each batch that this worker trains on
    onednn: with which TensorFlow has been loaded, to connect the workers
    """

    def __init__(self, strategy: Any = None, part: BatchPart = ALL, onednn: str = "") -> None:
        self._strategy = strategy
        self.part = part
        self._onednn = onednn

    @property
    def count(self) -> int:
        return self.part.count

    @property
    def writes(self) -> bool:
        """Return whether this worker writes the run folder and the model that the user gets."""
        return self.part.index == 0

    def all_sum(self, values: FloatArray) -> FloatArray:
        """Return the sum of the arrays of all workers, which have equal shapes."""
        if self._strategy is None:
            return values
        import tensorflow as tf

        devices = len(self._strategy.extended.worker_devices)

        def summand(context: Any) -> Any:
            # of the devices of this machine, the first one brings the array; replicas, as
            # tf.distribute calls devices, are numbered through all workers
            is_first = context.replica_id_in_sync_group % devices == 0
            return tf.constant(values if is_first else np.zeros_like(values))

        summands = self._strategy.experimental_distribute_values_from_function(summand)
        total: FloatArray = self._strategy.reduce(
            tf.distribute.ReduceOp.SUM, summands, axis=None
        ).numpy()
        return total

    def share(self, content: bytes, index: int = 0) -> bytes:
        """Return the content of one worker, by its number, on all; that of others is ignored."""
        if self.count == 1:
            return content
        mine = content if self.part.index == index else b""
        size = int(self.all_sum(np.array([len(mine)], np.float64))[0])
        # tf.distribute adds up numbers: those of 32 bits are exact as floats of 64
        words = np.zeros(size // 4 + 1, np.uint32)
        words.view(np.uint8)[: len(mine)] = np.frombuffer(mine, np.uint8)
        return self.all_sum(words.astype(np.float64)).astype(np.uint32).tobytes()[:size]

    def load_tensorflow(self, onednn: str) -> str:
        """Load TensorFlow, and return the name of what it trains on."""
        if self._strategy is None:
            return load_tensorflow(onednn=onednn)
        if onednn != self._onednn:
            raise UserError(
                f"the run computes with oneDNN {onednn}, and this worker with oneDNN "
                f"{self._onednn}; start all workers with TF_ENABLE_ONEDNN_OPTS="
                f"{int(onednn == 'on')} in the environment"
            )
        return describe_devices()

    def strategy(self, count: int) -> Any:
        """Return the strategy of tf.distribute that has the devices; None for one device.

        count: number of GPUs of this machine, if it trains alone; 0 for all
        """
        if self._strategy or count == 1:
            return self._strategy
        import tensorflow as tf

        gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
        if count > max(len(gpus), 1):
            raise UserError(
                f"--gpus {count}, but TensorFlow sees {len(gpus)}; see why: "
                f"{shown_command('doctor', '--full')}"
            )
        used = gpus[: count or len(gpus)]
        return tf.distribute.MirroredStrategy(used or None)  # None: the CPU
