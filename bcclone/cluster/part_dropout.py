"""Drop out the same units on several workers as on one, and draw the same noise.

A layer of dropout or noise draws for the samples that it is given, by a seed that is the same on all workers. For a
part of a batch, it draws for the whole batch, and the worker takes its rows: so the workers train as one does.
"""

from typing import Any

import keras
import tensorflow as tf

from bcclone.model.layer_kinds import random_strength
from bcclone.train.prepare import with_layers


class BatchRows:
    """Which rows of the batch of all workers a network is called with; set before each call while a step is traced.

    rows: int32 (samples,), index into that batch, None for a call with a whole batch; places: int32 (size of that
    batch,), the sample that stands at each of its rows; the first one also stands in for the rows of other workers,
    whose outputs are not used.
    """

    rows: Any = None
    places: Any = None

    def set(self, rows: Any, size: Any) -> None:
        """Set the rows of the next call of the network, and the size of the whole batch."""
        self.rows = rows
        self.places = tf.tensor_scatter_nd_max(tf.zeros([size], tf.int32), rows[:, tf.newaxis], tf.range(tf.size(rows)))


class PartOfBatch(keras.layers.Layer):  # type: ignore[misc]
    """Computes of some rows of a batch what a layer that draws random numbers would compute of the whole batch."""

    def __init__(self, layer: keras.layers.Layer, batch_rows: BatchRows) -> None:
        super().__init__(name=layer.name, dtype=layer.dtype_policy)
        self._layer, self._batch_rows = layer, batch_rows

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the output of the layer for these rows."""
        rows = self._batch_rows.rows
        if not training or rows is None:
            return self._layer(inputs, training=training)
        return tf.gather(self._layer(tf.gather(inputs, self._batch_rows.places), training=True), rows)


def with_part_dropout(model: keras.Model, batch_rows: BatchRows) -> keras.Model:
    """Return a copy of the network, in the same state, whose dropout and noise are drawn for the whole batch."""

    def part_of(layer: keras.layers.Layer) -> keras.layers.Layer | None:
        is_random = random_strength(layer) is not None
        return PartOfBatch(layer.from_config(layer.get_config()), batch_rows) if is_random else None

    copy = with_layers(model, part_of)
    for variable, original in zip(copy.variables, model.variables, strict=True):
        variable.assign(original)
    return copy
