"""One batch -> better weights, as one compiled call; what it measures stays on the device until it is asked for."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from bcclone.augment.on_device import DeviceAugmenter
from bcclone.feed.batch import Batch
from bcclone.train.settings import HUBER_DELTA


class Totals:
    """Losses and absolute errors added up over samples, where the computing is done."""

    def __init__(self) -> None:
        self._sums = tf.Variable(tf.zeros(3, tf.float64), trainable=False)

    def reset(self) -> None:
        """Begin anew."""
        self._sums.assign(tf.zeros(3, tf.float64))

    def add(self, sums: Any) -> None:
        """Add a batch's loss, absolute errors and count, float64 (3,), each summed over its samples."""
        self._sums.assign_add(sums)

    def read(self) -> npt.NDArray[np.float64]:
        """Return the sums so far, float64 (3,), to be written back."""
        return np.asarray(self._sums.numpy())

    def write(self, sums: npt.NDArray[np.float64]) -> None:
        """Go on from what read() gave, float64 (3,)."""
        self._sums.assign(sums)

    def means(self) -> tuple[float, float]:
        """Return mean loss and mean absolute error over all samples since reset()."""
        loss, absolute, count = self.read().tolist()
        return loss / max(count, 1.0), absolute / max(count, 1.0)


@dataclass(frozen=True)
class StepOptions:
    """How a step is taken.

    loss: what is minimised; strategy: what the network was made under, to share each batch among several devices; None
    for one. exported: a network of the same weights, computing in 32 bits, where the trained one does not. augmenter:
    augments each batch as the first part of a step; None where its feed has done so, or nothing does.
    """

    loss: str = "mse"
    strategy: tf.distribute.Strategy | None = None
    exported: keras.Model | None = None
    augmenter: DeviceAugmenter | None = None


class Trainer:
    """A network and its optimizer, with the steps of training and of validation compiled for any batch size."""

    def __init__(
        self, model: keras.Model, optimizer: keras.optimizers.Optimizer, options: StepOptions = StepOptions()
    ) -> None:
        self.model, self.optimizer, self.totals = model, optimizer, Totals()
        self._strategy, self._loss, self._exported = options.strategy, options.loss, options.exported
        self._augmenter = options.augmenter
        self._input_dtype = model.inputs[0].dtype  # our networks take uint8, those of others float32
        shape = tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8), tf.TensorSpec((None, 1), tf.float32)
        samples = shape + (self._augmenter.input_signature if self._augmenter else ())
        self._train = tf.function(self._train_step, input_signature=[samples, tf.TensorSpec((), tf.float32)])
        self._validate = tf.function(self._validate_step, input_signature=shape)

    @property
    def variables(self) -> list[keras.Variable]:
        """Return all that training changes: weights, the state of the dropouts' generators, Adam's moments."""
        return [*self.model.variables, *self.optimizer.variables]

    def train(self, batch: Batch, learning_rate: float) -> None:
        """Take one step down the gradient of the mean loss and add the batch to the totals."""
        samples: tuple[Any, ...] = batch.images, batch.steering
        if batch.augmentation is not None:
            inputs, draws = batch.augmentation.inputs, batch.augmentation.draws
            samples += inputs.flipped, inputs.lookahead_m, draws.normal, draws.uniform
        self._train(samples, np.float32(learning_rate))

    def validate(self, batch: Batch) -> None:
        """Add the batch's errors, without dropout, to the totals."""
        self._validate(batch.images, batch.steering)

    def export(self) -> keras.Model:
        """Return the network as it is to be saved."""
        if self._exported is None:
            return self.model
        self._exported.set_weights(self.model.get_weights())
        return self._exported

    def _train_step(self, samples: tuple[Any, ...], learning_rate: Any) -> None:
        """Take a step. samples: images, steering, and what the augmenter takes besides; (samples, ...) each."""
        self.optimizer.learning_rate.assign(learning_rate)
        if self._strategy is None:
            self.totals.add(self._descend(samples, tf.ones_like(samples[1])))
        else:
            self.totals.add(self._descend_together(self._strategy, samples))

    def _descend_together(self, strategy: tf.distribute.Strategy, samples: tuple[Any, ...]) -> Any:
        """Take the step with the devices of the strategy, each on an equal part of the batch.

        A batch that cannot be parted so is filled up with samples of no weight.
        """
        count, size = strategy.num_replicas_in_sync, tf.shape(samples[1])[0]
        part = -(-size // count)
        places = tf.range(part * count)

        def split(values: Any) -> Any:
            def part_of(context: Any) -> Any:
                first = context.replica_id_in_sync_group * part
                return tf.gather(values, places[first : first + part] % size)

            return strategy.experimental_distribute_values_from_function(part_of)

        def weights_of(context: Any) -> Any:
            first = context.replica_id_in_sync_group * part
            return tf.cast(places[first : first + part, tf.newaxis] < size, tf.float32)

        weights = strategy.experimental_distribute_values_from_function(weights_of)
        sums = strategy.run(self._descend, (tuple(split(values) for values in samples), weights, size))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None)

    def _descend(self, samples: tuple[Any, ...], weights: Any, size: Any = None) -> Any:
        """Take a step and return the sums of the loss, the absolute errors and the count over these samples.

        weights: float32 (samples, 1), 0 or 1; size: samples of the whole batch, of which these may be a part.
        """
        images, steering = self._augmenter(*samples) if self._augmenter else samples
        with tf.GradientTape() as tape:
            errors = self._errors(images, steering, training=True) * weights
            losses = self._losses(errors)
            loss = tf.reduce_sum(losses) / tf.cast(tf.size(steering) if size is None else size, tf.float32)
            loss = self.optimizer.scale_loss(loss)
        variables = self.model.trainable_variables
        gradients = tape.gradient(loss, variables)
        if self._strategy is not None:
            # Keras adds up what the devices have, but after it has shortened it; so each gets a share of the whole
            whole = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
            gradients = [gradient / self._strategy.num_replicas_in_sync for gradient in whole]
        self.optimizer.apply(gradients, variables)
        return _sums(losses, errors, weights)

    def _validate_step(self, images: Any, steering: Any) -> None:
        errors = self._errors(images, steering, training=False)
        self.totals.add(_sums(self._losses(errors), errors, tf.ones_like(errors)))

    def _errors(self, images: Any, steering: Any, training: bool) -> Any:
        predicted = self.model(tf.cast(images, self._input_dtype), training=training)
        return tf.cast(predicted, tf.float32) - steering

    def _losses(self, errors: Any) -> Any:
        if self._loss == "mse":
            return tf.square(errors)
        absolute = tf.abs(errors)
        if self._loss == "mae":
            return absolute
        linear = HUBER_DELTA * (absolute - HUBER_DELTA / 2)
        return tf.where(absolute <= HUBER_DELTA, tf.square(errors) / 2, linear)


def _sums(losses: Any, errors: Any, weights: Any) -> Any:
    return tf.stack([tf.reduce_sum(tf.cast(part, tf.float64)) for part in (losses, tf.abs(errors), weights)])
