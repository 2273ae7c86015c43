"""Kind `autoencoder`: the error with which a small network redraws the frame, as in SelfOracle (see threshold.py).

The network was trained to redraw the frames of the store through a narrow layer; it redraws other ones worse.
"""

from typing import Any

import keras
import tensorflow as tf
from keras import layers

from bcclone.dataset.images import seen_rows
from bcclone.lab.monitor.scorer import Arrays, FitInputs, Notify, Scorer, compiled_scorer, image_shape
from bcclone.lab.monitor.training import (
    LEARNING_RATE,
    block_size,
    reduced_frame,
    training_batches,
    weights_of,
    with_weights,
)
from bcclone.model.model_file import ModelFile

_CODE = 32  # numbers that a frame is redrawn from


def learn(inputs: FitInputs, notify: Notify) -> Arrays:
    """Return the weights of a network trained on the store."""
    keras.utils.set_random_seed(inputs.settings.seed + 1)
    reduce, network = _networks(*image_shape(inputs.model)[:2])
    network.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE), loss="mse")
    for epoch in range(inputs.settings.epochs):
        losses = []
        for images in training_batches(inputs.store, inputs.settings.seed + epoch):
            small = reduce(images)
            losses.append(network.train_on_batch(small, small))
        notify(f"autoencoder, epoch {epoch + 1} of {inputs.settings.epochs}: error {float(losses[-1]):.5f}")
    return weights_of(network)


def make_scorer(model: ModelFile, arrays: Arrays) -> Scorer:
    """Return the scorer of stored weights."""
    reduce, network = _networks(*image_shape(model)[:2])
    with_weights(network, dict(arrays))

    def error(images: Any) -> Any:
        small = reduce(images, training=False)
        return tf.reduce_mean(tf.square(network(small, training=False) - small), axis=(1, 2, 3))

    return compiled_scorer(image_shape(model), error)


def _networks(height: int, width: int) -> tuple[keras.Model, keras.Model]:
    """Return the network that reduces a prepared image, and the one that redraws the result."""
    seen, block = seen_rows(height), block_size(height, width)
    rows, columns = (seen.stop - seen.start) // block, width // block
    code_rows, code_columns = -(-rows // 4), -(-columns // 4)
    reduce = keras.Sequential(reduced_frame(height, width))
    redraw = keras.Sequential(
        [
            keras.Input((rows, columns, 3)),
            layers.Conv2D(16, 3, strides=2, padding="same", activation="elu"),
            layers.Conv2D(32, 3, strides=2, padding="same", activation="elu"),
            layers.Flatten(),
            layers.Dense(_CODE),
            layers.Dense(code_rows * code_columns * 32, activation="elu"),
            layers.Reshape((code_rows, code_columns, 32)),
            layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="elu"),
            layers.Conv2DTranspose(3, 3, strides=2, padding="same"),
            layers.Cropping2D(((0, 4 * code_rows - rows), (0, 4 * code_columns - columns))),
        ]
    )
    return reduce, redraw
