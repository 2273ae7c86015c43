"""A network and its optimizer -> steps of training and of validation, compiled by TensorFlow."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bcclone.feed.augment.on_device import DeviceAugmenter
from bcclone.feed.source import Batch
from bcclone.system.arrays import FloatArray
from bcclone.train.train_settings import HUBER_DELTA, LOG_SCALE, LearningSettings

_STEERING_WEIGHT, _OTHER_WEIGHT = 1.0, 0.1  # in the loss that is minimised; the reported loss is the steering's


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
        self._loss = settings.loss
        self._label_weights = [_STEERING_WEIGHT] + [_OTHER_WEIGHT] * (model.output_shape[-1] - 1)
        self._exported, self._augmenter = exported, augmenter
        images_and_labels = (
            tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8),
            tf.TensorSpec((None, model.output_shape[-1]), tf.float32),
        )
        self.samples_signature = images_and_labels + (augmenter.input_signature if augmenter else ())
        step = [self.samples_signature, tf.TensorSpec((), tf.float32)]
        compiled = {"jit_compile": settings.jit_compile or None, "autograph": False}
        self._train = tf.function(self._train_step, input_signature=step, **compiled)
        score = partial(self._score, model)
        self._validate = tf.function(score, input_signature=images_and_labels, autograph=False)

    @property
    def variables(self) -> list[keras.Variable]:
        """Return all variables that training changes: weights, dropout generators, the optimizer's moments."""
        return [*self.model.variables, *self.optimizer.variables]

    def train(self, batch: Batch, learning_rate: float) -> None:
        """Take one step down the gradient of the mean loss and add the batch to the totals."""
        self._train(batch.inputs, np.float32(learning_rate))

    def evaluate(
        self,
        batches: Iterable[Batch],
        joined: Callable[[FloatArray], FloatArray] = lambda sums: sums,
        model: keras.Model | None = None,
    ) -> tuple[float, float, FloatArray]:
        """Return mean loss and mean absolute error over batches, and the steering, (samples,), without dropout.

        joined: sums of the batches of this worker -> of all workers; model: another network than the trained one.
        """
        self.totals.reset()
        steering, score = [], self._validate if model is None else partial(self._score, model)
        for batch in batches:
            steering.append(np.zeros(batch.global_size))
            if batch.samples:
                first = batch.span.first if batch.span else 0
                sums, steering[-1][first : first + batch.samples] = score(batch.images, batch.labels)
                self.totals.add(sums)
        self.totals.write(joined(self.totals.read()))
        return *self.totals.means(), joined(np.concatenate(steering))

    def export(self) -> keras.Model:
        """Return the network to save, which computes in 32 bits, with the layers and outputs that drive alone."""
        if self._exported is None:
            return self.model
        weights = zip(self.model.get_weights(), self._exported.get_weights(), strict=True)
        self._exported.set_weights([trained[..., : saved.shape[-1]] for trained, saved in weights])
        return self._exported

    def _train_step(self, samples: tuple[Any, ...], learning_rate: Any) -> None:
        """Take a step. samples: images, labels and the other inputs of the augmenter; (samples, ...) each."""
        self.optimizer.learning_rate.assign(learning_rate)
        gradients, sums = self.gradients(samples, tf.shape(samples[1])[0])
        self.optimizer.apply(gradients, self.model.trainable_variables)
        self.totals.add(sums)

    def _score(self, model: keras.Model, images: Any, labels: Any) -> tuple[Any, Any]:
        """Return the sums of a batch for the totals, and the steering, (samples,), without dropout."""
        answers = answers_of(model, images, training=False)
        errors = answers - labels
        return sums_of(losses_of(self._loss, errors, labels), errors), answers[:, 0]

    def gradients(self, samples: tuple[Any, ...], size: Any, weights: Any = None) -> tuple[list[Any], Any]:
        """Return the gradient of the loss for each trainable variable, and the sums of the samples for the totals.

        size: number of samples in the batch, by which the loss is divided; weights: float32 (samples, 1), 0 or 1, None
        for 1.
        """
        images, labels, *others = samples
        if self._augmenter:  # it changes no label but the steering
            images, steering = self._augmenter(images, labels[:, :1], *others)
            labels = tf.concat([steering, labels[:, 1:]], axis=1)
        with tf.GradientTape() as tape:
            errors = answers_of(self.model, images, training=True) - labels
            errors = errors if weights is None else errors * weights
            each = losses_of(self._loss, errors, labels)
            loss = tf.reduce_sum(each * self._label_weights) / tf.cast(size, tf.float32)
            loss = self.optimizer.scale_loss(loss)
        return tape.gradient(loss, self.model.trainable_variables), sums_of(each, errors, weights)


def losses_of(kind: str, errors: Any, labels: Any) -> Any:
    """Return the loss of each error, (samples, labels), for each label. kind: one of train_settings.LOSSES."""
    if kind == "mse":
        return tf.square(errors)
    if kind == "log":
        return tf.square(LOG_SCALE * (tf.asinh((errors + labels) / LOG_SCALE) - tf.asinh(labels / LOG_SCALE)))
    absolute = tf.abs(errors)
    if kind == "mae":
        return absolute
    linear = HUBER_DELTA * (absolute - HUBER_DELTA / 2)
    return tf.where(absolute <= HUBER_DELTA, tf.square(errors) / 2, linear)


def answers_of(model: Any, images: Any, training: bool) -> Any:
    """Return what the network predicts, float32 (samples, outputs); the first output is the steering."""
    images = tf.cast(images, model.inputs[0].dtype)  # networks of bcclone take uint8, others float32
    return tf.cast(model(images, training=training), tf.float32)


def sums_of(losses: Any, errors: Any, weights: Any = None) -> Any:
    """Return the sums of the loss and the absolute errors of the steering, and of the weights, None for 1."""
    steering = errors[:, :1]
    values = losses[:, :1], tf.abs(steering), tf.ones_like(steering) if weights is None else weights
    return tf.stack([tf.reduce_sum(tf.cast(each, tf.float64)) for each in values])


class Totals:
    """Sums of losses and absolute errors over samples, kept on the device."""

    def __init__(self) -> None:
        self._sums = tf.Variable(tf.zeros(3, tf.float64), trainable=False)

    def reset(self) -> None:
        self._sums.assign(tf.zeros(3, tf.float64))

    def add(self, sums: Any) -> None:
        self._sums.assign_add(sums)

    def read(self) -> FloatArray:
        return np.asarray(self._sums.numpy())

    def write(self, sums: FloatArray) -> None:
        self._sums.assign(sums)

    def means(self) -> tuple[float, float]:
        loss, absolute, count = self.read().tolist()
        return loss / max(count, 1.0), absolute / max(count, 1.0)
