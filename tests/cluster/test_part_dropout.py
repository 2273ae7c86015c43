"""A worker with a part of a batch draws what one worker with the whole batch would draw for these samples."""

import numpy as np

from bcclone.system.tensorflow_quietly import load_tensorflow
from tests.model.random_layers import random_layers


def test_a_part_of_a_batch_gets_the_dropout_and_noise_of_the_whole_batch():
    load_tensorflow()
    import keras

    from bcclone.cluster.part_dropout import BatchRows, with_part_dropout

    rows = np.array([1, 4, 4], np.int32)  # the last one pads
    for layer, shape in random_layers(0.5, seed=3):
        images, network = np.ones((6, *shape), np.float32), keras.Sequential([keras.Input(shape), layer])
        whole = keras.models.clone_model(network)(images, training=True).numpy()
        batch_rows = BatchRows()
        batch_rows.set(rows, len(images))
        part = with_part_dropout(network, batch_rows)(images[rows], training=True).numpy()
        assert np.array_equal(part, whole[rows]), layer
        assert len(np.unique(part)) > 1, layer
