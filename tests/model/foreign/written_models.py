"""A frame, and a small network as other people write it."""

import keras
import numpy as np
from keras import layers

FRAME = np.random.default_rng(0).integers(0, 256, (160, 320, 3), dtype=np.uint8)


def network(*shape, first=(), name=None, gain=0.05):
    """Return a small network whose weights are random but for a fixed seed.

    For values of -1 to 1, it answers as a car steers.

    first: layers before the convolution
    gain: standard deviation of the weights
    """
    stride = 8 if min(shape[:2]) > 40 else 4
    model = keras.Sequential(
        [
            keras.Input(shape),
            *first,
            layers.Conv2D(2, 5, stride, "valid", activation="relu"),
            layers.Flatten(),
            layers.Dense(1),
        ],
        name=name,
    )
    random = np.random.default_rng(1)
    for layer in model.layers[-3:]:
        for weight in layer.weights:
            weight.assign(random.normal(0, gain, weight.shape))
    return model
