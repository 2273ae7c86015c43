"""Recurrent networks as others make them, for Keras 2 and 3 alike; run by Keras 2, it writes the
files of keras2/.

pip install tensorflow-cpu==2.15.1; python tests/model/foreign/recurrent_models.py
tests/model/foreign/keras2
"""

import json
import sys
from pathlib import Path

import numpy as np

WINDOW = (3, 66, 200, 3)
KEPT = ("gru.h5", "lstm.keras", "simple_rnn.h5", "simple_rnn.keras")


def windows():
    """Return two windows of three frames, the second darker, as the network takes them: float32 (2,
    3, 66, 200, 3).
    """
    images = np.random.default_rng(0).integers(0, 256, (2, *WINDOW))
    return (images // np.array([1, 3]).reshape(2, 1, 1, 1, 1)).astype("float32")


def make_models(keras):
    """Return networks by name, with random weights: each layer over time, a whole CNN over time,
    several recurrent.
    """
    keras.utils.set_random_seed(3)
    layers = keras.layers
    over_time = keras.layers.TimeDistributed
    each = keras.Sequential(
        [
            keras.Input(WINDOW),
            over_time(layers.Rescaling(1 / 127.5, -1.0)),
            over_time(layers.Conv2D(2, 5, strides=(6, 8), activation="elu")),
            over_time(layers.Conv2D(3, 3, strides=4), name="second"),
            over_time(layers.BatchNormalization()),
            over_time(layers.Flatten()),
            layers.Dropout(0.3),
            layers.GRU(4),
            layers.Dense(1),
        ],
        name="each",
    )
    cnn = keras.Sequential(
        [
            keras.Input(WINDOW[1:]),
            layers.Rescaling(1 / 255),
            layers.Conv2D(2, 5, strides=(6, 8), activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(4),
            layers.Flatten(),
        ],
        name="cnn",
    )
    given = keras.Input(WINDOW)
    frames = layers.LSTM(4, return_sequences=True)(over_time(cnn)(given))
    frames = over_time(layers.Dense(5, activation="tanh"))(frames)
    nested = keras.Model(given, layers.Dense(1)(layers.LSTM(3)(frames)), name="nested")
    simple = keras.Sequential(
        [
            keras.Input(WINDOW),
            over_time(layers.Rescaling(1 / 255)),
            over_time(layers.Conv2D(2, 5, strides=(8, 12), activation="tanh")),
            over_time(layers.GlobalAveragePooling2D()),
            layers.SimpleRNN(4),
            layers.Dense(1),
        ],
        name="simple",
    )
    models = {"gru": each, "lstm": nested, "simple_rnn": simple}
    for (
        name,
        model,
    ) in models.items():  # as after a training: no bias and no statistic is 0 any more
        random = np.random.default_rng(len(name))
        model.set_weights([_drawn(random, value.shape) for value in model.get_weights()])
    return models


def _drawn(random, shape):
    """Return weights: kernels of both signs; of what has one extent, among them variances, positive
    numbers.
    """
    return random.uniform(-0.6, 0.6, shape) if len(shape) > 1 else random.uniform(0.05, 0.3, shape)


def write_models(keras, folder, names):
    """Write the networks under these file names, .h5 or .keras, and what they say of windows() into
    outputs.json.
    """
    outputs = {}
    models = make_models(keras)
    for name in names:
        model = models[Path(name).stem]
        model.save(folder / name)
        outputs[name] = np.asarray(model(windows()))[:, 0].tolist()
    (folder / "outputs.json").write_text(json.dumps(outputs, indent=2) + "\n")


if __name__ == "__main__":
    from tensorflow import keras as _keras

    write_models(_keras, Path(sys.argv[1]), KEPT)
