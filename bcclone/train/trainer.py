"""Take training and validation steps, one compiled call each."""

import hashlib
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from bcclone.cluster.part_dropout import BatchRows
from bcclone.feed.augment.on_device import DeviceAugmenter
from bcclone.feed.feed import Batch
from bcclone.train.train_settings import HUBER_DELTA

# of the steering and of the others in the loss that is minimised; the reported one is the steering's
_STEERING_WEIGHT, _FURTHER_WEIGHT = 1.0, 0.1


class Totals:
    """Sums of losses and absolute errors over samples, kept on the device."""

    def __init__(self) -> None:
        self._sums = tf.Variable(tf.zeros(3, tf.float64), trainable=False)

    def reset(self) -> None:
        """Set the sums to 0."""
        self._sums.assign(tf.zeros(3, tf.float64))

    def add(self, sums: Any) -> None:
        """Add a batch's loss, absolute errors and count, float64 (3,), each summed over its samples."""
        self._sums.assign_add(sums)

    def read(self) -> npt.NDArray[np.float64]:
        """Return the sums, float64 (3,), as write() takes them."""
        return np.asarray(self._sums.numpy())

    def write(self, sums: npt.NDArray[np.float64]) -> None:
        """Set the sums to values from read(), float64 (3,)."""
        self._sums.assign(sums)

    def means(self) -> tuple[float, float]:
        """Return mean loss and mean absolute error over all samples since reset()."""
        loss, absolute, count = self.read().tolist()
        return loss / max(count, 1.0), absolute / max(count, 1.0)


@dataclass(frozen=True)
class StepOptions:
    """Options of the training step.

    loss: the loss to minimise; strategy: divides each batch among several devices, None for one device; exported: the
    network that takes the weights when the trained one computes in 16 bits, has the dropout of several workers, or
    outputs that only help in training; batch_rows: tells that dropout which samples it is given; augmenter: augments
    each batch as the first part of a step, None when the feed does or samples are not augmented; jit_compile: compile
    the training step by XLA, without a strategy.
    """

    loss: str = "mse"
    strategy: tf.distribute.Strategy | None = None
    exported: keras.Model | None = None
    batch_rows: BatchRows | None = None
    augmenter: DeviceAugmenter | None = None
    jit_compile: bool = False


class Trainer:
    """A network and its optimizer, with the steps of training and of validation compiled for any batch size."""

    def __init__(
        self, model: keras.Model, optimizer: keras.optimizers.Optimizer, options: StepOptions = StepOptions()
    ) -> None:
        self.model, self.optimizer, self.totals = model, optimizer, Totals()
        self._label_weights = [_STEERING_WEIGHT] + [_FURTHER_WEIGHT] * (model.output_shape[-1] - 1)
        self._strategy, self._loss, self._exported = options.strategy, options.loss, options.exported
        self._augmenter, self._batch_rows = options.augmenter, options.batch_rows
        self._input_dtype = model.inputs[0].dtype  # networks of bcclone take uint8, others float32
        shape = (
            tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8),
            tf.TensorSpec((None, model.output_shape[-1]), tf.float32),
        )
        samples = shape + (self._augmenter.input_signature if self._augmenter else ())
        sizes = (tf.TensorSpec((), tf.int32),) * 3
        step = [samples, sizes, tf.TensorSpec((), tf.float32)]
        self._train = tf.function(self._train_step, input_signature=step, jit_compile=options.jit_compile or None)
        self._validate = tf.function(self._validate_step, input_signature=shape)

    @property
    def variables(self) -> list[keras.Variable]:
        """Return all variables that training changes: weights, dropout generators, the optimizer's moments."""
        return [*self.model.variables, *self.optimizer.variables]

    def train(self, batch: Batch, learning_rate: float) -> None:
        """Take one step down the gradient of the mean loss and add the batch to the totals."""
        samples: tuple[Any, ...] = batch.images, batch.labels
        first = batch.span.first if batch.span else 0
        sizes = np.int32(batch.samples), np.int32(first), np.int32(batch.global_size)
        if batch.augmentation is not None:
            inputs, draws = batch.augmentation.inputs, batch.augmentation.draws
            samples += inputs.flipped, inputs.lookahead_m, draws.normal, draws.uniform
        self._train(samples, sizes, np.float32(learning_rate))

    def validate(self, batch: Batch) -> None:
        """Add the batch's errors to the totals, without dropout; of several workers, to those of this one."""
        if batch.samples:
            self._validate(batch.images, batch.labels)

    def weights_digest(self) -> str:
        """Return a digest of the weights, which is the same on workers that train together."""
        digest = hashlib.sha256()
        for weight in self.model.get_weights():
            digest.update(weight.tobytes())
        return digest.hexdigest()[:16]

    def export(self) -> keras.Model:
        """Return the network to save, which computes in 32 bits, with the layers and outputs that drive alone."""
        if self._exported is None:
            return self.model
        self._exported.set_weights(_first_outputs(self.model.get_weights(), self._exported.get_weights()))
        return self._exported

    def _train_step(self, samples: tuple[Any, ...], sizes: tuple[Any, Any, Any], learning_rate: Any) -> None:
        """Take a step. samples: images, labels and the other inputs of the augmenter; (samples, ...) each.

        sizes: how many of the samples count; of the batch of all workers, the index of the first one, and the number of
        samples.
        """
        self.optimizer.learning_rate.assign(learning_rate)
        if self._strategy is None:
            self.totals.add(self._descend(samples, tf.ones_like(samples[1][:, :1])))
        else:
            self.totals.add(self._descend_together(self._strategy, samples, sizes))

    def _descend_together(
        self, strategy: tf.distribute.Strategy, samples: tuple[Any, ...], sizes: tuple[Any, Any, Any]
    ) -> Any:
        """Take the step on the devices of the strategy, with an equal part of these samples on each of this machine's.

        A batch that cannot be divided equally is padded with samples of weight 0.
        """
        count, size = len(strategy.extended.worker_devices), tf.shape(samples[1])[0]
        part_size = -(-size // count)
        indices = tf.range(part_size * count)

        def split(values: Any) -> Any:
            def part_of(context: Any) -> Any:
                first = context.replica_id_in_sync_group % count * part_size
                return tf.gather(values, indices[first : first + part_size] % size)

            return strategy.experimental_distribute_values_from_function(part_of)

        def weights_of(context: Any) -> Any:
            first = context.replica_id_in_sync_group % count * part_size
            return tf.cast(indices[first : first + part_size, tf.newaxis] < sizes[0], tf.float32)

        weights = strategy.experimental_distribute_values_from_function(weights_of)
        rows = split(sizes[1] + tf.range(size))
        sums = strategy.run(self._descend, (tuple(split(values) for values in samples), weights, rows, sizes[2]))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None)

    def _descend(self, samples: tuple[Any, ...], weights: Any, rows: Any = None, size: Any = None) -> Any:
        """Take a step and return the sums of the loss, the absolute errors and the count over these samples.

        weights: float32 (samples, 1), 0 or 1; rows: int32 (samples,), index into the whole batch, and size: its number
        of samples, when these are a part of it.
        """
        if self._batch_rows:
            self._batch_rows.set(rows, size)
        images, labels = self._augmented(*samples) if self._augmenter else samples
        with tf.GradientTape() as tape:
            errors = self._errors(images, labels, training=True) * weights
            losses = self._losses(errors)
            loss = tf.reduce_sum(losses * self._label_weights)
            loss = self.optimizer.scale_loss(loss / tf.cast(tf.shape(labels)[0] if size is None else size, tf.float32))
        variables = self.model.trainable_variables
        gradients = tape.gradient(loss, variables)
        if self._strategy is not None:
            # Keras adds up the gradients of the devices after clipping them; so each gets its fraction of the sum
            total = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
            gradients = [gradient / self._strategy.num_replicas_in_sync for gradient in total]
        self.optimizer.apply(gradients, variables)
        return _sums(losses, errors, weights)

    def _augmented(self, images: Any, labels: Any, *others: Any) -> tuple[Any, Any]:
        """Return images and labels as the augmenter changes them, which leaves the speed as it is."""
        augmented, steering = self._augmenter(images, labels[:, :1], *others)  # type: ignore[misc]
        return augmented, tf.concat([steering, labels[:, 1:]], axis=1)

    def _validate_step(self, images: Any, labels: Any) -> None:
        errors = self._errors(images, labels, training=False)
        self.totals.add(_sums(self._losses(errors), errors, tf.ones_like(errors[:, :1])))

    def _errors(self, images: Any, labels: Any, training: bool) -> Any:
        predicted = self.model(tf.cast(images, self._input_dtype), training=training)
        return tf.cast(predicted, tf.float32) - labels

    def _losses(self, errors: Any) -> Any:
        if self._loss == "mse":
            return tf.square(errors)
        absolute = tf.abs(errors)
        if self._loss == "mae":
            return absolute
        linear = HUBER_DELTA * (absolute - HUBER_DELTA / 2)
        return tf.where(absolute <= HUBER_DELTA, tf.square(errors) / 2, linear)


def _sums(losses: Any, errors: Any, weights: Any) -> Any:
    """Return the sums of the loss and the absolute errors of the steering, and of the weights."""
    values = losses[:, :1], tf.abs(errors[:, :1]), weights
    return tf.stack([tf.reduce_sum(tf.cast(each, tf.float64)) for each in values])


def _first_outputs(weights: list[npt.NDArray[Any]], of: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """Return the weights of the first outputs alone, as many as there are in another network's weights."""
    return [each[..., : other.shape[-1]] for each, other in zip(weights, of, strict=True)]
