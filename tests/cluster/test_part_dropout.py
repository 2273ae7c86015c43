"""A worker with a part of a batch draws what one worker with the whole batch would draw for these samples."""

import numpy as np

from bcclone.system.tensorflow_quietly import load_tensorflow


def test_a_part_of_a_batch_gets_the_dropout_and_noise_of_the_whole_batch():
    load_tensorflow()
    import keras

    from bcclone.cluster.part_dropout import BatchRows, with_part_dropout
    from bcclone.model.layer_kinds import KINDS

    images, rows = np.ones((6, 4, 5, 8), np.float32), np.array([1, 4, 4], np.int32)  # the last one pads
    random_kinds = [kind for kind in KINDS.values() if kind.random]
    assert len(random_kinds) > 1
    for kind in random_kinds:
        network = keras.Sequential([keras.Input((4, 5, 8)), kind.type(0.5, seed=3)])
        whole = keras.models.clone_model(network)(images, training=True).numpy()
        batch_rows = BatchRows()
        batch_rows.set(rows, len(images))
        part = with_part_dropout(network, batch_rows)(images[rows], training=True).numpy()
        assert np.array_equal(part, whole[rows]), kind.type
        assert len(np.unique(part)) > 1, kind.type
