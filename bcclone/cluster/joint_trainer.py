"""A trainer that divides each batch among the devices of a strategy of tf.distribute."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from bcclone.feed.selection import TrainingData
from bcclone.feed.source import Batch
from bcclone.model.architectures import ARCHITECTURES
from bcclone.system.errors import UserError
from bcclone.training.prepare import make_trainer
from bcclone.training.train_settings import ON, TrainSettings
from bcclone.training.trainer import Trainer


class JointTrainer(Trainer):
    """A trainer on several devices or machines. strategy: has them; network: as Trainer() takes it."""

    def __init__(self, strategy: Any, *network: Any) -> None:
        super().__init__(*network)
        self._strategy = strategy
        step = [
            self.samples_signature,
            (tf.TensorSpec((), tf.int32),) * 2,
            tf.TensorSpec((), tf.float32),
        ]
        self._train_part = tf.function(self._train_part_step, input_signature=step, autograph=False)

    def train(self, batches: Sequence[Batch], rates: Sequence[float]) -> None:
        """Take a step down the gradient of the mean loss for each batch, and add those of all
        workers to the totals.
        """
        for batch, rate in zip(batches, rates, strict=True):
            counts = np.int32(batch.samples), np.int32(batch.global_size)
            self._train_part(batch.inputs, counts, np.float32(rate))

    def _train_part_step(
        self, samples: tuple[Any, ...], counts: tuple[Any, Any], learning_rate: Any
    ) -> None:
        """Take a step with an equal part of these samples on each device of this machine.

        counts: how many of the samples count, and how many the batch of all workers has. A batch
        that cannot be divided equally is padded with samples of weight 0.
        """
        self.optimizer.learning_rate.assign(learning_rate)
        devices, size = len(self._strategy.extended.worker_devices), tf.shape(samples[1])[0]
        part_size = -(-size // devices)

        def part_of(context: Any) -> Any:
            first = context.replica_id_in_sync_group % devices * part_size
            indices = tf.range(first, first + part_size)
            weights = tf.cast(indices[:, tf.newaxis] < counts[0], tf.float32)
            return tuple(tf.gather(values, indices % size) for values in samples), weights

        parts = self._strategy.experimental_distribute_values_from_function(part_of)
        sums = self._strategy.run(self._descend, (*parts, counts[1]))
        self.totals.add(self._strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None))

    def _descend(self, samples: tuple[Any, ...], weights: Any, size: Any) -> Any:
        """Take a step on one device; return the sums of the loss, the absolute errors and the
        count.

        weights: float32 (samples, 1), 0 or 1; size: number of samples in the batch of all workers.
        """
        own, sums = self.gradients(samples, size, weights)
        total = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, own)
        # Keras adds up the gradients of the devices after clipping them; so each gets its fraction
        # of the sum
        gradients = [gradient / self._strategy.num_replicas_in_sync for gradient in total]
        self.optimizer.apply(gradients, self.model.trainable_variables)
        return sums


def make_joint_trainer(
    data: TrainingData, settings: TrainSettings, labels: int, strategy: Any = None
) -> Trainer:
    """Return the trainer of the network on several devices; raises UserError as make_trainer()
    does.

    strategy: of tf.distribute, which has the devices; None for the GPUs of this machine.
    """
    if ARCHITECTURES[settings.network].batch_norm:
        raise UserError(
            f"--network {settings.network} trains on one device; use --gpus 1, and one worker"
        )
    if settings.jit_compile == ON:
        raise UserError("--set jit-compile=on trains on one device; use --gpus 1, and one worker")
    if strategy is None:
        gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
        if settings.gpus > max(len(gpus), 1):
            raise UserError(
                f"--gpus {settings.gpus}, but TensorFlow sees {len(gpus)}; see bcclone doctor --full"
            )
        strategy = tf.distribute.MirroredStrategy(
            gpus[: settings.gpus or len(gpus)] or None
        )  # 0 for all of them
    return make_trainer(data, settings, labels, partial(JointTrainer, strategy), strategy)
