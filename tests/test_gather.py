"""The compiled copy puts each image in its place, whatever array it comes from."""

import numpy as np

from bcclone.gather import gather


def test_images_are_copied_from_the_arrays_that_hold_them():
    arrays = [np.random.default_rng(number).integers(0, 256, (6, 50), dtype=np.uint8) for number in range(3)]
    array_of, index = np.array([2, 0, 1, 2, 2]), np.array([5, 0, 3, 1, 5])
    into = np.zeros((5, 50), np.uint8)
    origins = np.array([arrays[number].ctypes.data for number in array_of], np.uint64)
    gather(origins, index.astype(np.uint64), into)
    assert (into == [arrays[a][i] for a, i in zip(array_of, index, strict=True)]).all()
