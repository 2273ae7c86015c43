"""Train on several devices or machines, with the steps of one device and at a joint pace."""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from bcclone.cluster.part_dropout import BatchRows, with_part_dropout
from bcclone.cluster.worker_group import WorkerGroup
from bcclone.feed.selection import TrainingData
from bcclone.feed.source import Batch
from bcclone.model.architectures import ARCHITECTURES
from bcclone.system.errors import UserError
from bcclone.system.interrupts import Interrupts
from bcclone.train.loop import Trainer, samples_of
from bcclone.train.prepare import computing_in, first_network, make_augmenter, make_optimizer, prepare_keras
from bcclone.train.train_settings import TrainSettings
from bcclone.train.worker import Moment, Pace

_STEPS_BETWEEN_DECISIONS = 20


class TogetherTrainer(Trainer):
    """A trainer that divides each batch among the devices of a strategy.

    group: of the workers; batch_rows: tells the dropout which samples it is given; network: as Trainer() takes it.
    """

    def __init__(self, strategy: Any, group: WorkerGroup, batch_rows: BatchRows, **network: Any) -> None:
        super().__init__(**network)
        self._strategy, self._group, self._batch_rows = strategy, group, batch_rows
        counts = (tf.TensorSpec((), tf.int32),) * 3
        step = [self.samples_signature, counts, tf.TensorSpec((), tf.float32)]
        self._train_part = tf.function(self._train_part_step, input_signature=step)

    def train(self, batch: Batch, learning_rate: float) -> None:
        """Take one step down the gradient of the mean loss, and add the batch of all workers to the totals."""
        first = batch.span.first if batch.span else 0
        counts = np.int32(batch.samples), np.int32(first), np.int32(batch.global_size)
        self._train_part(samples_of(batch), counts, np.float32(learning_rate))

    def evaluate(self, batches: Iterable[Batch]) -> tuple[float, float]:
        """Return mean loss and mean absolute error over the batches of all workers, without dropout."""
        super().evaluate(batches)
        self.totals.write(self._group.sum(self.totals.read()))
        return self.totals.means()

    def weights_digest(self) -> str:
        """Return a digest of the weights, which is the same on workers that train together."""
        digest = hashlib.sha256()
        for weight in self.model.get_weights():
            digest.update(weight.tobytes())
        return digest.hexdigest()[:16]

    def _train_part_step(self, samples: tuple[Any, ...], counts: tuple[Any, Any, Any], learning_rate: Any) -> None:
        """Take a step with an equal part of these samples on each device of this machine.

        counts: how many of the samples count; of the batch of all workers, the index of the first one, and the number
        of samples. A batch that cannot be divided equally is padded with samples of weight 0.
        """
        self.optimizer.learning_rate.assign(learning_rate)
        devices, size = len(self._strategy.extended.worker_devices), tf.shape(samples[1])[0]
        part_size = -(-size // devices)

        def part_of(context: Any) -> Any:
            first = context.replica_id_in_sync_group % devices * part_size
            indices = tf.range(first, first + part_size)
            weights = tf.cast(indices[:, tf.newaxis] < counts[0], tf.float32)
            part = tuple(tf.gather(values, indices % size) for values in samples)
            return part, weights, counts[1] + indices % size

        parts = self._strategy.experimental_distribute_values_from_function(part_of)
        sums = self._strategy.run(self._descend, (*parts, counts[2]))
        self.totals.add(self._strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None))

    def _descend(self, samples: tuple[Any, ...], weights: Any, rows: Any, size: Any) -> Any:
        """Take a step on one device, and return the sums of the loss, the absolute errors and the count.

        weights: float32 (samples, 1), 0 or 1; rows: int32 (samples,), index into the whole batch of `size` samples.
        """
        self._batch_rows.set(rows, size)
        own, sums = self.gradients(samples, size, weights)
        total = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, own)
        # Keras adds up the gradients of the devices after clipping them; so each gets its fraction of the sum
        gradients = [gradient / self._strategy.num_replicas_in_sync for gradient in total]
        self.optimizer.apply(gradients, self.model.trainable_variables)
        return sums


class JointPace(Pace):
    """The pace of all workers: the chief's time, and a stop as soon as one of them is asked to stop.

    weights_digest: of this worker's weights, which must be equal on all workers after each epoch.
    """

    def __init__(
        self, interrupts: Interrupts, elapsed: float, group: WorkerGroup, weights_digest: Callable[[], str]
    ) -> None:
        super().__init__(interrupts, elapsed)
        self._group, self._weights_digest, self._agreed = group, weights_digest, Moment(elapsed, must_stop=False)

    def moment(self, step: int, is_epoch_end: bool = False) -> Moment:
        """Return the moment on which the workers agree every few steps and around each epoch."""
        if is_epoch_end or step % _STEPS_BETWEEN_DECISIONS == 0:
            own = super().moment(step)
            shared = self._group.sum(np.array([own.elapsed if self._group.is_chief else 0.0, own.must_stop]))
            self._agreed = Moment(float(shared[0]), bool(shared[1]))
        if is_epoch_end:
            self._group.check_agreement({"weights": self._weights_digest()})
        return self._agreed


def make_together_trainer(
    data: TrainingData, settings: TrainSettings, labels: int, group: WorkerGroup, strategy: Any = None
) -> TogetherTrainer:
    """Return the trainer of the network on several devices; raises UserError as make_trainer() does.

    strategy: of tf.distribute, which has the devices; None for the group's, or else for the GPUs of this machine.
    """
    if ARCHITECTURES[settings.network].batch_norm:
        raise UserError(f"--network {settings.network} trains on one device; use --gpus 1, and one worker")
    if settings.jit_compile:
        raise UserError("--jit-compile trains on one device; use --gpus 1, and one worker")
    strategy = strategy or group.strategy or _strategy_of_gpus(settings.gpus)
    exported = prepare_keras(data, settings, labels)
    batch_rows = BatchRows()
    with computing_in(settings), strategy.scope():
        model = first_network(data, settings, labels)
        if group.count > 1:
            exported, model = exported or model, with_part_dropout(model, batch_rows)
        return TogetherTrainer(
            strategy,
            group,
            batch_rows,
            model=model,
            optimizer=make_optimizer(model, settings, strategy.num_replicas_in_sync),
            settings=settings,
            exported=exported,
            augmenter=make_augmenter(data, settings),
        )


def _strategy_of_gpus(wanted: int) -> Any:
    """Return the strategy that divides batches among this machine's GPUs, 0 for all of them; raises UserError."""
    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    if wanted > max(len(gpus), 1):
        raise UserError(f"--gpus {wanted}, but TensorFlow sees {len(gpus)}; see bcclone doctor --full")
    return tf.distribute.MirroredStrategy(gpus[: wanted or len(gpus)] or None)
