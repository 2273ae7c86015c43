"""The kind dropout makes random passes through every type of layer that draws random numbers in training."""

import numpy as np

from bcclone.dataset.preprocessing import PRESETS
from bcclone.system.tensorflow_quietly import load_tensorflow
from tests.model.random_layers import random_layers


def test_random_passes_through_a_layer_disagree():
    load_tensorflow()
    from keras import Input, Sequential, layers

    from bcclone.lab.monitor.dropout import make_scorer
    from bcclone.model.model_file import ModelFile

    for layer, shape in random_layers(0.5):
        start = [Input((128, 128, 3), dtype="uint8"), layers.Rescaling(1 / 255), layers.AveragePooling2D(16)]
        network = Sequential([*start, layers.Reshape(shape), layer, layers.Flatten(), layers.Dense(1)])
        score = make_scorer(ModelFile(network, PRESETS["carnd-128-rgb"]), {"passes": np.array(8)})
        assert (score(np.full((2, 128, 128, 3), 200, np.uint8)) > 0).all(), layer
