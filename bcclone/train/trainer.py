"""Take training and validation steps, one compiled call each."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from bcclone.feed.augment.on_device import DeviceAugmenter
from bcclone.feed.feed import Batch
from bcclone.train.train_settings import HUBER_DELTA, LearningSettings

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


class Trainer:
    """A network and its optimizer, with the steps of training and of validation compiled for any batch size.

    exported: the network that takes the weights to be saved, when the trained one computes in 16 bits or has outputs
    that only help in training; augmenter: augments each batch as the first part of a step, None when the feed does or
    samples are not augmented.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        settings: LearningSettings,
        exported: keras.Model | None = None,
        augmenter: DeviceAugmenter | None = None,
    ) -> None:
        self.model, self.optimizer, self.totals = model, optimizer, Totals()
        self._loss, self._exported, self._augmenter = settings.loss, exported, augmenter
        self._label_weights = [_STEERING_WEIGHT] + [_FURTHER_WEIGHT] * (model.output_shape[-1] - 1)
        self._input_dtype = model.inputs[0].dtype  # networks of bcclone take uint8, others float32
        images_and_labels = (
            tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8),
            tf.TensorSpec((None, model.output_shape[-1]), tf.float32),
        )
        samples = images_and_labels + (augmenter.input_signature if augmenter else ())
        step = [samples, tf.TensorSpec((), tf.float32)]
        self._train = tf.function(self._train_step, input_signature=step, jit_compile=settings.jit_compile or None)
        self._validate = tf.function(self._validate_step, input_signature=images_and_labels)

    @property
    def variables(self) -> list[keras.Variable]:
        """Return all variables that training changes: weights, dropout generators, the optimizer's moments."""
        return [*self.model.variables, *self.optimizer.variables]

    def train(self, batch: Batch, learning_rate: float) -> None:
        """Take one step down the gradient of the mean loss and add the batch to the totals."""
        self._train(samples_of(batch), np.float32(learning_rate))

    def evaluate(self, batches: Iterable[Batch]) -> tuple[float, float]:
        """Return mean loss and mean absolute error over batches, without dropout."""
        self.totals.reset()
        for batch in batches:
            if batch.samples:
                self._validate(batch.images, batch.labels)
        return self.totals.means()

    def export(self) -> keras.Model:
        """Return the network to save, which computes in 32 bits, with the layers and outputs that drive alone."""
        if self._exported is None:
            return self.model
        self._exported.set_weights(_first_outputs(self.model.get_weights(), self._exported.get_weights()))
        return self._exported

    def _train_step(self, samples: tuple[Any, ...], learning_rate: Any) -> None:
        """Take a step. samples: images, labels and the other inputs of the augmenter; (samples, ...) each."""
        self.optimizer.learning_rate.assign(learning_rate)
        images, labels = self.augmented(samples)
        with tf.GradientTape() as tape:
            errors = self.errors(images, labels, training=True)
            losses = self.losses(errors)
            loss = tf.reduce_sum(losses * self._label_weights) / tf.cast(tf.shape(labels)[0], tf.float32)
            loss = self.optimizer.scale_loss(loss)
        variables = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        self.totals.add(sums_of(losses, errors, tf.ones_like(errors[:, :1])))

    def _validate_step(self, images: Any, labels: Any) -> None:
        errors = self.errors(images, labels, training=False)
        self.totals.add(sums_of(self.losses(errors), errors, tf.ones_like(errors[:, :1])))

    def augmented(self, samples: tuple[Any, ...]) -> tuple[Any, Any]:
        """Return images and labels as the augmenter changes them, which leaves all labels but the steering alone."""
        images, labels, *others = samples
        if not self._augmenter:
            return images, labels
        images, steering = self._augmenter(images, labels[:, :1], *others)
        return images, tf.concat([steering, labels[:, 1:]], axis=1)

    def errors(self, images: Any, labels: Any, training: bool) -> Any:
        """Return prediction minus label, float32 (samples, labels)."""
        predicted = self.model(tf.cast(images, self._input_dtype), training=training)
        return tf.cast(predicted, tf.float32) - labels

    def losses(self, errors: Any) -> Any:
        """Return the loss of each error, (samples, labels)."""
        if self._loss == "mse":
            return tf.square(errors)
        absolute = tf.abs(errors)
        if self._loss == "mae":
            return absolute
        linear = HUBER_DELTA * (absolute - HUBER_DELTA / 2)
        return tf.where(absolute <= HUBER_DELTA, tf.square(errors) / 2, linear)


def samples_of(batch: Batch) -> tuple[Any, ...]:
    """Return what a step takes of a batch: images, labels, and the inputs of the augmentation if the feed adds them."""
    samples: tuple[Any, ...] = batch.images, batch.labels
    if batch.augmentation is None:
        return samples
    inputs, draws = batch.augmentation.inputs, batch.augmentation.draws
    return (*samples, inputs.flipped, inputs.lookahead_m, draws.normal, draws.uniform)


def sums_of(losses: Any, errors: Any, weights: Any) -> Any:
    """Return the sums of the loss and the absolute errors of the steering, and of the weights."""
    values = losses[:, :1], tf.abs(errors[:, :1]), weights
    return tf.stack([tf.reduce_sum(tf.cast(each, tf.float64)) for each in values])


def _first_outputs(weights: list[npt.NDArray[Any]], of: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """Return the weights of the first outputs alone, as many as there are in another network's weights."""
    return [each[..., : other.shape[-1]] for each, other in zip(weights, of, strict=True)]
