"""Drop out the same units on several workers as on one.

A dropout layer draws its mask for the samples that it is given, by a seed that is the same on all workers. For a part
of a batch, the mask is drawn for the whole batch, and the worker takes its rows: so the workers train as one does.
"""

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
        whole = tf.ones([self._batch_rows.size, *shape], inputs.dtype)
        whole.set_shape([None, *shape])
        mask = keras.random.dropout(whole, self.rate, seed=self.seed_generator)
        return inputs * tf.gather(mask, rows)


def with_part_dropout(model: keras.Model, batch_rows: BatchRows) -> keras.Model:
    """Return a copy of the network, in the same state, with a PartDropout for each of its dropout layers."""

    def part_of(layer: keras.layers.Layer) -> keras.layers.Layer:
        whole_maps = isinstance(layer, keras.layers.SpatialDropout2D)
        return PartDropout(
            batch_rows,
            rate=layer.rate,
            noise_shape=(None, 1, 1, None) if whole_maps else layer.noise_shape,
            seed=layer.seed,
            name=layer.name,
            dtype=layer.dtype_policy,
        )

    copy = with_dropout_layers(model, part_of)
    for variable, original in zip(copy.variables, model.variables, strict=True):
        variable.assign(original)
    return copy
