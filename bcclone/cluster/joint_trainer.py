"""A trainer for several GPUs or machines: tf.distribute divides each batch among the devices.

In: a worker's part of each batch, and the learning rates. Out: the same new weights on all devices;
losses and errors are added up over the samples of all workers.
"""

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bcclone.cluster.collective import Collective
from bcclone.feed.selection import TrainingData
from bcclone.feed.source import Batch
from bcclone.model.layer_kinds import layers_within
from bcclone.system.errors import UserError
from bcclone.system.process import Notify
from bcclone.training.checkpoint import checkpoint_content, load_checkpoint, load_content
from bcclone.training.prepare import make_trainer
from bcclone.training.train_settings import ON, TrainSettings
from bcclone.training.trainer import Trainer
from bcclone.training.training_state import TrainingState


class JointTrainer(Trainer):
    """A trainer on several devices or machines.

    Words of tf.distribute: the devices of all workers are its replicas, and each replica runs the
    same function.

    strategy: the strategy of tf.distribute that has the devices
    arguments: those of Trainer()
    """

    def __init__(self, strategy: Any, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._strategy = strategy
        counts = (tf.TensorSpec((), tf.int32), tf.TensorSpec((), tf.int32))
        rate = tf.TensorSpec((), tf.float32)
        step = [self.samples_signature, counts, rate]
        self._train_part = tf.function(self._train_part_step, input_signature=step, autograph=False)

    @property
    def compilations(self) -> int:
        """Return how many graphs have been compiled so far, to train and to validate."""
        joint_steps: int = self._train_part.experimental_get_tracing_count()
        return super().compilations + joint_steps

    def train(self, batches: Sequence[Batch], rates: Sequence[float]) -> None:
        """Take a training step for each batch, together with all workers.

        The losses and errors of all workers' batches are added to the totals.

        batches: this worker's part of each batch
        rates: the learning rate of each step
        """
        for batch, rate in zip(batches, rates, strict=True):
            counts = (np.int32(batch.samples), np.int32(batch.global_size))
            self._train_part(batch.inputs, counts, np.float32(rate))

    def _train_part_step(
        self, samples: tuple[Any, ...], counts: tuple[Any, Any], learning_rate: Any
    ) -> None:
        """Take a step; each device of this machine gets an equal part of these samples.

        Samples that cannot be divided equally are padded with samples of weight 0.

        samples: this worker's part of the batch: images, labels and the other inputs of the
            augmenter
        counts: how many of these samples count, the first ones; and how many samples the batch of
            all workers has
        """
        self.optimizer.learning_rate.assign(learning_rate)
        devices = len(self._strategy.extended.worker_devices)
        size = tf.shape(samples[1])[0]
        part_size = -(-size // devices)  # divided and rounded up

        def part_of(context: Any) -> Any:
            """Return samples and weights of one device; replicas are numbered over all workers."""
            first = context.replica_id_in_sync_group % devices * part_size
            indices = tf.range(first, first + part_size)
            weights = tf.cast(indices[:, tf.newaxis] < counts[0], tf.float32)
            # padding repeats samples from the begin (% size); they have weight 0
            return tuple(tf.gather(values, indices % size) for values in samples), weights

        parts = self._strategy.experimental_distribute_values_from_function(part_of)
        sums = self._strategy.run(self._descend, (*parts, counts[1]))
        self.totals.add(self._strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None))

    def _descend(self, samples: tuple[Any, ...], weights: Any, size: Any) -> Any:
        """Take a step on one device; return the sums over its samples that are added to the totals.

        weights: float32 (samples, 1): 1 for a sample that counts, 0 for padding
        size: number of samples in the batch of all workers
        """
        gradients, sums = self.gradients(samples, size, weights)
        context = tf.distribute.get_replica_context()
        summed = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        # Keras clips the gradients of each device, and then adds up those of all devices. So each
        # device passes an equal fraction of the summed gradients, which adds up to them again; for
        # the clipping, make_optimizer() has divided the norm by the number of devices, too.
        fractions = [gradient / self._strategy.num_replicas_in_sync for gradient in summed]
        self.optimizer.apply(fractions, self.model.trainable_variables)
        return sums


def make_joint_trainer(
    data: TrainingData, settings: TrainSettings, labels: int, strategy: Any = None
) -> Trainer:
    """Return the trainer of the network on several devices.

    Raises UserError if the samples do not suit the network, and for --set jit-compile=on, which
    needs a single device.

    labels: number of labels of a sample
    strategy: the strategy of tf.distribute that has the devices; None for the GPUs of this machine
    """
    if settings.jit_compile == ON:
        raise UserError("--set jit-compile=on trains on one device; use --gpus 1, and one worker")
    if strategy is None:
        strategy = _strategy_of_gpus(settings.gpus)
    trainer = make_trainer(data, settings, labels, partial(JointTrainer, strategy), strategy)
    _share_statistics(trainer.model)
    return trainer


def _share_statistics(model: keras.Model) -> None:
    """Let batch normalization use the statistics of the whole batch, not of a device's part."""
    for layer in layers_within(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def _strategy_of_gpus(count: int) -> Any:
    """Return a strategy of tf.distribute for GPUs of this machine, or for its CPU if it has none.

    count: number of GPUs; 0 for all
    """
    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    if count > max(len(gpus), 1):
        raise UserError(
            f"--gpus {count}, but TensorFlow sees {len(gpus)}; see bcclone doctor --full"
        )
    used = gpus[: count or len(gpus)]
    return tf.distribute.MirroredStrategy(used or None)


def load_shared_checkpoint(
    workers: Collective, folder: Path, trainer: Trainer, notify: Notify
) -> tuple[TrainingState, bytes]:
    """Load the chief's newest checkpoint into the trainers of all workers.

    Returns what load_checkpoint() returns.

    folder: folder of this worker's checkpoints; only the chief's folder may have some
    """
    # in a folder without checkpoints, this returns the state with which a new training begins
    state, model = load_checkpoint(folder, trainer, notify)
    if workers.count == 1:
        return state, model
    if workers.writes:
        workers.share(checkpoint_content(trainer, state, model))  # the chief has loaded it already
        return state, model
    # the other workers share nothing of their own, and get the chief's content
    shared = workers.share(b"")
    return load_content(io.BytesIO(shared), trainer)
