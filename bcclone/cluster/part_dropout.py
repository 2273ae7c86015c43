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
        if not training or not self.rate or self._batch_rows.rows is None:
            return super().call(inputs, training=training)
        return inputs * _part_of_mask(self, self._batch_rows, inputs, inputs.shape[1:])


class PartSpatialDropout2D(keras.layers.SpatialDropout2D):  # type: ignore[misc]
    """The same for keras.layers.SpatialDropout2D, which drops whole maps."""

    def __init__(self, batch_rows: BatchRows, **config: Any) -> None:
        super().__init__(**config)
        self._batch_rows = batch_rows

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the inputs with maps dropped in training."""
        if not training or not self.rate or self._batch_rows.rows is None:
            return super().call(inputs, training=training)
        return inputs * _part_of_mask(self, self._batch_rows, inputs, (1, 1, inputs.shape[-1]))


def _part_of_mask(layer: keras.layers.Layer, batch_rows: BatchRows, inputs: Any, shape: tuple[int, ...]) -> Any:
    """Return the rows of the mask of the whole batch, (rows, *shape), by which a layer's inputs are multiplied."""
    whole = tf.ones([batch_rows.size, *shape], inputs.dtype)
    whole.set_shape([None, *shape])
    mask = keras.random.dropout(whole, layer.rate, seed=layer.seed_generator)
    return tf.gather(mask, batch_rows.rows)


def with_part_dropout(model: keras.Model, batch_rows: BatchRows) -> keras.Model:
    """Return a copy of the network, in the same state, whose dropout layers are those of a part of a batch."""

    def part_of(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = PartSpatialDropout2D if isinstance(layer, keras.layers.SpatialDropout2D) else PartDropout
        return kind(batch_rows, **layer.get_config())

    copy = with_dropout_layers(model, part_of)
    for variable, original in zip(copy.variables, model.variables, strict=True):
        variable.assign(original)
    return copy
