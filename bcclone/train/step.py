"""One batch -> better weights, as one compiled call; what it measures stays on the device until it is asked for."""

from typing import Any

import keras
import tensorflow as tf

from bcclone.feed.batch import Batch


class Totals:
    """Squared and absolute errors added up over samples, where the computing is done."""

    def __init__(self) -> None:
        self._sums = tf.Variable(tf.zeros(3, tf.float64), trainable=False)

    def reset(self) -> None:
        """Begin anew."""
        self._sums.assign(tf.zeros(3, tf.float64))

    def add(self, errors: Any) -> None:
        """Add a batch's errors, float32 (batch, 1)."""
        errors = tf.cast(errors, tf.float64)
        count = tf.cast(tf.size(errors), tf.float64)
        self._sums.assign_add(tf.stack([tf.reduce_sum(errors**2), tf.reduce_sum(tf.abs(errors)), count]))

    def means(self) -> tuple[float, float]:
        """Return mean squared and mean absolute error over all samples since reset()."""
        squared, absolute, count = self._sums.numpy().tolist()
        return squared / max(count, 1.0), absolute / max(count, 1.0)


class Trainer:
    """A network and its optimizer, with the steps of training and of validation compiled for any batch size."""

    def __init__(self, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        self.model, self.optimizer, self.totals = model, optimizer, Totals()
        optimizer.build(model.trainable_variables)
        signature = [tf.TensorSpec(model.input_shape, tf.uint8), tf.TensorSpec((None, 1), tf.float32)]
        self._train = tf.function(self._train_step, input_signature=signature)
        self._validate = tf.function(self._validate_step, input_signature=signature)

    @property
    def variables(self) -> list[keras.Variable]:
        """Return all that training changes: weights, the state of the dropouts' generators, Adam's moments."""
        return [*self.model.variables, *self.optimizer.variables]

    def train(self, batch: Batch) -> None:
        """Take one step down the gradient of the mean squared error and add the batch to the totals."""
        self._train(batch.images, batch.steering)

    def validate(self, batch: Batch) -> None:
        """Add the batch's errors, without dropout, to the totals."""
        self._validate(batch.images, batch.steering)

    def _train_step(self, images: Any, steering: Any) -> None:
        with tf.GradientTape() as tape:
            errors = self.model(images, training=True) - steering
            loss = tf.reduce_mean(tf.square(errors))
        variables = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        self.totals.add(errors)

    def _validate_step(self, images: Any, steering: Any) -> None:
        self.totals.add(self.model(images, training=False) - steering)
