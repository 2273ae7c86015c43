"""Steering in 15 classes with a softmax, as donkeycar's categorical pilot, or as one number: the
same network twice.

    python preprocess.py RECORDING... -o data.h5
    python examples/steering_classes.py data.h5 classes.h5                  # 15 classes
    python examples/steering_classes.py data.h5 number.h5 --head number     # for comparison
    python drive.py classes.h5

The range of the steering, -1 to 1, is divided into 15 bins, and the network learns in which one the
steering lies. To drive, it gives the mean of the bins' middles, weighted by their probabilities,
through a last layer that is not trained; so drive.py, evaluate and replay take it like any other
model. (donkeycar takes the middle of the most probable bin,
https://docs.donkeycar.com/parts/keras/, so that its steering has 15 values.)
"""

import argparse
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from bcclone import SampleDataset, UserError, open_store, save_model

BINS = 15
MIDDLES = np.linspace(-1, 1, BINS, dtype=np.float32)  # of the bins


def bin_of(samples: Any, rows: Any) -> npt.NDArray[np.int64]:
    """Return the bin of each sample's steering, (samples,): that whose middle is nearest."""
    return np.abs(samples["steering"][:, np.newaxis] - MIDDLES).argmin(axis=1)


def build_features(height: int, width: int, channels: int) -> list[keras.Layer]:
    """Return the layers that both heads have, from an image to 50 features."""
    return [
        keras.Input((height, width, channels), dtype="uint8"),
        layers.Rescaling(1 / 127.5, offset=-1),
        layers.Cropping2D(((height // 3, height // 10), (0, 0))),
        layers.Conv2D(24, 5, strides=2, activation="elu"),
        layers.Conv2D(36, 5, strides=2, activation="elu"),
        layers.Conv2D(48, 3, strides=2, activation="elu"),
        layers.Flatten(),
        layers.Dropout(0.3),
        layers.Dense(100, activation="elu"),
        layers.Dense(50, activation="elu"),
    ]


def train(store: Path, head: str, epochs: int, seed: int) -> keras.Model:
    """Train on a store; return the network that drives, whose output is the steering. head:
    "classes" or "number".
    """
    keras.utils.set_random_seed(seed)
    with open_store(store) as opened:
        shape = opened.preprocessing.shape
    last = layers.Dense(BINS, activation="softmax") if head == "classes" else layers.Dense(1)
    network = keras.Sequential([*build_features(*shape), last])
    loss = "sparse_categorical_crossentropy" if head == "classes" else "mse"
    network.compile(optimizer="adam", loss=loss)
    targets = bin_of if head == "classes" else "steering"
    with (
        SampleDataset.from_store(store, 32, seed, targets=targets) as training,
        SampleDataset.from_store(store, 256, part="validation", targets=targets) as validation,
    ):
        network.fit(training, validation_data=validation, epochs=epochs, verbose=2)
    return with_mean_of_classes(network) if head == "classes" else network


def with_mean_of_classes(network: keras.Model) -> keras.Model:
    """Return a network of classes with a last layer that makes their mean of their probabilities:
    the steering.
    """
    mean = layers.Dense(1, use_bias=False, name="steering")
    driving = keras.Sequential(
        [keras.Input(network.input_shape[1:], dtype="uint8"), *network.layers, mean]
    )
    mean.set_weights([MIDDLES[:, np.newaxis]])
    return driving


def main(store: Path, output: Path, head: str, epochs: int, seed: int) -> None:
    """Train a network and write its model file."""
    network = train(store, head, epochs, seed)
    with open_store(store) as opened:
        save_model(output, network, opened.preprocessing)
    print(f"{output}: {network.count_params():,} weights; next: python drive.py {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("store", type=Path, help="store that preprocess.py wrote")
    parser.add_argument("output", type=Path, help="model file to write")
    parser.add_argument(
        "--head", choices=("classes", "number"), default="classes", help="what the network gives"
    )
    parser.add_argument(
        "--epochs", type=int, default=10, help="number of passes over the samples (default: 10)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of weights and order (default: 0)"
    )
    arguments = parser.parse_args()
    if arguments.output.exists():
        parser.error(f"{arguments.output} exists already; name another file")
    try:
        main(arguments.store, arguments.output, arguments.head, arguments.epochs, arguments.seed)
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
