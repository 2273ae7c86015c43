"""A worker with a part of a batch drops what one worker with the whole batch would drop of these samples."""

import numpy as np
import pytest

from bcclone.system.tensorflow_quietly import load_tensorflow


@pytest.mark.parametrize("kind", ["Dropout", "SpatialDropout2D", "GaussianDropout"])
def test_a_part_of_a_batch_loses_what_it_loses_in_the_whole(kind):
    load_tensorflow()
    import keras

    from bcclone.cluster.part_dropout import BatchRows, with_part_dropout

    dropping = getattr(keras.layers, kind)(0.5, seed=3)
    network = keras.Sequential([keras.Input((4, 5, 8)), dropping])
    images, rows = np.ones((6, 4, 5, 8), np.float32), np.array([1, 4], np.int32)
    whole = with_part_dropout(network, BatchRows())(images, training=True).numpy()
    batch_rows = BatchRows()
    batch_rows.set(rows, len(images))
    part = with_part_dropout(network, batch_rows)(images[rows], training=True).numpy()
    assert np.array_equal(part, whole[rows])
    assert len(np.unique(part)) > 1
    assert (kind == "GaussianDropout") == bool(part.all())
    of_maps = {len(np.unique(values)) for values in np.moveaxis(part, 3, 1).reshape(-1, 20)}
    assert (kind == "SpatialDropout2D") == (of_maps == {1})
