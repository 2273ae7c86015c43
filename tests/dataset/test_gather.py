"""The compiled copy puts each image in its place, whatever array it comes from."""

import numpy as np
import pytest

from bcclone.dataset.gather import gather

ARRAYS = [np.random.default_rng(number).integers(0, 256, (6, 50), dtype=np.uint8) for number in range(3)]
ENDS = np.array([6, 12, 18])


def origins():
    """Return where image 0 would be if all images lay in memory as those of each array do."""
    return np.array([array.ctypes.data - number * array.nbytes for number, array in enumerate(ARRAYS)], np.uint64)


@pytest.mark.parametrize("kind", [np.uint32, np.int64])
def test_images_are_copied_from_the_arrays_that_hold_them(kind):
    indices, into = np.array([17, 0, 6, 12, 11, 5, 17], kind), np.zeros((7, 50), np.uint8)
    assert gather(origins(), ENDS, indices, 0, into) == len(indices)
    assert (into == np.concatenate(ARRAYS)[indices]).all()


def test_copying_stops_at_an_array_that_is_missing_and_goes_on_from_there():
    missing, indices, into = origins(), np.array([1, 7, 2]), np.zeros((3, 50), np.uint8)
    missing[1] = 0
    assert gather(missing, ENDS, indices, 0, into) == 1
    assert gather(origins(), ENDS, indices, 1, into) == 3
    assert (into == np.concatenate(ARRAYS)[indices]).all()


@pytest.mark.parametrize("index", [-1, 18])
def test_an_image_that_no_array_has_is_not_copied(index):
    with pytest.raises(IndexError):
        gather(origins(), ENDS, np.array([index]), 0, np.zeros((1, 50), np.uint8))
