"""Functions that Numba compiles, and what happens where it can keep nothing."""

import numpy as np
import pytest
from numba import njit

from bcclone.compiled import compiled


def test_a_compiled_function_computes_what_it_says():
    @compiled(fastmath=True)
    def doubled(numbers):
        for place in range(numbers.shape[0]):
            numbers[place] *= 2

    numbers = np.arange(4.0)
    doubled(numbers)
    assert numbers.tolist() == [0.0, 2.0, 4.0, 6.0]


def test_a_function_is_compiled_each_time_where_nothing_can_be_kept():
    """As that of no file, for which Numba has no place."""
    found = {}
    exec("def total(numbers):\n    found = 0\n    for one in numbers:\n        found += one\n    return found", found)
    with pytest.raises(RuntimeError, match="cannot cache"):
        njit(cache=True)(found["total"])
    assert compiled(cache=True)(found["total"])(np.arange(5)) == 10
