"""Compute the losses of predictions, and the sums of losses that an epoch reports."""

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from bcclone.train.train_settings import HUBER_DELTA, LOG_SCALE

_STEERING_WEIGHT, _OTHER_WEIGHT = 1.0, 0.1  # in the loss that is minimised; the reported loss is the steering's


def label_weights(labels: int) -> list[float]:
    """Return the weight of each label in the loss that is minimised; the first label is the steering."""
    return [_STEERING_WEIGHT] + [_OTHER_WEIGHT] * (labels - 1)


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


def errors_of(model: Any, images: Any, labels: Any, training: bool) -> Any:
    """Return prediction minus label, float32 (samples, outputs); a single label is the steering."""
    images = tf.cast(images, model.inputs[0].dtype)  # networks of bcclone take uint8, others float32
    return tf.cast(model(images, training=training), tf.float32) - labels


def sums_of(losses: Any, errors: Any, weights: Any) -> Any:
    """Return the sums of the loss and the absolute errors of the steering, and of the weights."""
    values = losses[:, :1], tf.abs(errors[:, :1]), weights
    return tf.stack([tf.reduce_sum(tf.cast(each, tf.float64)) for each in values])


class Totals:
    """Sums of losses and absolute errors over samples, kept on the device."""

    def __init__(self) -> None:
        self._sums = tf.Variable(tf.zeros(3, tf.float64), trainable=False)

    def reset(self) -> None:
        """Set the sums to 0."""
        self._sums.assign(tf.zeros(3, tf.float64))

    def add(self, sums: Any) -> None:
        """Add the sums of a batch, float64 (3,), from sums_of()."""
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
