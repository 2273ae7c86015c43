"""The checksum of two pieces is that of the whole, whatever their lengths."""

import zlib

import numpy as np
import pytest

from bcclone.store.writer import joined


@pytest.mark.parametrize("lengths", [(0, 0), (0, 9), (9, 0), (1, 1), (100_000, 3), (7, 49_152), (49_152, 1_572_864)])
def test_joined_checksums_are_those_of_the_whole(lengths):
    first, second = (np.random.default_rng(length).bytes(length) for length in lengths)
    assert joined(zlib.crc32(first), zlib.crc32(second), len(second)) == zlib.crc32(first + second)
