"""Drop out the same units on several workers as on one, and multiply them by the same noise.

A dropout layer draws its mask or noise for the samples that it is given, by a seed that is the same on all workers. For
a part of a batch, it draws for the whole batch, and the worker takes its rows: so the workers train as one does.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from bcclone.train.prepare import with_dropout_layers


class BatchRows:
    """Which rows of the batch of all workers a network is called with; set before each call while a step is traced.

    rows: int32 (samples,), index into that batch; size: its number of samples.
    """

    rows: Any = None
    size: Any = None

    def set(self, rows: Any, size: Any) -> None:
        """Set the rows of the next call of the network; None, None for a call with a whole batch."""
        self.rows, self.size = rows, size

    def ones(self, shape: Sequence[int], dtype: Any) -> Any:
        """Return ones for the batch of all workers. shape: of a sample."""
        whole = tf.ones([self.size, *shape], dtype)
        whole.set_shape([None, *shape])
        return whole


class PartDropout(keras.layers.Dropout):  # type: ignore[misc]
    """A dropout layer that drops of some rows of a batch what keras.layers.Dropout would drop of the whole batch."""

    def __init__(self, batch_rows: BatchRows, **config: Any) -> None:
        super().__init__(**config)
        self._batch_rows = batch_rows

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the inputs with units dropped in training."""
        rows = self._batch_rows.rows
        if not training or not self.rate or rows is None:
            return super().call(inputs, training=training)
        noise_shape = self.noise_shape or inputs.shape
        shape = [own or size for own, size in zip(noise_shape[1:], inputs.shape[1:], strict=True)]
        mask = keras.random.dropout(self._batch_rows.ones(shape, inputs.dtype), self.rate, seed=self.seed_generator)
        return inputs * tf.gather(mask, rows)


class PartGaussianDropout(keras.layers.GaussianDropout):  # type: ignore[misc]
    """Multiplies some rows of a batch by the noise that keras.layers.GaussianDropout would draw in the whole batch."""

    def __init__(self, batch_rows: BatchRows, **config: Any) -> None:
        super().__init__(**config)
        self._batch_rows = batch_rows

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the inputs, multiplied by noise in training."""
        rows = self._batch_rows.rows
        if not training or not self.rate or rows is None:
            return super().call(inputs, training=training)
        noise = super().call(self._batch_rows.ones(inputs.shape[1:], inputs.dtype), training=True)
        return inputs * tf.gather(noise, rows)


def with_part_dropout(model: keras.Model, batch_rows: BatchRows) -> keras.Model:
    """Return a copy of the network, in the same state, whose dropout layers draw for the whole batch."""

    def part_of(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = {"rate": layer.rate, "seed": layer.seed, "name": layer.name, "dtype": layer.dtype_policy}
        if isinstance(layer, keras.layers.GaussianDropout):
            return PartGaussianDropout(batch_rows, **config)
        whole_maps = isinstance(layer, keras.layers.SpatialDropout2D)
        return PartDropout(batch_rows, noise_shape=(None, 1, 1, None) if whole_maps else layer.noise_shape, **config)

    copy = with_dropout_layers(model, part_of)
    for variable, original in zip(copy.variables, model.variables, strict=True):
        variable.assign(original)
    return copy
