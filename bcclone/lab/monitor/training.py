"""Train the small networks of a monitor on the samples of a store."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from bcclone.dataset.images import Image, seen_rows
from bcclone.feed.keras_sequence import SampleDataset
from bcclone.system.arrays import Float32Array

BATCH_SIZE = 64
LEARNING_RATE = 1e-3
_LARGEST_SIDE = 64  # pixels of what the networks of a monitor compute on


def reduced_frame(height: int, width: int) -> list[Any]:
    """Return the layers from a prepared image, uint8 (batch, height, width, 3), to a small one, -1 to 1.

    Sky and bonnet are cropped as the model's own network does, and blocks of pixels are averaged.
    """
    seen, block = seen_rows(height), block_size(height, width)
    return [
        keras.Input((height, width, 3), dtype="uint8", name="frame"),
        layers.Cropping2D(((seen.start, height - seen.stop), (0, 0)), name="crop"),
        layers.Rescaling(1 / 127.5, offset=-1, name="scale"),
        *([layers.AveragePooling2D(block, name="reduce")] if block > 1 else []),
    ]


def block_size(height: int, width: int) -> int:
    """Return how many pixels, in each direction, become one."""
    return max(round(min(height, width) / _LARGEST_SIDE), 1)


def train_steering(network: keras.Model, store: Path, epochs: int, seed: int) -> float:
    """Train a network to steer, on the training samples; return its validation loss."""
    network.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE), loss="mse")
    with SampleDataset.from_store(store, BATCH_SIZE, seed) as samples:
        network.fit(samples, epochs=epochs, verbose=0)
    with SampleDataset.from_store(store, 4 * BATCH_SIZE, validation=True) as validation:
        return float(network.evaluate(validation, verbose=0))


def training_batches(store: Path, seed: int) -> Iterator[Image]:
    """Yield the images of the training samples once, in shuffled batches, uint8 (batch, height, width, 3)."""
    with SampleDataset.from_store(store, BATCH_SIZE, seed) as samples:
        for number in range(len(samples)):
            images, _ = samples[number]
            yield images


def weights_of(network: keras.Model) -> dict[str, Float32Array]:
    """Return the weights of a network by their number."""
    return {f"{number:03d}": np.asarray(weight) for number, weight in enumerate(network.get_weights())}


def with_weights(network: keras.Model, arrays: dict[str, Float32Array]) -> keras.Model:
    """Return the network with these weights; raises ValueError if they do not fit."""
    network.set_weights([arrays[name] for name in sorted(arrays)])
    return network
